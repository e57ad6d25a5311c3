"""Waiting for what goes on in the background, in one place: a slow machine is no failure."""

import time

PAUSE = 0.03  # seconds between two looks
ENOUGH = 120  # seconds: only a test that fails waits as long


def until(look, wanted=bool, seconds=ENOUGH):
    """Look until what is found is as wanted, and return it.

    Raises:
        AssertionError: It did not come; the message has what was found last.
    """
    deadline = time.monotonic() + seconds
    while not wanted(found := look()):
        assert time.monotonic() < deadline, f"after {seconds} s it is still {found!r}"
        time.sleep(PAUSE)
    return found


def brief(seconds):
    """Sleep a tenth of what a command would: its patience is counted in what it asked for."""
    time.sleep(min(seconds, 1) / 10)


def settled_project(client, name="churn"):
    """Wait until a SageMaker project's stack has ended; return the project's description."""

    def done(said):
        status = said["ProjectStatus"]
        return status != "Pending" and "Progress" not in status

    return until(lambda: client.describe_project(ProjectName=name), done)


def settled_share(client, said):
    """Wait until a portfolio's share or its end, which `said` answered, has come about."""
    token = said["PortfolioShareToken"]
    ask = client.describe_portfolio_share_status
    until(lambda: ask(PortfolioShareToken=token)["Status"], "COMPLETED".__eq__)
