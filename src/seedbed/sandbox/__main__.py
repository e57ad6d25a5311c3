"""The sandbox's process: `python -m seedbed.sandbox --folder DIR`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

from seedbed.sandbox.organisation import Organisation
from seedbed.sandbox.server import Server
from seedbed.sandbox.world import World


def main() -> None:
    """Serve until SIGTERM or, with --owned, until standard input ends (its owner has gone)."""
    parser = argparse.ArgumentParser(prog="python -m seedbed.sandbox")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--org", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--owned", action="store_true")
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    world = World(said.folder.resolve(), Organisation.load(said.org), said.seed)
    server = Server(world, said.port, shutdown=done.set).start()
    if said.owned:
        threading.Thread(target=_await_end, args=(done,), daemon=True).start()
    print(json.dumps({"endpoint": world.endpoint, "pid": os.getpid()}), flush=True)
    # Nobody reads the pipe from here on: what moto prints goes to the log.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_warm, daemon=True).start()
    done.wait()
    server.stop()
    if said.owned:
        shutil.rmtree(said.folder, ignore_errors=True)
    # Threads that a client keeps open must not hold the process.
    sys.stdout.flush()
    os._exit(0)


def _warm() -> None:
    """Load cfn-lint's rules while nobody waits for them."""
    from seedbed.sandbox.cloudformation import lint

    lint.warm()


def _await_end(done: threading.Event) -> None:
    sys.stdin.read()
    done.set()


if __name__ == "__main__":
    main()
