"""What the build `seedbed-seed` runs: makes a project from a release, pushes it, answers.

SEED_REQUEST and SEED_REPLY come from the function. Values reach Copier and git as arguments and
files, never through a shell, and nothing of the user's git configuration counts. It needs Python,
git and the AWS CLI; Copier is installed when there is something to render.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import core
import reply
from core import RefusedError, Request

WAITS = (0, 5, 20)  # seconds before each attempt to reach the repository
TIMEOUT = 300  # seconds for one command
HELPER = "!aws codecommit credential-helper $@"  # for CodeCommit and for connections
ANSWERS = ".copier-answers.yml"
LOCK = Path(__file__).with_name("requirements.lock")
TO_JSON = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
T = TypeVar("T")


class CommandError(RuntimeError):
    """What a command said when it could not do its work, in one line."""


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Seed, and tell CloudFormation how it went. Returns the exit code."""
    whom = core.unpack(environ["SEED_REPLY"])
    try:
        status, reason = "SUCCESS", seed(environ, whom["StackId"])
    except RefusedError as refusal:
        status, reason = "FAILED", str(refusal)
    except Exception as error:  # noqa: BLE001 (CloudFormation is answered in every case)
        status, reason = "FAILED", f"{type(error).__name__}: {error}"
    print(f"{status}: {reason}", flush=True)
    reply.send(whom["ResponseURL"], reply.body(whom, status, reason))
    return 0 if status == "SUCCESS" else 1


def seed(environ: Mapping[str, str], stack: str) -> str:
    """Fill the repository, or adopt it, and return what was done.

    Raises:
        RefusedError: a value, the bundle or the repository is not what it must be.
    """
    document = core.unpack(environ["SEED_REQUEST"])
    request = core.parse(document["properties"])
    account, region = core.account_and_region(stack)
    origin = core.origin(request, region, environ["URL_SUFFIX"])
    with tempfile.TemporaryDirectory(prefix="seed-") as scratch:
        work = Work(request, (account, region), origin, Path(scratch), environ, document["push"])
        if retried(request.repository, work.look) == "adopt":
            return f"{request.repository} holds this project already"
        work.fetch(f"s3://{environ['ASSET_BUCKET']}/{request.bundle}")
        work.render(work.install())
        work.commit()
        retried(request.repository, lambda: work.look() == "adopt" or work.push())
    return f"{request.repository} was seeded from {request.template} {request.version}"


def retried(repository: str, action: Callable[[], T]) -> T:
    """Do what git does at the host, and again where it fails.

    Raises:
        RefusedError: no attempt succeeded, or one was refused.
    """
    trouble = ""
    for wait in WAITS:
        time.sleep(wait)
        try:
            return action()
        except CommandError as error:
            trouble = str(error)
            print(trouble, flush=True)
    raise RefusedError(
        f"RepositoryId is {core.shown(repository)}: git cannot read or fill it: {trouble}; it must"
        " exist, its connection be available, tagged sagemaker=true and allowed to write to it"
    )


