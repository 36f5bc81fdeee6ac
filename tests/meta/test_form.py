"""Forms that a linter does not know: package laws, forbidden names, one owner a table, nothing about machines."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "aspora"
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "misc"}


def test_every_package_states_its_law_and_does_nothing_on_import() -> None:
    for init in SRC.rglob("__init__.py"):
        tree = ast.parse(init.read_text())
        assert ast.get_docstring(tree), f"{init} has no docstring"
        for node in tree.body[1:]:
            is_exports = isinstance(node, (ast.ImportFrom, ast.Assign))
            assert is_exports, f"{init}:{node.lineno} does more than export"


def test_no_folder_or_module_is_a_drawer() -> None:
    names = {p.stem for p in SRC.rglob("*.py")} | {p.name for p in SRC.rglob("*") if p.is_dir()}
    assert names & FORBIDDEN_NAMES == set()


def created_tables() -> set[str]:
    created: set[str] = set()
    for path in (SRC / "db" / "migrations").glob("*.sql"):
        created |= set(re.findall(r"create table (?:if not exists )?([a-z_]+)", path.read_text(), re.IGNORECASE))
    return {t for t in created if not re.search(r"_default$|_p\d+$", t)}


def writers_of(table: str) -> set[str]:
    """Packages whose SQL writes the table."""
    pattern = re.compile(rf"(?:insert\s+into|update|delete\s+from)\s+(?:only\s+)?{table}\b", re.IGNORECASE)
    return {
        path.relative_to(SRC).parts[0]
        for path in SRC.rglob("*.sql")
        if "migrations" not in path.parts and pattern.search(path.read_text())
    }


@pytest.mark.parametrize("table", sorted(created_tables()))
def test_each_table_has_one_owner(table: str) -> None:
    assert len(writers_of(table)) <= 1, writers_of(table)


def test_sql_stays_in_sql_files() -> None:
    statement = re.compile(r"\b(select|insert into|update|delete from)\s+.+\b(from|values|set|where)\b", re.IGNORECASE)
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(v.value for v in node.values if isinstance(v, ast.Constant) and isinstance(v.value, str))
                assert not statement.search(text), f"{path}:{node.lineno} builds SQL from a string"


def test_one_place_says_when_a_nodes_word_counts() -> None:
    """The fence is the view `live_nodes`; only the nodes' own statements speak of leases."""
    found = [p.name for p in SRC.rglob("*.sql") if "lease_expires_at" in p.read_text() and "migrations" not in p.parts]
    assert sorted(found) == ["nodes.sql"]
