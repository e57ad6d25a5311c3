"""Connections: made, completed, and used by git under both names of the service."""

from __future__ import annotations

import json

import pytest
from access import allow, make_role, refused
from cfn_stacks import delete, settle
from test_git import Git

SERVICES = ("codeconnections", "codestar-connections")


def connect(sandbox, service="codeconnections", *, done=True):
    """Return the ARN of a connection to GitHub."""
    made = sandbox.client(service).create_connection(ConnectionName="c", ProviderType="GitHub")
    if done:
        sandbox.complete_connection(made["ConnectionArn"])
    return made["ConnectionArn"]


def url(arn, repository="owner/churn"):
    service, region, account, name = arn.split(":")[2:6]
    number = name.partition("/")[2]
    place = f"https://{service}.{region}.amazonaws.com/git-http"
    return f"{place}/{account}/{region}/{number}/{repository}.git"


@pytest.fixture
def git(sandbox, tmp_path):
    made = Git(sandbox, tmp_path)
    made("init", "--quiet", "--initial-branch=trunk", ".")
    made.commit("a", "1")
    return made


@pytest.mark.parametrize("service", SERVICES)
def test_a_connection_waits_for_a_person(sandbox, service):
    arn = connect(sandbox, service, done=False)
    assert arn.startswith(f"arn:aws:{service}:eu-west-1:333333333333:connection/")
    for name in SERVICES:
        found = sandbox.client(name).get_connection(ConnectionArn=arn)["Connection"]
        assert found["ConnectionStatus"] == "PENDING"
    sandbox.complete_connection(arn)
    found = sandbox.client(service).get_connection(ConnectionArn=arn)["Connection"]
    assert found == {
        "ConnectionName": "c",
        "ConnectionArn": arn,
        "ProviderType": "GitHub",
        "OwnerAccountId": "333333333333",
        "ConnectionStatus": "AVAILABLE",
    }
    sandbox.client(service).delete_connection(ConnectionArn=arn)
    with refused("ResourceNotFoundException", arn):
        sandbox.client(service).get_connection(ConnectionArn=arn)


@pytest.mark.parametrize("service", SERVICES)
def test_git_goes_through_a_connection(sandbox, git, service):
    arn = connect(sandbox, service)
    bare = sandbox.git_repository("owner/churn")
    git("push", "--quiet", url(arn), "trunk")
    assert git("-C", str(bare), "rev-parse", "HEAD") == git("rev-parse", "HEAD")
    git("clone", "--quiet", url(arn), "copy")
    assert (git.folder / "copy/a").read_text() == "1"
    pull, push = (
        sandbox.calls(service=service, operation="UseConnection")[number] for number in (-1, 0)
    )
    assert pull["params"]["ProviderAction"] == "GitPull"
    assert push["params"] == {
        "ConnectionArn": arn,
        "FullRepositoryId": "owner/churn",
        "ProviderAction": "GitPush",
    }


def test_a_pending_connection_refuses(sandbox, git):
    sandbox.git_repository("owner/churn")
    arn = connect(sandbox, done=False)
    assert "403" in git("ls-remote", url(arn), ok=False)
    sandbox.complete_connection(arn)
    git("ls-remote", url(arn))
    assert "not found" in git("ls-remote", url(arn, "owner/absent"), ok=False)
    assert "not found" in git("ls-remote", url(f"{arn[:-4]}0000"), ok=False)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("key", "said", "may"),
    [
        ("FullRepositoryId", "owner/churn", ("pull", "push")),
        ("FullRepositoryId", "owner/other", ()),
        ("ProviderPermissionsRequired", "read_only", ("pull",)),
        ("ProviderAction", "GitPush", ("push",)),
    ],
)
def test_the_use_of_a_connection_is_judged(sandbox, git, service, key, said, may):  # noqa: PLR0917
    sandbox.git_repository("owner/churn")
    arn = connect(sandbox, service)
    git("push", "--quiet", url(arn), "trunk")
    condition = {"StringEquals": {f"{service}:{key}": said}}
    make_role(sandbox, "user", allow(f"{service}:UseConnection", arn, Condition=condition))
    git.environment |= sandbox.git_environment(role="user")
    for way, words in (("pull", ("ls-remote", url(arn))), ("push", ("push", url(arn), "trunk:t"))):
        told = git(*words, ok=way in may)
        assert way in may or "403" in told


