"""Exit codes that scripts can trust; `aspora --help` prints this table."""

OK = 0
FAILED = 1
USAGE = 2
UNAVAILABLE = 3
REFUSED = 4
INTERNAL = 5
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FAILED: "the thing itself failed: an execution, a test, a validation, an estimate without its approval;"
    " or `diff` found differences",
    USAGE: "the command line is wrong",
    UNAVAILABLE: "no server, or it can't answer now",
    REFUSED: "refused: not found, invalid, conflict, forbidden",
    INTERNAL: "a defect in Aspora",
    INTERRUPTED: "stopped by Ctrl-C",
}
