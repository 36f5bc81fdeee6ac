"""`aspora create`: a new skill on disk, or a new domain or API key on the server."""

import argparse
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.rest import Rest
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option
from aspora.client.paths import object_path
from aspora.meta.errors import API_VERSION, AlreadyExists, NotFound
from aspora.meta.names import quoted
from aspora.meta.quantities import parse_seconds

EXAMPLES = """examples:
  aspora create skill hr/resume-screen                      a Python handler, its tests, its golden cases
  aspora create skill hr/interview --lang markdown --role manager
  aspora create domain hr --display-name "Human resources" --owner-team people-ops
  aspora create apikey ci --role author -d hr               prints the key, once
  aspora create apikey ops --role operator --all-domains --expires 30d
"""

ROLES = ("manager", "specialist", "field")
LANGUAGES = ("python", "markdown")
NEVER = "never"


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="KIND", parser_class=type(parser))
    skill = kinds.add_parser("skill", help="a skill's folder that validates, tests and runs at once")
    skill.add_argument("name", help="domain/name")
    add_domain_option(skill)
    skill.add_argument("--role", choices=ROLES, default="specialist", help="default: specialist")
    skill.add_argument("--lang", choices=LANGUAGES, default="python", help="a handler, or SKILL.md alone")
    skill.add_argument("--path", default="", metavar="DIR", help="the folder of domains (default: skills)")
    domain = kinds.add_parser("domain", help="a team's namespace; its folder's domain.yaml may say more")
    domain.add_argument("name", help="the domain's name")
    domain.add_argument("--display-name", default="", metavar="TEXT", help="for people (default: the name)")
    domain.add_argument("--owner-team", default="", metavar="TEAM", help="the team that answers for it")
    key = kinds.add_parser("apikey", help="a key for a person or a program; shown once")
    key.add_argument("name", help="the key's name")
    key.add_argument("--role", action="append", required=True, metavar="ROLE", help="what it may do; repeat for more")
    key.add_argument("--owner", default="", metavar="NAME", help="whose it is (default: the key's name)")
    key.add_argument("--expires", default="90d", metavar="TIME", help="30d, 12h, or never (default: 90d)")
    add_domain_option(key)
    key.add_argument("-A", "--all-domains", action="store_true", help="valid in every domain")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Make what was asked for."""
    makers = {"skill": _create_skill, "domain": _create_domain, "apikey": _create_key}
    return makers[args.what](args, cli)


def _create_skill(args: argparse.Namespace, cli: Cli) -> int:
    root = args.path or cli.settings.skills_root or "skills"
    make = cli.load("aspora.skills.scaffold:create_skill")
    domain = args.domain or cli.settings.domain or DEFAULT_DOMAIN
    if "/" in args.name and args.domain:
        raise ValueError(f"{args.name!r} names its domain; leave -d out")
    made = make(root, args.name, role=args.role, lang=args.lang, domain=domain)
    folder = os.path.relpath(made.folder)
    for path in made.files:
        cli.out.line(f"created {os.path.relpath(path)}")
    here = folder if folder.startswith((".", "/")) else f"./{folder}"
    cli.out.note("")
    cli.out.note(f"Next: aspora validate {folder}")
    cli.out.note(f"      aspora test {folder}")
    if args.lang == "markdown":
        cli.out.note(
            "      export OPENROUTER_API_KEY=…   (or ASPORA_MODEL_URL: a model runs SKILL.md, and needs an endpoint)"
        )
    cli.out.note(f'      aspora run {here} "hello"')
    cli.out.note(f"      aspora apply -f {folder}")
    return exit_codes.OK


def _create_domain(args: argparse.Namespace, cli: Cli) -> int:
    given = {"displayName": args.display_name, "ownerTeam": args.owner_team}
    spec = {name: text for name, text in given.items() if text}
    try:
        cli.rest().call("POST", object_path("domains"), body=_object("Domain", args.name, "", spec))
    except AlreadyExists:
        hint = f"change it with a manifest: aspora get domain {args.name} -o yaml; aspora apply -f FILE"
        raise AlreadyExists(f"there is a domain {args.name!r} already; {hint}") from None
    cli.out.line(f"domain/{args.name} created")
    cli.out.note(f"Next: aspora create skill {args.name}/my-skill")
    return exit_codes.OK


def expiry(text: str, *, now: datetime) -> str | None:
    """When a key ends that is made now; None for never.

    Raises:
        ValueError: The text is no time.
    """
    if text == NEVER:
        return None
    try:
        seconds = parse_seconds(text)
    except ValueError as e:
        raise ValueError(f"--expires {e}, or {NEVER}") from None
    if seconds <= 0:
        raise ValueError(f"--expires {text!r} is over at once; write 30d, 12h or {NEVER}")
    try:
        end = now + timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"--expires {quoted(text)} is after all time; write {NEVER}") from None
    return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _create_key(args: argparse.Namespace, cli: Cli) -> int:
    if bool(args.domain) == args.all_domains:
        raise ValueError("say where the key is valid: -d DOMAIN, or --all-domains")
    expires_at = expiry(args.expires, now=datetime.now(UTC))
    owner, rest = args.owner or args.name, cli.rest()
    if _exists(rest, object_path("apikeys", args.name, domain=args.domain)):
        target = f"{args.domain}/{args.name}" if args.domain else args.name
        raise AlreadyExists(f"there is a key {args.name!r}; delete it first: aspora delete apikey {target}{cli.place}")
    for role in args.role:
        name = _bind(rest, domain=args.domain, owner=owner, role=role)
        cli.out.note(f"{owner} has the role {role} {'in ' + args.domain if args.domain else 'everywhere'} ({name})")
    spec = {"owner": owner, "roles": args.role} | ({"expiresAt": expires_at} if expires_at else {})
    made = rest.call(
        "POST", object_path("apikeys", domain=args.domain), body=_object("ApiKey", args.name, args.domain, spec)
    )
    cli.out.note(f"apikey/{args.name} created, valid {'until ' + expires_at if expires_at else 'for ever'}.")
    cli.out.note("This is the key; it is not shown again. Use it as ASPORA_API_KEY:")
    cli.out.line(made["once"]["key"])
    return exit_codes.OK


def _exists(rest: Rest, path: str) -> bool:
    try:
        rest.call("GET", path)
    except NotFound:
        return False
    return True


def _bind(rest: Rest, *, domain: str, owner: str, role: str) -> str:
    """See to it that the owner has the role there; the binding's name."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{owner}-{role}".lower()).strip("-")[:63].strip("-")
    subject = {"kind": "user", "name": owner}
    spec = {"subjects": [subject], "roleRef": {"name": role, "scope": "Cluster"}}
    try:
        rest.call("POST", object_path("rolebindings", domain=domain), body=_object("RoleBinding", name, domain, spec))
    except AlreadyExists:
        found = rest.call("GET", object_path("rolebindings", name, domain=domain))
        if found["spec"]["roleRef"]["name"] != role:
            raise
        subjects = found["spec"].get("subjects", [])
        if subject not in subjects:
            found["spec"]["subjects"] = [*subjects, subject]
            rest.call("PUT", object_path("rolebindings", name, domain=domain), body=found)
    return f"rolebinding {name}"


def _object(kind: str, name: str, domain: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name} | ({"domain": domain} if domain else {})
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