def test_an_action_of_the_other_name_allows_nothing(sandbox, git):
    sandbox.git_repository("owner/churn")
    arn = connect(sandbox, "codeconnections")
    make_role(sandbox, "user", allow("codestar-connections:UseConnection"))
    git.environment |= sandbox.git_environment(role="user")
    assert "403" in git("ls-remote", url(arn), ok=False)


def test_connections_are_listed_and_tagged(sandbox):
    client = sandbox.client("codeconnections")
    tags = [{"Key": "team", "Value": "ml"}]
    made = client.create_connection(ConnectionName="b", ProviderType="Bitbucket", Tags=tags)
    assert made["Tags"] == tags
    arn = connect(sandbox)
    found = client.list_connections(ProviderTypeFilter="GitHub")["Connections"]
    assert [one["ConnectionArn"] for one in found] == [arn]
    assert len(client.list_connections()["Connections"]) == 2
    client.tag_resource(ResourceArn=arn, Tags=[*tags, {"Key": "x", "Value": "y"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["x"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == tags


def test_hosts(sandbox):
    client = sandbox.client("codeconnections")
    said = {"ProviderType": "GitHubEnterpriseServer", "ProviderEndpoint": "https://git.example.com"}
    host = client.create_host(Name="h", **said)["HostArn"]
    client.update_host(HostArn=host, ProviderEndpoint="https://git.example.org")
    arn = client.create_connection(ConnectionName="c", HostArn=host)["ConnectionArn"]
    found = client.get_connection(ConnectionArn=arn)["Connection"]
    assert (found["HostArn"], found["ProviderType"]) == (host, "GitHubEnterpriseServer")
    sandbox.complete_connection(host)
    assert client.get_host(HostArn=host)["Status"] == "AVAILABLE"
    (listed,) = client.list_hosts()["Hosts"]
    assert listed["ProviderEndpoint"] == "https://git.example.org"
    with refused("ResourceUnavailableException", host):
        client.delete_host(HostArn=host)
    client.delete_connection(ConnectionArn=arn)
    client.delete_host(HostArn=host)
    assert client.list_hosts()["Hosts"] == []


def test_what_is_not_there_is_refused(sandbox):
    client = sandbox.client("codeconnections")
    with refused("NotImplementedInSandbox", "codeconnections:ListRepositoryLinks"):
        client.list_repository_links()
    with refused("ValidationException", "ProviderType"):
        client.create_connection(ConnectionName="c")


@pytest.mark.parametrize("kind", ["CodeConnections", "CodeStarConnections"])
def test_a_stack_makes_a_connection(sandbox, kind):
    said = {"ConnectionName": "c", "ProviderType": "GitHub", "Tags": [{"Key": "k", "Value": "v"}]}
    resources = {"C": {"Type": f"AWS::{kind}::Connection", "Properties": said}}
    outputs = {
        "Arn": {"Value": {"Ref": "C"}},
        "Status": {"Value": {"Fn::GetAtt": ["C", "ConnectionStatus"]}},
    }
    cf = sandbox.client("cloudformation")
    body = json.dumps({"Resources": resources, "Outputs": outputs})
    cf.create_stack(StackName="s", TemplateBody=body)
    stack = settle(cf, "s")
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    told = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert told["Status"] == "PENDING"
    client = sandbox.client(told["Arn"].split(":")[2])
    assert client.get_connection(ConnectionArn=told["Arn"])["Connection"]["ConnectionName"] == "c"
    assert client.list_tags_for_resource(ResourceArn=told["Arn"])["Tags"] == said["Tags"]
    delete(cf, "s")
    assert client.list_connections()["Connections"] == []
