"""Publishes a release, and dies at the nth request that changes something, before or after it."""

import os
import sys
from pathlib import Path

import botocore.client

sys.path.insert(0, str(Path(__file__).parents[1]))
from publishing import READS, REGION, declared

from seedbed import packaging, publishing


def main(folder: Path, when: str, number: int) -> None:
    """Publish what is in `folder`; `when` is before or after, `number` counts from 1."""
    seen = 0
    call = botocore.client.BaseClient._make_api_call  # where every request passes

    def watched(self, operation, parameters):
        nonlocal seen
        seen += not operation.startswith(READS)
        due = seen == number and not operation.startswith(READS)
        if due and when == "before":
            os._exit(9)
        answer = call(self, operation, parameters)
        if due:
            os._exit(9)
        return answer

    botocore.client.BaseClient._make_api_call = watched
    account = publishing.Account.of(REGION)
    plan = publishing.plan(account, declared(), packaging.read(folder), folder)
    publishing.apply(account, plan, folder)
    print(len(plan.changes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
