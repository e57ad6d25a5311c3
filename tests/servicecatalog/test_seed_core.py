"""What the seeder decides and answers, and what its function does with it."""

from __future__ import annotations

import hashlib
import json
import re

import cfn_rules
import pytest
import yaml
from conftest import ROOT
from seeding import (
    ADDRESS,
    CONNECTION,
    PROPERTIES,
    STACK,
    cloudformation,
    core,
    event,
    handler,
    reply,
)

from seedbed import cfn

FRAGMENT = cfn.load(
    (ROOT / "servicecatalog" / "products" / "parts" / "seed.yml").read_text(), "seed.yml"
)
PLACE = ("333333333333", "eu-west-1")
DATA = sorted(path.parent.parent.name for path in (ROOT / "layers").glob("data-*/infra/data.yml"))
NASTY = [
    "$(id)",
    "`id`",
    "a;b",
    "a b",
    "../x",
    "a/../b",
    "-x",
    "a\nb",
    "a'b",
    'a"b',
    "é",
    "*",
    "{{x}}",
]
# A property, a value that it must not take, and what the refusal tells to do.
HOSTILE = [
    *[(name, value, "") for name in core.FIELDS for value in NASTY],
    ("ProjectId", "", "lower-case"),
    ("ProjectId", "p-" + "x" * 19, "at most 20"),
    ("ProjectId", "p-1\n", "lower-case"),
    ("Template", "--upload-pack=x", "publish"),
    ("TemplateVersion", "main", "publish"),
    ("TemplateAddress", "file:///etc/x.git", "publish"),
    ("TemplateAddress", "https://user@host/x.git", "publish"),
    ("TemplateAddress", "https://host/../x.git", "publish"),
    ("TemplateAddress", "ext::sh -c id", "publish"),
    ("Bundle", "bundles/../x.bundle", "publish"),
    ("Bundle", "functions/" + "0" * 64 + "/x.bundle", "publish"),
    ("GitHost", "gitea", "github, gitlab"),
    ("RepositoryId", "churn", "owner/repository"),
    ("RepositoryId", "acme/churn.git", "rename"),
    ("RepositoryId", "/acme/churn", "owner/repository"),
    ("Branch", "a..b", "rename"),
    ("Branch", "a/.b", "branch name"),
    ("Branch", "x.lock", "rename"),
    ("Branch", "x/", "branch name"),
    ("ConnectionArn", "", "needs a connection"),
    ("ConnectionArn", "arn:aws:iam::333333333333:connection/0a", "a connection"),
    ("Answers", "text", "publish"),
    ("Answers", {"Owner; id": "x"}, "no question"),
    ("Answers", {"owner": ["x"]}, "one line"),
    ("Answers", {"owner": "a\nb"}, "one line"),
    ("Answers", {"owner": "x" * 1025}, "at most 1024"),
    ("Extra", "x", "newest seeder"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), HOSTILE)
def test_a_hostile_value_is_refused_in_one_line_that_names_field_value_and_remedy(
    name, value, remedy
):
    for kind in ("Create", "Update"):
        result = core.outcome(event(kind, **{name: value}))
        assert result.status == "FAILED"
        assert len(result.reason) < 400
        assert result.reason.isprintable()
        assert remedy in result.reason
        field = next(iter(value)) if isinstance(value, dict) else name
        assert field in result.reason
    with pytest.raises(core.RefusedError):
        core.parse({**PROPERTIES, name: value})


@pytest.mark.parametrize("name", [*core.FIELDS])
def test_a_missing_property_is_refused(name):
    left = {key: value for key, value in PROPERTIES.items() if key != name}
    with pytest.raises(core.RefusedError, match=name):
        core.parse(left)


def test_a_request_holds_what_was_given_and_leaves_defaults_to_the_template():
    request = core.parse(PROPERTIES)
    assert (request.project_id, request.repository, request.address) == (
        "p-abc123",
        "acme/churn",
        ADDRESS,
    )
    assert request.sha256 == "0" * 64
    assert request.answers == {"project_name": "churn", "owner": "risk"}


def test_the_fragment_sends_exactly_what_the_seeder_takes():
    sent = FRAGMENT["Resources"]["Repository"]["Properties"]
    assert {*sent} == {*core.FIELDS, *core.OWN, "Answers"}


