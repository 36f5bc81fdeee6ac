"""The verbs: one line each. The module is imported only when the verb is used."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerbInfo:
    """Where a verb lives and what it does, in a few words for `--help`."""

    module: str
    summary: str


VERBS = {
    "init": VerbInfo("aspora.cli.verbs.init", "make a project folder with a place for skills"),
    "create": VerbInfo("aspora.cli.verbs.create", "make a new skill that validates, tests and runs at once"),
    "list": VerbInfo("aspora.cli.verbs.list_skills", "list the skills in a folder"),
    "validate": VerbInfo("aspora.cli.verbs.validate", "check skill folders, all problems at once"),
    "test": VerbInfo("aspora.cli.verbs.test_skill", "run a skill's own tests and golden cases"),
    "run": VerbInfo("aspora.cli.verbs.run", "run a skill, on the server or straight from its folder"),
    "apply": VerbInfo("aspora.cli.verbs.apply", "make the server hold what a folder or manifest says"),
    "diff": VerbInfo("aspora.cli.verbs.diff", "show what apply would change"),
    "cancel": VerbInfo("aspora.cli.verbs.cancel", "end executions that run"),
    "rollback": VerbInfo("aspora.cli.verbs.rollback", "point production back at an earlier revision"),
    "get": VerbInfo("aspora.cli.verbs.get", "print objects and records as a table"),
    "describe": VerbInfo("aspora.cli.verbs.describe", "print all about one object"),
    "cost": VerbInfo("aspora.cli.verbs.cost", "sum up what model calls cost"),
    "estimate-cost": VerbInfo("aspora.cli.verbs.estimate_cost", "guess what skills will cost a month"),
    "budgets": VerbInfo("aspora.cli.verbs.budgets", "change what may be spent now, or forgive what was"),
    "edit": VerbInfo("aspora.cli.verbs.edit", "change one object in an editor"),
    "wait": VerbInfo("aspora.cli.verbs.wait", "wait until objects are as they should be"),
    "delete": VerbInfo("aspora.cli.verbs.delete", "delete objects"),
    "watch": VerbInfo("aspora.cli.verbs.watch", "print changes as they happen"),
    "logs": VerbInfo("aspora.cli.verbs.logs", "show the trace of an execution, or follow a skill's"),
    "explain": VerbInfo("aspora.cli.verbs.explain", "document a kind's fields"),
    "api-resources": VerbInfo("aspora.cli.verbs.api_resources", "list the kinds the server knows"),
    "demo": VerbInfo("aspora.cli.verbs.demo", "start Aspora, run the bundled skills, show what happened, stop"),
    "up": VerbInfo("aspora.cli.verbs.up", "start Aspora on this machine"),
    "down": VerbInfo("aspora.cli.verbs.down", "stop the Aspora of this data directory"),
    "gateway": VerbInfo("aspora.cli.verbs.gateway", "run a gateway alone, as one of several"),
    "executor": VerbInfo("aspora.cli.verbs.executor", "run an executor alone, as one of several"),
    "controllers": VerbInfo("aspora.cli.verbs.controllers", "run the controllers alone"),
    "database": VerbInfo("aspora.cli.verbs.database", "run the embedded database alone"),
    "status": VerbInfo("aspora.cli.verbs.status", "tell whether Aspora runs here, and how it is"),
    "backup": VerbInfo("aspora.cli.verbs.backup", "write all that Aspora keeps into one file, or check it"),
    "restore": VerbInfo("aspora.cli.verbs.restore", "put a backup into an empty installation"),
    "upgrade-database": VerbInfo(
        "aspora.cli.verbs.upgrade_database", "bring the embedded database of an older release over to this one"
    ),
    "doctor": VerbInfo("aspora.cli.verbs.doctor", "check this installation and say what to do"),
    "uninstall": VerbInfo("aspora.cli.verbs.uninstall", "remove what Aspora keeps on this machine"),
    "config": VerbInfo("aspora.cli.verbs.config", "show the settings, their meaning and their source"),
    "completion": VerbInfo("aspora.cli.verbs.completion", "print what makes a shell complete words"),
    "version": VerbInfo("aspora.cli.verbs.version", "print versions"),
}

GROUPS = {
    "Skills on disk": ("init", "create", "list", "validate", "test", "run"),
    "Skills on the server": ("apply", "diff", "rollback", "logs", "cancel"),
    "Objects and records": ("get", "describe", "edit", "delete", "watch", "wait", "explain", "api-resources"),
    "Money": ("cost", "estimate-cost", "budgets"),
    "Processes": ("gateway", "executor", "controllers", "database"),
    "This machine": (
        "demo",
        "up",
        "down",
        "status",
        "doctor",
        "backup",
        "restore",
        "upgrade-database",
        "config",
        "completion",
        "version",
        "uninstall",
    ),
}
