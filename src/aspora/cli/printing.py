"""Objects and lists on standard output, in the format that was asked for."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aspora.cli.output import Output, pairs

Wire = Mapping[str, Any]
Dump = Callable[..., str]

_FIRST = ("apiVersion", "kind", "metadata", "spec", "status")


def print_problems(out: Output, name: str, problems: Sequence[str]) -> None:
    """What is wrong with one thing, on standard error; a problem that begins with its file does not get it again."""
    if len(problems) > 1:
        out.error(f"{name}:")
        for problem in problems:
            out.note(f"  {problem}")
    else:
        file = name.partition(":")[0]
        out.error(problems[0] if problems[0].startswith(f"{file}:") else f"{name}: {problems[0]}")


def visible(columns: list[dict[str, Any]], *, wide: bool) -> list[int]:
    """Indexes of the columns to show."""
    return [i for i, column in enumerate(columns) if wide or not column.get("wide")]


def print_table(out: Output, table: Wire, *, wide: bool, empty: str) -> None:
    """A server-side table; `empty` is said on standard error when it has no rows."""
    if not table["rows"]:
        out.note(empty)
        return
    shown = visible(table["columnDefinitions"], wide=wide)
    headings = [table["columnDefinitions"][i]["name"] for i in shown]
    out.table(headings, ([str(row["cells"][i]) for i in shown] for row in table["rows"]))


def qualified_name(singular: str, obj: Wire) -> str:
    """`skill/wealth/create-goal`."""
    metadata = obj["metadata"]
    parts = (singular, metadata.get("domain"), metadata["name"])
    return "/".join(p for p in parts if p)


def print_objects(out: Output, objects: Iterable[Wire], *, output: str, singular: str, dump_yaml: Dump) -> None:
    """Objects as JSON, YAML documents or names; one object alone is printed bare."""
    items = [in_order(obj) for obj in objects]
    if output == "name":
        for obj in items:
            out.line(qualified_name(singular, obj))
    elif output == "json":
        out.json(items[0] if len(items) == 1 else items)
    else:
        out.stdout.write("---\n".join(as_yaml(obj, dump_yaml) for obj in items))


def in_order(obj: Wire) -> dict[str, Any]:
    """An object, or a list of them, with what every object has first, as people write it; the rest as it came."""
    ordered = {**{key: obj[key] for key in _FIRST if key in obj}, **obj}
    if "items" in obj:
        ordered["items"] = [in_order(item) for item in obj["items"]]
    return ordered


def as_yaml(obj: Any, dump_yaml: Dump) -> str:
    """One YAML document, keys in their order, text not folded."""
    return dump_yaml(json.loads(json.dumps(obj)), sort_keys=False, allow_unicode=True, width=120)


def print_description(out: Output, sections: Iterable[Wire]) -> None:
    """Titled sections of aligned rows."""
    for i, section in enumerate(sections):
        if i:
            out.line()
        out.line(out.style(section["title"], "bold"))
        for text in pairs([(str(label), str(value)) for label, value in section["rows"]], indent=2):
            out.line(text)


def without_managers(obj: Wire) -> dict[str, Any]:
    """An object, or a list of them, without the book of who manages which field."""
    if "items" in obj:
        return {**obj, "items": [without_managers(item) for item in obj["items"]]}
    if "managedFields" not in obj.get("metadata", {}):
        return dict(obj)
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}
