"""`make demo`: start Aspora, deploy the bundled skills, run them on real input, show what is stored of it, stop.

Every figure in the table is read back over the API from the stored executions. Where no model endpoint is configured,
the skills that need one talk to the scripted model server, and the output says so.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.apply_all import Outcome, apply_all
from aspora.cli.applying import Applier, Wanted
from aspora.cli.output import Output, Progress
from aspora.cli.rest import Rest
from aspora.cli.result import STATE_STYLES, cost_text, duration_text, succeeded
from aspora.cli.wanted import load_wanted
from aspora.db.data_dir import own_folder
from aspora.main.children import ChildFailed
from aspora.main.settings import Settings, place_of
from aspora.main.up import Running, give_up_when_stopped, running, stop_on_signals
from aspora.meta.errors import NotFound, StatusError, Unavailable
from aspora.telemetry.logs import configure_logging

AGENT_DRIVER = "agent"
CASES_A_SKILL = 2
WAIT_SECONDS = 60
SCRIPT = Path(__file__).parents[1] / "testing" / "scripts" / "demo.yaml"


@dataclass(frozen=True, slots=True)
class Case:
    """One question to a skill, from its own golden cases or evaluations."""

    domain: str
    skill: str
    input: dict[str, Any]
    description: str = ""

    @property
    def question(self) -> str:
        """What is asked, in one line, with what the case says of itself."""
        text = self.input.get("userMessage") or json.dumps(self.input.get("metadata", {}), ensure_ascii=False)
        return re.sub(r"\s+", " ", text) + (f" ({self.description})" if self.description else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demo will do, read and checked before anything is started.

    Attributes:
        folder: The folder of skills.
        wanted: What it holds.
        program: How a person calls the command from here.
    """

    folder: Path
    wanted: list[Wanted]
    program: str


def find_skills_folder(settings: Settings) -> Path:
    """The folder of bundled skills: the configured one, or `skills/` here or above.

    Raises:
        NotFound: There is none; says what would do.
    """
    if settings.skills_root:
        return Path(settings.skills_root)
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / "skills").is_dir():
            return folder / "skills"
    raise NotFound("no skills/ folder here or above; run the demo in a clone of Aspora, or set ASPORA_SKILLS_ROOT")


def _golden_cases(domain: str, folder: Path) -> Iterator[Case]:
    path = folder / "tests" / "golden.jsonl"
    for line in path.read_text().splitlines() if path.is_file() else ():
        if line.strip():
            case = json.loads(line)
            if case.get("expect", {}).get("success") is False:
                continue
            given = case["input"]
            asked = {"userMessage": given.get("user_message", ""), "metadata": given.get("metadata", {})}
            yield Case(domain, folder.name, asked, case.get("description", ""))


def _eval_cases(domain: str, folder: Path) -> Iterator[Case]:
    path = folder / "evals" / "evals.json"
    for case in json.loads(path.read_text())["evals"] if path.is_file() else ():
        texts = [case["prompt"], *((folder / name).read_text() for name in case.get("files", []))]
        yield Case(domain, folder.name, {"userMessage": "\n\n".join(texts), "metadata": {}})


def cases_of(domain: str, folder: Path) -> list[Case]:
    """The first few questions that a skill brings along and has an answer to: not those that it is to refuse."""
    return [*_golden_cases(domain, folder), *_eval_cases(domain, folder)][:CASES_A_SKILL]


@asynccontextmanager
async def _model_endpoint(settings: Settings) -> AsyncGenerator[tuple[Settings, bool]]:
    """The settings with a model endpoint; True when it is the scripted one."""
    if settings.model_url or settings.openrouter_api_key:
        yield settings, False
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aspora.testing.model_server",
        "--script",
        str(SCRIPT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), timeout=30)
        if not line:
            raise Unavailable("the scripted model server did not start; its messages stand above")
        yield replace(settings, model_url=json.loads(line)["url"]), True
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class _Stopped(Exception):
    """Somebody wants the demo to end."""


def _deploy(rest: Rest, plan: Plan, out: Output, stop: asyncio.Event) -> list[Case]:
    """Apply everything that is wanted; the questions of the skills that are there now."""
    with Progress(out, total=len(plan.wanted), title="deploying") as progress:

        def written(item: Wanted) -> None:
            progress.step(item.name)
            if stop.is_set():
                raise _Stopped

        def done(_item: Wanted, outcome: Outcome) -> None:
            if isinstance(outcome, StatusError):
                raise outcome

        try:
            lost = apply_all(Applier(rest), plan.wanted, wait=True, on_written=written, on_done=done)
        except _Stopped:
            return []
        if lost is not None:
            raise lost.error
    skills = [item for item in plan.wanted if item.object["kind"] == "Skill"]
    return [case for item in skills for case in cases_of(item.domain, plan.folder / item.domain / item.name)]


def _run_case(rest: Rest, case: Case) -> str:
    """Run one question to its end; the execution's id."""
    path = f"/api/v1/domains/{case.domain}/skills/{case.skill}/executions"
    answer = rest.call("POST", path, query={"wait": WAIT_SECONDS}, body={"input": case.input})
    name: str = answer["metadata"]["name"]
    return name


def _shorten(text: str, width: int) -> str:
    line = re.sub(r"\s+", " ", text).strip()
    return line if len(line) <= width else line[: width - 1] + "…"


def _wrapped(text: str, *, width: int) -> list[str]:
    return [piece for line in text.split("\n") for piece in (textwrap.wrap(line, width) or [""])]


