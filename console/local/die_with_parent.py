"""`python -m console.local.die_with_parent PARENT COMMAND…`: becomes COMMAND, and ends when PARENT
does.

Asks Linux to send SIGTERM when the parent process dies, however it dies (prctl(2),
PR_SET_PDEATHSIG), and keeps that across exec. A program of its own and not a `preexec_fn`,
because that would run Python between fork and exec of a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl cannot set the parent-death signal")
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
