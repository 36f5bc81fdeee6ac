"""The command line's frame: finds the verb, parses its words, runs it, turns every failure into one clear message.

Standard library only, and nothing is imported before it is needed, so that `--help` answers at once: what only a
failure wants comes through `load_object`.
"""

import argparse
import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aspora.cli import exit_codes
from aspora.cli.builtins import GROUPS, VERBS
from aspora.cli.output import Output
from aspora.cli.streams import open_closed_streams, throw_output_away
from aspora.kit.registry import load_object
from aspora.meta.errors import StatusError, Unavailable

if TYPE_CHECKING:
    from aspora.cli.rest import Rest

COMPLETE = "__complete"
"""The verb by which shells ask what may come next; see `aspora completion`."""

EXAMPLES = """examples:
  aspora demo                                        see it work
  aspora create skill hr/resume-screen               a new skill that runs at once
  aspora validate skills/hr/resume-screen            check a folder, no server needed
  aspora up --detach                                 start Aspora in the background
  aspora apply -f skills/                            check, version and deploy what is there
  aspora run wealth/fx-timing "10 000 GBP to INR, now or later?"
  aspora get executions --skill wealth/fx-timing --since 1h
  aspora logs EXEC-2026                              the trace of one execution
"""


@dataclass(frozen=True, slots=True)
class Cli:
    """What a verb works with.

    Attributes:
        out: Where to print.
        settings: The platform's frozen settings tree.
        overrides: The settings that options have set.
        platform: What only `main` can do (start, stop, check), as name → `module:function`.
        impersonate: In whose name to ask; "" for one's own.
    """

    out: Output
    settings: Any
    overrides: Mapping[str, Any]
    platform: Mapping[str, str]
    impersonate: str = ""

    def rest(self) -> "Rest":
        """A connection to the gateway.

        Raises:
            Unavailable: None is running, or it can't be found; says what would do.
        """
        connect = load_object("aspora.cli.rest:connect")
        settings = self.settings
        return connect(
            url=settings.url,
            api_key=settings.api_key,
            data_dir=settings.data_dir,
            ca_file=settings.ca_file,
            impersonate=self.impersonate,
            place=self.place,
        )

    @property
    def place(self) -> str:
        """What a command needs behind it to mean the same Aspora as this one."""
        return load_object("aspora.cli.rest:place_option")(self.overrides)

    def call_platform(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call one of the platform's functions."""
        return load_object(self.platform[name])(*args, **kwargs)

    def load(self, target: str) -> Any:
        """Import `module:attribute` now: the one way a verb gets at anything heavy."""
        return load_object(target)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Usage errors in one line, with the next step."""
        told = _in_our_words(message) + self._nearest_option(message)
        self.exit(exit_codes.USAGE, f"Error: {told}\nTry '{self.prog} --help'.\n")

    def _nearest_option(self, message: str) -> str:
        """The option that somebody most likely meant by one that the verb does not have."""
        words = message.removeprefix("unrecognized arguments: ").split()
        option = words[0].partition("=")[0] if words and message.startswith("unrecognized") else ""
        known = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
        close = load_object("difflib").get_close_matches(option, known, n=1) if option.startswith("--") else []
        return f"; did you mean {close[0]!r}?" if close else ""


def _in_our_words(message: str) -> str:
    """What `argparse` says, as the other messages say it."""
    if found := re.fullmatch(r"argument ([^:]+): invalid choice: ('.*') \(choose from (.+)\)", message, re.DOTALL):
        return f"{found[1]} is {found[2]}; known: {found[3].replace(chr(39), '')}"
    if found := re.fullmatch(r"argument ([^:]+): invalid int value: ('.*')", message, re.DOTALL):
        return f"{found[1]} is {found[2]}; write a whole number"
    if found := re.fullmatch(r"argument ([^:]+): expected (one|at least one) argument", message):
        return f"{found[1]} needs a value; write one after it"
    return message.removeprefix("argument ").replace("the following arguments are required:", "still needed:")


def _global_options(*, suppress: bool) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    default: Any = argparse.SUPPRESS if suppress else None
    group = parent.add_argument_group("options of every verb")
    group.add_argument("--data-dir", metavar="DIR", type=Path, default=default, help="folder of the local Aspora")
    group.add_argument("--url", default=default, help="gateway to talk to (default: the local one)")
    group.add_argument("--as", dest="as_user", metavar="NAME", default=default, help="ask in this user's name")
    return parent


def _help_text() -> str:
    lines = ["usage: aspora VERB [ARGUMENTS]", "", "Kubernetes for AI skills.", ""]
    for title, names in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name:<16} {VERBS[name].summary}" for name in names]
        lines.append("")
    lines += [EXAMPLES, "exit codes:"]
    lines += [f"  {code:<4} {meaning}" for code, meaning in exit_codes.MEANINGS.items()]
    return "\n".join([*lines, "", "`aspora VERB --help` tells more of a verb."])


def build_parser(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb; imports that verb's module alone."""
    module = load_object(VERBS[verb].module)
    parser = _Parser(
        prog=f"aspora {verb}",
        description=VERBS[verb].summary[:1].upper() + VERBS[verb].summary[1:] + ".",
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_global_options(suppress=True)],
    )
    module.configure(parser)
    return parser


