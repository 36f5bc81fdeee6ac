"""`aspora run`: run a skill on the server, or straight from its folder."""

import argparse
import contextlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.executing import WAIT_SECONDS, Submission, has_ended, wait_for_end
from aspora.cli.output import pairs
from aspora.cli.rest import Rest
from aspora.cli.result import print_execution, succeeded
from aspora.cli.streams import STDIN, read_bytes
from aspora.cli.targets import DEFAULT_DOMAIN, add_domain_option, named, split_name
from aspora.cli.trace import event_text, tree
from aspora.client.paths import api_path, object_path
from aspora.meta.errors import StatusError, Unavailable
from aspora.meta.names import MAX_SHOWN_LENGTH, check_name, quoted
from aspora_sdk.strictjson import parse

EXAMPLES = """examples:
  aspora run wealth/fx-timing "10 000 GBP to INR, now or later?"
  aspora run wealth/create-goal --input goal_type=house --input target_amount:=60000
  aspora run fraud/detect-velocity --input-json transaction.json --user C-1
  aspora run wealth/fx-timing "..." --detach          returns at once; then: aspora logs EXEC-...
  aspora run ./skills/hr/resume-screen "hello"        from its folder: no server, not recorded
  aspora run wealth/fx-timing --dry-run               the plan; nothing is executed

--input key=text gives a text, --input key:=value a JSON value.
"""

Wire = Mapping[str, Any]
MAX_INPUT_BYTES = 1024 * 1024
"""Longest message and longest file of arguments; the gateway takes no larger request."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("skill", help="domain/name, or a skill's folder (./path, or any folder with SKILL.md)")
    parser.add_argument("message", nargs="?", default="", help="what the user says; - reads standard input")
    add_domain_option(parser)
    parser.add_argument("-i", "--input", action="append", default=[], metavar="KEY=TEXT", help="one argument")
    parser.add_argument("--input-json", default="", metavar="FILE", help="arguments as a JSON object; - for stdin")
    parser.add_argument("--user", default="", metavar="ID", help="on whose behalf")
    parser.add_argument("--env", default="production", choices=("production", "staging"), help="the environment")
    parser.add_argument("--revision", help="this revision, whatever the route says")
    parser.add_argument("--durable", action="store_true", help="survive crashes, whatever the skill's class")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key never runs twice (24 h)")
    parser.add_argument("--detach", action="store_true", help="return at once with the execution's id")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, execute nothing")
    parser.add_argument("--local", action="store_true", help="from skills/DOMAIN/NAME, also when a server runs")
    parser.add_argument("--lenient", action="store_true", help="from a folder: accept what other tools tolerate")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="how to print")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Decide where, then run there."""
    named([args.skill])
    _check_idempotency_key(args.idempotency_key)
    folder = folder_of(args.skill, skills_root=cli.settings.skills_root)
    if folder is not None and (args.local or looks_like_a_path(args.skill)):
        return _run_folder(args, cli, folder)
    if args.local:
        raise ValueError(
            f"{args.skill!r} is no skill's folder, and neither is skills/{args.skill}; see what there is: aspora list"
        )
    if folder is None:
        _place(args, cli)  # A word that is no name is refused before a server is asked.
    try:
        rest = cli.rest()
        rest.resources()
    except Unavailable as e:
        if folder is None or cli.settings.url:
            raise Unavailable(f"{e.message}; or run a folder: aspora run ./skills/{args.skill}") from None
        cli.out.warn(f"{e.message}; {str(folder)!r} runs here instead, and is not recorded")
        return _run_folder(args, cli, folder)
    return _plan_on_server(args, cli, rest) if args.dry_run else _run_on_server(args, cli, rest)


def _check_idempotency_key(key: str | None) -> None:
    if key == "":
        raise ValueError("--idempotency-key is empty, so that the skill could run twice; give a key, or leave it out")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ValueError(f"--idempotency-key {quoted(key)} can't be sent; use ASCII letters, digits and signs alone")


def looks_like_a_path(word: str) -> bool:
    """Whether somebody means a folder, not a name: `./x`, `/x`, `~/x`, `x/`, or any folder with SKILL.md."""
    return word.startswith((".", "/", "~")) or word.endswith("/") or os.path.isfile(os.path.join(word, "SKILL.md"))


