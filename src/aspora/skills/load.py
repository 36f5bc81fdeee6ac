"""A folder becomes a Skill: read, check everything, pack, and give it its wire form."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from aspora.apis.decode import decode
from aspora.apis.skill import KIND
from aspora.apis.skill_class import READ_TOOLS
from aspora.apis.skill_sections import RoleName
from aspora.meta.errors import API_VERSION, Invalid
from aspora.meta.names import MAX_NAME_LENGTH, check_name, did_you_mean, quoted
from aspora.meta.objects import to_wire
from aspora.skills.archive import Archive
from aspora.skills.config import Schema, Settings, parse_settings, report_field_errors
from aspora.skills.config_keys import IDENTITY_KEYS, LIST_KEYS, SKILL_KEYS
from aspora.skills.files import FileEntry, FileList, pack
from aspora.skills.handler import choose_handler
from aspora.skills.places import CONFIG_YAML, domain_of, is_domain, skill_md_path, unreadable, unreadable_text
from aspora.skills.problems import InvalidSkill, Problem, Report
from aspora.skills.python_handler import check_python_handler
from aspora.skills.skill_md import SKILL_MD, Said, SkillMdFile, parse_skill_md
from aspora.skills.text_files import read_text

SCHEMA = Schema(SKILL_KEYS, LIST_KEYS, IDENTITY_KEYS)
DEFAULT_DOMAIN = "default"
SHARED = "shared"
GUARDRAILS_MD = "GUARDRAILS.md"
DOMAIN_GUARDRAILS = f"domain/{GUARDRAILS_MD}"
_ROLES: tuple[str, ...] = get_args(RoleName)
_NO_ARTIFACT = {"digest": "sha256:" + "0" * 64, "sizeBytes": 0, "fileCount": 1}


@dataclass(frozen=True, slots=True)
class LoadedSkill:
    """A skill's folder, checked and packed.

    Attributes:
        domain: From the path, the caller, or `default`.
        name: The object's name.
        folder: Absolute.
        spec: The Skill's spec in wire form, every default written out.
        body: SKILL.md without its front matter.
        archive: The artifact.
        files: What is in it.
        warnings: What goes on working.
    """

    domain: str
    name: str
    folder: Path
    spec: Mapping[str, Any]
    body: str
    archive: Archive
    files: tuple[FileEntry, ...]
    warnings: tuple[Problem, ...]

    @property
    def id(self) -> str:
        """`domain/name`."""
        return f"{self.domain}/{self.name}"

    @property
    def object(self) -> dict[str, Any]:
        """The Skill in wire form."""
        metadata = {"name": self.name, "domain": self.domain}
        return {"apiVersion": API_VERSION, "kind": "Skill", "metadata": metadata, "spec": dict(self.spec)}


def load_skill(folder: str | Path, *, lenient: bool = False, domain: str | None = None) -> LoadedSkill:
    """Read, check and pack a skill's folder. Needs no server.

    Args:
        folder: The skill's folder.
        lenient: For import: what other tools tolerate draws a warning, not an error.
        domain: For a folder whose path names none.

    Raises:
        InvalidSkill: With every problem found, each with its place.
    """
    return _Loading(Path(folder), lenient=lenient, domain=domain).load()


class _Loading:
    """One loading of one folder."""

    def __init__(self, folder: Path, *, lenient: bool, domain: str | None) -> None:
        self._shown = str(folder)
        self._folder = Path(os.path.abspath(folder))
        self._strict = not lenient
        self._asked_domain = domain
        self._report = Report()

    def load(self) -> LoadedSkill:
        """Go through all steps, then tell all problems."""
        skill_md = self._read_skill_md()
        settings = self._read_config()
        files = self._list_files()
        name = self._object_name()
        domain = self._domain(settings, skill_md)
        self._check_identity("skill.name", settings, self._folder.name, "the folder's name")
        spec = self._spec(settings, skill_md, {entry.path for entry in files.entries})
        self._check_python(spec["runtime"], files)
        if not skill_md.body and not spec.get("runtime", {}).get("entryPoint"):
            self._report.warn(
                self._path(SKILL_MD),
                "has no instructions, and there is no handler: nothing tells what to do;"
                " write what to do below the front matter",
            )
        self._warn_of_unknown_tools(settings)
        checked = self._check(spec, settings, name=name, domain=domain)
        self._report.raise_errors(f"skill {self._shown!r}")
        archive = self._pack(files)
        checked["artifact"] = {
            "digest": archive.digest,
            "sizeBytes": len(archive.data),
            "fileCount": archive.file_count,
        }
        return LoadedSkill(
            domain,
            name,
            self._folder,
            checked,
            skill_md.body,
            archive,
            tuple(files.entries),
            tuple(self._report.warnings),
        )

    def _pack(self, files: FileList) -> Archive:
        archive = pack(files.entries, report=self._report)
        if archive is None:
            nothing = Problem(self._shown, 0, 0, "", "holds no file that can be packed; write a SKILL.md")
            raise InvalidSkill(f"skill {self._shown!r}", self._report.errors or [nothing])
        return archive

    def _path(self, name: str) -> str:
        return os.path.join(self._shown, name)

    def _read_skill_md(self) -> SkillMdFile:
        path = None if unreadable(self._folder) else skill_md_path(self._folder, lenient=not self._strict)
        if path is None:
            self._report.errors.append(self._no_skill_md())
            self._report.raise_errors(f"skill {self._shown!r}")
            return SkillMdFile()
        shown = self._path(path.name)
        text = read_text(path, shown=shown, report=self._report)
        if text is None:
            return SkillMdFile()
        return parse_skill_md(
            text, folder_name=self._folder.name, shown=shown, strict=self._strict, report=self._report
        )

    def _no_skill_md(self) -> Problem:
        if not self._folder.is_dir():
            return Problem(self._shown, 0, 0, "", "is no folder; a skill is a folder with SKILL.md")
        if reason := unreadable(self._folder):
            return Problem(self._shown, 0, 0, "", unreadable_text(reason))
        if is_domain(self._folder):
            return Problem(self._shown, 0, 0, "", "is a domain, not a skill; name one of the folders in it")
        return Problem(
            self._shown,
            0,
            0,
            "",
            f"has no {SKILL_MD}; write one with name and description, or make a skill: aspora create skill DOMAIN/NAME",
        )

    def _read_config(self) -> Settings:
        shown = self._path(CONFIG_YAML)
        path = self._folder / CONFIG_YAML
        if not os.path.lexists(path):
            return Settings(shown)
        text = read_text(path, shown=shown, report=self._report)
        if text is None:
            return Settings(shown)
        return parse_settings(text, schema=SCHEMA, shown=shown, strict=self._strict, report=self._report)

    def _list_files(self) -> FileList:
        """The skill's folder, its domain's shared folder and its domain's guardrails."""
        files = FileList(self._report)
        needed = skill_md_path(self._folder, lenient=not self._strict)
        files.add_folder(self._folder, shown=self._shown, needed=needed.name if needed is not None else "")
        if needed is not None and needed.name != SKILL_MD:  # What runs it looks for the one true name.
            files.entries = [replace(e, path=SKILL_MD) if e.path == needed.name else e for e in files.entries]
        parent = self._folder.parent
        if is_domain(parent) or domain_of(self._folder) is not None:
            self._add_from_domain(files, parent)
        files.check(self._shown)
        return files

    def _add_from_domain(self, files: FileList, domain_folder: Path) -> None:
        own = {entry.path.split("/", 1)[0].casefold() for entry in files.entries}
        shown = os.path.join(os.path.dirname(self._shown) or ".", "")
        for name in (SHARED, GUARDRAILS_MD):
            source, target = domain_folder / name, SHARED if name == SHARED else DOMAIN_GUARDRAILS
            if not os.path.lexists(source):
                continue
            if target.split("/")[0] in own:
                message = f"has a {target.split('/')[0]!r} of its own, where the domain's {name} would go; rename it"
                self._report.error(self._shown, message)
            elif source.is_dir() and not source.is_symlink():
                files.add_folder(source, shown=f"{shown}{name}", prefix=f"{target}/")
            else:
                files.add_file(source, shown=f"{shown}{name}", path=target)

    def _object_name(self) -> str:
        name = self._folder.name
        problems = check_name(name)
        if not problems:
            return name
        if self._strict:
            self._report.error(self._shown, f"the folder's name can't name a skill: {problems[0].message}")
            return "x"
        made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_NAME_LENGTH].strip("-") or "skill"
        self._report.warn(self._shown, f"the folder's name can't name a skill; it becomes {made!r}")
        return made

    def _domain(self, settings: Settings, skill_md: SkillMdFile) -> str:
        """From the path, else from the caller, else from the files; all that speak must agree."""
        by_path = domain_of(self._folder)
        said = settings.identity["skill.domain"][0] if "skill.domain" in settings.identity else None
        imported = skill_md.domain.value if skill_md.domain is not None else None
        chosen = by_path or self._asked_domain or said or imported or DEFAULT_DOMAIN
        if by_path and self._asked_domain not in {None, by_path}:
            message = f"lies in domain {by_path!r} by its path, not in {self._asked_domain!r}; move it or leave -d out"
            self._report.error(self._shown, message)
        self._check_identity("skill.domain", settings, chosen, "the domain")
        if skill_md.domain is not None and imported != chosen:
            message = f"{quoted(imported)} is not the domain {chosen!r}; the path decides"
            self._report.warn(self._path(SKILL_MD), message, line=skill_md.domain.line, path=skill_md.domain.path)
        return chosen

    def _check_identity(self, key: str, settings: Settings, expected: str, what: str) -> None:
        if key in settings.identity and settings.identity[key][0] != expected:
            said, place = settings.identity[key]
            message = f"{quoted(said)} must equal {what} {expected!r}; leave it out or rename"
            self._report.object_to(
                self._strict, settings.shown, message, line=place.line, column=place.column, path=place.key
            )

    def _spec(self, settings: Settings, skill_md: SkillMdFile, paths: set[str]) -> dict[str, Any]:
        spec = {**settings.spec, "skillMd": skill_md.facts, "artifact": _NO_ARTIFACT}
        if (role := self._role(settings, skill_md.role)) is not None:
            spec["role"] = role
        handler = choose_handler(settings, paths, report=self._report)
        spec["runtime"] = {**settings.spec.get("runtime", {}), "language": handler.language}
        if handler.entry_point is not None:
            spec["runtime"]["entryPoint"] = handler.entry_point
        if skill_md.triggers:
            own = {"type": "message", "patterns": [said.value for said in skill_md.triggers]}
            spec["triggers"] = [*settings.spec.get("triggers", []), own]
        self._choose_strategy(settings, spec)
        return spec

    def _check_python(self, runtime: Mapping[str, Any], files: FileList) -> None:
        """Compile a Python handler; it is never run here."""
        entry_point = runtime.get("entryPoint")
        entry = next((entry for entry in files.entries if entry.path == entry_point), None)
        if runtime["language"] == "python" and entry is not None and entry.path.endswith(".py"):
            check_python_handler(entry.source, shown=self._path(entry.path), report=self._report)

    def _role(self, settings: Settings, said: Said | None) -> str | None:
        """The config's role, else SKILL.md's; both must agree."""
        configured: str | None = settings.spec.get("role")
        if said is None:
            return configured
        shown = self._path(SKILL_MD)
        if said.value not in _ROLES:
            message = f"unknown role {quoted(said.value)}{did_you_mean(said.value, _ROLES)}"
            self._report.object_to(self._strict, shown, message, line=said.line, path=said.path)
            return configured
        if configured is not None and configured != said.value:
            message = f"{quoted(said.value)} is not the role {configured!r} of {CONFIG_YAML}; keep one of them"
            self._report.object_to(self._strict, shown, message, line=said.line, path=said.path)
        return configured or said.value

    def _choose_strategy(self, settings: Settings, spec: dict[str, Any]) -> None:
        """A version means semver; the strategy timestamp makes its own."""
        versioning = {**settings.spec.get("versioning", {})}
        if spec.get("version") is None:
            return
        if versioning.setdefault("strategy", "semver") == "timestamp":
            place = settings.places["version"]
            message = "is not used: the strategy 'timestamp' stamps each new content; leave it out, or use 'semver'"
            self._report.warn(settings.shown, message, line=place.line, column=place.column, path=place.key)
            del spec["version"]
        spec["versioning"] = versioning

    def _warn_of_unknown_tools(self, settings: Settings) -> None:
        """A tool that the host does not have is permitted in vain; a later host may have it."""
        place = settings.places.get("permissions.tools")
        tools: list[str] = settings.spec.get("permissions", {}).get("tools", [])
        for tool in tools:
            if place is not None and tool not in READ_TOOLS:
                message = f"there is no tool {quoted(tool)}{did_you_mean(tool, READ_TOOLS)}"
                self._report.warn(settings.shown, message, line=place.line, column=place.column, path=place.key)

    def _check(self, spec: Mapping[str, Any], settings: Settings, *, name: str, domain: str) -> dict[str, Any]:
        wire = {"kind": "Skill", "metadata": {"name": name, "domain": domain}, "spec": spec}
        try:
            return to_wire(decode(KIND, wire).spec)
        except Invalid as error:
            known = {p.path for p in self._report.errors}
            details = [d for d in error.details if not d.field.startswith("spec.skillMd")]
            fresh = Report()
            report_field_errors(
                details, settings=[settings], schema=SCHEMA, default_file=self._path(CONFIG_YAML), report=fresh
            )
            self._report.errors += [p for p in fresh.errors if p.path not in known]
            if not self._report.errors:
                raise
            return {}