@dataclass(frozen=True)
class Work:
    """The seeding of one project, in a folder of its own."""

    request: Request
    place: tuple[str, str]  # account and region of the stack
    origin: str  # where git reaches the repository
    folder: Path
    environ: Mapping[str, str]
    may_push: bool
    bundle: Path = field(init=False)
    project: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bundle", self.folder / "template.bundle")
        object.__setattr__(self, "project", self.folder / "project")
        for key, value in {
            "user.name": "Seedbed",
            "user.email": "seedbed@invalid",
            # The project records the canonical address, and is updated from there.
            f"url.{self.bundle}.insteadOf": self.request.address,
            "credential.helper": HELPER,
            "credential.useHttpPath": "true",
        }.items():
            self.git("config", "--file", str(self.folder / "gitconfig"), key, value)

    def look(self) -> str:
        """Return whether the repository is to be filled (push) or holds this project (adopt)."""
        listing = self.git("ls-remote", "--refs", self.origin)
        refs = [line.split("\t")[1] for line in listing.splitlines()]
        found = None
        if (branch := f"refs/heads/{self.request.branch}") in refs:
            mirror = self.folder / "mirror.git"
            self.git("init", "--quiet", "--bare", str(mirror))
            self.git("fetch", "--quiet", "--depth=1", "--no-tags", self.origin, branch, at=mirror)
            if self.git("ls-tree", "FETCH_HEAD", "--", core.MARKER, at=mirror):
                found = self.git("show", f"FETCH_HEAD:{core.MARKER}", at=mirror)
        return core.decide(self.request, *self.place, refs, found, push=self.may_push)

    def fetch(self, address: str) -> None:
        """Copy the bundle from S3, and hold it against its hash.

        Raises:
            RefusedError: it cannot be read, or is another.
        """
        try:
            self.run("aws", "s3", "cp", "--only-show-errors", address, str(self.bundle))
        except CommandError as error:
            raise RefusedError(
                f"Bundle: {address} cannot be read: {error}; publish the release, and let the"
                " hub's bucket and key be read from this account (`seedbed doctor` says which)"
            ) from None
        if hashlib.sha256(self.bundle.read_bytes()).hexdigest() != self.request.sha256:
            raise RefusedError(f"Bundle: {address} has another hash: publish the release again")

    def install(self) -> Path:
        """Install what renders, from the wheelhouse or the index; return its Python.

        Raises:
            RefusedError: something cannot be had, or is not what the lock says.
        """
        python = self.folder / "tools" / "bin" / "python"
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-compile", "--require-hashes", "--only-binary=:all:", "-r", str(LOCK)]
        wheelhouse, index = (self.environ.get(name, "") for name in ("WHEELHOUSE", "INDEX_URL"))
        try:
            self.run(sys.executable, "-m", "venv", str(self.folder / "tools"))
            if wheelhouse:
                command += ["--no-index", "--find-links", str(self.wheels(wheelhouse))]
            elif index:
                command += ["--index-url", index]
            self.run(*command)
        except CommandError as error:
            raise RefusedError(
                f"Copier cannot be installed: {error}; {_remedy(wheelhouse, index)}"
            ) from None
        return python

    def wheels(self, wheelhouse: str) -> Path:
        """Copy the wheelhouse, and return its folder. Raises CommandError if it holds nothing."""
        folder = self.folder / "wheels"
        self.run("aws", "s3", "cp", "--recursive", "--only-show-errors", wheelhouse, str(folder))
        if not any(folder.glob("*.whl")):
            raise CommandError(f"{wheelhouse} holds no wheel")
        return folder

    def render(self, python: Path) -> None:
        """Make the project.

        Args:
            python: one that has Copier.

        Raises:
            RefusedError: the template refuses an answer, or knows no such question or version.
        """
        request, given = self.request, self.folder / "answers.json"
        data = {**request.answers, "template": request.template}
        given.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
        copy = [str(python), "-m", "copier", "copy", "--quiet", "--defaults"]
        options = ["--vcs-ref", request.version, "--data-file", str(given)]
        try:
            self.run(*copy, *options, request.address, str(self.project))
        except CommandError as error:
            raise RefusedError(_told(str(error), request)) from None
        recorded = json.loads(self.run(str(python), "-c", TO_JSON, str(self.project / ANSWERS)))
        expected = {"_src_path": request.address, "_commit": request.version, **data}
        for key, value in expected.items():
            if key not in recorded:
                raise RefusedError(f"{key}: {request.template} has no such question: publish again")
            if (taken := _text(recorded[key])) != value:
                line = f"{key} is {core.shown(value)}: the template took it for"
                raise RefusedError(f"{line} {core.shown(taken)}; write one of its own words")
        marker = core.marker(request, *self.place)
        (self.project / core.MARKER).write_text(marker, "utf-8", newline="\n")

    def commit(self) -> None:
        """Make the project's first commit."""
        request = self.request
        message = f"Project {request.project_name} from {request.template} {request.version}"
        for words in (
            ("init", "--quiet", f"--initial-branch={request.branch}"),
            ("add", "--all"),
            ("commit", "--quiet", "--message", message),
        ):
            self.git(*words, at=self.project)

    def push(self) -> bool:
        """Push the commit to a branch that does not exist yet; git refuses any other, unforced."""
        branch = f"HEAD:refs/heads/{self.request.branch}"
        self.git("push", "--quiet", self.origin, branch, at=self.project)
        return True

    def git(self, *words: str, at: Path | None = None) -> str:
        """Run git and return what it printed. Raises CommandError with what it said."""
        return self.run("git", *words, at=at)

    def run(self, *command: str, at: Path | None = None) -> str:
        """Run a command without a shell, and return what it printed.

        Raises:
            CommandError: with what it said, or that it took too long.
        """
        ours = {
            "HOME": str(self.folder),
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "COPIER_CACHE_DIR": str(self.folder / "copier"),
            "LC_ALL": "C.UTF-8",
        }
        try:
            done = subprocess.run(  # noqa: S603 (its words were checked, and no shell sees them)
                command,
                cwd=at or self.folder,
                env={**self.environ, **ours},
                capture_output=True,
                check=False,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"{command[0]} took more than {TIMEOUT} seconds") from None
        if done.returncode:
            raise CommandError(_said(done.stderr.decode(errors="replace")))
        return done.stdout.decode(errors="replace").strip()


