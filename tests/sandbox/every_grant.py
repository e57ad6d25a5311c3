"""Takes away each grant that a push's run used, one after the other, and runs it all again.

`python tests/sandbox/every_grant.py [PART ...]` (`make grants`) takes half an hour; with PARTs it
tries only grants whose line has one of them. It ends with 1 if a run got through all the same.
Each run starts from an empty organisation, with the machine's caches of packages.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

from pushes import Run, denied, rendered, role, settings

from seedbed.sandbox.fixture import start


def main(parts):
    os.environ.update(settings())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sandbox = start(root / "sandbox")
        run = Run(sandbox, rendered(root / "my-model"), root)
        try:
            run.prepare()
            run.provision()
            run.push()
            run.deliver()
            found = list(run.grants())
            chosen = [one for one in found if not parts or any(said in line(one) for said in parts)]
            print(f"{len(chosen)} of {len(found)} grants", flush=True)
            through = [one for one in chosen if not is_needed(run, one)]
        finally:
            sandbox.stop()
    for one in through:
        print(f"got through all the same: {line(one)}")
    sys.exit(1 if through else 0)


def line(grant):
    """Return a grant in one line, without what is the same in all."""
    words = (word.replace(role("*").split("*")[0], "").replace("-eu-west-1", "") for word in grant)
    return " ".join(words)


def is_needed(run, grant):
    """Run without the grant, and print how that ended; tell whether it ended as it should."""
    began = time.monotonic()
    why = run.without(grant)
    verdict = "fails" if why else "GETS THROUGH"
    named = any(fnmatch(one, grant[2]) for one in denied(run.sandbox))
    hint = "" if named else " (nothing was denied)"
    print(f"{time.monotonic() - began:5.1f} s  {verdict}{hint}  {line(grant)}", flush=True)
    return bool(why)


if __name__ == "__main__":
    main(sys.argv[1:])
