"""The reference pages say what the code says."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_pages_are_current() -> None:
    expected = runpy.run_path(str(ROOT / "tools" / "generate_docs.py"))["pages"]()
    stale = [path.name for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    assert not stale, "run: make docs"


def test_the_page_of_errors_names_no_code() -> None:
    """Its meanings are docstrings, and readers have no source: no `Class.member` there."""
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    assert re.findall(r"`[A-Z]\w*\.\w+`", page) == []