def _said(text: str) -> str:
    """Return the gist of what a command wrote: its last error, or the last lines."""
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    error = r"(ERROR|[A-Za-z_.]+(Error|Exception)): "
    ends = [n for n, line in enumerate(lines) if re.match(error, line)]
    last = lines[ends[-1] :] if ends else lines[-4:]
    line = " ".join(" ".join(last).split()) or "it gave no reason"
    if broken := re.findall(r"connection broken by '(.+)': /", text):  # pip does not repeat it
        _, found, cause = broken[-1].rpartition(" object at 0x")
        line += "; " + (cause.partition(">: ")[2].rstrip("')\"") if found else broken[-1])
    return line.rpartition("Stderr: | ")[2]  # what Copier's own git said


def _remedy(wheelhouse: str, index: str) -> str:
    """Return what to do if packages cannot be installed from a wheelhouse, an index or PyPI."""
    python = ".".join(map(str, sys.version_info[:2]))
    if wheelhouse:
        return (
            f"WheelhousePrefix must be that of this seeder's release, published with wheels for"
            f" Python {python} (`seedbed package --wheels`, `seedbed publish`): bootstrap again"
            " with --set WheelhousePrefix=... (`wheelhouse` in its manifest.json)"
        )
    if index:
        return (
            f"PackageIndexUrl is {core.shown(index)}: this network must reach it, and it must hold"
            f" the seeder's requirements.lock as wheels for Python {python}: bootstrap again with"
            " --set PackageIndexUrl=..."
        )
    return (
        "give the seeder's stack a WheelhousePrefix or a PackageIndexUrl that this network reaches:"
        " bootstrap again with --set WheelhousePrefix=... or --set PackageIndexUrl=..."
    )


def _told(line: str, request: Request) -> str:
    """Turn Copier's "Validation error for question 'x': must be ..." into our form."""
    before, _, rule = line.partition("': ")
    name = before.rpartition("'")[2]
    if not rule or name not in request.answers:
        return f"the template {request.template} {request.version} cannot be rendered: {line}"
    return f"{name} is {core.shown(request.answers[name])}: {rule}"


def _text(value: Any) -> str:  # noqa: ANN401 (whatever YAML holds)
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