def folder_of(word: str, *, skills_root: str) -> Path | None:
    """The folder that a word means: itself when it looks like a path, else the one of that name below `skills`."""
    if looks_like_a_path(word):
        return Path(word).expanduser()
    for root in [Path(skills_root)] if skills_root else [Path("skills"), Path()]:
        if os.path.isfile(root / word / "SKILL.md"):  # A word that no file system can hold is no folder, and no error.
            return root / word
    return None


def arguments_of(words: Iterable[str], *, from_file: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments from `--input` over those from `--input-json`.

    Raises:
        ValueError: One can't be read, or is given twice; names it.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, value = _argument(word)
        if key in given:
            raise ValueError(f"--input {key} is given twice; keep one")
        given[key] = value
    return {**from_file, **given}


def _argument(word: str) -> tuple[str, Any]:
    key, equals, text = _require_utf8(word, what="--input").partition("=")
    if not equals or not key.strip(":"):
        raise ValueError(f"--input {quoted(word)} can't be read; write key=text or key:=json")
    if not key.endswith(":"):
        return key, text
    try:
        return key[:-1], parse(text)
    except ValueError as e:
        raise ValueError(
            f"--input {quoted(word)} is not JSON: {e}; for a text write {key[:-1]}={text[:MAX_SHOWN_LENGTH]}"
        ) from None


def _require_utf8(word: str, *, what: str) -> str:
    """The word, when it came as UTF-8: other bytes of a command line can't be sent to anybody."""
    try:
        word.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{what} {quoted(word)} is not UTF-8; set the terminal to UTF-8, or send a file that is"
        ) from None
    return word


def read_json_object(name: str) -> dict[str, Any]:
    """A JSON object from a file or, as `-`, from standard input.

    Raises:
        ValueError: It is none, or too large.
    """
    raw = read_bytes(name, max_bytes=MAX_INPUT_BYTES, what="--input-json")
    try:
        value = parse(raw.decode())
    except UnicodeDecodeError as e:
        raise ValueError(f"--input-json {name!r} is not UTF-8 (byte {e.start}); save it as UTF-8") from None
    except ValueError as e:
        raise ValueError(f"--input-json {name!r} is not JSON: {e}; mend it there") from None
    if not isinstance(value, dict):
        raise ValueError(f"--input-json {name!r} is no JSON object; write the skill's arguments as {{…}}")
    return value


def _message(word: str) -> str:
    """The message itself or, as `-`, what standard input holds."""
    if word != STDIN:
        return _require_utf8(word, what="the message")
    try:
        return read_bytes(word, max_bytes=MAX_INPUT_BYTES, what="the message").decode()
    except UnicodeDecodeError as e:
        raise ValueError(f"the message on standard input is not UTF-8 (byte {e.start}); send it as UTF-8") from None


def wire_input(args: argparse.Namespace) -> dict[str, Any]:
    """The request's input."""
    if args.message == "-" == args.input_json:
        raise ValueError(
            "only one of the message and --input-json can come from standard input; name a file for the other"
        )
    message = _message(args.message)
    from_file = read_json_object(args.input_json) if args.input_json else {}
    return {
        "userMessage": message,
        "userId": _require_utf8(args.user, what="--user"),
        "metadata": arguments_of(args.input, from_file=from_file),
    }


def _run_folder(args: argparse.Namespace, cli: Cli, folder: Path) -> int:
    served = [("--detach", args.detach), ("--durable", args.durable), ("--revision", args.revision)]
    if refused := [name for name, given in [*served, ("--idempotency-key", args.idempotency_key)] if given]:
        raise ValueError(f"{refused[0]} needs a server; a folder runs here and now, and is not recorded")
    if args.dry_run:
        plan = cli.call_platform("local_plan", cli.settings, folder, domain=args.domain, lenient=args.lenient)
        return _print_plan(args, cli, plan)
    done = cli.call_platform(
        "local_run", cli.settings, folder, wire_input(args), domain=args.domain, lenient=args.lenient
    )
    if args.output == "json":
        cli.out.json({"recorded": False, "execution": done.execution, "events": done.events})
    else:
        print_execution(cli.out, done.execution, recorded=False)
        cli.out.line()
        for text in tree(done.execution, done.events):
            cli.out.line(text)
    return exit_codes.OK if succeeded(done.execution) else exit_codes.FAILED


