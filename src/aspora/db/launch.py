"""Start one program as another user, bound to the life of the process that asked for it.

Run as a script: `python -I -S launch.py UID GID PARENT_PID PROGRAM [ARGUMENT ...]`. It drops to the user, asks the
kernel for SIGINT (PostgreSQL's fast shutdown) when the parent dies, and becomes the program. A script of its own,
because the same steps between fork and exec of a threaded process may deadlock. Standard library only.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: becomes the program, or exits with a message on stderr."""
    uid, gid, parent_pid = (int(argument) for argument in arguments[:3])
    program = arguments[3:]
    if os.geteuid() != uid:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        except OSError as error:
            sys.exit(f"can't become uid {uid}: {error.strerror}; is this root without the right to change users?")
    os.umask(0o077)
    if sys.platform == "linux":
        # After the change of user, which resets it. The parent may have died before: then nobody would tell us.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the process that asked for this program is gone")
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f"can't run {program[0]!r}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
