"""Settings are read once; a wrong one is one line that names it, its value and the remedy."""

import pytest
import yaml

from pipeline.settings import PROBLEMS, ROOT, Settings, SettingsError, partition

CLOUD = {
    "ARTIFACT_BUCKET": "my-bucket",
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:111122223333:key/1234-abcd",
    "EXECUTION_ROLE_ARN": "arn:aws:iam::111122223333:role/path/Execution",
}
WRONG = {
    "project.name": ["a name with spaces", "-x", "x" * 64, None],
    "project.owner": ["", "semi;colon"],
    "aws.region": ["Ireland", "xx-west-1"],
    "aws.instance_type": ["m5.xlarge", "ml.m5"],
    "problem.type": ["classification", 7],
    "problem.target_column": ["", ["a"]],
    "gate.metric": ["aucc", "rmse"],
    "gate.threshold": ["high", True, 90, float("nan")],
    "split.ratios": [[0.5, 0.5], [0.7, 0.2, 0.2], [1.0, 0.0, 0.0], "0.7,0.2,0.1", ["a", "b", "c"]],
    "split.seed": [-1, 1.5, "42", 2**31],
    "training.rounds": [0, 2.5],
    "training.max_depth": [0],
    "training.learning_rate": [0, 1.5, "fast"],
    "training.subsample": [0],
    "registry.model_package_group": ["a_b"],
    "cache": ["30 days", "P", 30],
    "data": [None, "s3://bucket"],
}


@pytest.fixture
def project(tmp_path):
    """A folder with the project's own configuration, for a test to change."""

    def change(**values):
        config = yaml.safe_load((ROOT / "config" / "dev.yml").read_text())
        config["problem"]["type"] = "binary_classification"
        config |= {"gate": {"metric": "auc", "threshold": 0.9}, "cache": "P30D"}
        for path, value in values.items():
            block, _, key = path.partition(".")
            if key:
                config.setdefault(block, {})[key] = value
            else:
                config[block] = value
        (tmp_path / "config").mkdir(exist_ok=True)
        for name in ("data.yml", "container.json"):
            (tmp_path / "config" / name).write_text((ROOT / "config" / name).read_text())
        (tmp_path / "config" / "dev.yml").write_text(yaml.safe_dump(config))
        return tmp_path

    return change


def load(root, env="dev", **environ):
    return Settings.load(env, environ, root)


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_the_projects_own_settings_are_right(env):
    settings = Settings.load(env, environ={})
    assert settings.gate.metric in PROBLEMS[settings.problem_type].metrics


@pytest.mark.parametrize(
    ("where", "value"), [(where, value) for where, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_named_with_its_remedy(project, where, value):
    with pytest.raises(SettingsError) as error:
        load(project(**{where: value}))
    line = str(error.value)
    assert where in line
    assert "write" in line
    assert "\n" not in line


@pytest.mark.parametrize("where", ["gate.treshold", "training.depth", "gates"])
def test_a_key_that_nothing_reads_is_named(project, where):
    with pytest.raises(SettingsError, match=f"{where} is no setting: use one of"):
        load(project(**{where: 1}))


def test_a_missing_file_and_a_broken_one_are_told_apart(project):
    root = project()
    with pytest.raises(
        SettingsError, match=r"config/qa.yml does not exist: --env takes one of dev"
    ):
        load(root, "qa")
    (root / "config" / "dev.yml").write_text("project: [")
    with pytest.raises(SettingsError, match=r"config/dev.yml cannot be read .*line"):
        load(root)


@pytest.mark.parametrize("env", ["data", "../config/dev", "container"])
def test_what_is_no_environment_is_refused(project, env):
    with pytest.raises(SettingsError, match=r"does not exist: --env takes one of dev$"):
        load(project(), env)


def test_a_missing_value_and_a_missing_file_are_told_as_such(project):
    root = project(registry={})
    with pytest.raises(SettingsError, match=r"registry.model_package_group is missing: write"):
        load(root)
    (root / "config" / "data.yml").unlink()
    with pytest.raises(SettingsError, match=r"config/data.yml does not exist: bring it back"):
        load(root)


def test_a_block_that_stands_twice_is_refused(project):
    """YAML would take the second: a gate could be lowered where nobody looks."""
    root = project()
    with (root / "config" / "dev.yml").open("a") as file:
        file.write("gate: {metric: auc, threshold: 0.1}\n")
    with pytest.raises(SettingsError, match=r"config/dev.yml .*gate stands twice, again in line"):
        load(root)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"registries": 1}'])
def test_a_broken_description_of_the_image_is_one_line(project, text):
    path = project() / "config" / "container.json"
    path.write_text(text) if text else path.unlink()
    with pytest.raises(SettingsError, match=r"config/container.json cannot be used .*git"):
        load(path.parent.parent)


def test_an_environments_file_changes_only_what_it_names(project):
    root = project()
    (root / "config" / "prod.yml").write_text("gate: {threshold: 0.95}\ncache: off\n")
    dev, prod = load(root), load(root, "prod")
    assert (prod.gate.threshold, prod.gate.metric) == (0.95, dev.gate.metric)
    assert (dev.cache, prod.cache) == ("P30D", None)


def test_placeholders_are_obvious_and_known_as_such(project):
    cloud = load(project()).cloud
    assert cloud.missing == tuple(CLOUD)
    for value in (cloud.bucket, cloud.kms_key, cloud.role):
        assert "000000000000" in value


def test_the_cloud_comes_from_the_environment(project):
    network = {"SUBNET_IDS": "subnet-1, subnet-2", "SECURITY_GROUP_IDS": "sg-1"}
    cloud = load(project(), **CLOUD, **network, GIT_COMMIT="abc123").cloud
    assert cloud.missing == ()
    assert (cloud.bucket, cloud.git_commit) == ("my-bucket", "abc123")
    assert (cloud.subnets, cloud.security_groups) == (("subnet-1", "subnet-2"), ("sg-1",))


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("ARTIFACT_BUCKET", "s3://my-bucket", "ARTIFACT_BUCKET"),
        ("KMS_KEY_ARN", "alias/key", "KMS_KEY_ARN"),
        ("EXECUTION_ROLE_ARN", "Execution", "EXECUTION_ROLE_ARN"),
        ("SUBNET_IDS", "vpc-1", "SUBNET_IDS"),
        ("SUBNET_IDS", "subnet-1", "SECURITY_GROUP_IDS"),
        ("GIT_COMMIT", "two words", "GIT_COMMIT"),
    ],
)
def test_a_wrong_variable_is_named(project, name, value, named):
    with pytest.raises(SettingsError, match=f"environment: {named} is "):
        load(project(), **{**CLOUD, name: value})


@pytest.mark.parametrize(
    ("region", "domain"), [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")]
)
def test_the_image_is_the_regions(project, region, domain):
    image = load(project(**{"aws.region": region})).image
    assert f".dkr.ecr.{region}.{domain}/" in image.uri
    assert image.uri.endswith(f":{image.version}")


def test_each_region_has_its_partition():
    regions = ["eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"]
    partitions = ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"]
    assert [partition(region) for region in regions] == partitions
