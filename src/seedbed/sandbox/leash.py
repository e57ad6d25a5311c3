"""Run a command in a process group that dies with whoever holds the other end of a pipe.

`python leash.py FD COMMAND...`: FD is the pipe's reading end; its end of file is the kill.
"""

import os
import signal
import subprocess
import sys
import threading


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    lifeline = int(sys.argv[1])
    os.set_inheritable(lifeline, False)
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
    return subprocess.call(sys.argv[2:])  # noqa: S603 (the sandbox gave the command)


if __name__ == "__main__":
    code = main()
    sys.exit(code if code >= 0 else 128 - code)
