"""Random edits by a user, random changes by a maintainer: no line is lost, no conflict is made up.

Lines carry who wrote them (`b` base, `u` user, `t` template) and a number, so that each can be
looked for; blank lines between them make the merge ambiguous, as real files do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from seedbed.upgrade.git import SYMLINK, Entry, Tree, above
from seedbed.upgrade.merge import Merge, Merged
from seedbed.upgrade.scratch import Scratch

PATHS = ["a.txt", "b.txt", "c/d.txt", "e/f/g.txt"]
FRESH = ["new.txt", "c/new.txt", "c", "a.txt/x", "e/f", "ü \t.txt"]
MOVED = ["moved.txt", "e/moved.txt", "new.txt"]
# SEEDBED_CASES times as many cases, for a long night
CASES = int(os.environ.get("SEEDBED_CASES", "1"))
QUICK = settings(
    deadline=None,
    database=None,
    derandomize=CASES == 1,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with Scratch() as made:
        yield made


@dataclass
class Side:
    """One side's files: lines and mode by path; where each file of the base went."""

    files: dict[str, tuple[list[str], str]] = field(default_factory=dict)
    went: dict[str, str] = field(default_factory=dict)


Edit = st.tuples(st.sampled_from(["insert", "insert", "delete", "replace"]), st.integers(0, 9))
Edits = st.lists(Edit, min_size=1, max_size=4)
Bases = st.fixed_dictionaries(
    {path: st.lists(st.booleans(), max_size=9) for path in PATHS}
)  # per line: is there a blank one below it
UserOps = st.fixed_dictionaries(
    {
        path: st.one_of(
            st.just(("keep",)),
            st.tuples(st.just("edit"), Edits),
            st.tuples(st.just("edit"), Edits),
            st.tuples(st.sampled_from(["delete", "mode", "crlf", "link", "binary"])),
            st.tuples(st.just("move"), st.sampled_from(MOVED), st.just([]) | Edits),
        )
        for path in PATHS
    }
)
TemplateOps = st.fixed_dictionaries(
    {
        path: st.one_of(
            st.just(("keep",)),
            st.tuples(st.just("edit"), Edits),
            st.tuples(st.just("edit"), Edits),
            st.tuples(st.sampled_from(["delete", "mode", "binary"])),
            st.tuples(
                st.sampled_from(["declare", "move"]), st.sampled_from(MOVED), st.just([]) | Edits
            ),
        )
        for path in PATHS
    }
)
Adds = st.lists(st.sampled_from(FRESH), max_size=2, unique=True)


def edit(lines: list[str], edits: list[tuple[str, int]], who: str) -> list[str]:
    """Return `lines` with `edits`; every new line is unlike all others."""
    result = list(lines)
    for number, (what, place) in enumerate(edits):
        at = place % (len(result) + 1)
        if what != "insert" and at < len(result):
            del result[at]
        if what != "delete":
            result.insert(at, f"{who}{number}-{place}")
    return result


def side(base: Side, ops: dict[str, tuple], adds: list[str], who: str) -> Side:
    """Return what one side makes of the base."""
    made = Side()
    for path, (what, *more) in ops.items():
        target = path
        if what in ("move", "declare") and more[0] not in made.files:
            target = made.went[path] = more[0]
        if what != "delete":
            made.files[target] = changed(*base.files[path], what, more, who + path)
    for path in adds:
        below = any(name.startswith(path + "/") for name in made.files)
        if path not in made.files and not below and not set(above(path)) & made.files.keys():
            made.files[path] = ([f"{who}{path}{n}" for n in range(3)], "100644")
    return made


def changed(lines: list[str], mode: str, what: str, more: list, who: str) -> tuple[list[str], str]:
    """Return lines and mode of a file after one change."""
    if what in ("edit", "move", "declare"):
        return edit(lines, more[-1], who), mode
    return {
        "mode": (lines, "100755"),
        "crlf": ([line + "\r" for line in lines], mode),
        "binary": ([who + "\0"], mode),
        "link": ([who], SYMLINK),
    }.get(what, (lines, mode))


def tree(scratch: Scratch, one: Side) -> Tree:
    return {
        path: Entry(mode, scratch.add("".join(line + "\n" for line in lines).encode()))
        for path, (lines, mode) in one.files.items()
    }


def lines_of(scratch: Scratch, found: Tree, *paths: str) -> set[str]:
    """Return the lines of the files at `paths`."""
    return {
        line.rstrip("\r")
        for path in paths
        if path in found
        for line in scratch.read(found[path].oid).decode().split("\n")
    }


@dataclass
class Case:
    base: Side
    user: Side
    template: Side
    declared: dict[str, str]
    trees: tuple[Tree, Tree, Tree]
    merged: Merged

    def places(self, path: str) -> set[str]:
        """Return where a file of the base, or the user, may be after the upgrade."""
        return {path, self.template.went.get(path, path), self.user.went.get(path, path)}

    @property
    def clashing(self) -> set[str]:
        return {conflict.path for conflict in self.merged.conflicts}


def case(scratch: Scratch, bases: dict, user_ops: dict, template_ops: dict, adds: tuple) -> Case:
    base = Side(
        {
            path: (
                [x for n, blank in enumerate(more) for x in [f"b{path}{n}", *[""] * blank]],
                "100644",
            )
            for path, more in bases.items()
        }
    )
    user = side(base, user_ops, adds[0], "u")
    template = side(base, template_ops, adds[1], "t")
    declared = {
        p: template.went[p]
        for p, op in template_ops.items()
        if op[0] == "declare" and p in template.went
    }
    trees = tree(scratch, base), tree(scratch, user), tree(scratch, template)
    merged = Merge(scratch, *trees, renames=tuple(declared.items())).run()
    return Case(base, user, template, declared, trees, merged)