def _print_answers(out: Output, cases: list[Case], executions: list[dict[str, Any]]) -> None:
    """Each question and its answer, as people would read them."""
    for case, execution in zip(cases, executions, strict=True):
        status = execution["status"]
        result = status.get("result") or {}
        answer = str(result.get("message") or status.get("message") or "").strip()
        out.line(out.style(f"{execution['metadata']['domain']}/{execution['spec']['skill']}", "bold"))
        out.line(f"  asked   {_shorten(case.question, max(40, out.width - 11))}")
        for i, line in enumerate(_wrapped(answer, width=max(40, out.width - 11))):
            out.line(f"  {'' if i else 'answer':<8}{line}".rstrip())
        out.line()


def _print_table(out: Output, executions: list[dict[str, Any]], scripted_models: bool) -> None:
    rows: list[list[str]] = []
    for execution in executions:
        status, spec = execution["status"], execution["spec"]
        by_model = "scripted model" if scripted_models else "model"
        answered = {"": "-", AGENT_DRIVER: by_model if status.get("outputTokens") else "-"}
        answered_by = answered.get(status.get("driver") or "", "handler")
        rows.append(
            [
                f"{execution['metadata']['domain']}/{spec['skill']}",
                status["state"] + (f" ({status['reason']})" if status.get("reason") else ""),
                spec["class"],
                answered_by,
                cost_text(status).split(" ")[0],
                duration_text(status.get("durationMs")),
                execution["metadata"]["name"],
            ]
        )
    out.table(("SKILL", "STATE", "CLASS", "ANSWERED BY", "COST", "TIME", "EXECUTION"), rows)
    good = sum(succeeded(e) for e in executions)
    style = STATE_STYLES["Succeeded" if good == len(executions) else "Failed"]
    total = sum(int(e["status"].get("costMicroUsd") or 0) for e in executions)
    charged = " at list price (nothing was charged)" if scripted_models else ""
    money = cost_text({"costMicroUsd": total}) + charged
    out.line(out.style(f"{good} of {len(executions)} succeeded, {money} in all", style))


def _show(
    settings: Settings, out: Output, up_now: Running, *, plan: Plan, scripted_models: bool, stop: asyncio.Event
) -> bool:
    """The demo itself, over the API like any client; True when everything succeeded, False too when it was stopped."""
    rest = Rest(up_now.url, up_now.admin_key_path.read_text().strip(), ca_file=settings.ca_file)
    cases = _deploy(rest, plan, out, stop)
    names: list[str] = []
    with Progress(out, total=len(cases), title="running") as progress:
        for case in cases:
            if stop.is_set():
                return False
            names.append(_run_case(rest, case))
            progress.step(f"{case.domain}/{case.skill}")
    if stop.is_set():
        return False
    executions: list[dict[str, Any]] = [rest.call("GET", f"/api/v1/executions/{name}") for name in names]
    _print_answers(out, cases, executions)
    _print_table(out, executions, scripted_models)
    if scripted_models:
        out.line()
        out.line(
            "No model endpoint is configured: answers marked 'scripted model' come from a script, not from a model."
        )
        out.line("Set OPENROUTER_API_KEY, or ASPORA_MODEL_URL for any OpenAI-compatible endpoint, and a model answers.")
    _print_next(out, settings, plan.program, executions)
    return bool(executions) and all(succeeded(e) for e in executions)


def _print_next(out: Output, settings: Settings, program: str, executions: list[dict[str, Any]]) -> None:
    where = f"--data-dir {settings.data_dir}"
    failed = [e for e in executions if not succeeded(e)]
    out.line()
    out.line("Look further (the demo's data is kept):")
    out.line(f"  {program} up --detach {where}")
    for execution in (failed or executions)[:1]:
        out.line(f"  {program} logs {execution['metadata']['name']} {where}")
    out.line(f"  {program} get executions {where}")
    out.line(f"  {program} down {where}")


async def _demo(settings: Settings, out: Output, plan: Plan) -> int:
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, tell=out.note)

    async def everything() -> int:
        out.note("starting Aspora")
        async with (
            _model_endpoint(settings) as (configured, scripted_models),
            running(configured, tell=out.note, stop=stop) as up_now,
        ):
            out.note(f"ready in {up_now.started_in_seconds:.1f} s")
            show = partial(_show, settings, out, up_now, plan=plan, scripted_models=scripted_models, stop=stop)
            return exit_codes.OK if await asyncio.to_thread(show) else exit_codes.FAILED

    try:
        code = await give_up_when_stopped(everything(), stop=stop, ready=ready)
    except ChildFailed as e:
        out.error(f"{e}; its messages stand above; check the installation: aspora doctor{place_of(settings)}")
        return exit_codes.FAILED
    out.note("stopped; nothing is left running")
    return code


def _program() -> str:
    """How a person calls `aspora` from here: by name when it is on the path, else by its file."""
    return "aspora" if shutil.which("aspora") else os.path.relpath(Path(sys.executable).with_name("aspora"))


def demo(settings: Settings, out: Output) -> int:
    """Run the demo in a data directory of its own, `demo` in the configured one; returns the exit code."""
    folder = find_skills_folder(settings)
    plan = Plan(folder, load_wanted(folder), _program())
    own = replace(settings, data_dir=settings.data_dir / "demo", port=0, url="", api_key="", log_level="warning")
    configure_logging(level="WARNING", form="console")
    # First the one around it, as any other command makes it: as a mere folder on the way it would be open to others.
    own_folder(settings.data_dir, uid=os.geteuid())
    return asyncio.run(_demo(own, out, plan))
