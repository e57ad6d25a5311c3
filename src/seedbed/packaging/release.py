"""Writes a release's folder: products, functions, bundles, wheels, and a manifest of them."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from packaging.markers import Marker
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from seedbed import catalog as catalogs
from seedbed import cfn, declaration
from seedbed.catalog import Catalog
from seedbed.declaration import Declaration, Product
from seedbed.engines import BODY
from seedbed.errors import SeedbedError
from seedbed.packaging import product
from seedbed.packaging.archive import bundle, sha256, zipped

MANIFEST = "manifest.json"
MADE = "# Made by `seedbed package`: change layers/ or servicecatalog/, not this file."
STACKS = ("project", "registry", "data", "build", "source")  # as infra/deploy.py orders them
SEED = Path("servicecatalog/products/parts/seed.yml")
FUNCTIONS = Path("servicecatalog/functions")
TOOLS = Path("servicecatalog/wheels.lock")  # what `make setup` installs before any lock: uv
# What CodeBuild's image runs: "Docker images provided by CodeBuild", amazonlinux standard 5.0.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64", "any")
WHEEL_PYTHON = "3.12"
IMAGE = {
    "python_version": WHEEL_PYTHON,
    "python_full_version": f"{WHEEL_PYTHON}.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}
TEMPLATE_LIMIT = 1_000_000  # bytes of a template in S3: "CloudFormation quotas"
Progress = Callable[[str], None]
VERSION = r"v[0-9][\w.+-]*"
HOLDS = {"bundles", "functions", "products", "wheelhouse", MANIFEST}  # a release's folder
KEY = rf"^({'|'.join(sorted(HOLDS - {MANIFEST}))})/[0-9a-f]{{64}}/[\w.+-]+$"


def _release_version(text: str) -> str:
    if not re.fullmatch(VERSION, text) or not _version(text):
        raise ValueError(f"{text!r} is no version such as v0.2.0")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Object(_Strict):
    """One file of the release: its key in the asset bucket, in which its content's hash stands."""

    key: str = Field(pattern=KEY)
    sha256: str
    size: int


class ProductObject(Object):
    """A product's template; `content` is a hash of all that it gives a user but for the version.

    Two releases with the same content need no second artifact.
    """

    content: str


class Manifest(_Strict):
    """All that a release holds. `wheelhouse` is the folder of wheels, empty if none was made."""

    version: Annotated[str, AfterValidator(_release_version)]
    commit: str
    address: str
    products: dict[str, ProductObject]
    functions: dict[str, Object]
    bundles: dict[str, Object]
    wheelhouse: str
    wheels: dict[str, Object]

    def objects(self) -> Iterator[Object]:
        """Yield every file of the release."""
        for group in (self.bundles, self.functions, self.wheels, self.products):
            yield from group.values()


def package(
    base: Path,
    output: Path,
    *,
    version: str | None = None,
    wheels: bool = False,
    progress: Progress = lambda _: None,
) -> Manifest:
    """Write the release of the checkout at `base` into `output`, and return its manifest.

    The content is that of the commit at HEAD; the same commit gives the same bytes anywhere.

    Args:
        base: the templates' repository.
        output: a folder that is replaced as a whole when everything is there.
        version: what HEAD is to be called; by default its tag.
        wheels: fetch the wheels for builds without internet too; it needs a package index.
        progress: called with what is being done.

    Raises:
        SeedbedError: HEAD has no version, something is not committed, or a product is wrong.
    """
    commit, tags = _versions(base, version)
    _refuse_other(output)
    catalog, declared = catalogs.load(base), declaration.load(base / declaration.FILE)
    with _beside(output) as scratch:
        draft = Draft(base, scratch / "draft", catalog, tags, progress)
        bundles = draft.bundles(declared)
        wheelhouse, found = draft.wheels() if wheels else ("", {})
        manifest = Manifest(
            version=draft.version,
            commit=commit,
            address=catalog.repository,
            products=draft.products(declared, bundles),
            functions=draft.functions(),
            bundles=bundles,
            wheelhouse=wheelhouse,
            wheels=found,
        )
        text = json.dumps(manifest.model_dump(), indent=2, sort_keys=True) + "\n"
        (draft.folder / MANIFEST).write_text(text, "utf-8", newline="\n")
        if output.exists():
            output.rename(scratch / "old")
        draft.folder.rename(output)
    return manifest


