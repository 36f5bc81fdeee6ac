"""`aspora rollback`: a change of shares, never a rebuild."""

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.choosing import meant_elsewhere
from aspora.cli.targets import DEFAULT_DOMAIN, Target, add_domain_option, split_name
from aspora.client.paths import object_path

EXAMPLES = """examples:
  aspora rollback wealth/create-goal                  to the revision before
  aspora rollback wealth/create-goal --to 1.2.0       to a version
  aspora rollback wealth/create-goal --to create-goal-7f3a09c1de --dry-run
"""

FULL_SHARE_BP = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("skill", help="name or domain/name")
    add_domain_option(parser)
    parser.add_argument("--to", default="", help="revision or version (default: the one that served before)")
    parser.add_argument("--env", default="production", choices=("production", "staging"), help="the environment")
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")


def choose(revisions: Iterable[Mapping[str, Any]], *, current: str, latest: str, wanted: str) -> str:
    """The name of the revision to go back to.

    Revisions are ordered by creation, except that the skill's latest one comes last: content that returned to an
    earlier state has its old revision again, and what served before it is the newest of the others. Without a wish the
    answer is the revision before the current one, so repeated rollbacks go further back and never forth.

    Args:
        current: The revision that the route points at; with shares, the one with the largest.
        latest: The revision of the skill's present content.
        wanted: A revision's name or a version; "" for the one before.

    Raises:
        ValueError: There is none, or several have that version; says what there is.
    """
    ordered = sorted(
        revisions,
        key=lambda r: (
            r["metadata"]["name"] == latest,
            r["metadata"]["creationTimestamp"],
            int(r["metadata"]["resourceVersion"]),
        ),
    )
    names = [r["metadata"]["name"] for r in ordered]
    if wanted:
        found = [r["metadata"]["name"] for r in ordered if wanted in (r["metadata"]["name"], r["spec"]["version"])]
        if not found:
            known = ", ".join(f"{r['metadata']['name']} ({r['spec']['version']})" for r in ordered)
            raise ValueError(f"no revision or version {wanted!r}; there are: {known}")
        return found[-1]
    if current not in names:
        now = f"points at {current!r}, which is gone" if current else "points at nothing"
        raise ValueError(f"the route {now}; say where to go with --to")
    index = names.index(current)
    if index == 0:
        raise ValueError(f"nothing served before {current!r}, the oldest revision here; name another with --to")
    return names[index - 1]


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Point the route at the earlier revision."""
    domain, skill = split_name(args.skill, domain=args.domain or "")
    domain = domain or cli.settings.domain or DEFAULT_DOMAIN
    rest, route_path = cli.rest(), object_path("routes", f"{skill}.{args.env}", domain=domain)
    with meant_elsewhere(rest, Target(rest.resource("skills"), domain, skill)):
        found = rest.call("GET", object_path("skills", skill, domain=domain))
    latest = found.get("status", {}).get("latestRevision") or ""
    route = rest.call("GET", route_path)
    revisions = rest.items(
        object_path("revisions", domain=domain), query={"labelSelector": f"aspora.dev/skill={skill}"}
    )
    traffic = route["spec"].get("traffic", [])
    current = max(traffic, key=lambda t: t["shareBp"])["revision"] if traffic else ""
    target = choose(revisions, current=current, latest=latest, wanted=args.to)
    if len(traffic) == 1 and current == target:
        cli.out.line(f"{domain}/{skill} {args.env} already points at {target}; nothing to do")
        return exit_codes.OK
    route["spec"]["traffic"] = [{"revision": target, "shareBp": FULL_SHARE_BP}]
    query = {"dryRun": "All" if args.dry_run else None}
    rest.call("PUT", route_path, body=route, query=query)
    done = "would point" if args.dry_run else "now points"
    cli.out.line(f"{domain}/{skill} {args.env} {done} at {target} (was {current or 'nothing'})")
    cli.out.note(
        "It stays there until the skill changes."
        f" See it: aspora describe route {skill}.{args.env} -d {domain}{cli.place}"
    )
    return exit_codes.OK
