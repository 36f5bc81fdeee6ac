"""The reference pages say what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_pages_are_current() -> None:
    expected = runpy.run_path(str(ROOT / "tools" / "generate_docs.py"))["pages"]()
    stale = [path.name for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    assert not stale, "run: make docs"
