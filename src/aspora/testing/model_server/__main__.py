"""Run the scripted model server as a process; the first line on stdout is JSON with its `url`."""

import argparse
import asyncio
import json
import signal
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


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    async with ModelServer(load_script(arguments.script), host=arguments.host, port=arguments.port) as server:
        sys.stdout.write(json.dumps({"url": server.url, "scripted": True}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 for a script or port that can't be used."""
    try:
        asyncio.run(_serve(_arguments()))
    except (ScriptInvalid, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
