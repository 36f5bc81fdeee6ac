"""What a path on the disk is: a skill, a domain, or a tree of them; and which domain a skill's path gives it."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aspora.meta.names import check_name
from aspora.skills.files import Ignore
from aspora.skills.problems import Problem, Report
from aspora.skills.skill_md import SKILL_MD

DOMAIN_MD = "DOMAIN.md"
DOMAIN_YAML = "domain.yaml"
CONFIG_YAML = "aspora.config.yaml"
TREE = "skills"
_NOT_SKILLS = frozenset({"shared", "tests", "docs", "references", "fixtures"})


@dataclass(frozen=True, slots=True)
class SkillPlace:
    """A skill's folder and the domain its path gives it; None when the path gives none."""

    folder: Path
    domain: str | None


@dataclass(frozen=True, slots=True)
class Places:
    """What was found.

    Attributes:
        domains: Folders with DOMAIN.md or domain.yaml, by name.
        skills: By domain and name.
    """

    domains: tuple[Path, ...]
    skills: tuple[SkillPlace, ...]


def is_skill(folder: Path, *, lenient: bool = False) -> bool:
    """Whether a folder holds a SKILL.md (leniently: in any case of letters)."""
    return skill_md_path(folder, lenient=lenient) is not None


def skill_md_path(folder: Path, *, lenient: bool = False) -> Path | None:
    """The folder's SKILL.md; names are compared exactly, also where the file system does not."""
    names = _names(folder)
    if SKILL_MD in names:
        return folder / SKILL_MD
    loose = sorted(name for name in names if name.lower() == SKILL_MD.lower())
    return folder / loose[0] if lenient and loose else None


def unreadable(folder: Path) -> str:
    """What the system says of a folder that can't be listed or entered; "" when it can."""
    try:
        os.listdir(folder)
        os.stat(os.path.join(folder, "."))
    except OSError as error:
        return error.strerror or "the system refuses"
    return ""


def unreadable_text(reason: str) -> str:
    """The problem of such a folder, for people."""
    return f"can't be read: {reason}; make it readable (chmod u+rx), or move it away"


def is_domain(folder: Path) -> bool:
    """Whether a folder says that it is a domain's; what lies under these names may yet be no file, loading tells."""
    return os.path.lexists(folder / DOMAIN_MD) or os.path.lexists(folder / DOMAIN_YAML)


def domain_of(folder: Path) -> str | None:
    """The domain that a skill's path gives it: a folder marked as one, or the folder between `skills` and the skill."""
    parent = folder.parent
    if is_domain(parent) or (parent.parent.name == TREE and not check_name(parent.name)):
        return parent.name
    return None


def find_skills(path: Path, *, lenient: bool = False) -> Places:
    """Look at a path: a skill, a domain, a tree `skills/`, a project with one, or a file in a skill or domain.

    Raises:
        InvalidSkill: There is none, or names collide.
    """
    report = Report()
    top = Path(os.path.abspath(path))
    if top.is_file():
        top = top.parent
    if not top.is_dir():
        found = "is no folder and no regular file" if os.path.lexists(top) else "does not exist"
        report.error(str(path), f"{found}; name a skill's folder, a domain's, or a tree of them")
        report.raise_errors(str(path))
    if reason := unreadable(top):
        report.error(str(path), unreadable_text(reason))
        report.raise_errors(str(path))
    places = _look(top, lenient=lenient)
    if not places.skills and not places.domains:
        report.errors.append(_nothing_here(path, top))
    _check_collisions(places.skills, report)
    report.raise_errors(str(path))
    return places


def _look(top: Path, *, lenient: bool) -> Places:
    if is_skill(top, lenient=lenient):
        own_domain = (top.parent,) if is_domain(top.parent) else ()
        return Places(own_domain, (SkillPlace(top, domain_of(top)),))
    if is_domain(top):
        return Places((top,), tuple(_skills_in(top, top.name, lenient=lenient)))
    if not any(_folders(top, lenient=lenient)) and os.path.isdir(top / TREE):
        top = top / TREE
    domains: list[Path] = []
    skills: list[SkillPlace] = []
    for child in _subfolders(top):
        if is_skill(child, lenient=lenient) or unreadable(child):
            skills.append(SkillPlace(child, domain_of(child)))
        elif is_domain(child) or any(_skills_in(child, child.name, lenient=lenient)):
            domains += [child] if is_domain(child) else []
            skills += _skills_in(child, child.name, lenient=lenient)
    return Places(tuple(domains), tuple(skills))


def _folders(top: Path, *, lenient: bool) -> Iterator[Path]:
    """Children other than a tree that are skills, domains, or hold skills."""
    for child in _subfolders(top):
        if child.name != TREE and (
            is_skill(child, lenient=lenient) or is_domain(child) or any(_skills_in(child, "", lenient=lenient))
        ):
            yield child


def _skills_in(folder: Path, domain: str, *, lenient: bool) -> Iterator[SkillPlace]:
    """A domain's skills; one that looks like one yet lacks SKILL.md or can't be read is among them: loading tells."""
    for child in _subfolders(folder):
        unfinished = os.path.lexists(child / CONFIG_YAML) or os.path.isdir(child / "code") or bool(unreadable(child))
        if is_skill(child, lenient=lenient) or (unfinished and child.name not in _NOT_SKILLS):
            yield SkillPlace(child, domain)


def _subfolders(folder: Path) -> list[Path]:
    ignore = Ignore()
    return [
        folder / name
        for name in sorted(_names(folder))
        if not name.startswith(".") and not ignore.covers(name, is_folder=True) and os.path.isdir(folder / name)
    ]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _nothing_here(path: Path, top: Path) -> Problem:
    loose = next((name for name in _names(top) if name.lower() == SKILL_MD.lower()), None)
    if loose is not None:
        return Problem(str(path), 0, 0, "", f"has {loose!r}; rename it to {SKILL_MD!r}")
    return Problem(
        str(path),
        0,
        0,
        "",
        f"holds no skill: a skill is a folder with {SKILL_MD}; make one: aspora create skill DOMAIN/NAME",
    )


def _check_collisions(skills: Iterable[SkillPlace], report: Report) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for place in skills:
        key = ((place.domain or "").casefold(), place.folder.name.casefold())
        other = seen.setdefault(key, place.folder)
        if other != place.folder:
            message = f"differs from {str(other)!r} only in case or place; a domain holds a name once, rename one"
            report.error(str(place.folder), message)
