"""Projects' repositories seeded in the sandbox: the seeder's stack, and stacks that ask it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, git
from package_index import Index, cut_off, served, trust, wheels
from seeding import ADDRESS, FUNCTION, TEMPLATE, core, packed, two_releases
from waiting import until

from seedbed import cfn
from seedbed.packaging import archive
from seedbed.sandbox.fixture import start

BUCKET = "seedbed-assets-222222222222-eu-west-1"
SEEDER = (ROOT / "servicecatalog" / "spoke" / "seeder.yml").read_text()
PARTS = ROOT / "servicecatalog" / "products" / "parts" / "seed.yml"
ALL = ["CAPABILITY_NAMED_IAM"]
ID = "0a1b2c3d4e5f60718"
NETWORK = {"VpcId": f"vpc-{ID}", "SubnetIds": f"subnet-{ID}", "SecurityGroupIds": f"sg-{ID}"}
READERS = {"Principal": {"AWS": "arn:aws:iam::333333333333:root"}, "Effect": "Allow"}


def settle(client: Any, name: str, within: float = 180) -> dict[str, Any]:
    """Wait until nothing is under way; return the stack."""
    return until(
        lambda: client.describe_stacks(StackName=name)["Stacks"][0],
        lambda stack: not stack["StackStatus"].endswith("_IN_PROGRESS"),
        within,
    )


def why(client: Any, name: str) -> str:
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    told = [(one["LogicalResourceId"], one.get("ResourceStatusReason", "")) for one in events[::-1]]
    return "\n".join(f"{key}: {reason}" for key, reason in told if reason)


def given(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


@dataclass
class Spoke:
    """The account in which the seeder is deployed."""

    sandbox: Any
    client: Any
    bundle: str
    key: str  # of a project

    def product(self, version: str) -> str:
        """Return the fragment as a product of its own."""
        template = cfn.load(PARTS.read_text(), "seed.yml")
        template["Mappings"]["Release"]["Template"] = {
            "Name": TEMPLATE,
            "Version": version,
            "Address": ADDRESS,
            "Bundle": self.bundle,
        }
        seeding = template["Resources"]["Repository"]["Properties"]
        seeding["Answers"] = {"project_name": {"Ref": "ProjectName"}, "owner": "Risk EU"}
        return cfn.dump(template)

    def deploy(
        self, name: str, *, version: str = "v0.1.0", wait: bool = True, **changed: str
    ) -> dict[str, Any]:
        """Create or update a project's stack; return it once it has settled."""
        values = {
            "ProjectId": "p-abc123",
            "ProjectName": "churn",
            "GitHost": "codecommit",
            "RepositoryId": "churn",
            "ConnectionArn": "",
            "KmsKeyArn": self.key,
            **changed,
        }
        body = self.product(version)
        asked = {"StackName": name, "TemplateBody": body, "Parameters": given(values)}
        known = {one["StackName"] for one in self.client.describe_stacks()["Stacks"]}
        make = self.client.update_stack if name in known else self.client.create_stack
        made = make(**asked)
        return settle(self.client, made["StackId"]) if wait else dict(made)

    def clone(self, target: Path, name: str = "churn") -> Path:
        address = f"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/{name}"
        subprocess.run(
            ["git", "clone", "--quiet", address, str(target)],
            env=self.sandbox.git_environment("dev"),
            check=True,
        )
        return target

    def builds(self) -> list[dict[str, Any]]:
        client = self.sandbox.client("codebuild", "dev")
        ids = client.list_builds()["ids"]
        return list(client.batch_get_builds(ids=ids)["builds"]) if ids else []


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_releases(tmp_path_factory.mktemp("templates") / "seedbed")


@pytest.fixture(scope="module")
def release(templates: Path) -> dict[str, bytes]:
    """What a release puts into the asset bucket."""
    bundle = packed(templates, "v0.1.0")
    files = {path.name: path.read_bytes() for path in FUNCTION.glob("*.*") if path.is_file()}
    code = archive.zipped(files)
    return {
        f"bundles/{archive.sha256(bundle)}/{TEMPLATE}.bundle": bundle,
        f"functions/{archive.sha256(code)}/seed.zip": code,
    }