@given(Bases, UserOps, TemplateOps, st.tuples(Adds, Adds))
@settings(QUICK, max_examples=1500 * CASES)
def test_nothing_is_lost_and_nothing_is_made_up(scratch, bases, user_ops, template_ops, adds):
    it = case(scratch, bases, user_ops, template_ops, adds)
    _, ours, theirs = it.trees
    event(f"conflicts: {min(len(it.clashing), 3)}")
    no_user_line_disappears(scratch, it)
    no_deletion_comes_back(scratch, it)
    no_change_of_the_template_is_dropped(scratch, it)
    conflicts_have_two_sides(it)
    deleted_files_stay_deleted(it, user_ops)
    tree_is_one(it.merged.tree)
    again = Merge(scratch, theirs, it.merged.tree, theirs).run()
    assert again == Merged(it.merged.tree), "a second upgrade changes nothing"
    assert ours.keys() - it.merged.tree.keys() <= it.base.files.keys(), "own files stay"


def no_user_line_disappears(scratch: Scratch, it: Case) -> None:
    """Not even with a conflict: markers hold both sides, and what has no markers is the user's."""
    for path, (lines, _) in it.user.files.items():
        origin = next((old for old, new in it.user.went.items() if new == path), path)
        found = lines_of(scratch, it.merged.tree, path, *it.places(origin))
        mine = {line.rstrip("\r") for line in lines if line.startswith("u")}
        assert mine <= found, path


def no_deletion_comes_back(scratch: Scratch, it: Case) -> None:
    for path, (lines, _) in it.base.files.items():
        if path not in it.user.files or it.clashing & it.places(path):
            continue
        kept = {line.rstrip("\r") for line in it.user.files[path][0]}
        gone = {line for line in lines if line and line not in kept}
        assert not gone & lines_of(scratch, it.merged.tree, *it.places(path)), path


def no_change_of_the_template_is_dropped(scratch: Scratch, it: Case) -> None:
    for path, (lines, mode) in it.template.files.items():
        origin = next((old for old, new in it.template.went.items() if new == path), path)
        absent = origin in it.base.files and origin not in it.user.files
        if absent or it.clashing & {path, origin}:
            continue
        found = lines_of(scratch, it.merged.tree, path)
        assert {line for line in lines if line.startswith("t")} <= found, path
        if origin in it.base.files and mode != it.base.files[origin][1]:
            assert it.merged.tree[path].mode == mode, path
        old = {line for line in it.base.files.get(origin, ([], ""))[0] if line}
        dropped = old - set(lines)
        assert not dropped & found, path


def conflicts_have_two_sides(it: Case) -> None:
    for conflict in it.merged.conflicts:
        was, mine, new = conflict.stages
        if mine is None:  # in the way
            near = [p for p in it.user.files if p.startswith(conflict.path + "/")]
            assert near or set(above(conflict.path)) & it.user.files.keys(), conflict
            continue
        assert was != mine, f"only the template changed {conflict}"
        assert was != new, f"only the user changed {conflict}"
        assert mine != new, f"both made the same of {conflict}"


def deleted_files_stay_deleted(it: Case, user_ops: dict) -> None:
    for path, op in user_ops.items():
        gone = op[0] == "delete" and path not in it.user.files
        if gone and path not in it.template.went:
            assert path not in it.merged.tree
        if gone and path in it.declared and it.declared[path] not in it.user.files:
            assert it.declared[path] not in it.merged.tree


def tree_is_one(found: Tree) -> None:
    """No path is both a file and a folder."""
    assert not {folder for path in found for folder in above(path)} & found.keys()


@given(st.lists(st.booleans(), max_size=12), Edits, Edits)
@settings(QUICK, max_examples=700 * CASES)
def test_one_file_edited_on_both_sides(scratch, blanks, mine, theirs):
    ops = {"a.txt": ("edit", mine)}, {"a.txt": ("edit", theirs)}
    it = case(scratch, {"a.txt": blanks}, *ops, ([], []))
    no_user_line_disappears(scratch, it)
    no_deletion_comes_back(scratch, it)
    no_change_of_the_template_is_dropped(scratch, it)
    conflicts_have_two_sides(it)
    marked = b"<<<<<<< " in scratch.read(it.merged.tree["a.txt"].oid)
    assert marked == bool(it.clashing), "markers and conflicts go together"


def test_an_undeclared_move_of_one_of_two_twins_is_not_guessed(scratch):
    """Which of the two became the new file, nobody knows: an edit must not follow the wrong one."""
    base = Side({name: ([f"b{n}" for n in range(9)], "100644") for name in ("one", "two")})
    user = Side({**base.files, "one": ([*base.files["one"][0], "u"], "100644")})
    template = Side({"three": base.files["two"]})
    merged = Merge(scratch, *(tree(scratch, side) for side in (base, user, template))).run()
    assert [conflict.path for conflict in merged.conflicts] == ["one"]
    assert "u" in lines_of(scratch, merged.tree, "one")
    assert "u" not in lines_of(scratch, merged.tree, "three")


@pytest.mark.parametrize(("kept", "follows"), [(9, True), (5, False)])
def test_only_what_is_all_but_certain_is_guessed(kept, follows, scratch):
    base = Side({"old": ([f"b{n}" for n in range(10)], "100644")})
    user = Side({"old": (["u", *base.files["old"][0]], "100644")})
    lines = [f"b{n}" if n < kept else f"t{n}" for n in range(10)]
    merged = Merge(
        scratch, *(tree(scratch, side) for side in (base, user, Side({"new": (lines, "100644")})))
    ).run()
    assert ("u" in lines_of(scratch, merged.tree, "new")) == follows
    assert [conflict.path for conflict in merged.conflicts] == ([] if follows else ["old"])
