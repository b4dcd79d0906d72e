"""Become another program that does not outlive its parent: `python tied.py PARENT_PID PROGRAM ARGUMENT...`.

A supervisor that is killed cannot stop its children; on Linux the kernel then tells them to end (SIGTERM). Elsewhere
the program just runs. Stands alone: it is started as a file, without the package.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel knew of our wish
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
