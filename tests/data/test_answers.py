"""An answer that YAML would read as something else is the same text in the project's config."""

from __future__ import annotations

import pytest
import yaml
from conftest import TEMPLATES, born

ODD = {
    "project_name": "NO",
    "owner": "Åsa Öberg: a=b",
    "target_column": "null",
    "model_package_group": "2024-01-01",
}


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("route", ["folder", "cookiecutter"])
def test_odd_words_stay_what_they_are(route, template, tmp_path, repository):
    project = born(route, template, tmp_path / "project", repository, ODD)
    text = (project / "config" / "dev.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert config["project"] == {"name": "no", "owner": ODD["owner"]}
    assert config["problem"]["target_column"] == ODD["target_column"]
    assert config["registry"]["model_package_group"] == ODD["model_package_group"]
    assert ODD["owner"] in text  # as a person wrote it, without escapes
    data = yaml.safe_load((project / "config" / "data.yml").read_text(encoding="utf-8"))
    assert all(isinstance(data[key], str) for key in ("catalog", "workgroup") if key in data)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"github_actions": True, "git_host": "gitlab"}, "github_actions"),
        ({"gate_threshold": "010"}, "gate_threshold"),
    ],
)
def test_answers_that_contradict_each_other_or_yaml_are_refused(
    answers, says, tmp_path, repository
):
    with pytest.raises(ValueError, match=says):
        born("folder", TEMPLATES[0], tmp_path / "project", repository, answers)
    assert not (tmp_path / "project").exists()
