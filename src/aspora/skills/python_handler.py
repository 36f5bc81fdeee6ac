"""What can be seen of a Python handler without running it: whether it compiles, and whether it has a handler."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from aspora.skills.archive import MAX_FILE_BYTES
from aspora.skills.problems import Report
from aspora.skills.text_files import read_raw

NAME = "handler"
MARK = "skill_handler"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def check_python_handler(source: Path, *, shown: str, report: Report) -> None:
    """Tell of a file that can't be compiled, or that shows no handler. Its code is never executed.

    Args:
        source: The entry point.
        shown: Its name for people.
        report: Gets an error with the line, or a warning.
    """
    code = read_raw(source, shown=shown, report=report, max_bytes=MAX_FILE_BYTES)
    if code is None:
        return
    if b"\0" in code:
        line = code.count(b"\n", 0, code.index(b"\0")) + 1
        report.error(shown, "holds a NUL byte; Python can't read such a file", line=line)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on style, such as an odd escape, is no problem of ours.
            tree = ast.parse(code, shown)
            compile(tree, shown, "exec", dont_inherit=True)
    except SyntaxError as error:
        report.error(shown, f"is not Python: {error.msg}", line=error.lineno or 0, column=error.offset or 0)
    except (RecursionError, MemoryError, ValueError) as error:
        report.error(shown, f"can't be compiled: {error or 'it is nested too deeply'}")
    else:
        if not has_handler(tree):
            report.warn(shown, f"shows no function {NAME!r} and none marked with @{MARK}; executions will fail")


def has_handler(tree: ast.Module) -> bool:
    """Whether the module binds `handler`, uses `skill_handler`, or imports names that can't be seen here."""
    marks = {MARK}
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and node.name == MARK and node.asname:
            marks.add(node.asname)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == MARK:
            return True
        if isinstance(node, ast.Name) and node.id in marks and isinstance(node.ctx, ast.Load):
            return True
    return any(name in {NAME, "*"} for name in _bound_names(tree))


def _bound_names(scope: ast.AST) -> Iterator[str]:
    """Names that a module's own statements bind; what functions and classes bind inside is their own."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if not isinstance(node, _SCOPES):
            yield from _bound_names(node)