def _refuse_other(output: Path) -> None:
    """Raise SeedbedError if a folder holds what no release holds: all of it would be replaced."""
    try:
        other = sorted({path.name for path in output.iterdir()} - HOLDS) if output.exists() else []
    except OSError as error:
        raise SeedbedError(f"--output {output}: {error.strerror}: name another folder") from None
    if other:
        raise SeedbedError(
            f"--output {output}: holds {other[0]}, no release's: name another folder"
        )


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """Make a folder next to `output` for as long as it takes. Raises SeedbedError."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent)
    except OSError as error:
        what = f"--output {output}: cannot write to {output.parent}: {error.strerror}"
        raise SeedbedError(f"{what}: name another folder") from None
    with made as scratch:
        yield Path(scratch)


@dataclass(frozen=True)
class Draft:
    """A release in the making: each method writes one kind of file and returns what it wrote."""

    base: Path
    folder: Path
    catalog: Catalog
    tags: dict[str, str]  # version -> commit, the oldest first
    progress: Progress

    @property
    def version(self) -> str:
        return next(reversed(self.tags))

    def bundles(self, declared: Declaration) -> dict[str, Object]:
        """Write a git bundle for each template that a product is made from."""
        made = {}
        for name in dict.fromkeys(p.template for p in declared.products.values() if p.template):
            self.progress(f"bundle of {name}")
            catalogs.get(self.catalog, name)
            folder = f"templates/{name}"
            tags = {
                tag: commit
                for tag, commit in self.tags.items()
                if _git(self.base, "ls-tree", "--full-tree", commit, "--", folder)
            }
            content = bundle(self.base, ["copier.yml", folder], tags)
            made[name] = self._put("bundles", f"{name}.bundle", content)
        return made

    def functions(self) -> dict[str, Object]:
        """Write a zip for each folder of servicecatalog/functions."""
        return {
            name: self._put("functions", f"{name}.zip", code)
            for name, code in functions(self.base).items()
        }

    def products(
        self, declared: Declaration, bundles: Mapping[str, Object]
    ) -> dict[str, ProductObject]:
        """Write the template of each declared product."""
        made, prefix = {}, declared.assets.bucket
        for key, item in declared.products.items():
            self.progress(f"product {key}")
            bundled = bundles[item.template].key if item.template else ""
            text = self._product(key, item, self.version, bundled, prefix)
            if len(text.encode()) > TEMPLATE_LIMIT:
                raise SeedbedError(f"product {key}: more than {TEMPLATE_LIMIT} bytes: split it")
            source = self._content(item.template) if item.template else ""
            content = sha256(self._product(key, item, "", source, prefix).encode())
            stored = self._put("products", f"{key}.yml", text.encode())
            made[key] = ProductObject(**stored.model_dump(), content=content)
        return made

    def wheels(self) -> tuple[str, dict[str, Object]]:
        """Write the wheels of every template's lock; return their folder and files by name."""
        files = _wheels(self.base, self.folder.parent, self.progress)
        listing = "".join(f"{name} {sha256(content)}\n" for name, content in files.items())
        house = f"wheelhouse/{sha256(listing.encode())}/"
        return house, {name: self._write(f"{house}{name}", c) for name, c in files.items()}

    def _product(self, key: str, item: Product, version: str, bundled: str, prefix: str) -> str:
        """Return a product's template: made from the project's, or the one written by hand."""
        if not item.template:
            path = self.base / "servicecatalog" / "products" / f"{key}.yml"
            if not path.is_file():
                raise SeedbedError(f"product {key}: {path} is missing: write it or name a template")
            text = path.read_text("utf-8")
            template = cfn.load(text, str(path))
            before = copy.deepcopy(template)
            fixed = {"AssetBucketPrefix": prefix}
            product.set_defaults(key, template.get("Parameters", {}), item.defaults, fixed)
            return text if template == before else f"{MADE}\n{cfn.dump(template)}"
        infra = self.base / "templates" / item.template / BODY / "infra"
        files = {stem: _load(infra / f"{stem}.yml") for stem in STACKS}
        files["seed"] = _load(self.base / SEED)
        built = product.build(
            key,
            item.title,
            files,
            catalogs.questions(self.base, self.catalog.templates[item.template]),
            defaults=item.defaults,
            release={
                "Name": item.template,
                "Version": version,
                "Address": self.catalog.repository,
                "Bundle": bundled,
            },
        )
        return f"{MADE}\n{cfn.dump(built)}"

    def _content(self, template: str) -> str:
        """Return a hash of a template's files, without the version that compose wrote there."""
        folder = f"templates/{template}"
        listing = _git(self.base, "ls-tree", "-rz", "--full-tree", "HEAD", "--", folder)
        lines = []
        for entry in filter(None, listing.split("\0")):  # by their paths, as git keeps a tree
            what, path = entry.split("\t")
            if path.endswith("/.copier-answers.yml"):
                text = _git(self.base, "cat-file", "blob", what.split()[2])
                what = sha256(re.sub(r"(?m)^_commit: .*$", "", text).encode())
            lines.append(f"{what} {path}\n")
        return sha256("".join(lines).encode())

    def _put(self, kind: str, name: str, content: bytes) -> Object:
        return self._write(f"{kind}/{sha256(content)}/{name}", content)

    def _write(self, key: str, content: bytes) -> Object:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return Object(key=key, sha256=sha256(content), size=len(content))