def _place(args: argparse.Namespace, cli: Cli) -> tuple[str, str]:
    domain, skill = split_name(args.skill, domain=args.domain)
    for name in (domain, skill):
        if name and (problems := check_name(name)):
            raise ValueError(problems[0].message)
    return domain or cli.settings.domain or DEFAULT_DOMAIN, skill


def _run_on_server(args: argparse.Namespace, cli: Cli, rest: Rest) -> int:
    domain, skill = _place(args, cli)
    body = {
        "input": wire_input(args),
        "environment": args.env,
        "revision": args.revision,
        "durable": True if args.durable else None,
        "trigger": {"type": "cli"},
    }
    submission = Submission(
        rest,
        path=api_path("domains", domain, "skills", skill, "executions"),
        body=body,
        key=args.idempotency_key or f"cli-{secrets.token_hex(16)}",
        on_wait=lambda why: cli.out.note(f"{why} (trying again)"),
    )
    execution: Wire | None = None
    try:
        execution = submission.send(wait_seconds=0 if args.detach else WAIT_SECONDS)
        if args.detach:
            return _print_detached(args, cli, execution)
        if not has_ended(execution):
            execution = _follow(cli, rest, execution)
    except KeyboardInterrupt:
        with contextlib.suppress(StatusError):
            _say_it_goes_on(cli, execution or submission.find())
        raise
    if args.output == "json":
        cli.out.json(execution)
    else:
        print_execution(cli.out, execution, place=cli.place)
    return exit_codes.OK if succeeded(execution) else exit_codes.FAILED


def _follow(cli: Cli, rest: Rest, execution: Wire) -> Wire:
    name = execution["metadata"]["name"]
    cli.out.note(f"{name} is still {execution['status']['state'].lower()}; waiting for its end (Ctrl-C leaves it)")
    return wait_for_end(rest, execution, on_event=lambda event: cli.out.note(f"  {event_text(event)}"))


def _say_it_goes_on(cli: Cli, execution: Wire) -> None:
    name = execution["metadata"]["name"]
    cli.out.note("")
    if has_ended(execution):
        cli.out.note(f"{name} has ended: aspora logs {name}{cli.place}")
    else:
        cli.out.note(
            f"{name} goes on. Follow it: aspora logs {name} --follow{cli.place}"
            f"   End it: aspora cancel {name}{cli.place}"
        )


def _print_detached(args: argparse.Namespace, cli: Cli, execution: Wire) -> int:
    name = execution["metadata"]["name"]
    if args.output == "json":
        cli.out.json(execution)
    else:
        cli.out.line(name)
        cli.out.note(
            f"runs in the background. Follow it: aspora logs {name} --follow{cli.place}"
            f"   End it: aspora cancel {name}{cli.place}"
        )
    return exit_codes.OK


def _plan_on_server(args: argparse.Namespace, cli: Cli, rest: Rest) -> int:
    domain, skill = _place(args, cli)
    note = ""
    name: str = args.revision or ""
    if not name:
        traffic = rest.call("GET", object_path("routes", f"{skill}.{args.env}", domain=domain))["spec"].get(
            "traffic", []
        )
        if not traffic:
            raise Unavailable(f"no revision serves {domain}/{skill} in {args.env}; apply the skill first")
        largest = max(traffic, key=lambda t: t["shareBp"])
        name = largest["revision"]
        note = "" if len(traffic) == 1 else f" (gets {largest['shareBp'] / 100:g} % of {args.env})"
    revision = rest.call("GET", object_path("revisions", name, domain=domain))
    plan = cli.load("aspora.cli.plan:RunPlan")(
        skill=f"{domain}/{skill}",
        revision=name + note,
        digest=revision["spec"]["digest"],
        spec=revision["spec"]["skillSpec"],
        place="an executor's sandbox",
    )
    return _print_plan(args, cli, plan)


def _print_plan(args: argparse.Namespace, cli: Cli, plan: Any) -> int:
    if args.output == "json":
        cli.out.json(plan.to_json())
        return exit_codes.OK
    for text in pairs(list(plan.rows())):
        cli.out.line(text)
    cli.out.note("dry run: nothing was executed")
    return exit_codes.OK
