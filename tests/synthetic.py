"""A small template repository in our layout: four releases and a HEAD; projects from it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import copier
import pytest

PAYS = {"cost_center": "c-1"}
BODY = "{{cookiecutter.__project_slug}}"
File = bytes | tuple[bytes, str]  # content, or content and mode
Files = dict[str, File]
WHO = {
    f"GIT_{who}_{key}": value
    for who in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Test"), ("EMAIL", "t@example.com"), ("DATE", "1700000000 +0000"))
}

CHOOSER = """\
_min_copier_version: "9.19.0"
_templates_suffix: ""
_envops: {undefined: jinja2.StrictUndefined}
_subdirectory: "templates/{{ template }}/{% raw %}{{cookiecutter.__project_slug}}{% endraw %}"
_skip_if_exists: [sample.csv]
template:
  type: str
  choices: [CHOICES]
  default: alpha
project_name:
  type: str
  default: My Model
  validator: "{% if not (project_name | regex_search('^[A-Z]')) %}must start with A to Z{% endif %}"
project_slug: {type: str, default: "{{ project_name | lower | replace(' ', '-') }}", when: false}
owner: {type: str, default: ml-team}
github_actions: {type: bool, default: false}
token: {type: str, secret: true, default: changeme}
EXTRA
cookiecutter:
  type: json
  when: false
  default: "{{ {'project_name': project_name, '__project_slug': project_slug, 'owner': owner,
    'github_actions': github_actions, 'token': token EXTRA_KEYS} | to_json }}"
"""
ANSWERS = """\
_commit: '{{ _copier_answers._commit if _copier_answers._commit is defined else 'v1.0.0' }}'
_src_path: '{{ _copier_answers._src_path }}'
github_actions: {{ cookiecutter.github_actions | lower }}
owner: '{{ cookiecutter.owner | replace("'", "''") }}'
project_name: '{{ cookiecutter.project_name | replace("'", "''") }}'
template: 'NAME'
"""
STEPS = "".join(f"def step_{n}():\n    return {n}\n\n\n" for n in range(1, 9))
PLOTS = "".join(f"def plot_{n}(axis):\n    axis.draw({n})\n\n\n" for n in range(1, 6))
CHARTS = "".join(f"CHART_{n} = 'chart {n}'\n# by the house style\n" for n in range(40, 60))


def git(*args: str, cwd: Path, feed: bytes = b"") -> str:
    """Run git as the test's author and return what it printed."""
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ("git", *args), cwd=cwd, env=env, input=feed, check=True, capture_output=True
    )
    return os.fsdecode(done.stdout).strip()


def body(name: str) -> Files:
    """Return the files of template `name` at v1.0.0, as in a project but for their Jinja."""
    return {
        "README.md": b"# {{ cookiecutter.project_name }}\n\nOwned by {{ cookiecutter.owner }}.\n",
        "Makefile": b"test:\n\tpytest\n\ntrain:\n\tpython -m pipeline local\n",
        "pipeline/steps.py": STEPS.encode(),
        "pipeline/plots.py": PLOTS.encode(),
        "pipeline/data_source.py": f"SOURCE = '{name}'\n".encode(),
        "pipeline/__init__.py": b"",
        "config/dev.yml": b"region: eu-west-1\nrounds: 400\ndepth: 4\nrate: 0.1\nseed: 42\n",
        "config/secret.env": b"USER=me\nTOKEN={{ cookiecutter.token }}\nHOST=h\n",
        "scripts/run.sh": b"#!/bin/sh\necho run\n",
        "notes.txt": b"one\ntwo\nthree\nfour\nfive\nsix\n",
        "sample.csv": b"a,b\n1,2\n",
        "logo.bin": b"\x89PNG\0\1\2\3",
        "docs/\u00fcber.md": "Gr\u00fc\u00dfe\n1\n2\n3\n4\n".encode(),
        "{% if cookiecutter.github_actions %}ci.yml{% endif %}": b"on: push\n",
        ".copier-answers.yml": ANSWERS.replace("NAME", name).encode(),
    }


def v1_0() -> Files:
    """The first release: two templates that differ in their data source."""
    files: Files = {"copier.yml": chooser()}
    for name in ("alpha", "beta"):
        files |= _placed(name, body(name))
    return files


def v1_1() -> Files:
    """Declares a rename of a file that it rewrites, renames a folder, and changes a step."""
    files = v1_0()
    for name in ("alpha", "beta"):
        _move(files, name, "pipeline/plots.py", "pipeline/charts.py", CHARTS.encode())
        _move(files, name, "docs/\u00fcber.md", "guide/\u00fcber.md")
        files[f"templates/{name}/changelog/base.yml"] = (
            b"'1.1.0':\n  changes: [plots are charts]\n  renames:\n"
            b"    pipeline/plots.py: pipeline/charts.py\n    docs/: guide/\n"
        )
        files[_at(name, "pipeline/steps.py")] = STEPS.replace("return 1\n", "return 11\n").encode()
    return files


