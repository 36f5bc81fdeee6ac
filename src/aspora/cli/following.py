"""`aspora get -w`: a list, and then every change of it, in the format that was asked for."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aspora.cli.app import Cli
from aspora.cli.columns import Layout, align, natural_widths
from aspora.cli.output import clean
from aspora.cli.printing import as_yaml, in_order, qualified_name, visible, without_managers
from aspora.cli.rest import TABLE, Rest
from aspora.cli.targets import Target
from aspora.cli.verbs.get import list_query, pages
from aspora.cli.verbs.watch import require_watch
from aspora.cli.watching import changes
from aspora.meta.errors import Expired

Wire = Mapping[str, Any]


def follow(args: argparse.Namespace, cli: Cli, rest: Rest, target: Target) -> None:
    """Print the list, then its changes, until Ctrl-C; the list again when history was lost in between.

    Args:
        args: Those of `aspora get`.
        target: A list, or one object of it.
    """
    require_watch(target.resource)
    path, query = list_query(args, Target(target.resource, target.domain, ""))
    query.pop("limit", None)
    if target.name:
        query["fieldSelector"] = f"metadata.name={target.name}"
    printer = _Rows(args, cli) if args.output in {"table", "wide"} else _Objects(args, cli, target)
    while True:
        page = pages(rest, path, dict(query), table=printer.accept == TABLE)
        printer.first(page)
        cli.out.stdout.flush()
        since = page["metadata"]["resourceVersion"]
        try:
            for event in changes(rest, path, query=query, since=since, accept=printer.accept, tell=cli.out.note):
                printer.change(event)
                cli.out.stdout.flush()
        except Expired as e:
            cli.out.note(f"{e.message}; what is there now follows")


class _Rows:
    """Rows under one heading; a column grows with what comes, and never cuts it."""

    accept = TABLE

    def __init__(self, args: argparse.Namespace, cli: Cli) -> None:
        self._wide = args.output == "wide"
        self._out = cli.out
        self._widths: tuple[int, ...] = ()

    def first(self, table: Wire) -> None:
        shown = visible(table["columnDefinitions"], wide=self._wide)
        heading = [table["columnDefinitions"][i]["name"] for i in shown]
        rows = list(self._cells(table))
        self._widths = natural_widths([heading, *rows])
        for i, line in enumerate(align([heading, *rows], layout=Layout(self._widths))):
            self._out.line(line if i else self._out.style(line, "bold"))

    def change(self, event: Wire) -> None:
        for row in self._cells(event["object"]):
            self._widths = tuple(map(max, self._widths, natural_widths([row])))
            [line] = align([row], layout=Layout(self._widths))
            gone = event["type"] == "DELETED"
            self._out.line(self._out.style(f"{line}   (deleted)", "dim") if gone else line)

    def _cells(self, table: Wire) -> Iterator[list[str]]:
        shown = visible(table["columnDefinitions"], wide=self._wide)
        for row in table["rows"]:
            yield [clean(str(row["cells"][i])).replace("\n", " ") for i in shown]


class _Objects:
    """JSON a line, YAML documents or names."""

    accept = ""

    def __init__(self, args: argparse.Namespace, cli: Cli, target: Target) -> None:
        self._output, self._out = args.output, cli.out
        self._keeps_managers = args.show_managed_fields
        self._singular = target.resource["singularName"]
        self._dump = cli.load("yaml:safe_dump") if args.output == "yaml" else str

    def first(self, page: Wire) -> None:
        for obj in page["items"]:
            self._print(obj)

    def change(self, event: Wire) -> None:
        self._print(event["object"])

    def _print(self, obj: Wire) -> None:
        shown = in_order(obj if self._keeps_managers else without_managers(obj))
        if self._output == "name":
            self._out.line(qualified_name(self._singular, shown))
        elif self._output == "json":
            self._out.line(json.dumps(shown, ensure_ascii=False))
        else:
            self._out.stdout.write("---\n" + as_yaml(shown, self._dump))