def deployed(sandbox: Any, release: dict[str, bytes], **chosen: str) -> Spoke:
    """Deploy the seeder of a release; return its account."""
    kms, s3 = (sandbox.client(name, "hub") for name in ("kms", "s3"))
    allowed = {**READERS, "Action": "kms:*", "Resource": "*"}
    root = {"Principal": {"AWS": "arn:aws:iam::222222222222:root"}}
    policy = {"Version": "2012-10-17", "Statement": [allowed, {**allowed, **root}]}
    key = kms.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    objects = {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    listing = {"Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}
    statements = [{**READERS, **objects}, {**READERS, **listing}]
    policy = {"Version": "2012-10-17", "Statement": statements}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    for name, content in release.items():
        s3.put_object(
            Bucket=BUCKET, Key=name, Body=content, ServerSideEncryption="aws:kms", SSEKMSKeyId=key
        )
    bundle, code, *_ = release
    client = sandbox.client("cloudformation", "dev")
    values = {"AssetBucketName": BUCKET, "AssetKeyArn": key, "SeedCodeKey": code, **chosen}
    client.create_stack(
        StackName="seedbed-spoke-seeder",
        TemplateBody=SEEDER,
        Parameters=given(values),
        Capabilities=ALL,
    )
    stack = settle(client, "seedbed-spoke-seeder")
    assert stack["StackStatus"] == "CREATE_COMPLETE", why(client, "seedbed-spoke-seeder")
    own = sandbox.client("kms", "dev").create_key()["KeyMetadata"]
    sandbox.client("kms", "dev").create_alias(
        AliasName="alias/seedbed-p-abc123", TargetKeyId=own["KeyId"]
    )
    return Spoke(sandbox, client, bundle, own["Arn"])


@pytest.fixture
def spoke(sandbox, release) -> Spoke:
    return deployed(sandbox, release)


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def test_a_project_in_codecommit_lives_on_its_own(spoke, templates, tmp_path, monkeypatch):
    stack = spoke.deploy("SC-1")
    assert stack["StackStatus"] == "CREATE_COMPLETE", why(spoke.client, "SC-1")
    assert outputs(stack)["RepositoryName"] == "churn"
    project = spoke.clone(tmp_path / "project")
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert (answers["_src_path"], answers["_commit"]) == (ADDRESS, "v0.1.0")
    assert answers["owner"] == "Risk EU"
    assert json.loads((project / core.MARKER).read_text())["project_id"] == "p-abc123"
    (studio,) = spoke.sandbox.client("sagemaker", "dev").list_code_repositories()[
        "CodeRepositorySummaryList"
    ]
    assert studio["GitConfig"]["RepositoryUrl"] == outputs(stack)["RepositoryUrl"]

    # An update of the product neither seeds nor builds.
    head = git(project, "rev-parse", "HEAD")
    stack = spoke.deploy("SC-1", version="v0.2.0")
    assert stack["StackStatus"] == "UPDATE_COMPLETE", why(spoke.client, "SC-1")
    assert len(spoke.builds()) == 1

    # An update to another branch looks whether the project is there, and is taken back if not.
    stack = spoke.deploy("SC-1", Branch="release")
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "has no branch release" in why(spoke.client, "SC-1")

    # The project outlives its stack, and is updated by Copier from a newer release.
    spoke.client.delete_stack(StackName="SC-1")
    assert settle(spoke.client, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    again = spoke.clone(tmp_path / "again")
    assert git(again, "rev-parse", "HEAD") == head
    newer = tmp_path / "newer.bundle"
    newer.write_bytes(packed(templates, "v0.1.0", "v0.2.0"))
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[url "{newer}"]\n insteadOf = {ADDRESS}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    command = [sys.executable, "-m", "copier", "update", "--defaults", str(again)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (again / "Makefile").read_text().endswith("# newer\n")
    assert (again / core.MARKER).exists()


def test_a_project_behind_a_connection_is_adopted_by_its_own_stacks_only(spoke):
    connections = spoke.sandbox.client("codeconnections", "dev")
    arn = connections.create_connection(ConnectionName="github", ProviderType="GitHub")[
        "ConnectionArn"
    ]
    spoke.sandbox.complete_connection(arn)
    repository = spoke.sandbox.git_repository("acme/churn")
    place = {"GitHost": "github", "RepositoryId": "acme/churn", "ConnectionArn": arn}

    # The seeder may use connections with Studio's tag only.
    connections.tag_resource(ResourceArn=arn, Tags=[{"Key": "sagemaker", "Value": "true"}])
    stack = spoke.deploy("SC-2", **place)
    assert stack["StackStatus"] == "CREATE_COMPLETE", why(spoke.client, "SC-2")
    assert outputs(stack)["RepositoryUrl"] == "https://github.com/acme/churn.git"
    heads = git(repository, "for-each-ref")

    # Another project finds it filled, and leaves it as it is.
    stack = spoke.deploy("SC-3", ProjectId="p-other", **place)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "is of project 'p-abc123'" in why(spoke.client, "SC-3")

    # The same project, created again, finds itself.
    spoke.client.delete_stack(StackName="SC-2")
    settle(spoke.client, spoke.client.describe_stacks()["Stacks"][0]["StackId"])
    stack = spoke.deploy("SC-4", **place)
    assert stack["StackStatus"] == "CREATE_COMPLETE", why(spoke.client, "SC-4")
    assert git(repository, "for-each-ref") == heads


def test_a_build_that_ends_before_it_can_answer_is_answered_for(spoke):
    stack = spoke.deploy("SC-1", wait=False)
    running = until(lambda: [b for b in spoke.builds() if b["buildStatus"] == "IN_PROGRESS"])
    spoke.sandbox.client("codebuild", "dev").stop_build(id=running[0]["id"])
    stack = settle(spoke.client, stack["StackId"])
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    told = why(spoke.client, "SC-1")
    assert "the seeding build ended as STOPPED" in told
    assert "log: https://" in told


def test_what_the_form_lets_through_is_refused_by_the_function(spoke):
    stack = spoke.deploy("SC-1", Branch="a..b")
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "Branch is 'a..b'" in why(spoke.client, "SC-1")
    assert spoke.builds() == []


# In a network of which nothing leaves


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Iterator[Index]:
    """An index of what the seeder's lock names."""
    folder = tmp_path_factory.mktemp("index")
    kept = wheels(folder / "wheels", FUNCTION / "requirements.lock")
    with served(kept, trust(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def private(index, tmp_path_factory) -> Iterator[Any]:
    """A sandbox whose builds reach this machine only, and have no cache."""
    with cut_off(index.trusted):
        made = start(tmp_path_factory.mktemp("private") / "sandbox")
    yield made
    made.stop()


@pytest.mark.parametrize("source", ["WheelhousePrefix", "PackageIndexUrl"])
def test_a_project_is_seeded_without_internet(private, release, index, source):
    private.reset()
    index.asked.clear()
    files = {path.name: path.read_bytes() for path in index.folder.iterdir()}
    house = f"wheelhouse/{archive.sha256(''.join(sorted(files)).encode())}/"
    held = release
    if source == "WheelhousePrefix":
        held = release | {f"{house}{name}": content for name, content in files.items()}
    given = {"WheelhousePrefix": house, "PackageIndexUrl": index.address}[source]
    spoke = deployed(private, held, **NETWORK, **{source: given})
    stack = spoke.deploy("SC-1")
    assert stack["StackStatus"] == "CREATE_COMPLETE", why(spoke.client, "SC-1")
    (branch,) = private.client("codecommit", "dev").list_branches(repositoryName="churn")[
        "branches"
    ]
    assert branch == "main"
    assert index.served() == (set() if source == "WheelhousePrefix" else set(files))
