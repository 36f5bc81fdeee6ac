"""What may come next on the command line: verbs, options, their choices, kinds and names from the server.

Shells ask by `aspora __complete WORD …`, the last word being the one that is typed. One candidate a line; none at all
lets the shell offer files. Nothing is ever said on errors: somebody is typing.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from aspora.cli.app import Cli, build_parser
from aspora.cli.builtins import VERBS
from aspora.cli.rest import Rest
from aspora.client.paths import object_path
from aspora.meta.errors import StatusError

MAX_NAMES = 500
SERVER_SECONDS = 2.0
HIDDEN_NAMES = {"skill": "skills", "what": "skills", "ids": "executions"}
"""Positional words that name things of one kind."""


def complete(words: Sequence[str], cli: Cli) -> list[str]:
    """Candidates for the last of the words after `aspora`."""
    *before, prefix = words or [""]
    verb = next((word for word in before if not word.startswith("-")), "")
    try:
        if not verb:
            found: Iterable[str] = ["--help", "--version"] if prefix.startswith("-") else VERBS
        elif verb not in VERBS:
            return []
        else:
            found = _of_verb(verb, before[before.index(verb) + 1 :], prefix, cli)
        return sorted({candidate for candidate in found if candidate.startswith(prefix)})
    except (StatusError, ValueError, OSError):
        return []


def _of_verb(verb: str, before: Sequence[str], prefix: str, cli: Cli) -> Iterable[str]:
    parser = build_parser(verb)
    actions = parser._actions
    options = {name: action for action in actions for name in action.option_strings}
    waiting = options.get(before[-1]) if before else None
    if waiting is not None and _takes_value(waiting):
        return _values(waiting, cli)
    if prefix.startswith("-"):
        return [name for name in options if name.startswith("--")]
    return _positional([a for a in actions if not a.option_strings], list(_plain(before, options)), prefix, before, cli)


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _plain(before: Sequence[str], options: dict[str, argparse.Action]) -> Iterator[str]:
    """The words that are neither options nor their values."""
    skip = False
    for word in before:
        action = options.get(word)
        if not skip and not word.startswith("-"):
            yield word
        skip = action is not None and _takes_value(action)


def _values(action: argparse.Action, cli: Cli) -> Iterable[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if action.dest == "domain":
        return _names(_rest(cli), "domains", "")
    if action.dest == "wish":
        return ["condition=Ready", "create", "delete"]
    return []


def _positional(
    actions: Sequence[argparse.Action], plain: list[str], prefix: str, before: Sequence[str], cli: Cli
) -> Iterable[str]:
    if not actions:
        return []
    action = actions[min(len(plain), len(actions) - 1)]
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    domain = _domain_in(before)
    if action.dest in {"kind", "resource"}:
        return _kinds(_rest(cli), prefix, domain)
    if action.dest in {"name", "names"} and plain:
        return _names(_rest(cli), plain[0], domain)
    if action.dest in HIDDEN_NAMES:
        return _names(_rest(cli), HIDDEN_NAMES[action.dest], domain)
    return []


def _domain_in(before: Sequence[str]) -> str:
    """What `-d` says so far."""
    for option, value in pairwise(before):
        if option in {"-d", "--domain"}:
            return value
    return ""


def _rest(cli: Cli) -> Rest:
    rest = cli.rest()
    rest.timeout_seconds = SERVER_SECONDS
    return rest


def _kinds(rest: Rest, prefix: str, domain: str) -> Iterable[str]:
    word, slash, _ = prefix.partition("/")
    if slash:
        return [f"{word}/{name}" for name in _names(rest, word, domain)]
    return [resource["name"] for resource in rest.resources()]


def _names(rest: Rest, word: str, domain: str) -> list[str]:
    """Names of a kind, with their domain unless `-d` says it."""
    resource = rest.resource(word)
    where = domain if resource["scope"] == "Domain" else ""
    page = rest.call("GET", object_path(resource["name"], domain=where), query={"limit": MAX_NAMES})
    names: list[str] = []
    for obj in page["items"]:
        own = obj["metadata"].get("domain") or ""
        needs_domain = own and not domain and resource["kind"] != "Execution"
        names.append(f"{own}/{obj['metadata']['name']}" if needs_domain else obj["metadata"]["name"])
    return names
