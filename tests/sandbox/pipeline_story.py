"""What becomes of later releases, in minutes: `make pipeline`, not `make test`.

Eleven builds of 5 to 25 s each: two releases, one that is not what was approved, one taken back.
Then a release in a network without internet, by an index of its own, after a wrong address of it.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from package_index import cut_off, served, trust, wheels
from releases import PRODUCTS, PUBLISHER, checkout, started

from seedbed.catalog import CHECKOUT

S3 = "Model build from S3"
WHEELS = "servicecatalog/wheels.lock"  # uv
BUILD, RELEASE = (
    f"arn:aws:iam::222222222222:policy/seedbed-publish-{one}" for one in ("build", "release")
)
VERSIONED = "AWS's CodeBuild may ask for the version of the pipeline's object"
OLDER = "connections made before their service was renamed"
CREATING = "the sandbox makes products and versions at once: nothing is CREATING"
MINIMUM = "AWS's minimum for pipelines; with a clone there is nothing to fetch, and no ACL"
REPAIR = "for a bucket whose rules somebody changed: the stack of assets has them"
ELSEWHERE = "for the keys of other regions; here the statement SourceKey decides"
SHARED = {
    (f"{BUILD}#Source", "s3:GetObjectVersion"): VERSIONED,
    (f"{BUILD}#Clone", "codestar-connections:UseConnection"): OLDER,
}
PIPE = "seedbed-publish-pipeline/pipeline"
# What a role is granted and no release here used, each with the reason.
IDLE = {
    PUBLISHER: {
        **SHARED,
        (f"{RELEASE}#Catalog", "servicecatalog:DescribeProvisioningArtifact"): CREATING,
        (f"{RELEASE}#Cors", "s3:PutBucketCORS"): REPAIR,
        (f"{RELEASE}#Keys", "kms:Decrypt"): ELSEWHERE,
    },
    f"{PUBLISHER}-plan": SHARED,
    f"{PUBLISHER}-pipeline": {
        **{
            (f"{PIPE}#Bucket", f"s3:GetBucket{one}"): MINIMUM
            for one in ("Acl", "Location", "Versioning")
        },
        **{
            (f"{PIPE}#Sources", f"s3:{one}"): MINIMUM
            for one in ("GetObject", "GetObjectVersion", "PutObjectAcl")
        },
        **{
            (f"{PIPE}#UseKey", f"kms:{one}"): MINIMUM
            for one in ("Decrypt", "DescribeKey", "Encrypt")
        },
        (f"{PIPE}#Connection", "codestar-connections:UseConnection"): OLDER,
    },
}


def change(said):
    """Declare something else everywhere: what is new, other, and no more."""
    said["owner"] = "Another team"
    projects, admin = said["portfolios"]["projects"], said["portfolios"]["admin"]
    projects["description"] = "Other words"
    projects["permission_sets"].remove("MLEngineer")
    projects["tag_options"] = {}
    projects["shares"]["principals"] = False
    admin["shares"] = {"organization": True, "principals": True}
    product = projects["products"]["model-build-s3"]
    product["launch_role"] = "seedbed-launch-admin"
    del product["tag_updates"]
    projects["products"]["team-buckets"] = admin["products"].pop("team-buckets")


def retire(said):
    said["versions"] = {"active": 1, "deprecated": 0, "kept": 1}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    with started(tmp_path_factory.mktemp("story")) as hub:
        return story(hub, SimpleNamespace())


def story(hub, found):
    sandbox = hub.sandbox
    hub.approve(hub.tag("v0.1.0"))
    first = hub.git("rev-parse", "HEAD")
    found.first, found.at_first = hub.versions(), hub.published()

    hub.declare(change)
    later(hub, "later")
    number = hub.tag("v0.2.0")
    hub.asked(number)
    other = hub.tag("v0.2.1")  # of the same commit, which is thereby another version
    found.other = SimpleNamespace(
        status=hub.answer(number, "Approved"),
        tries=hub.tries(number),
        logs=hub.logs(number),
        dump=hub.published(),
    )
    hub.approve(other)
    found.second = hub.versions()

    hub.approve(hub.roll_back(first))
    found.back, found.at_back = hub.versions(), hub.published()

    hub.declare(retire)
    later(hub, "later still")
    hub.approve(hub.tag("v0.3.0"))
    found.third = hub.versions()
    found.roles, found.denied = sandbox.report()["roles"], sandbox.calls(decision="denied")
    return found


def later(hub, text):
    """Change a template."""
    (path,) = (hub.git.folder / "templates/model-build-s3").glob("*/Makefile")
    hub.push(path.relative_to(hub.git.folder), f"{path.read_text()}# {text}\n")


def others(versions):
    return {name: said for name, said in versions.items() if name != S3}


def test_another_manifest_than_the_approved_one_is_not_published(told):
    assert told.other.status == "Failed"
    assert told.other.tries[-2:] == [("Publish", "Failed")] * 2
    for log in told.other.logs[1:]:
        assert "dist/manifest.json: FAILED" in log
        assert "seedbed publish" not in log
    assert told.other.dump == told.at_first


def test_a_changed_template_is_one_new_version_and_one_deprecated(told):
    assert told.second[S3] == {"v0.1.0": "DEPRECATED", "v0.2.1": "DEFAULT"}
    assert others(told.second) == others(told.first)


def test_an_earlier_commit_offers_its_version_again(told):
    assert told.back[S3] == {"v0.1.0": "DEFAULT", "v0.2.1": "DEPRECATED"}
    assert others(told.back) == others(told.first)
    for kind in ("portfolios", "options"):
        assert told.at_back[kind] == told.at_first[kind]


def test_what_nobody_uses_goes(told):
    assert told.third[S3] == {"v0.3.0": "DEFAULT"}


def test_no_grant_is_missing_and_each_idle_one_has_its_reason(told):
    assert told.denied == []
    for role, reasons in IDLE.items():
        unused = told.roles[role]["unused"]
        idle = {(name, one) for name, actions in unused.items() for one in actions}
        assert idle == reasons.keys(), role


# In a network of which nothing leaves

ID = "0a1b2c3d4e5f60718"
NETWORK = {"VpcId": f"vpc-{ID}", "SubnetIds": f"subnet-{ID}", "SecurityGroupIds": f"sg-{ID}"}
NOWHERE = "https://127.0.0.1:9/simple"


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private")
    locks = checkout(folder / "locks") / "requirements/dev.lock", CHECKOUT / WHEELS
    kept, trusted = wheels(folder / "wheels", *locks), trust(folder)
    with served(kept, trusted) as index:
        environment = partial(cut_off, trusted)
        with started(folder, environment, PackageIndexUrl=NOWHERE, **NETWORK) as hub:
            return release_in_private(hub, index)


def release_in_private(hub, index):
    number, found = hub.tag("v0.1.0"), SimpleNamespace()
    found.wrong = SimpleNamespace(
        status=hub.ended(number), actions=hub.actions(number), logs=hub.logs(number)
    )
    hub.bootstrap(PackageIndexUrl=index.address)
    hub.retry(number, "Plan")
    hub.approve(number)
    found.versions, found.builds = hub.versions(), hub.builds(number)
    found.asked, found.held = index.served(), {path.name for path in index.folder.iterdir()}
    found.denied = hub.sandbox.calls(decision="denied")
    return found


def test_a_wrong_package_index_is_told_where_the_pipeline_is_looked_at(private):
    assert private.wrong.status == "Failed"
    _, *tries = private.wrong.actions
    assert [one["actionName"] for one in tries] == ["Plan", "Plan"]
    for one, log in zip(tries, private.wrong.logs, strict=True):
        told = one["output"]["executionResult"]["errorDetails"]["message"]
        assert "bootstrap the hub again with --set PackageIndexUrl=..." in told
        assert f"PackageIndexUrl is '{NOWHERE}'" in log


def test_a_release_needs_no_internet_but_an_index(private):
    assert len(private.versions) == len(PRODUCTS)
    assert all(one == {"v0.1.0": "DEFAULT"} for one in private.versions.values())
    assert {one["vpcConfig"]["vpcId"] for one in private.builds} == {NETWORK["VpcId"]}
    assert private.asked == private.held
    assert private.denied == []
