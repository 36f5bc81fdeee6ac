"""`aspora init`: a project folder with a place for skills."""

import argparse
import os
from pathlib import Path

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.meta.errors import AlreadyExists

EXAMPLES = """examples:
  aspora init                       here
  aspora init my-skills             in a new folder
  aspora init my-skills --skill hr/resume-screen
"""

README = """# Skills

One folder a domain, one folder a skill: `skills/<domain>/<skill>/`. `SKILL.md` alone is a skill; a handler, tests and
`aspora.config.yaml` come when they are needed.

    aspora create skill hr/resume-screen     a new skill
    aspora validate                          all problems at once, with file and line
    aspora test                              unit tests and golden cases
    aspora run ./skills/hr/resume-screen "hello"
    aspora up --detach                       a server on this machine
    aspora apply -f skills/                  deploy what is there
"""

GITIGNORE = """__pycache__/
*.pyc
.pytest_cache/
.venv/
.env
.env.*
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="the project's folder (default: here)")
    parser.add_argument("--skill", default="example/greeting", metavar="DOMAIN/NAME", help="the first skill's name")
    parser.add_argument("--lang", choices=("python", "markdown"), default="python", help="the first skill's language")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Write the folder; what is there already is left as it is."""
    folder = Path(args.folder)
    skills = folder / "skills"
    if skills.exists() and any(skills.iterdir()):
        raise AlreadyExists(f"{str(skills)!r} is not empty; add to it: aspora create skill DOMAIN/NAME --path {skills}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("README.md", README), (".gitignore", GITIGNORE)):
        try:
            with open(folder / name, "x", encoding="utf-8") as f:
                f.write(text)
            cli.out.line(f"created {folder / name}")
        except FileExistsError:
            cli.out.line(f"kept    {folder / name}")
    made = cli.load("aspora.skills.scaffold:create_skill")(skills, args.skill, lang=args.lang)
    for path in made.files:
        cli.out.line(f"created {os.path.relpath(path)}")
    cli.out.note("")
    step = "" if folder == Path() else f"cd {folder} && "
    cli.out.note(f"Next: {step}aspora test && aspora run ./skills/{args.skill} hello")
    return exit_codes.OK
