"""From a path to the objects it wants: a skill's folder, a domain's, a whole tree, YAML manifests, standard input.

One thing that can't be read never hides the others: `find_wanted` gives what it found and what it had to refuse.
"""

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aspora.cli.applying import FIELD_CONFLICT, Wanted
from aspora.cli.streams import STDIN, read_bytes
from aspora.meta.errors import API_VERSION, Invalid, StatusError
from aspora.meta.names import quoted
from aspora.skills import LoadedDomain, LoadedSkill, find_skills, load_domain, load_skill
from aspora.skills.places import Places, SkillPlace, is_domain, unreadable
from aspora.skills.problems import InvalidSkill, Problem, Report
from aspora.skills.text_files import MAX_TEXT_BYTES, decode_text, read_text
from aspora.skills.yaml_nodes import Node, json_value, parse_yaml

MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")
MAX_MANIFEST_BYTES = 8 * MAX_TEXT_BYTES
_TYPE_KEY = re.compile(rb"""^["']?(apiVersion|kind)["']?[ \t]*:""", re.MULTILINE)
"""At the start of a line, a key of the document itself."""

_MARKER = re.compile(r"^(?:---(?=\s|$)|\.\.\.\s*$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was found and can't be applied."""

    source: str
    error: StatusError


@dataclass(slots=True)
class Found:
    """All that a path holds: domains first, then the rest in order.

    Attributes:
        passed_over: Files that may have been something to apply once: whoever deletes what is not there any more must
            not take them for that.
    """

    wanted: list[Wanted] = field(default_factory=list[Wanted])
    refused: list[Refused] = field(default_factory=list[Refused])
    passed_over: list[str] = field(default_factory=list[str])


def load_wanted(path: str | Path, *, domain: str = "") -> list[Wanted]:
    """Everything at a path.

    Raises:
        StatusError: Something in it is wrong; the first of all problems.
    """
    found = find_wanted(str(path), domain=domain)
    if found.refused:
        raise found.refused[0].error
    return found.wanted


def find_wanted(path: str, *, domain: str = "", lenient: bool = False) -> Found:
    """Look at a path and load what is there.

    Args:
        path: A folder, a manifest, or `-` for manifests on standard input.
        domain: For things that say no domain themselves; "" leaves that to whoever applies them.
        lenient: Load skills as for an import.

    Raises:
        InvalidSkill: There is nothing to apply, or names collide.
    """
    found = Found()
    if path == STDIN:
        _add_manifests(found, _read_stdin(), "standard input", domain=domain)
    elif os.path.isfile(path) and path.endswith(MANIFEST_SUFFIXES) and not _belongs_to_a_folder(Path(path)):
        _add_file(found, Path(path), domain=domain)
    elif manifests := _manifests_in(Path(path)):
        for manifest in manifests:
            _add_file(found, manifest, domain=domain)
    else:
        _add_folders(found, Path(path), domain=domain, lenient=lenient)
    found.wanted.sort(key=lambda w: w.object["kind"] != "Domain")
    found.passed_over += _passed_over(Path(path), {w.source.partition(":")[0] for w in (*found.wanted, *found.refused)})
    return found


def _passed_over(folder: Path, read: Set[str]) -> Iterator[str]:
    """Manifests that say no kind, and links that lead nowhere: damaged, perhaps, and not gone."""
    for path in sorted((*folder.glob("*"), *folder.glob("*/*"))) if folder.is_dir() else ():
        is_manifest = path.parent == folder and path.suffix in MANIFEST_SUFFIXES and not is_domain(folder)
        is_nowhere = os.path.islink(path) and not os.path.exists(path)
        if is_nowhere or (is_manifest and not os.path.isfile(folder / "SKILL.md") and str(path) not in read):
            yield shown_path(path)


def parse_manifests(text: str, *, shown: str, domain: str = "") -> Found:
    """The objects of a YAML text.

    Args:
        shown: What to call the text in messages.
    """
    found = Found()
    _add_manifests(found, text, shown, domain=domain)
    return found


def wanted_skill(skill: LoadedSkill) -> Wanted:
    """What a loaded skill wants of the server."""
    warnings = tuple(str(problem) for problem in skill.warnings)
    return Wanted(skill.object, shown_path(skill.folder), artifact=skill.archive.data, warnings=warnings)


def wanted_domain(domain: LoadedDomain, *, if_absent: bool) -> Wanted:
    """What a loaded domain wants of the server."""
    warnings = tuple(str(problem) for problem in domain.warnings)
    return Wanted(domain.object, shown_path(domain.folder), warnings=warnings, if_absent=if_absent)


def shown_path(path: Path) -> str:
    """As a person would write it from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _belongs_to_a_folder(path: Path) -> bool:
    """Whether a YAML file is a skill's or a domain's own, so that its folder is meant.

    One that says of itself what it is, is a manifest wherever it lies and whatever it is called.
    """
    in_a_folder = (path.parent / "SKILL.md").is_file() or is_domain(path.parent)
    if not in_a_folder:
        return False
    try:
        return {found[1] for found in _TYPE_KEY.finditer(_head_of(path))} != {b"apiVersion", b"kind"}
    except OSError:
        return True  # Loading the folder tells why.


def _add_folders(found: Found, path: Path, *, domain: str, lenient: bool) -> None:
    places = find_skills(path, lenient=lenient)
    top = Path(os.path.abspath(path))
    named = top.parent if top.is_file() else top
    for folder in places.domains:
        try:
            loaded = load_domain(folder, lenient=lenient)
        except StatusError as e:
            found.refused.append(Refused(shown_path(folder), e))
            continue
        # A skill that is named alone brings its domain along, but does not change it.
        found.wanted.append(wanted_domain(loaded, if_absent=not folder.is_relative_to(named)))
    found.wanted += _domains_by_path(places)
    for place in places.skills:
        try:
            found.wanted.append(wanted_skill(_load(place, domain=domain, lenient=lenient)))
        except StatusError as e:
            found.refused.append(Refused(shown_path(place.folder), e))


def _load(place: SkillPlace, *, domain: str, lenient: bool) -> LoadedSkill:
    given = os.path.relpath(place.folder)
    return load_skill(given if not given.startswith("..") else place.folder, lenient=lenient, domain=domain or None)


def _domains_by_path(places: Places) -> Iterator[Wanted]:
    """Domains that only the folders' places name: made when the server lacks them, never changed."""
    described = {folder.name for folder in places.domains}
    for name in sorted({place.domain for place in places.skills if place.domain} - described):
        obj = {"apiVersion": API_VERSION, "kind": "Domain", "metadata": {"name": name}, "spec": {}}
        yield Wanted(obj, f"the folder {name!r}", if_absent=True)


def _manifests_in(folder: Path) -> list[Path]:
    """The manifests of a folder that holds only such: no skill, no domain."""
    if not folder.is_dir() or unreadable(folder) or is_domain(folder) or (folder / "SKILL.md").is_file():
        return []
    files = sorted(p for p in folder.iterdir() if p.suffix in MANIFEST_SUFFIXES and p.is_file())
    return [p for p in files if _is_manifest(p)]


def _is_manifest(path: Path) -> bool:
    """Whether a file says which kind it is; other YAML lying about is none of ours."""
    try:
        return API_VERSION.encode() in _head_of(path)
    except OSError:
        return True  # Reading it tells why.


def _head_of(path: Path) -> bytes:
    with path.open("rb") as f:
        return f.read(65_536).removeprefix(BOM_UTF8)


def _add_file(found: Found, path: Path, *, domain: str) -> None:
    shown, report = str(path), Report()
    text = read_text(path, shown=shown, report=report, max_bytes=MAX_MANIFEST_BYTES)
    if text is None:
        found.refused.append(Refused(shown, InvalidSkill(f"manifest {shown!r}", report.errors)))
    else:
        _add_manifests(found, text, shown, domain=domain)


def _read_stdin() -> str:
    raw, report = read_bytes(STDIN, max_bytes=MAX_MANIFEST_BYTES, what="the manifests"), Report()
    text = decode_text(raw, shown="standard input", report=report)
    report.raise_errors("standard input")
    return text or ""


def _add_manifests(found: Found, text: str, shown: str, *, domain: str) -> None:
    before = len(found.wanted) + len(found.refused)
    for part, first_line in split_documents(text.removeprefix("\ufeff")):
        report = Report()
        document = parse_yaml(part, shown=shown, report=report, first_line=first_line)
        root = document.root if document is not None else None
        if root is None and not report.errors:
            continue
        objects = list(_objects_in(root, shown, domain=domain, report=report)) if root is not None else []
        source = f"{shown}:{root.line if root is not None else first_line}"
        if report.errors:
            found.refused.append(Refused(source, InvalidSkill(f"manifest {shown!r}", report.errors)))
        else:
            found.wanted += [Wanted(wire, source) for wire in objects]
    if len(found.wanted) + len(found.refused) == before:
        message = "holds no object; write apiVersion, kind, metadata and spec"
        found.refused.append(Refused(shown, InvalidSkill(f"manifest {shown!r}", [Problem(shown, 0, 0, "", message)])))


def split_documents(text: str) -> Iterator[tuple[str, int]]:
    """The YAML documents of a text, each with the number of its first line.

    A line that begins with `---` separates documents wherever it stands. Source: YAML 1.2, `c-forbidden`.
    """
    start = 0
    for match in [*_MARKER.finditer(text), None]:
        end = match.start() if match else len(text)
        if text[start:end].strip():
            yield text[start:end], text.count("\n", 0, start) + 1
        start = match.end() if match else end


def _objects_in(root: Node, shown: str, *, domain: str, report: Report) -> Iterator[dict[str, Any]]:
    """The objects of a document: one, or those of a list as `aspora get -o yaml` prints it."""
    items = root.get("items")
    if root.kind != "map":
        report.error(shown, "must be a map with apiVersion, kind, metadata and spec", line=root.line)
    elif items is not None and items.kind == "list" and (kind := root.get("kind")) and kind.text.endswith("List"):
        for item in items.items:
            yield from _objects_in(item, shown, domain=domain, report=report)
    else:
        wire: dict[str, Any] = {"spec": {}, **json_value(root)}
        for path, message in _problems_of_form(wire, domain=domain):
            report.error(shown, message, line=root.line, path=path)
        yield wire


def _problems_of_form(wire: Mapping[str, Any], *, domain: str) -> Iterator[tuple[str, str]]:
    """What keeps us from knowing where an object goes; the server checks the rest."""
    if wire.get("apiVersion") != API_VERSION:
        yield "apiVersion", f"must be {API_VERSION!r}"
    kind = wire.get("kind")
    if kind is not None and not isinstance(kind, str):
        yield "kind", f"must be text, not {quoted(kind)}; write the kind, such as Domain"
    elif not kind:
        yield "kind", "is required: the kind, such as Domain"
    if not isinstance(wire.get("spec", {}), Mapping):
        yield "spec", "must be a map"
    metadata = wire.get("metadata")
    name, said = (metadata.get("name"), metadata.get("domain")) if isinstance(metadata, Mapping) else (None, None)
    if name is not None and not isinstance(name, str):
        yield "metadata.name", f"must be text, not {quoted(name)}; put it in quotes"
    elif not name:
        yield "metadata.name", "is required: the object's name"
    if said and domain and said != domain:
        yield "metadata.domain", f"says {said!r} and -d says {domain!r}; leave one out"


def problems_of(error: StatusError) -> list[str]:
    """Every problem of an error, as `file:line: …` where there is a file."""
    if isinstance(error, InvalidSkill):
        return [str(problem) for problem in error.problems]
    if isinstance(error, Invalid) and error.details:
        return [str(detail) for detail in error.details]
    if any(detail.reason == FIELD_CONFLICT for detail in error.details):
        way_out = "take these over with --force-conflicts, or leave them out of what you apply"
        return [*(str(detail) for detail in error.details), way_out]
    return [error.message]