def functions(base: Path) -> dict[str, bytes]:
    """Return the zip of each folder of servicecatalog/functions, as it is committed."""
    listed = _git(base, "ls-tree", "-rz", "--name-only", "HEAD", "--", f"{FUNCTIONS}/")
    files: dict[str, dict[str, bytes]] = {}
    for path in filter(None, listed.split("\0")):
        name, inner = path.removeprefix(f"{FUNCTIONS.as_posix()}/").split("/", 1)
        files.setdefault(name, {})[inner] = (base / path).read_bytes()
    return {name: zipped(code) for name, code in sorted(files.items())}


def function_key(name: str, code: bytes) -> str:
    """Return the key in the asset bucket of a function's zip."""
    return f"functions/{sha256(code)}/{name}.zip"


def read(folder: Path) -> Manifest:
    """Return the manifest in `folder` after each file was held against its hash.

    Raises:
        SeedbedError: there is none, or a file is missing or not what the manifest says.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SeedbedError(f"{path}: missing; run `seedbed package` first") from None
    except OSError as error:
        raise SeedbedError(f"{path}: {error.strerror}: package again") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "not a manifest"
        raise SeedbedError(f"{path}: {where}: {first['msg']}: package again") from None
    for item in manifest.objects():
        file = folder / item.key
        if not file.is_file() or sha256(file.read_bytes()) != item.sha256:
            raise SeedbedError(f"{file}: missing or changed since it was packaged: package again")
    return manifest


def _load(path: Path) -> cfn.Template:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SeedbedError(f"{path}: missing; run `seedbed compose`") from None
    return cfn.load(text.removeprefix("{% raw %}").removesuffix("{% endraw %}"), str(path))


def _versions(base: Path, version: str | None) -> tuple[str, dict[str, str]]:
    """Return HEAD's commit, and version -> commit of every release up to it, the oldest first."""
    if changed := _git(
        base, "status", "--porcelain", "--", "layers", "templates", "servicecatalog"
    ):
        first = changed.splitlines()[0][3:]
        raise SeedbedError(f"{first}: not committed: a release is a commit; commit or remove it")
    commit = _git(base, "rev-parse", "HEAD")
    merged = _git(base, "tag", "--merged", "HEAD", "--list", "v*").split()
    tags = {tag: _git(base, "rev-parse", f"{tag}^{{commit}}") for tag in merged if _version(tag)}
    at_head = [tag for tag, at in tags.items() if at == commit]
    if version is None:
        if not at_head:
            major, minor, patch = (*max(map(Version, tags), default=Version("0")).release, 0, 0)[:3]
            after = f"v{major}.{minor}.{patch + 1}"
            example = f"`git tag {after}`, or give --version {after}"
            raise SeedbedError(f"HEAD {commit[:12]} has no version tag: {example}")
        version = max(at_head, key=Version)
    elif not re.fullmatch(VERSION, version) or not _version(version):
        raise SeedbedError(f"--version is {version!r}: write a version such as v0.2.0")
    elif tags.get(version, commit) != commit:
        raise SeedbedError(f"--version {version} is the tag of another commit: choose a new one")
    ordered = sorted({*tags, version}, key=Version)
    if ordered[-1] != version:
        raise SeedbedError(f"version {version} is older than {ordered[-1]}: choose a newer one")
    return commit, {tag: tags.get(tag, commit) for tag in ordered}


