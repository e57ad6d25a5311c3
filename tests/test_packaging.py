"""What a release holds: the same bytes anywhere, one product for each project's files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cfnlint
import pytest
import yaml
from conftest import commit, git, make_repository, tree

from seedbed import catalog, cfn, declaration, packaging
from seedbed.errors import SeedbedError
from seedbed.packaging import product
from seedbed.packaging.release import for_image

PSEUDO = {
    f"AWS::{name}"
    for name in ("AccountId", "NoValue", "Partition", "Region", "StackId", "URLSuffix")
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("source") / "repository", "v0.2.0")


@pytest.fixture(scope="module")
def release(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "dist"
    packaging.package(source, folder)
    return folder


@pytest.fixture(scope="module")
def manifest(release: Path) -> packaging.Manifest:
    return packaging.read(release)


def products(release: Path) -> dict[str, dict[str, Any]]:
    files = {path.stem: path for path in release.glob("products/*/*.yml")}
    return {name: cfn.load(path.read_text(), name) for name, path in files.items()}


def of_templates(release: Path) -> dict[str, dict[str, Any]]:
    declared = declaration.load(catalog.CHECKOUT / declaration.FILE).products
    return {key: body for key, body in products(release).items() if declared[key].template}


def strings(value: Any) -> Any:
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


# The folder


def test_the_same_commit_gives_the_same_bytes_anywhere(source, release, tmp_path):
    """Another path, time zone, locale, umask and order of files make no difference."""
    elsewhere = tmp_path / "über all"
    git(tmp_path, "clone", "--quiet", str(source), str(elsewhere))
    for path in sorted(elsewhere.rglob("*"), reverse=True):
        if path.is_file() and ".git" not in path.parts:
            path.write_bytes(path.read_bytes())  # rewritten: other times, another order on disk
    script = (
        "import os, sys; from pathlib import Path; from seedbed import packaging; os.umask(0o077);"
        "packaging.package(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    environment = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8"}
    environment["PYTHONHASHSEED"] = "7"
    command = [sys.executable, "-c", script, str(elsewhere), str(tmp_path / "dist")]
    subprocess.run(command, check=True, env=environment)
    ours, theirs = tree(release), tree(tmp_path / "dist")
    assert {path: content for path, (_, content) in ours.items()} == {
        path: content for path, (_, content) in theirs.items()
    }


def test_every_key_holds_its_contents_hash(manifest):
    assert manifest.products
    assert manifest.bundles
    for item in manifest.objects():
        assert item.sha256 in item.key


def test_a_changed_file_is_noticed(release, tmp_path):
    folder = tmp_path / "dist"
    shutil.copytree(release, folder)
    next(folder.glob("bundles/*/*")).write_bytes(b"other")
    with pytest.raises(SeedbedError, match="missing or changed since it was packaged"):
        packaging.read(folder)


def test_a_version_alone_changes_no_content(source, manifest, tmp_path):
    folder = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(source), str(folder))
    for answers in folder.glob("templates/*/*/.copier-answers.yml"):
        answers.write_text(answers.read_text().replace("v0.1.0", "v0.3.0"))
    commit(folder, "v0.3.0")
    next_one = packaging.package(folder, tmp_path / "dist")
    assert next_one.products.keys() == manifest.products.keys()
    for key, item in next_one.products.items():
        assert item.content == manifest.products[key].content


def test_a_changed_template_changes_its_own_products_only(source, manifest, tmp_path):
    folder = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(source), str(folder))
    declared = declaration.load(folder / declaration.FILE).products
    template = next(item.template for item in declared.values() if item.template)
    with next(folder.glob(f"templates/{template}/*/Makefile")).open("a") as file:
        file.write("# more\n")
    commit(folder, "v0.3.0")
    changed = packaging.package(folder, tmp_path / "dist").products
    for key, item in changed.items():
        same = item.content == manifest.products[key].content
        assert same == (declared[key].template != template), key


def test_what_the_declaration_says_reaches_the_products_written_by_hand(source, tmp_path):
    folder = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(source), str(folder))
    path = folder / declaration.FILE
    said = yaml.safe_load(path.read_text()) | {"assets": {"bucket": "our-assets"}}
    domain = said["portfolios"]["admin"]["products"]["studio-domain"]
    domain["defaults"] = {"IdleMinutes": "90"}
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    commit(folder, "v0.3.0")
    packaging.package(folder, tmp_path / "dist")
    asked = products(tmp_path / "dist")["studio-domain"]["Parameters"]
    assert asked["AssetBucketPrefix"]["Default"] == "our-assets"
    assert asked["IdleMinutes"]["Default"] == "90"
    domain["defaults"] = {"IdleMinutes": "5"}
    path.write_text(yaml.safe_dump(said, sort_keys=False))
    commit(folder, "v0.4.0")
    with pytest.raises(SeedbedError, match="studio-domain: defaults: IdleMinutes is '5'"):
        packaging.package(folder, tmp_path / "dist")


def test_a_function_is_a_plain_zip_of_its_folder(release):
    for path in release.glob("functions/*/*.zip"):
        with zipfile.ZipFile(path) as archive:
            folder = catalog.CHECKOUT / "servicecatalog" / "functions" / path.stem
            for name in archive.namelist():
                assert archive.read(name) == (folder / name).read_bytes()


def test_wheels_are_those_of_the_image_not_of_this_python():
    lock = (
        "a==1 ; python_full_version < '3.12' \\\n    --hash=sha256:1\n"
        "a==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:2\n"
        "b==1 ; sys_platform == 'win32' \\\n    --hash=sha256:3\n"
        "c==1 \\\n    --hash=sha256:4 \\\n    --hash=sha256:5\n"
    )
    assert for_image(lock) == (
        "a==2 \\\n    --hash=sha256:2\nc==1 \\\n    --hash=sha256:4 \\\n    --hash=sha256:5\n"
    )


def test_an_index_that_cannot_be_reached_is_told_with_the_cause(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple/")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(SeedbedError) as caught:
        packaging.package(source, tmp_path / "dist", wheels=True)
    said = str(caught.value)
    assert said.startswith("wheels of ")
    assert "requirements.lock: No matching distribution found for " in said
    assert "Connection refused" in said
    assert said.endswith(": look at the package index, then run again")
    assert "\n" not in said
    assert not (tmp_path / "dist").exists()


# Bundles


def test_a_project_from_the_bundle_follows_the_canonical_address(release, manifest, tmp_path):
    settings = tmp_path / "gitconfig"
    for name in manifest.bundles:
        path = next(release.glob(f"bundles/*/{name}.bundle"))
        address = manifest.address
        settings.write_text(
            f'[url "{path}"]\n insteadOf = {address}\n[user]\n name=T\n email=t@e\n'
        )
        project = tmp_path / name
        # A process of its own: Copier's git sees the environment in which Python started.
        words = ["copy", "--defaults", "--quiet", "--vcs-ref=v0.2.0", "--data", f"template={name}"]
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(settings)}
        environment["COPIER_CACHE_DIR"] = str(tmp_path / f"cache-{name}")
        command = [sys.executable, "-m", "copier", *words, address, str(project)]
        subprocess.run(command, check=True, env=environment)
        answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
        assert (answers["_src_path"], answers["_commit"]) == (address, "v0.2.0")
        assert (project / "pipeline" / "data_source.py").is_file()


def test_a_bundle_holds_every_release_of_its_template_and_nothing_else(source, tmp_path):
    folder = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(source), str(folder))
    commit(folder, "v0.3.0")
    made = packaging.package(folder, tmp_path / "dist")
    name = next(iter(made.bundles))
    path = next((tmp_path / "dist").glob(f"bundles/*/{name}.bundle"))
    git(tmp_path, "clone", "--quiet", str(path), "clone")
    assert git(tmp_path / "clone", "tag").split() == ["v0.2.0", "v0.3.0"]
    top = {p.name for p in (tmp_path / "clone").iterdir()} - {".git"}
    assert top == {"copier.yml", "templates"}
    assert [p.name for p in (tmp_path / "clone" / "templates").iterdir()] == [name]


# Products


def test_every_reference_of_a_product_leads_somewhere(release):
    for name, body in products(release).items():
        known = {*body.get("Parameters", {}), *body["Resources"], *PSEUDO}
        found: set[str] = set()

        def look(part: dict[str, Any], found: set[str] = found) -> dict[str, Any]:
            found.update({part["Ref"]} if list(part) == ["Ref"] else ())
            return part

        cfn.walk(body["Resources"], look)
        assert found <= known, name


def test_sagemaker_injects_its_two_parameters_and_the_form_hides_them(release):
    for body in of_templates(release).values():
        groups = body["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        shown = [name for group in groups for name in group["Parameters"]]
        injected = {"SageMakerProjectName", "SageMakerProjectId"}
        assert injected <= set(body["Parameters"])
        assert set(shown) == set(body["Parameters"]) - injected
        assert len(shown) == len(set(shown))
        assert not any(text in ("${ProjectId}", "${ProjectName}") for text in strings(body))
        assert "Default" not in body["Parameters"]["SageMakerProjectName"]


def test_the_form_asks_for_model_and_data_first_and_the_network_last(release):
    for name, body in of_templates(release).items():
        groups = body["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        order = [group["Label"]["default"] for group in groups]
        assert order[0] == "Model", name
        assert order[-3:] == ["Model registry", "Project", "Network and guard rails"], name
        assert order[-4] == "Source", name
        asked = [p for p, rule in body["Parameters"].items() if "Default" not in rule]
        assert len(asked) <= 8, (name, asked)


def test_every_question_of_a_template_reaches_the_seed(release):
    declared = declaration.load(catalog.CHECKOUT / declaration.FILE).products
    templates = catalog.load(catalog.CHECKOUT).templates
    for key, body in of_templates(release).items():
        asked = catalog.questions(catalog.CHECKOUT, templates[declared[key].template])
        answers = body["Resources"]["Repository"]["Properties"]["Answers"]
        assert set(answers) == {name for name, q in asked.items() if not q.hidden}
        for value in answers.values():
            if list(value) == ["Ref"]:
                assert value["Ref"] in {*body["Parameters"], *PSEUDO}


def test_a_product_shows_the_parameters_of_its_own_data_access_only(release):
    forms = {key: set(body["Parameters"]) for key, body in of_templates(release).items()}
    shared = set.intersection(*forms.values())
    own = {key: form - shared for key, form in forms.items()}
    assert all(own.values())
    assert sum(len(form) for form in own.values()) == len(set.union(*own.values()))


def test_cfn_lint_finds_nothing_in_any_product(release):
    for path in release.glob("products/*/*.yml"):
        found = cfnlint.lint(path.read_text(), regions=["eu-west-1"])
        assert [str(match) for match in found] == [], path.name


def test_no_product_is_too_large_to_be_published(manifest):
    assert max(item.size for item in manifest.products.values()) < 1_000_000


# What is refused


FILES = {
    "project": {
        "Parameters": {"ProjectId": {"Type": "String"}},
        "Conditions": {"HasKey": {"Fn::Equals": ["a", "b"]}},
        "Resources": {"Key": {"Type": "AWS::KMS::Key", "Condition": "HasKey"}},
        "Outputs": {
            "KeyArn": {"Condition": "HasKey", "Value": {"Fn::GetAtt": ["Key", "Arn"]}},
            "Place": {"Value": {"Fn::Join": ["/", ["a", {"Ref": "ProjectId"}]]}},
        },
    },
    "build": {
        "Parameters": {name: {"Type": "String"} for name in ("KeyArn", "Place", "ProjectId")},
        "Conditions": {"HasKey": {"Fn::Equals": ["a", "b"]}},
        "Resources": {
            "Build": {
                "Type": "AWS::CodeBuild::Project",
                "Properties": {
                    "Name": {"Fn::Sub": "${ProjectId} in ${Place}"},
                    "EncryptionKey": {"Fn::If": ["HasKey", {"Ref": "KeyArn"}, "none"]},
                },
            }
        },
        "Outputs": {},
    },
}


def test_an_output_takes_the_place_of_the_parameter_that_it_is_linked_to():
    merged = product.merge("p", FILES)
    build = merged["Resources"]["Build"]["Properties"]
    place = {"Fn::Join": ["/", ["a", {"Ref": "SageMakerProjectId"}]]}
    assert list(merged["Parameters"]) == ["SageMakerProjectId"]
    assert build["EncryptionKey"] == {"Fn::If": ["HasKey", {"Fn::GetAtt": ["Key", "Arn"]}, "none"]}
    assert build["Name"] == {"Fn::Sub": ["${SageMakerProjectId} in ${Place}", {"Place": place}]}


@pytest.mark.parametrize(
    ("file", "section", "entry", "says"),
    [
        ("build", "Resources", {"Key": {"Type": "AWS::KMS::Key"}}, "Resources Key"),
        ("build", "Parameters", {"ProjectId": {"Type": "Number"}}, "Parameters ProjectId"),
        ("build", "Conditions", {"HasKey": {"Fn::Equals": [1, 2]}}, "Conditions HasKey"),
        ("build", "Conditions", {"IsX": {"Fn::Equals": [{"Ref": "KeyArn"}, ""]}}, "an output"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(file, section, entry, says):
    broken = json.loads(json.dumps(FILES))
    broken[file].setdefault(section, {}).update(entry)
    with pytest.raises(SeedbedError, match=says):
        product.merge("p", broken)


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        ("", {"version": "latest"}, "write a version"),
        ("", {"version": "v0.1.9"}, "older than v0.2.0"),
        ("commit", {}, "has no version tag: `git tag v0.2.1`"),
        ("commit", {"version": "v0.2.0"}, "the tag of another commit"),
        ("edit", {}, "not committed"),
        ("defaults: {VpcId: vpc}", {}, "VpcId is 'vpc': it must be"),
        ("defaults: {VpcName: a}", {}, "VpcName is no parameter"),
        ("template: model-build-s4", {}, "there is no 'model-build-s4'"),
    ],
)
def test_what_cannot_be_released_is_told_and_nothing_is_written(
    source, tmp_path, change, arguments, says
):
    folder = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", str(source), str(folder))
    file = folder / declaration.FILE
    if change == "edit":
        file.write_text(file.read_text() + "\n")
    elif change == "commit":
        commit(folder)
    elif change:
        template = "        template: model-build-s3\n"
        new = f"        {change}\n" if "template" in change else f"{template}        {change}\n"
        file.write_text(file.read_text().replace(template, new))
        commit(folder, "v0.3.0")
    with pytest.raises(SeedbedError, match=says):
        packaging.package(folder, tmp_path / "dist", **arguments)
    assert {path.name for path in tmp_path.iterdir()} == {"repository"}


def test_a_folder_of_something_else_is_never_replaced(source, tmp_path):
    """Not even one with a manifest.json of its own, as web pages have."""
    (tmp_path / "dist").mkdir()
    for name in ("thesis.txt", "manifest.json"):
        (tmp_path / "dist" / name).write_text("mine")
    with pytest.raises(SeedbedError, match=r"dist: holds thesis\.txt, no release's"):
        packaging.package(source, tmp_path / "dist")
    assert (tmp_path / "dist" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("below", ["file", "file/dist"])
def test_an_output_that_cannot_be_a_folder_is_named(source, tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SeedbedError, match=f"--output .*{below}: .*: name another folder"):
        packaging.package(source, tmp_path / below)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: "{", "not a manifest: .*: package again"),
        (lambda _: "[]", "not a manifest: .*: package again"),
        (lambda _: "{}", "version: Field required: package again"),
        (lambda text: text.replace('"v0.2.0"', '"latest"'), "version: .* no version such as"),
        (lambda text: text.replace('"functions/', '"../../'), "functions.seed.key: String should"),
    ],
)
def test_a_broken_manifest_is_named(release, tmp_path, change, says):
    text = (release / packaging.MANIFEST).read_text()
    (tmp_path / packaging.MANIFEST).write_text(change(text))
    with pytest.raises(SeedbedError, match=says) as caught:
        packaging.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_manifests_place_is_named(tmp_path):
    (tmp_path / packaging.MANIFEST).mkdir()
    with pytest.raises(SeedbedError, match=r"manifest\.json: Is a directory"):
        packaging.read(tmp_path)
