"""A domain's folder: DOMAIN.md says what it is about, domain.yaml sets what holds there."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aspora.apis.decode import decode
from aspora.apis.domain import KIND
from aspora.meta.errors import API_VERSION, Invalid
from aspora.meta.objects import to_wire
from aspora.skills.config import Schema, Settings, parse_settings, report_field_errors
from aspora.skills.config_keys import DOMAIN_KEYS
from aspora.skills.front_matter import body_of
from aspora.skills.places import DOMAIN_MD, DOMAIN_YAML
from aspora.skills.problems import Problem, Report
from aspora.skills.skill_md import first_paragraph
from aspora.skills.text_files import read_text

SCHEMA = Schema(DOMAIN_KEYS, identity=("name",))
_MAX_DESCRIPTION = 4_000


@dataclass(frozen=True, slots=True)
class LoadedDomain:
    """A domain's folder, checked.

    Attributes:
        name: The folder's name.
        folder: Absolute.
        object: The Domain in wire form, every default written out.
        warnings: What goes on working.
    """

    name: str
    folder: Path
    object: dict[str, Any]
    warnings: tuple[Problem, ...]


def load_domain(folder: str | Path, *, lenient: bool = False) -> LoadedDomain:
    """Read a domain's folder.

    Raises:
        InvalidSkill: With every problem found.
    """
    top = Path(os.path.abspath(folder))
    report = Report()
    shown_md, shown_yaml = (os.path.join(str(folder), name) for name in (DOMAIN_MD, DOMAIN_YAML))
    settings = Settings(shown_yaml)
    if os.path.lexists(top / DOMAIN_YAML):
        text = read_text(top / DOMAIN_YAML, shown=shown_yaml, report=report) or ""
        settings = parse_settings(text, schema=SCHEMA, shown=shown_yaml, strict=not lenient, report=report)
    if os.path.lexists(top / DOMAIN_MD):
        text = read_text(top / DOMAIN_MD, shown=shown_md, report=report) or ""
        settings.spec.setdefault("description", first_paragraph(body_of(text))[:_MAX_DESCRIPTION])
    _check_name(top.name, settings, report)
    wire = {
        "apiVersion": API_VERSION,
        "kind": "Domain",
        "metadata": {"name": top.name},
        "spec": settings.spec,
    }
    try:
        spec = to_wire(decode(KIND, wire).spec)
    except Invalid as error:
        report_field_errors(error.details, settings=[settings], schema=SCHEMA, default_file=str(folder), report=report)
        spec = {}
    report.raise_errors(f"domain {top.name!r}")
    return LoadedDomain(top.name, top, {**wire, "spec": spec}, tuple(report.warnings))


def _check_name(name: str, settings: Settings, report: Report) -> None:
    if "name" in settings.identity and settings.identity["name"][0] != name:
        said, place = settings.identity["name"]
        message = f"{said!r} must equal the folder's name {name!r}"
        report.error(settings.shown, message, line=place.line, column=place.column, path=place.key)
