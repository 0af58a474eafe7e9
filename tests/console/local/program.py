"""A program for the stack to run: `python -m tests.console.local.program [--stubborn|--brief]
--ready-file=FILE`. Serves until SIGTERM; stubborn: not even then; brief: ends at once."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

LIMIT_S = 60


def main() -> int:
    ready_file = Path(sys.argv[-1].removeprefix("--ready-file="))
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready_file.write_text('{"number": 7}')
    if "--brief" in sys.argv:
        print("I have said what I had to say")
        return 3
    signal.alarm(LIMIT_S)
    signal.sigwait({signal.SIGHUP})  # SIGTERM and SIGALRM end us
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
