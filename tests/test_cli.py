"""The command line round an upgrade: what it prints, and with which exit code."""

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from conftest import TEMPLATES, born, commit, git, make_repository
from typer.testing import CliRunner

from seedbed import __main__ as start
from seedbed import catalog, cli, compose
from seedbed.cli import app

NEWER = "The next version says so here.\n"


def seedbed(*args, cwd):
    command = [sys.executable, "-m", "seedbed", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """A repository with v0.1.0 checked out, and v0.2.0 tagged."""
    repository = make_repository(tmp_path_factory.mktemp("releases") / "repository", "v0.1.0")
    readme = repository / "layers" / "model-build" / "README.md.jinja"
    readme.write_text(readme.read_text() + NEWER)
    compose.write(repository, compose.compose(repository))
    commit(repository, "v0.2.0")
    git(repository, "checkout", "--quiet", "v0.1.0")
    return repository


@pytest.fixture
def project(releases, tmp_path):
    path = born("chooser", TEMPLATES[0], tmp_path / "project", releases, {})
    git(path, "init", "--quiet")
    commit(path)
    return path


def test_check_then_upgrade_then_nothing_to_do(project):
    due = seedbed("upgrade", project, "--check", "--json", cwd=project)
    assert (due.returncode, json.loads(due.stdout)["status"]) == (1, "updated")
    assert git(project, "status", "--porcelain") == ""
    done = seedbed("upgrade", ".", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "v0.1.0 to v0.2.0" in done.stdout
    assert (project / "README.md").read_text().endswith(NEWER)
    commit(project)
    assert "nothing to do" in seedbed("upgrade", project, cwd=project).stdout


def test_conflicts_are_listed_with_exit_code_1(project):
    readme = project / "README.md"
    readme.write_text(readme.read_text() + "Mine.\n")
    commit(project)
    done = seedbed("upgrade", project, cwd=project)
    assert done.returncode == 1
    assert "conflict  README.md" in done.stdout
    assert "<<<<<<<" in readme.read_text()


@pytest.mark.parametrize(
    ("args", "word"),
    [(["--to", "v9"], "v9"), (["--set", "ownr=x"], "ownr"), (["--set", "template=x"], "template")],
)
def test_bad_input_is_one_line_and_exit_code_2(args, word, project):
    done = seedbed("upgrade", project, *args, cwd=project)
    assert done.returncode == 2
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert git(project, "status", "--porcelain") == ""


def commands(command, *words):
    """Yield each command with the words that call it."""
    inner = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from commands(one, *words, name)
    if not inner:
        yield words, command


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(w) for w, _ in COMMANDS])
def test_every_command_explains_itself_and_what_it_takes(words, command):
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "300"})
    assert done.exit_code == 0
    for one in command.params:
        assert one.help, one.name
        assert one.help[:60] in done.stdout, one.name


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(w) for w, _ in COMMANDS])
def test_no_paragraph_of_a_help_is_broken_before_its_line_is_full(words, command, width):
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(width)})
    lines = [line.strip() for line in done.stdout.partition("\u256d")[0].splitlines()]
    for line, following in itertools.pairwise(lines):
        word = following.partition(" ")[0]
        assert not line or not word or len(f" {line} {word} ") > width, f"{line}\n{following}"
    said = " ".join(" ".join(lines).split())
    assert " ".join(command.help.split()) in said


def test_an_interrupt_before_anything_is_read_is_no_traceback(monkeypatch, capsys):
    def interrupted(name, *_):
        if name == "seedbed.cli":
            raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "seedbed.cli")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupted), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "seedbed: interrupted\n"


def test_an_interrupt_says_what_to_do(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(catalog, "load", interrupted)
    monkeypatch.setattr(sys, "argv", ["seedbed", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "interrupted; what AWS has begun goes on" in capsys.readouterr().err
