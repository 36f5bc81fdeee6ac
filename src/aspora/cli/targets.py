"""How people name things on the command line: kinds, `domain/name`, domains, output formats."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aspora.meta.names import quoted

DEFAULT_DOMAIN = "default"
FORMATS = ("table", "wide", "json", "yaml", "name")


@dataclass(frozen=True, slots=True)
class Target:
    """One thing by kind, domain ("" for the cluster) and name ("" for all)."""

    resource: Mapping[str, Any]
    domain: str
    name: str


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """`-o table|wide|json|yaml|name`."""
    parser.add_argument("-o", "--output", choices=FORMATS, default="table", help="how to print (default: table)")


def add_domain_option(parser: argparse.ArgumentParser) -> None:
    """`-d DOMAIN`."""
    parser.add_argument(
        "-d", "--domain", default="", help="the domain (default: ASPORA_DOMAIN, or the one in the name)"
    )


def add_domain_choice(parser: argparse.ArgumentParser) -> None:
    """`-d DOMAIN` and `-A`; with neither, a list covers every domain that the caller may see."""
    add_domain_option(parser)
    parser.add_argument("-A", "--all-domains", action="store_true", help="every domain (lists do so by default)")


def split_name(name: str, *, domain: str) -> tuple[str, str]:
    """`wealth/create-goal` as (domain, name); a domain said twice must agree.

    Raises:
        ValueError: It is no name, or two different domains were given.
    """
    first, slash, rest = named([name])[0].partition("/")
    if not slash:
        return domain, name
    if not first or not rest or "/" in rest:
        raise ValueError(f"{quoted(name)} is no name; write NAME or DOMAIN/NAME")
    if domain and domain != first:
        raise ValueError(f"{name!r} names domain {first!r} but -d says {domain!r}; leave one out")
    return first, rest


def named(words: list[str]) -> list[str]:
    """The words, none of which may be empty: `-f "$unset"` must never mean everything here.

    Raises:
        ValueError: One is.
    """
    if not all(word.strip() for word in words):
        raise ValueError("a name or path is empty; is a variable of your shell not set?")
    return words


def execution_word(word: str) -> str:
    """An execution's id, or the beginning of one, in its own letters: `exec-2026` is `EXEC-2026`."""
    return word[:5].upper() + word[5:].lower()


def parse_target(
    resource: Mapping[str, Any], name: str, *, domain: str, default_domain: str, all_domains: bool = False
) -> Target:
    """One object: its domain from the name, `-d`, the settings, or `default`; an execution's id needs none.

    Raises:
        ValueError: It is no name, its domain does not fit, or it needs one and every domain was asked for.
    """
    where, plain = split_name(name, domain=domain) if name else (domain, "")
    if resource["scope"] == "Cluster":
        if where:
            raise ValueError(f"{resource['name']} belong to the whole cluster; leave the domain out")
        return Target(resource, "", plain)
    if plain and not where and resource["scope"] == "Domain" and resource["kind"] != "Execution":
        if all_domains:
            raise ValueError(
                f"-A lists every domain, and {quoted(plain)} is one name; write DOMAIN/{plain}, or -d DOMAIN"
            )
        where = default_domain or DEFAULT_DOMAIN
    return Target(resource, where, plain)
