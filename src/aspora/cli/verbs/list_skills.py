"""`aspora list`: the skills in a folder. Needs no server."""

import argparse
import os
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.targets import add_domain_option
from aspora.meta.errors import StatusError

EXAMPLES = """examples:
  aspora list                 skills/ here, or the current folder
  aspora list skills/wealth
  aspora list -o name         ids only, for scripts
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("path", nargs="?", help="a skill, a domain or a tree (default: skills/, else this folder)")
    add_domain_option(parser)
    parser.add_argument("--lenient", action="store_true", help="accept skills written for other tools")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json", "name"), default="table", help="format")


def default_path(skills_root: str) -> str:
    """Where skills are looked for when nobody says.

    Raises:
        ValueError: The setting names no folder.
    """
    if skills_root and not os.path.isdir(skills_root):
        raise ValueError(
            f"ASPORA_SKILLS_ROOT is {skills_root!r}, which is no folder; set it to the one that holds your skills,"
            " unset it, or name a path"
        )
    return skills_root or ("skills" if os.path.isdir("skills") else ".")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Print each skill; one that is not valid says so, and the exit code too."""
    path = args.path or default_path(cli.settings.skills_root)
    find, load = cli.load("aspora.skills:find_skills"), cli.load("aspora.skills:load_skill")
    rows: list[dict[str, Any]] = []
    broken: list[StatusError] = []
    for place in find(cli.load("pathlib:Path")(path), lenient=args.lenient).skills:
        try:
            rows.append(_row(load(place.folder, lenient=args.lenient, domain=args.domain or None)))
        except StatusError as e:
            broken.append(e)
            skill_id = "/".join(p for p in (place.domain or args.domain, place.folder.name) if p)
            rows.append({"skill": skill_id, "valid": False, "description": e.message})
    _print(args, cli, rows)
    if broken:
        count = "1 skill is" if len(broken) == 1 else f"{len(broken)} skills are"
        cli.out.note(f"{count} not valid; see all problems: aspora validate {path}")
    return exit_codes.FAILED if broken else exit_codes.OK


def _row(skill: Any) -> dict[str, Any]:
    spec = skill.spec
    return {
        "skill": skill.id,
        "valid": True,
        "role": spec["role"],
        "runtime": spec["runtime"]["language"],
        "version": spec.get("version") or "timestamp",
        "files": spec["artifact"]["fileCount"],
        "sizeBytes": spec["artifact"]["sizeBytes"],
        "digest": spec["artifact"]["digest"],
        "description": spec.get("description") or spec["skillMd"]["description"],
    }


def _print(args: argparse.Namespace, cli: Cli, rows: list[dict[str, Any]]) -> None:
    if args.output == "json":
        cli.out.json(rows)
    elif args.output == "name":
        for row in rows:
            cli.out.line(row["skill"])
    else:
        columns = ["skill", "role", "runtime", "version"]
        columns += ["files", "digest"] if args.output == "wide" else []
        cells = [[_cell(row, name) for name in columns] for row in rows]
        used = sum(max(len(cell) for cell in column) + 3 for column in zip(columns, *cells, strict=False))
        room = max(24, cli.out.width - used)
        for line, row in zip(cells, rows, strict=True):
            line.append(_shortened(str(row["description"]), room if args.output == "table" else 1_000))
        cli.out.table([name.upper() for name in [*columns, "description"]], cells)


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return "INVALID" if name == "role" else ""
    return str(row[name])[:19] if name == "digest" else str(row[name])


def _shortened(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
