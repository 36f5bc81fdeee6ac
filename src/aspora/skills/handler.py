"""Which file handles a skill's jobs, and in what language."""

from collections.abc import Collection
from dataclasses import dataclass

from aspora.apis.skill import SUFFIXES, entry_point_problem
from aspora.apis.skill_sections import Language
from aspora.meta.names import did_you_mean, quoted
from aspora.skills.config import Place, Settings
from aspora.skills.problems import Report

_DEFAULT_STEM = "code/handler"
_RUNNABLE: tuple[Language, ...] = ("python", "markdown")
_FALLBACK_PLACE = Place("runtime", 0, 0)


@dataclass(frozen=True, slots=True)
class Handler:
    """The language and, unless it is `markdown`, the file."""

    language: str
    entry_point: str | None


def choose_handler(settings: Settings, paths: Collection[str], *, report: Report) -> Handler:
    """What the settings say; else `code/handler.py` (or `.ts`, `.go`) when there is one; else none.

    Args:
        settings: Of aspora.config.yaml.
        paths: The files that go into the artifact.
    """
    runtime = settings.spec.get("runtime", {})
    language: str | None = runtime.get("language")
    entry_point: str | None = runtime.get("entryPoint")
    if language is not None and language not in SUFFIXES:
        return Handler(language, entry_point)  # the schema refuses it and names those that are known
    if language == "markdown":
        return Handler(language, entry_point)
    if entry_point is None:
        return _default(settings, language, paths, report)
    _check_file(settings, entry_point, paths, report)
    chosen = language or _language_of(entry_point)
    if chosen is None:
        suffixes = ", ".join(s for own in SUFFIXES.values() for s in own)
        message = f"{quoted(entry_point)} is of no known language; it must end in one of {suffixes}"
        _error(settings, "runtime.entryPoint", message, report)
        chosen = "python"
    _check_runnable(settings, chosen, report)
    return Handler(chosen, entry_point)


def _default(settings: Settings, language: str | None, paths: Collection[str], report: Report) -> Handler:
    candidates = [
        Handler(name, f"{_DEFAULT_STEM}{suffix}")
        for name, suffixes in SUFFIXES.items()
        if language in {None, name}
        for suffix in suffixes
        if f"{_DEFAULT_STEM}{suffix}" in paths
    ]
    if len(candidates) > 1:
        found = ", ".join(str(c.entry_point) for c in candidates)
        report.error(settings.shown, f"there are several handlers: {found}; choose one", path="runtime.entry_point")
    if not candidates:
        if language is None:
            return Handler("markdown", None)
        wanted = f"{_DEFAULT_STEM}{SUFFIXES[language][0]}"  # pyright: ignore[reportArgumentType] - checked by the caller
        _error(settings, "runtime.language", f"there is no {wanted}; write it, or set runtime.entry_point", report)
        return Handler(language, wanted)
    _check_runnable(settings, candidates[0].language, report)
    return candidates[0]


def _check_file(settings: Settings, entry_point: str, paths: Collection[str], report: Report) -> None:
    if problem := entry_point_problem(entry_point):
        message = f"{quoted(entry_point)} {problem}"
        _error(settings, "runtime.entryPoint", message, report)
    elif entry_point not in paths:
        near = did_you_mean(entry_point, paths)
        hint = near if near.startswith("; did") else "; write it, or name another file of the folder"
        _error(settings, "runtime.entryPoint", f"{quoted(entry_point)} is not a file of the skill{hint}", report)


def _language_of(entry_point: str) -> str | None:
    return next((name for name, suffixes in SUFFIXES.items() if suffixes and entry_point.endswith(suffixes)), None)


def language_problem(language: str) -> str:
    """Why no handler of that language can be run; "" when one can."""
    if language in _RUNNABLE:
        return ""
    return f"{language} handlers can't be run yet; write the handler in python, or use markdown: SKILL.md alone"


def _check_runnable(settings: Settings, language: str, report: Report) -> None:
    if problem := language_problem(language):
        place = settings.places.get("runtime.language") or settings.places.get("runtime.entryPoint", _FALLBACK_PLACE)
        report.error(settings.shown, problem, line=place.line, column=place.column, path=place.key)


def _error(settings: Settings, wire: str, message: str, report: Report) -> None:
    place = settings.places.get(wire, _FALLBACK_PLACE)
    report.error(settings.shown, message, line=place.line, column=place.column, path=place.key)
