"""Run the scripted model server as a process; the first line on stdout is JSON with its `url`.

It ends at SIGTERM or SIGINT, and, when standard input is a pipe, with the end of that: its starter died.
"""

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

from aspora.testing.model_server.script import ScriptInvalid, load_script
from aspora.testing.model_server.server import ModelServer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m aspora.testing.model_server", description=__doc__)
    parser.add_argument("--script", type=Path, required=True, help="YAML or JSON script")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to bind; 0 takes a free one (default)")
    return parser.parse_args()


def _end_with_starter(stopped: asyncio.Event) -> None:
    """Stop at the end of standard input; a terminal, a file or /dev/null says nothing about who started this."""
    loop = asyncio.get_running_loop()

    def on_input() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stopped.set()

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(0, on_input)


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    _end_with_starter(stopped)
    async with ModelServer(load_script(arguments.script), host=arguments.host, port=arguments.port) as server:
        sys.stdout.write(json.dumps({"url": server.url, "scripted": True}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> int:
    """Serve until told to stop; 2 for a script or port that can't be used."""
    try:
        asyncio.run(_serve(_arguments()))
    except (ScriptInvalid, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
