"""New skills from templates: a folder that validates strictly, tests and runs at once."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal, get_args

from aspora.apis.skill_sections import RoleName
from aspora.meta.errors import AlreadyExists, FieldError, Invalid, Unavailable
from aspora.meta.names import check_name, did_you_mean
from aspora.skills.places import DOMAIN_MD, DOMAIN_YAML, is_domain
from aspora.skills.skill_md import implicit_sort

TemplateName = Literal["python", "markdown"]
TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".template"


@dataclass(frozen=True, slots=True)
class CreatedSkill:
    """What was made.

    Attributes:
        folder: The skill's folder.
        files: All new files, the domain's too, sorted.
        new_domain: Whether the domain's folder is new.
    """

    folder: Path
    files: tuple[Path, ...]
    new_domain: bool


def create_skill(
    root: str | Path, skill_id: str, *, role: str = "specialist", lang: str = "python", domain: str | None = None
) -> CreatedSkill:
    """Write a new skill's folder, and its domain's files when the domain is new.

    Args:
        root: The folder of domains, usually `skills`; made when missing.
        skill_id: `domain/skill`, or the skill's name alone with `domain`.
        role: manager, specialist or field.
        lang: `python` for a handler, `markdown` for instructions alone.
        domain: For an id without one.

    Raises:
        Invalid: A name, role or language that can't be; all problems at once.
        AlreadyExists: There is such a folder; it is left as it is.
        Unavailable: The folder can't be written.
    """
    domain_name, _, name = skill_id.rpartition("/")
    domain_name = domain_name or domain or "default"
    _check(domain_name, name, role=role, lang=lang)
    domain_folder = Path(root) / domain_name
    folder = domain_folder / name
    if os.path.lexists(folder):
        raise AlreadyExists(f"{str(folder)!r} exists; choose another name, or remove it first")
    values = {
        "skill_id": f"{domain_name}/{name}",
        "name": name,
        "yaml_name": f'"{name}"' if implicit_sort(name) else name,
        "role": role,
        "title": _title(name),
        "words": name.replace("-", " "),
        "domain_title": _title(domain_name),
    }
    try:
        domain_folder.mkdir(parents=True, exist_ok=True)
        new_domain = not is_domain(domain_folder)
        files = _write_domain(domain_folder, values) if new_domain else []
        files += _write_skill(TEMPLATES / lang, folder, values)
    except OSError as error:
        raise Unavailable(
            f"{str(folder)!r} can't be written: {error.strerror}; name another place with --path"
        ) from None
    return CreatedSkill(folder, tuple(sorted(files)), new_domain)


def _check(domain: str, name: str, *, role: str, lang: str) -> None:
    errors = [*check_name(domain, field="domain"), *check_name(name, field="name")]
    errors += [FieldError("name", f"{name!r} holds '--'; use single '-'")] if "--" in name else []
    for field, value, known in (("role", role, get_args(RoleName)), ("lang", lang, get_args(TemplateName))):
        if value not in known:
            errors.append(FieldError(field, f"unknown {field} {value!r}{did_you_mean(value, known)}"))
    if errors:
        raise Invalid("; ".join(str(e) for e in errors), details=errors)


def _title(name: str) -> str:
    words = name.replace("-", " ")
    return words[:1].upper() + words[1:]


def _write_domain(folder: Path, values: dict[str, str]) -> list[Path]:
    for name in (DOMAIN_MD, DOMAIN_YAML):
        with open(folder / name, "x", encoding="utf-8") as file:
            file.write(_filled(TEMPLATES / "domain" / f"{name}{_SUFFIX}", values))
    return [folder / DOMAIN_MD, folder / DOMAIN_YAML]


def _write_skill(template: Path, folder: Path, values: dict[str, str]) -> list[Path]:
    """All files or none: they are written beside and moved into place."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft.chmod(0o755)
        names = [path.relative_to(template) for path in template.rglob(f"*{_SUFFIX}")]
        for name in names:
            target = draft / name.with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_filled(template / name, values), encoding="utf-8")
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return [folder / name.with_suffix("") for name in names]


def _filled(template: Path, values: dict[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(values)
