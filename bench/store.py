"""`make bench-store`: how quick the store and its watches are, and what bounds each figure."""

import shutil
import sys
import tempfile
from pathlib import Path

from aspora.db.embedded import EmbeddedPostgres
from bench.machine import print_machine
from bench.store_writes import measure_writes

PARTS = {"writes": measure_writes}


def main() -> None:
    """Print all figures, or those of the parts named on the command line; nothing is left behind."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise SystemExit(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")
    folder = Path(tempfile.mkdtemp(prefix="aspora-bench-"))
    folder.chmod(0o711)
    try:
        print_machine(folder)
        with EmbeddedPostgres(folder / "data") as server:
            for name in wanted:
                PARTS[name](server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