def v1_2() -> Files:
    """Deletes a file, makes another executable, changes the binary and the sample."""
    files = v1_1()
    for name in ("alpha", "beta"):
        del files[_at(name, "notes.txt")]
        files[_at(name, "scripts/run.sh")] = (b"#!/bin/sh\necho run\n", "100755")
        files[_at(name, "logo.bin")] = b"\x89PNG\0\4\5\6"
        files[_at(name, "sample.csv")] = b"a,b\n3,4\n"
    return files


def v2_0() -> Files:
    """Asks a required question and one with a default."""
    files = v1_2()
    files["copier.yml"] = chooser(
        "cost_center: {type: str, help: 'Who pays?'}\nsize: {type: int, default: 3}",
        ", 'cost_center': cost_center, 'size': size",
    )
    for name in ("alpha", "beta"):
        answers = ANSWERS.replace("NAME", name)
        answers += "cost_center: '{{ cookiecutter.cost_center }}'\nsize: {{ cookiecutter.size }}\n"
        files[_at(name, ".copier-answers.yml")] = answers.encode()
        files[_at(name, "config/dev.yml")] = (
            b"region: eu-west-1\nrounds: 500\ndepth: 4\nrate: 0.1\nseed: 42\n"
            b"cost_center: {{ cookiecutter.cost_center }}\n"
        )
    return files


def head() -> Files:
    """Adds a file and changes the Makefile."""
    files = v2_0()
    for name in ("alpha", "beta"):
        files[_at(name, "Makefile")] = b"test:\n\tpytest -q\n\ntrain:\n\tpython -m pipeline local\n"
        files[_at(name, "pipeline/new.py")] = b"NEW = True\n"
    return files


RELEASES = {"v1.0.0": v1_0, "v1.1.0": v1_1, "v1.2.0": v1_2, "v2.0.0": v2_0, "v2.1.0": head}


def repository(folder: Path, releases: Mapping[str, Files] | None = None) -> Path:
    """Make a template repository at `folder` with a tagged commit for each of `releases`."""
    folder.mkdir(parents=True)
    git("init", "-q", "-b", "main", "--template=", cwd=folder)
    for tag, files in (releases or {tag: make() for tag, make in RELEASES.items()}).items():
        commit(folder, files, tag)
    return folder


def commit(folder: Path, files: Files, tag: str = "", message: str = "a release") -> None:
    """Make `files` the whole tree of a new commit in the clean repository `folder`."""
    git("rm", "-rq", "--ignore-unmatch", ".", cwd=folder)
    for path, file in files.items():
        content, mode = (file, "100644") if isinstance(file, bytes) else file
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == "120000":
            target.symlink_to(os.fsdecode(content))
            continue
        target.write_bytes(content)
        target.chmod(int(mode[-3:], 8))
    save(folder, message)
    if tag:
        git("tag", tag, cwd=folder)


def save(folder: Path, message: str = "edit") -> None:
    """Commit everything below `folder`."""
    git("add", "-A", "-f", ".", cwd=folder)
    git("commit", "-qm", message, "--allow-empty", cwd=folder)


def _placed(name: str, files: Files) -> Files:
    return {_at(name, path): file for path, file in files.items()}


def _at(name: str, path: str) -> str:
    return f"templates/{name}/{BODY}/{path}"


def _move(files: Files, name: str, old: str, new: str, content: bytes | None = None) -> None:
    was = files.pop(_at(name, old))
    files[_at(name, new)] = was if content is None else content


def chooser(extra: str = "", keys: str = "", choices: str = "alpha, beta") -> bytes:
    """Return the root's copier.yml."""
    text = CHOOSER.replace("CHOICES", choices).replace(" EXTRA_KEYS", keys).replace("EXTRA", extra)
    return text.encode()


def project(source: Path, folder: Path, version: str = "v1", **data: object) -> Path:
    """Make and commit a project at `folder`, by Copier."""
    copier.run_copy(str(source), folder, data=data, vcs_ref=version, defaults=True, quiet=True)
    git("init", "-q", "-b", "main", "--template=", cwd=folder)
    save(folder)
    return folder


def copy(folder: Path, target: Path) -> Path:
    """Copy a checkout, its repository included."""
    return Path(shutil.copytree(folder, target, symlinks=True))


def forget_git(folder: Path) -> None:
    """Make a checkout a plain folder."""
    shutil.rmtree(folder / ".git")


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of every file of a checkout, less git's own."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = (0, os.fsencode(path.readlink()))
        elif path.is_file() and not name.startswith(".git/"):
            found[name] = (path.stat().st_mode & stat.S_IXUSR, path.read_bytes())
    return found


@pytest.fixture(scope="session", name="templates")
def fixture_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template repository."""
    return repository(tmp_path_factory.mktemp("templates") / "repo")


@pytest.fixture(scope="session", name="born")
def fixture_born(
    templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a committed project by the release that it was made from, made once."""
    made: dict[str, Path] = {}

    def make(release: str) -> Path:
        if release not in made:
            data = PAYS if release in ("v2.0.0", "v2.1.0") else {}
            folder = tmp_path_factory.mktemp("born") / "my-model"
            made[release] = project(templates, folder, release, **data)
        return made[release]

    return make


@pytest.fixture(name="project")
def fixture_project(born: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A fresh copy of the project made from a release."""

    def fresh(release: str = "v1.0.0") -> Path:
        return copy(born(release), tmp_path / "my-model")

    return fresh
