import pytest

from aspora.skills.files import Ignore


@pytest.mark.parametrize(
    ("pattern", "path", "is_folder", "covered"),
    [
        ("*.tmp", "a.tmp", False, True),
        ("*.tmp", "deep/in/a.tmp", False, True),
        ("*.tmp", "a.tmpx", False, False),
        ("drafts/", "drafts", True, True),
        ("drafts/", "drafts", False, False),
        ("drafts/", "deep/drafts", True, True),
        ("/notes.md", "notes.md", False, True),
        ("/notes.md", "deep/notes.md", False, False),
        ("a/*.md", "a/b.md", False, True),
        ("a/*.md", "a/b/c.md", False, False),
    ],
)
def test_patterns(pattern: str, path: str, is_folder: bool, covered: bool) -> None:
    assert Ignore([pattern]).covers(path, is_folder=is_folder) == covered


@pytest.mark.parametrize("path", [".git", "__pycache__", "a/x.pyc", ".env", ".env.local", "node_modules", ".DS_Store"])
def test_what_never_goes_along(path: str) -> None:
    assert Ignore().covers(path, is_folder=False)