def test_the_fragments_patterns_take_no_more_than_the_seeder():
    """What the form takes but the function refuses fails late; a few path rules remain to it."""
    taken = {"RepositoryId": "acme/churn", "Branch": "release/1.x", "ConnectionArn": CONNECTION}
    for name, value in taken.items():
        assert re.fullmatch(FRAGMENT["Parameters"][name]["AllowedPattern"], value)
        core.parse({**PROPERTIES, name: value})
    for name, value in (("GitHost", "gitea"), ("ProjectId", "P"), ("Branch", "a b")):
        rule = FRAGMENT["Parameters"][name]
        allowed = value in rule.get("AllowedValues", [value])
        assert not (allowed and re.search(rule.get("AllowedPattern", ""), value))


# Our rules for CloudFormation


@pytest.mark.parametrize("path", ["products/parts/seed.yml", "spoke/seeder.yml"])
def test_the_templates_keep_our_rules(path):
    text = (ROOT / "servicecatalog" / path).read_text()
    assert cfn_rules.check(cfn_rules.parse(path, text)) == []


@pytest.mark.parametrize("layer", DATA)
def test_the_fragment_fits_behind_a_projects_files(layer):
    files = {}
    for name in ("project", "registry", "data", "build", "source"):
        place = layer if name == "data" else "model-build"
        files[name] = cfn_rules.read(ROOT / "layers" / place / "infra" / f"{name}.yml")
    seed = ROOT / "servicecatalog" / "products" / "parts" / "seed.yml"
    files["seed"] = cfn_rules.parse("seed.yml", seed.read_text())
    assert cfn_rules.check_across(files) == []


def test_the_builds_commands_are_text_and_it_ends_before_cloudformation_does():
    """A colon and a space would make a mapping of a command."""
    seeder = cfn.load((ROOT / "servicecatalog" / "spoke" / "seeder.yml").read_text(), "seeder.yml")
    build = seeder["Resources"]["BuildProject"]["Properties"]
    spec = yaml.safe_load(build["Source"]["BuildSpec"])
    commands = [command for phase in spec["phases"].values() for command in phase["commands"]]
    assert all(isinstance(command, str) for command in commands)
    waits = int(FRAGMENT["Resources"]["Repository"]["Properties"]["ServiceTimeout"])
    assert (build["TimeoutInMinutes"] + build["QueuedTimeoutInMinutes"]) * 60 < waits


# Which address git is given

GIT_HTTP = (
    "https://codeconnections.eu-west-1.amazonaws.com/git-http/333333333333/eu-west-1/0a1b-2c3d"
)
OLDER = GIT_HTTP.replace("codeconnections", "codestar-connections").replace("eu-west", "us-east")


@pytest.mark.parametrize(
    ("changed", "address"),
    [
        (
            {},
            f"{GIT_HTTP}/acme/churn.git",
        ),
        (
            {
                "ConnectionArn": CONNECTION.replace(
                    "codeconnections:eu-west-1", "codestar-connections:us-east-1"
                )
            },
            f"{OLDER}/acme/churn.git",
        ),
        (
            {"GitHost": "codecommit", "RepositoryId": "churn", "ConnectionArn": ""},
            "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/churn",
        ),
        (
            {"GitHost": "gitlab", "RepositoryId": "group/sub/churn"},
            f"{GIT_HTTP}/group/sub/churn.git",
        ),
    ],
)
def test_git_goes_through_the_connection_or_to_codecommit(changed, address):
    request = core.parse({**PROPERTIES, **changed})
    assert core.origin(request, "eu-west-1", "amazonaws.com") == address


# Fill, adopt or refuse

OURS = core.marker(core.parse(PROPERTIES), *PLACE)
OTHERS = [
    OURS.replace("p-abc123", "p-other"),
    OURS.replace("3333", "4444"),
    OURS.replace("eu-", "us-"),
]


def decided(refs, found, *, push=True):
    return core.decide(core.parse(PROPERTIES), *PLACE, refs, found, push=push)


def test_an_empty_repository_is_filled():
    assert decided([], None) == "push"


def test_a_repository_that_carries_this_project_is_adopted():
    for push in (True, False):
        assert decided(["refs/heads/main", "refs/heads/x"], OURS, push=push) == "adopt"


