"""Killed at any moment, the checkout is as before or as after, or the next run finishes it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic
from synthetic import (  # noqa: F401
    PAYS,
    files,
    fixture_born,
    fixture_project,
    fixture_templates,
    git,
    save,
)

from seedbed.errors import SeedbedError
from seedbed.upgrade import apply, checkout, upgrade

# Python's audit events for what changes files or starts processes; `open` counts for writing.
TOUCHES = {
    "open",
    "os.chmod",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "subprocess.Popen",
}


def state(folder: Path) -> tuple[object, ...]:
    """Return what a user sees: files, what is staged, what is unmerged."""
    staged = git("diff", "--cached", "--name-status", "HEAD", cwd=folder)
    return files(folder), staged, git("ls-files", "-u", cwd=folder)


def edited(folder: Path) -> Path:
    """Edit so that the upgrade merges, conflicts, moves, deletes and adds."""
    config = folder / "config/dev.yml"
    config.write_text(config.read_text().replace("00\ndepth", "99\ndepth"))
    with (folder / "docs/über.md").open("a") as file:
        file.write("mine\n")
    save(folder)
    return folder


def killed(folder: Path, prepare: Callable[[], None]) -> bool:
    """Upgrade in another process that `prepare` arms to kill itself; tell whether it did."""
    pid = os.fork()
    if pid == 0:
        try:
            prepare()
            upgrade(folder, set=PAYS)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(moment: int) -> Callable[[], None]:
    """Kill at the `moment`-th touch since the upgrade begins to be written."""

    def prepare() -> None:
        count, real = 0, apply.apply

        def watch(event: str, args: tuple[object, ...]) -> None:
            nonlocal count
            if event in TOUCHES and (event != "open" or set(str(args[1])) & set("wxa+")):
                count += 1
                if count == moment:
                    kill()

        def watched(*args: object) -> None:
            sys.addaudithook(watch)
            real(*args)

        apply.apply = watched

    return prepare


def test_killed_at_any_moment(project, tmp_path):
    origin = edited(project())
    before = state(origin)
    done = synthetic.copy(origin, tmp_path / "done" / "my-model")
    outcome = upgrade(done, set=PAYS)
    after = state(done)
    assert outcome.status == "conflicts"

    moment, tried, torn = 1, 0, 0
    while True:
        folder = synthetic.copy(origin, tmp_path / "killed" / "my-model")
        if not killed(folder, at(moment)):
            break
        tried += 1
        journal = checkout.find(folder).journal.exists()
        if not journal:
            assert state(folder) in (before, after), f"moment {moment}"
            assert not (folder / ".git/index.lock").exists()
        else:
            torn += 1
            with pytest.raises(SeedbedError, match="was interrupted; run `seedbed upgrade"):
                upgrade(folder, check=True)
        if state(folder) != after or journal:
            again = upgrade(folder, set=PAYS)
            assert (again.status, again.changed) == (outcome.status, outcome.changed)
            assert again.conflicted == outcome.conflicted
            assert not (folder / ".git/seedbed-upgrade").exists()
        assert state(folder) == after, f"moment {moment}"
        shutil.rmtree(folder)
        moment += 1 if torn else 3  # while it is only prepared, one moment is like another
    assert tried > 40, "the upgrade was watched"
    assert torn > 20, "the journal was needed"
    assert state(folder) == after
    assert git("fsck", "--strict", "--no-dangling", cwd=folder) == ""


def halfway(folder: Path) -> Path:
    """Upgrade until two files are in place, and no further."""

    def prepare() -> None:
        left, real = [0, 0], apply._rename

        def rename(source: Path, target: Path) -> None:
            if not left:
                kill()
            left.pop()
            real(source, target)

        apply._rename = rename

    assert killed(folder, prepare)
    assert checkout.find(folder).journal.exists()
    return folder


def test_what_the_user_changed_since_is_left_alone(project):
    folder = halfway(edited(project()))
    (folder / "pipeline/steps.py").write_text("since\n")
    outcome = upgrade(folder, set=PAYS)
    assert (folder / "pipeline/steps.py").read_text() == "since\n"
    assert any(note.startswith("pipeline/steps.py: left as you changed") for note in outcome.notes)
    assert (folder / "pipeline/new.py").exists()


def test_a_journal_is_dropped_when_the_user_took_over(project):
    folder = halfway(edited(project()))
    (folder / ".git/index.lock").unlink()
    git("reset", "-q", "--hard", cwd=folder)
    git("clean", "-qfd", cwd=folder)
    save(folder, "on my own")
    outcome = upgrade(folder, set=PAYS)
    assert outcome.status == "conflicts"
    assert not any("interrupted" in note for note in outcome.notes)


def test_git_at_work_is_waited_for(project):
    folder = edited(project())
    before = state(folder)
    (folder / ".git/index.lock").touch()
    with pytest.raises(SeedbedError, match=r"index.lock is there: wait for git to finish"):
        upgrade(folder, set=PAYS)
    (folder / ".git/index.lock").unlink()
    assert state(folder) == before
    assert not (folder / ".git/seedbed-upgrade").exists()


def test_two_upgrades_at_once_are_one(project):
    folder = project()
    with (
        checkout.alone(checkout.find(folder)),
        pytest.raises(SeedbedError, match="is being upgraded; wait for it"),
    ):
        upgrade(folder, set=PAYS)
    assert upgrade(folder, set=PAYS).status == "updated"


def test_a_commit_in_between_is_noticed(project, monkeypatch):
    folder = project()
    real = checkout.refuse_dirty

    def meanwhile(place: checkout.Checkout) -> None:
        git("commit", "-q", "--allow-empty", "-m", "mine", cwd=folder)
        real(place)

    monkeypatch.setattr(checkout, "refuse_dirty", meanwhile)
    with pytest.raises(SeedbedError, match="got a commit meanwhile"):
        upgrade(folder, set=PAYS)
    assert git("status", "--porcelain", cwd=folder) == ""


def test_ctrl_c_waits_for_the_last_step(project, monkeypatch):
    folder = project()
    real = apply._move_in

    def interrupted(*args):
        os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(apply, "_move_in", interrupted)
    # A shell's background jobs, and so their tests, ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        upgrade(folder, set=PAYS)
    signal.signal(signal.SIGINT, before)
    assert (folder / "pipeline/new.py").exists()
    assert not (folder / ".git/seedbed-upgrade").exists()
    assert git("diff", "--name-only", cwd=folder) == ""


def test_a_disk_that_refuses_is_one_line_and_the_next_run_finishes(project, monkeypatch):
    folder = project()

    def full(*_):
        raise OSError(28, "No space left on device", "pipeline/new.py")

    with monkeypatch.context() as patch:
        patch.setattr(apply, "_rename", full)
        with pytest.raises(SeedbedError, match="No space left on device; mend that"):
            upgrade(folder, set=PAYS)
    assert upgrade(folder, set=PAYS).status == "updated"
    assert (folder / "pipeline/new.py").exists()


def test_files_move_across_file_systems_too(project, monkeypatch):
    folder = project()
    real = Path.replace

    def replace(self, target):
        if "seedbed-upgrade/files" in str(self):
            raise OSError(18, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert upgrade(folder, set=PAYS).status == "updated"
    assert git("diff", "--name-only", cwd=folder) == ""
    assert git("ls-files", "--others", cwd=folder) == ""
