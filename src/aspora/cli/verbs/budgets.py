"""`aspora budgets`: raise or lower what may be spent now, or forgive what was."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli
from aspora.cli.targets import named, split_name
from aspora.client.paths import object_path
from aspora.meta.quantities import format_usd, parse_usd

EXAMPLES = """examples:
  aspora get budgets                     which there are
  aspora budgets set 17 --cap 12.50      until it resets; the next window has the cap that its object says
  aspora budgets set 17 --cap none
  aspora budgets reset 17                forget what this window has spent, and open it again
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("what", choices=("set", "reset"), help="change the cap, or forgive what was spent")
    parser.add_argument("name", help="the budget's name, as `aspora get budgets` prints it")
    parser.add_argument("--cap", help="with set: the new cap in USD, as 12.50, or `none`; a rate limit's in its unit")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Change one budget of the present window."""
    if (args.what == "set") != (args.cap is not None):
        raise ValueError("say --cap USD with set, and nothing more with reset")
    domain, name = split_name(named([args.name])[0], domain="")
    path, rest = object_path("budgets", name, domain=domain), cli.rest()
    if args.what == "reset":
        obj = rest.call("POST", f"{path}/reset")
    else:
        unit = "micro_usd" if args.cap == "none" else rest.call("GET", path)["spec"]["unit"]
        obj = rest.call("PATCH", path, body={"cap": _cap(args.cap, unit)})
    spec, status = obj["spec"], obj["status"]
    money = spec["unit"] == "micro_usd"
    spent, cap = (
        "none" if amount is None else format_usd(amount) if money else f"{amount} {spec['unit']}"
        for amount in (status["spent"], spec.get("cap"))
    )
    cli.out.line(f"budget/{name} {status['state']}: spent {spent}, cap {cap}")
    return exit_codes.OK


def _cap(text: str, unit: str) -> int | None:
    if text == "none":
        return None
    if unit == "micro_usd":
        return parse_usd(text)
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ValueError(f"--cap {text!r} is not a number of {unit}; write it like 100")
    return int(text)