@pytest.mark.parametrize("found", [None, "", "[]", "{}", '{"project_id": "p-abc123"}', *OTHERS])
def test_any_other_repository_is_refused(found):
    with pytest.raises(
        core.RefusedError, match=r"RepositoryId is 'acme/churn', which is .*name an"
    ):
        decided(["refs/heads/main"], found)


def test_a_repository_without_the_branch_is_refused():
    for refs in (["refs/heads/trunk"], ["refs/tags/main"]):
        with pytest.raises(core.RefusedError, match="has no branch main"):
            decided(refs, None)


def test_an_update_fills_no_empty_repository():
    with pytest.raises(core.RefusedError, match="push the project there first"):
        decided([], None, push=False)


# What follows from CloudFormation's requests


def test_creation_starts_a_build_that_pushes():
    result = core.outcome(event())
    assert (result.status, result.physical_id, result.push) == ("", "acme/churn", True)


def test_an_update_of_the_template_never_seeds_again():
    result = core.outcome(event("Update", TemplateVersion="v0.2.0", Answers={"owner": "other"}))
    assert (result.status, result.physical_id) == ("SUCCESS", "acme/churn")


@pytest.mark.parametrize(
    "changed",
    [
        {"RepositoryId": "acme/moved"},
        {"Branch": "release"},
        {"GitHost": "codecommit", "RepositoryId": "churn", "ConnectionArn": ""},
    ],
)
def test_an_update_to_another_place_looks_there_and_pushes_nothing(changed):
    result = core.outcome(event("Update", **changed))
    assert (result.status, result.push) == ("", False)
    assert result.physical_id == changed.get("RepositoryId", "acme/churn")


def test_a_deletion_succeeds_whatever_stands_there():
    for properties in ({}, {"GitHost": "gitea"}, PROPERTIES):
        asked = {**event("Delete"), "ResourceProperties": properties}
        result = core.outcome(asked)
        assert (result.status, result.physical_id) == ("SUCCESS", "acme/churn")


def test_a_failed_creation_has_an_id_by_which_it_is_deleted():
    result = core.outcome(event(RepositoryId="$(id)"))
    assert result.status == "FAILED"
    again = {**event("Delete"), "PhysicalResourceId": result.physical_id}
    assert core.outcome(again).physical_id == result.physical_id


# The way to the build


def test_a_build_is_told_everything_in_variables_that_a_shell_leaves_alone():
    asked = event(url="https://example.com/?x=$(id)&y=`id`", Answers={"owner": "a$HOME'b\"é 🐢"})
    variables = core.environment(asked, core.outcome(asked))
    for value in variables.values():
        assert re.fullmatch(r"[A-Za-z0-9+/=]{1,4096}", value)
    told = core.unpack(variables["SEED_REQUEST"])
    assert told == {"push": True, "properties": asked["ResourceProperties"]}
    whom = core.unpack(variables["SEED_REPLY"])
    assert whom["ResponseURL"] == asked["ResponseURL"]
    assert whom["PhysicalResourceId"] == "acme/churn"


def test_what_codebuild_would_not_take_is_refused_before():
    answers = {f"q{n}": hashlib.sha512(str(n).encode()).hexdigest() for n in range(60)}
    asked = event(Answers=answers)
    with pytest.raises(core.RefusedError, match="write shorter answers"):
        core.environment(asked, core.outcome(asked))


# Answers


@pytest.mark.parametrize("letter", ["x", "é", "🐢", '"', "\n", "\x00"])
@pytest.mark.parametrize("length", [0, 10, 3900, 4096, 100_000])
def test_an_answer_is_at_most_4096_bytes_and_keeps_its_beginning(letter, length):
    packed = reply.body(
        {**event(), "PhysicalResourceId": "x/y"}, "FAILED", "why: " + letter * length
    )
    assert len(packed) <= 4096
    answer = json.loads(packed)
    assert answer["Reason"].startswith("why:")
    assert (answer["StackId"], answer["RequestId"]) == (STACK, "request-1")