def _split(argv: Sequence[str]) -> tuple[argparse.Namespace, str | None, list[str]]:
    """Global options before the verb, the verb, and what follows."""
    parser = _Parser(prog="aspora", add_help=False, parents=[_global_options(suppress=False)])
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("verb", nargs="?")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    if args.version and args.verb is None:
        args.verb = "version"
    return args, (None if args.help else args.verb), args.rest


def main(argv: Sequence[str], *, load_settings: Any, platform: Mapping[str, str], out: Output | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: Words after `aspora`.
        load_settings: `(environ, overrides) -> Settings`.
        platform: Name → `module:function` of what only `main` can do.
        out: Where to print; the process's streams otherwise.
    """
    open_closed_streams()
    printer = out or Output()
    code = _run_told(argv, load_settings=load_settings, platform=platform, out=printer)
    try:
        printer.stdout.flush()
    except OSError as e:
        throw_output_away()
        if code == exit_codes.OK and not isinstance(e, BrokenPipeError):
            printer.error(os_error_text(e))
            return exit_codes.FAILED
    return code


def _run_told(argv: Sequence[str], *, load_settings: Any, platform: Mapping[str, str], out: Output) -> int:
    """Run it; what goes wrong is told on standard error."""
    try:
        return _run(argv, load_settings=load_settings, platform=platform, out=out)
    except KeyboardInterrupt:
        out.note("")
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        throw_output_away()
        return exit_codes.OK
    except StatusError as e:
        return report(e, out)
    except UnicodeEncodeError as e:
        word = e.object[max(0, e.start - 20) : e.end]
        out.error(f"{word!a} is not UTF-8; type it again in a UTF-8 terminal")
        return exit_codes.USAGE
    except ValueError as e:
        out.error(str(e))
        return exit_codes.USAGE
    except OSError as e:
        out.error(os_error_text(e))
        return exit_codes.FAILED
    except Exception:  # noqa: BLE001 - the last place where a defect can be told from a refusal
        load_object("traceback").print_exc(file=out.stderr)
        out.error("this is a defect in Aspora; please report what stands above")
        return exit_codes.INTERNAL


def os_error_text(error: OSError) -> str:
    """What the system refused, and for which file where it says so."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)!r} can't be used: {reason}"
    if error.errno == errno.ENOENT:
        return "the current folder is gone; change into one that exists"
    return f"the system refuses: {reason}"


def _run(argv: Sequence[str], *, load_settings: Any, platform: Mapping[str, str], out: Output) -> int:
    args, verb, rest = _split(argv)
    if verb is None:
        out.line(_help_text())
        return exit_codes.OK if args.help else exit_codes.USAGE
    if verb == COMPLETE:
        return _complete(rest, Cli(out, load_settings(os.environ, {}), {}, platform))
    if verb not in VERBS:
        close = load_object("difflib").get_close_matches(verb, VERBS, n=1, cutoff=0.7)
        hint = f"did you mean 'aspora {close[0]}'?" if close else "'aspora --help' lists the verbs"
        out.error(f"unknown verb {verb!r}; {hint}")
        return exit_codes.USAGE
    parsed = build_parser(verb).parse_args(rest)
    overrides = {
        "data_dir": getattr(parsed, "data_dir", None) or args.data_dir,
        "url": getattr(parsed, "url", None) or args.url,
    }
    if overrides["data_dir"] is not None:
        overrides["data_dir"] = overrides["data_dir"].expanduser().absolute()
    settings = load_settings(os.environ, overrides)
    as_user: str | None = getattr(parsed, "as_user", args.as_user)
    cli = Cli(out, settings, overrides, platform, impersonate=_named_user(as_user))
    code: int = load_object(VERBS[verb].module).run(parsed, cli)
    return code


def _complete(words: Sequence[str], cli: Cli) -> int:
    """Answer a shell that asks what may come next."""
    for candidate in load_object("aspora.cli.completing:complete")(words, cli):
        cli.out.line(candidate)
    return exit_codes.OK


def _named_user(name: str | None) -> str:
    """Whom `--as` names; an empty name must never mean oneself."""
    if name is not None and not name.strip():
        raise ValueError("--as names nobody; is a variable of your shell not set?")
    return name or ""


def report(error: StatusError, out: Output) -> int:
    """Print an error of the API for a person: the message, then each field's problem that is not in it on a line."""
    heading = error.message.partition(": ")[0]
    lists_all = heading.endswith("problems") and len(error.details) > 1
    out.error(f"{heading}:" if lists_all else error.message)
    for detail in error.details:
        if lists_all or detail.message not in error.message:
            out.note(f"  {detail}")
    return exit_codes.UNAVAILABLE if isinstance(error, Unavailable) else exit_codes.REFUSED
