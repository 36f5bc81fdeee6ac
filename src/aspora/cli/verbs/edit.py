"""`aspora edit`: one object in an editor; what comes back is checked by the server."""

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.choosing import meant_elsewhere
from aspora.cli.printing import as_yaml, qualified_name
from aspora.cli.rest import Rest
from aspora.cli.targets import Target, add_domain_option, parse_target
from aspora.client.paths import object_path
from aspora.meta.errors import Conflict, Invalid, StatusError, Unavailable

EXAMPLES = """examples:
  aspora edit route create-goal.production -d wealth
  EDITOR='code --wait' aspora edit domain wealth

A skill's content comes from its folder: change that and apply it. VISUAL or EDITOR names the editor, else vi.
"""

MANAGER = "aspora-edit"
SHOWN = ("apiVersion", "kind", "metadata", "spec")
HEADING = """# Change labels, annotations or spec, save, and close the editor; an unchanged file changes nothing.
# Lines that begin with '#' are left out.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="a kind, or kind/name")
    parser.add_argument("name", nargs="?", default="", help="name or domain/name")
    add_domain_option(parser)
    parser.add_argument("--field-manager", default=MANAGER, metavar="NAME", help=f"who changes it (default: {MANAGER})")
    parser.add_argument("--dry-run", action="store_true", help="go the whole way on the server but store nothing")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Fetch, edit, send; what the server refuses comes back into the editor with its reasons."""
    word, slash, rest_of_name = args.kind.partition("/")
    name = args.name or rest_of_name
    if not name or (slash and args.name and rest_of_name):
        raise ValueError("name one object: aspora edit route create-goal.production -d wealth")
    rest = cli.rest()
    target = parse_target(rest.resource(word), name, domain=args.domain, default_domain=cli.settings.domain)
    path = object_path(target.resource["name"], target.name, domain=target.domain)
    with meant_elsewhere(rest, target):
        shown = _as_shown(rest.call("GET", path), cli)
    handle, file = tempfile.mkstemp(prefix=f"aspora-edit-{target.name[:40].replace('/', '-')}-", suffix=".yaml")
    os.close(handle)
    session = _Session(args, cli, rest, target, path, Path(file))
    done = False
    try:
        done = session.edit(shown)
    finally:
        if done:
            Path(file).unlink(missing_ok=True)
        elif _content(Path(file).read_text("utf-8", "replace")) not in {"", _content(shown)}:
            cli.out.note(f"what you wrote is kept in {file}")
        else:
            Path(file).unlink(missing_ok=True)
    return exit_codes.OK


def _as_shown(obj: Mapping[str, Any], cli: Cli) -> str:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return as_yaml({**{k: obj[k] for k in SHOWN if k in obj}, "metadata": metadata}, cli.load("yaml:safe_dump"))


def _content(text: str) -> str:
    """The text less its comment lines and the blank ends."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip()


class _Session:
    """One object, one file, as many rounds as it takes."""

    def __init__(self, args: argparse.Namespace, cli: Cli, rest: Rest, target: Target, path: str, file: Path) -> None:
        self._args, self._cli, self._rest = args, cli, rest
        self._target, self._path, self._file = target, path, file

    def edit(self, shown: str) -> bool:
        """Until the server takes it; True when nothing is left that the person would miss.

        Raises:
            StatusError: The last refusal, when the person gives up.
        """
        last, refusal = shown, None
        self._file.write_text(HEADING + shown)
        while True:
            self._open_editor()
            text = self._file.read_text("utf-8", "replace")
            if _content(text) in {"", _content(last)}:
                if refusal is not None:
                    self._cli.out.note("given up; nothing was changed")
                    raise refusal
                self._cli.out.note("nothing was changed")
                return True
            try:
                self._send(text)
            except Conflict as e:
                raise Conflict(f"{e.message}; edit it again from what it is now") from None
            except Unavailable:
                raise
            except StatusError as e:
                last, refusal = self._explained(text, e), e
                continue
            return True

    def _open_editor(self) -> None:
        words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
        try:
            code = subprocess.run([*words, str(self._file)], check=False).returncode
        except OSError as e:
            raise ValueError(f"the editor {words[0]!r} can't be started ({e.strerror}); set EDITOR") from None
        if code != 0:
            raise ValueError(f"the editor {words[0]!r} ended with exit code {code}; nothing was changed")

    def _send(self, text: str) -> None:
        found = self._cli.load("aspora.cli.wanted:parse_manifests")(text, shown=self._file.name)
        if found.refused:
            raise found.refused[0].error
        [wanted, *others] = found.wanted
        if others:
            raise Invalid("the file holds several objects; edit changes one")
        query = {"fieldManager": self._args.field_manager, "dryRun": "All" if self._args.dry_run else None}
        new = self._rest.call("PUT", self._path, query=query, body=wanted.object)
        for warning in self._rest.warnings:
            self._cli.out.warn(warning)
        done = "would be edited" if self._args.dry_run else "edited"
        self._cli.out.line(f"{qualified_name(self._target.resource['singularName'], new)} {done}")

    def _explained(self, text: str, error: StatusError) -> str:
        """Write the reasons over the text, for the next round."""
        problems: list[str] = self._cli.load("aspora.cli.wanted:problems_of")(error)
        told = "".join(f"# {line}\n" for problem in problems for line in problem.splitlines())
        body = _content(text) + "\n"
        self._file.write_text(
            f"# The server or the reader refused this; change it, or save it unchanged to give up:\n{told}#\n{body}"
        )
        return body