def test_an_answer_is_put_again_when_it_did_not_arrive(monkeypatch):
    monkeypatch.setattr(reply, "WAITS", (0, 0, 0))
    with cloudformation() as waiting:
        waiting.failures = [503, 500]
        reply.send(waiting.url, reply.body({**event(), "PhysicalResourceId": "x"}, "SUCCESS", "ok"))
        assert len(waiting.answers) == 1
        waiting.failures = [403, 403]
        with pytest.raises(OSError, match="403"):
            reply.send(waiting.url, b"{}")
        assert waiting.failures == [403]  # what is refused is not tried again


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://example.com/", "ftp://x/", ""])
def test_answers_go_to_https_only(url):
    with pytest.raises(OSError, match="no https address"):
        reply.send(url, b"{}")


def test_a_builds_end_is_told_with_its_phase_and_log():
    ended = {
        "id": "seedbed-seed:1",
        "buildStatus": "FAILED",
        "phases": [
            {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
            {"phaseType": "INSTALL", "phaseStatus": "FAILED", "contexts": [{"message": "pip: 1"}]},
            {"phaseType": "COMPLETED"},
        ],
        "logs": {"deepLink": "https://console/log"},
    }
    line = "the seeding build ended as FAILED; INSTALL: pip: 1; log: https://console/log"
    assert core.failure(ended) == line
    assert core.failure({"buildStatus": "FAULT"}) == "the seeding build ended as FAULT"


# The function


class CodeBuild:
    """Takes what the function asks of CodeBuild."""

    def __init__(self, build=None, error=None):
        self.build, self.error, self.started = build, error, []

    def start_build(self, **asked):
        if self.error:
            raise self.error
        self.started.append(asked)
        return {"build": {"id": "seedbed-seed:1"}}

    def batch_get_builds(self, ids):
        return {"builds": [self.build] if ids == ["arn:build"] else []}


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setenv("BUILD_PROJECT", "seedbed-seed")

    def run(asked, codebuild=None):
        codebuild = codebuild or CodeBuild()
        monkeypatch.setattr(handler.boto3, "client", lambda *_, **__: codebuild)
        with cloudformation() as waiting:
            if "ResponseURL" in asked:
                asked = {**asked, "ResponseURL": waiting.url}
            else:
                whom = {**event(url=waiting.url), "PhysicalResourceId": "acme/churn"}
                variable = {"name": "SEED_REPLY", "value": core.pack(whom)}
                codebuild.build["environment"] = {"environmentVariables": [variable]}
            handler.handler(asked, None)
        return waiting.answers, codebuild.started

    return run


def test_the_function_starts_one_build_for_a_request_and_leaves_the_answer_to_it(invoke):
    answers, started = invoke(event())
    assert answers == []
    (asked,) = started
    assert (asked["projectName"], asked["idempotencyToken"]) == ("seedbed-seed", "request-1")
    assert [one["name"] for one in asked["environmentVariablesOverride"]] == [
        "SEED_REQUEST",
        "SEED_REPLY",
    ]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (event("Delete"), "SUCCESS"),
        (event("Update"), "SUCCESS"),
        (event(Branch="$(id)"), "FAILED"),
    ],
)
def test_the_function_answers_what_needs_no_build(invoke, asked, status):
    answers, started = invoke(asked)
    assert [answer["Status"] for answer in answers] == [status]
    assert started == []


def test_the_function_answers_when_no_build_can_be_started(invoke):
    error = RuntimeError("AccountLimitExceededException: no more builds")
    answers, _ = invoke(event(), CodeBuild(error=error))
    assert answers[0]["Status"] == "FAILED"
    assert "could not be started: AccountLimitExceeded" in answers[0]["Reason"]
    assert answers[0]["PhysicalResourceId"] == "acme/churn"


def test_the_function_answers_for_a_build_that_could_not(invoke):
    ended = {"id": "seedbed-seed:1", "buildStatus": "TIMED_OUT", "logs": {"deepLink": "https://l"}}
    news = {"detail-type": "CodeBuild Build State Change", "detail": {"build-id": "arn:build"}}
    answers, _ = invoke(news, CodeBuild(ended))
    assert answers[0]["Status"] == "FAILED"
    assert answers[0]["Reason"] == "the seeding build ended as TIMED_OUT; log: https://l"
    assert answers[0]["PhysicalResourceId"] == "acme/churn"


def test_nothing_that_is_printed_holds_the_address_of_the_answer(invoke, capsys):
    invoke(event())
    invoke(event("Delete"))
    assert "signature=secret" not in capsys.readouterr().out