def _version(tag: str) -> bool:
    try:
        Version(tag)
    except InvalidVersion:
        return False
    return True


def _git(base: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 (git, with words of ours)
        ["git", *words],  # noqa: S607 (the user's own git)
        cwd=base,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SeedbedError(f"{base}: git {words[0]} failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip("\n")


def for_image(lock: str) -> str:
    """Return what of a lock CodeBuild's image installs: pip judges markers by its own Python."""
    kept = []
    for block in re.split(r"\n(?=\S)", lock.strip()):
        name, _, rest = block.partition(" \\\n")
        requirement, _, marker = name.partition(" ; ")
        if not marker or Marker(marker).evaluate(IMAGE):
            kept.append(f"{requirement} \\\n{rest}")
    return "\n".join(kept) + "\n"


def _wheels(base: Path, scratch: Path, progress: Progress) -> dict[str, bytes]:
    """Return the wheels of every lock, by file name: the locks' hashes hold them."""
    found_locks = [
        *(base / "templates").glob(f"*/{BODY}/requirements.lock"),
        *(base / FUNCTIONS).glob("*/requirements.lock"),
        base / TOOLS,
    ]
    locks = {lock.read_bytes(): lock for lock in sorted(found_locks)}
    folder, ours = scratch / "wheels", scratch / "image.lock"
    for lock in locks.values():
        progress("wheels (some minutes)")
        ours.write_text(for_image(lock.read_text("utf-8")), "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--python-version", WHEEL_PYTHON]
        command += [word for platform in PLATFORMS for word in ("--platform", platform)]
        done = subprocess.run(  # noqa: S603 (pip, with words of ours)
            [*command, "--dest", str(folder), "--requirement", str(ours)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            where = lock.relative_to(base)
            why = _pip_error(done.stderr)
            how = "look at the package index, then run again"
            raise SeedbedError(f"wheels of {where}: {why}: {how}")
    found = {path.name: path.read_bytes() for path in sorted(folder.glob("*.whl"))}
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _pip_error(said: str) -> str:
    """Return pip's last error in one line, and the network's reason, which pip does not repeat."""
    _, _, error = said.rpartition("ERROR: ")
    line = " ".join(error.split()) or "pip said nothing"
    broken = re.findall(r"connection broken by '(.+)': /", said)
    return f"{line} ({broken[-1]})" if broken else line
