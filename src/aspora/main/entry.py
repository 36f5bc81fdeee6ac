"""The `aspora` command: settings and platform functions are put into the command line here, by name, unimported."""

import sys
from collections.abc import Mapping
from typing import Any

try:
    from aspora.cli.app import main as run_command_line
    from aspora.kit.registry import load_object
except KeyboardInterrupt:
    # Ctrl-C so early that nobody is there yet to say it in words.
    sys.exit(130)

PLATFORM = {
    "up": "aspora.main.up:up",
    "detach": "aspora.main.control:detach",
    "down": "aspora.main.control:down",
    "gateway": "aspora.main.roles:gateway",
    "executor": "aspora.main.roles:executor",
    "controllers": "aspora.main.roles:controllers",
    "database": "aspora.main.roles:database",
    "status": "aspora.main.control:status",
    "demo": "aspora.main.demo:demo",
    "doctor": "aspora.main.doctor:examine",
    "backup": "aspora.main.backups:backup",
    "verify_backup": "aspora.main.backups:verify",
    "restore": "aspora.main.backups:restore",
    "upgrade_database": "aspora.main.database_upgrade:upgrade_database",
    "uninstall": "aspora.main.uninstall:uninstall",
    "explain_settings": "aspora.main.settings:explain_settings",
    "local_run": "aspora.main.local_run:run_folder",
    "local_plan": "aspora.main.local_run:plan_folder",
    "local_test": "aspora.main.local_run:check_folder",
}


def load_settings(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Any:
    """The settings, whose module is imported when a verb wants them: the list of verbs needs none."""
    return load_object("aspora.main.settings:load_settings")(environ, overrides)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_command_line(sys.argv[1:], load_settings=load_settings, platform=PLATFORM))
