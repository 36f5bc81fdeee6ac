"""From the YAML that authors write to the wire form of a spec, by a table of keys; each value's place is remembered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aspora.meta.errors import FieldError
from aspora.meta.names import MAX_SHOWN_LENGTH, did_you_mean, nearest, quoted
from aspora.skills.config_keys import Keys
from aspora.skills.forms import OPTIONAL_TEXT, WrongForm, read_list, read_text
from aspora.skills.problems import Report
from aspora.skills.text_files import BOM
from aspora.skills.yaml_nodes import Node, parse_yaml


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the author's key and the position in the file."""

    key: str
    line: int
    column: int


@dataclass(slots=True)
class Settings:
    """What a file says.

    Attributes:
        shown: The file's name for people.
        spec: The wire form, without anything the file does not set.
        places: Wire path → where it was written.
        identity: Keys that set nothing (`skill.name`), with value and place.
    """

    shown: str
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    identity: dict[str, tuple[str, Place]] = field(default_factory=dict[str, tuple[str, Place]])

    def set(self, wire: str, value: Any, place: Place) -> None:
        """Put a value at its wire path."""
        holder = self.spec
        *parents, name = wire.split(".")
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[name] = value
        self.places[wire] = place


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file may hold.

    Attributes:
        keys: Keys with one value.
        lists: Keys whose value is a list of maps.
        identity: Keys that only confirm a name.
    """

    keys: Keys
    lists: Mapping[str, Keys] = field(default_factory=dict[str, Keys])
    identity: tuple[str, ...] = ()

    @property
    def all_keys(self) -> list[str]:
        """Every key with dots, lists by their own name."""
        return [*self.keys, *self.lists, *self.identity]


def parse_settings(text: str, *, schema: Schema, shown: str, strict: bool, report: Report) -> Settings:
    """Read a whole file; every problem goes to the report."""
    settings = Settings(shown)
    if text.startswith(BOM):
        report.object_to(strict, shown, "begins with a byte order mark; save it as UTF-8 without BOM", line=1)
        text = text[1:]
    document = parse_yaml(text, shown=shown, report=report)
    root = document.root if document is not None else None
    if root is None or root.is_null:
        return settings
    if root.kind != "map":
        report.error(shown, "must hold 'key: value' lines", line=root.line)
        return settings
    _Walk(settings, schema, strict=strict, report=report).map(root, "")
    return settings


class _Walk:
    """One pass over the tree."""

    def __init__(self, settings: Settings, schema: Schema, *, strict: bool, report: Report) -> None:
        self._settings = settings
        self._schema = schema
        self._strict = strict
        self._report = report

    def map(self, node: Node, prefix: str) -> None:
        """The keys of one section."""
        for key, key_node, value in node.entries():
            path = f"{prefix}{key}"
            if path in self._schema.keys:
                self._value(path, value)
            elif path in self._schema.lists:
                self._list(path, key_node, value)
            elif path in self._schema.identity:
                self._identity(path, value)
            elif any(known.startswith(f"{path}.") for known in self._schema.all_keys):
                self._section(path, value)
            else:
                self._unknown(path, prefix, key_node)

    def _section(self, path: str, value: Node) -> None:
        if value.kind == "map":
            self.map(value, f"{path}.")
        elif not value.is_null:
            self._error(value, path, f"must be a section of keys, not a {value.kind}")

    def _unknown(self, path: str, prefix: str, node: Node) -> None:
        """Say what was meant: a neighbour, or the same key in another section."""
        key = path[len(prefix) :]
        siblings = {k[len(prefix) :].partition(".")[0] for k in self._schema.all_keys if k.startswith(prefix)}
        elsewhere = [k for k in self._schema.all_keys if k.rpartition(".")[2] == key]
        if elsewhere and nearest(key, siblings) is None:
            hint = f"; did you mean {elsewhere[0]!r}?"
        else:
            hint = did_you_mean(key, siblings)
        self._report.object_to(
            self._strict,
            self._settings.shown,
            f"unknown key {quoted(key)}{hint}",
            line=node.line,
            column=node.column,
            path=path[: len(prefix) + MAX_SHOWN_LENGTH],
        )

    def _value(self, path: str, value: Node) -> None:
        wire, form = self._schema.keys[path]
        if value.is_null and form is not OPTIONAL_TEXT:
            return
        try:
            self._settings.set(wire, form.read(value), Place(path, value.line, value.column))
        except WrongForm as error:
            self._error(error.node, f"{path}{error.path}", str(error))

    def _identity(self, path: str, value: Node) -> None:
        if value.is_null:
            return
        try:
            self._settings.identity[path] = read_text(value), Place(path, value.line, value.column)
        except WrongForm as error:
            self._error(error.node, path, str(error))

    def _list(self, path: str, key_node: Node, value: Node) -> None:
        items: list[dict[str, Any]] = []
        try:
            nodes: list[Node] = read_list(value, lambda node: node, "list")
        except WrongForm as error:
            self._error(error.node, path, str(error))
            return
        for i, node in enumerate(nodes):
            items.append(self._item(path, i, node))
        self._settings.set(path, items, Place(path, key_node.line, key_node.column))

    def _item(self, path: str, index: int, node: Node) -> dict[str, Any]:
        where = f"{path}[{index}]"
        if node.kind != "map":
            self._error(node, where, f"must be a map, not a {node.kind}")
            return {}
        schema = Schema(self._schema.lists[path])
        inner = Settings(self._settings.shown)
        report = Report()
        _Walk(inner, schema, strict=self._strict, report=report).map(node, "")
        for problem in report.errors:
            self._report.error(
                problem.file, problem.message, line=problem.line, column=problem.column, path=f"{where}.{problem.path}"
            )
        for problem in report.warnings:
            self._report.warn(
                problem.file, problem.message, line=problem.line, column=problem.column, path=f"{where}.{problem.path}"
            )
        self._settings.places[where] = Place(where, node.line, node.column)
        for wire, place in inner.places.items():
            self._settings.places[f"{where}.{wire}"] = Place(f"{where}.{place.key}", place.line, place.column)
        return inner.spec

    def _error(self, node: Node, path: str, message: str) -> None:
        self._report.error(self._settings.shown, message, line=node.line, column=node.column, path=path)


def report_field_errors(
    errors: Iterable[FieldError], *, settings: Iterable[Settings], schema: Schema, default_file: str, report: Report
) -> None:
    """Tell field errors of a spec at the places where the values were written."""
    files = list(settings)
    for error in errors:
        wire = error.field.removeprefix("spec.")
        found = next(((s, p) for s in files if (p := _nearest_place(s.places, wire)) is not None), None)
        message = _in_authors_words(error.message, schema)
        if found is not None:
            holder, place = found
            report.error(holder.shown, message, line=place.line, column=place.column, path=place.key)
        else:
            report.error(default_file, message, path=_authors_key(wire, schema))


def _nearest_place(places: Mapping[str, Place], wire: str) -> Place | None:
    """The place of the value, or of the smallest part of the file around it, with the whole path as its key."""
    around = wire
    while around:
        if (place := places.get(around)) is not None:
            return replace(place, key=place.key + wire[len(around) :])
        cut = max(around.rfind("."), around.rfind("["))
        around = around[:cut] if cut > 0 else ""
    return None


def _authors_key(wire: str, schema: Schema) -> str:
    return next((key for key, (path, _) in schema.keys.items() if path == wire), wire)


def _in_authors_words(message: str, schema: Schema) -> str:
    """Wire names in a message become the author's keys."""
    for key, (wire, _) in schema.keys.items():
        if "." in wire or wire != key.rpartition(".")[2]:
            message = message.replace(f"spec.{wire}", key)
    return message
