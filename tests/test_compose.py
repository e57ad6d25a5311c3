"""templates/ is what layers/ say, and the layers stay readable."""

import re
import shutil
from pathlib import PurePosixPath

import pytest
from conftest import ROOT, make_repository

from seedbed import compose
from seedbed.errors import SeedbedError


def test_the_checkout_is_as_composed():
    assert compose.drift(ROOT, compose.compose(ROOT)) == []


@pytest.fixture
def checkout(tmp_path):
    return make_repository(tmp_path / "repository", "v0.1.0")


def some(tree, name):
    return next(path for path in tree if path.name == name)


def test_drift_names_changed_missing_and_left_over_files(checkout):
    tree = compose.compose(checkout)
    compose.write(checkout, tree)
    changed, missing = some(tree, "Makefile"), some(tree, "cookiecutter.json")
    left_over = missing.parent / "old.txt"
    (checkout / changed).write_text("edited")
    (checkout / missing).unlink()
    (checkout / left_over).write_text("old")
    assert compose.drift(checkout, tree) == sorted(map(str, (changed, missing, left_over)))
    compose.write(checkout, tree)
    assert compose.drift(checkout, tree) == []
    assert not (checkout / left_over).exists()


def test_a_later_layer_overlays_a_whole_file_and_modes_are_kept(checkout):
    (checkout / "layers" / "data-s3" / "Makefile").write_text("overlaid: {{ x }}\n")
    (checkout / "layers" / "data-s3" / "run.sh").write_text("#!/bin/sh\n")
    (checkout / "layers" / "data-s3" / "run.sh").chmod(0o755)
    tree = compose.compose(checkout)
    assert tree[some(tree, "Makefile")].content == b"{% raw %}overlaid: {{ x }}\n{% endraw %}"
    assert tree[some(tree, "run.sh")].executable


def test_a_missing_layer_is_named(checkout):
    shutil.rmtree(checkout / "layers" / "data-s3")
    with pytest.raises(SeedbedError, match="data-s3"):
        compose.compose(checkout)


def test_a_misspelt_field_of_the_catalog_is_named(checkout):
    path = checkout / "layers" / "catalog.yml"
    path.write_text(path.read_text().replace("title:", "titel:"))
    with pytest.raises(SeedbedError, match=r"catalog.yml: templates.*titel"):
        compose.compose(checkout)


def test_jinja_stays_within_its_budget():
    files = sorted((ROOT / "layers").rglob("*.jinja"))
    plain = [path for path in (ROOT / "layers").rglob("*") if path.is_file() and path not in files]
    lines = [line for path in files + plain for line in _lines(path)]
    rendered = [line for path in files for line in _lines(path)]
    jinja = [line for line in rendered if "{{" in line or "{%" in line]
    assert len(jinja) <= 0.08 * len(lines)
    assert sum("{%" in line for line in rendered) <= 0.03 * len(lines)


def _lines(path: PurePosixPath) -> list[str]:
    try:
        return path.read_text().splitlines()
    except UnicodeDecodeError:
        return []


def test_no_layer_tells_which_data_source_a_project_has():
    shared = [ROOT / "layers" / "base", ROOT / "layers" / "model-build"]
    for path in (path for folder in shared for path in folder.rglob("*.py")):
        assert not re.search(r"athena|datazone|featurestore", path.read_text(), re.IGNORECASE), path
