"""Publishing, against the sandbox: the plan is what is sent, once, and any interruption heals."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import ClassVar

import pytest
from publishing import CATALOG, DEV, REGION, declared, dump, make_hub, release, tell_usage, writes
from waiting import brief

from seedbed import portfolios, projects, publishing
from seedbed.errors import SeedbedError

DOMAIN = {
    "DomainName": "studio",
    "AuthMode": "IAM",
    "DefaultUserSettings": {"ExecutionRole": "arn:aws:iam::222222222222:role/r"},
    "SubnetIds": ["subnet-0123456789abcdef0"],
    "VpcId": "vpc-0123456789abcdef0",
    "Tags": [{"Key": "team", "Value": "ml"}],
}


@pytest.fixture
def hub(sandbox, monkeypatch):
    make_hub(sandbox)
    for name, value in sandbox.environment("hub").items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def first(tmp_path):
    return release(tmp_path / "r1", "v0.1.0"), tmp_path / "r1"


def planned(made, wanted=None, **options):
    account = publishing.Account.of(REGION)
    return account, publishing.plan(account, wanted or declared(), *made, **options)


def published(made, wanted=None, **options):
    account, plan = planned(made, wanted, **options)
    publishing.apply(account, plan, made[1], pause=brief)
    return plan


def product(hub, title):
    return next(one for one in dump(hub)["products"] if one["Name"] == title)


def test_a_first_publish_makes_all_that_is_declared(hub, first):
    published(first)
    held = dump(hub)
    titles = [one["title"] for one in held["portfolios"]]
    assert sorted(titles) == ["ML Admin", "SageMaker Projects"]
    projects = next(one for one in held["portfolios"] if one["title"] == "SageMaker Projects")
    assert projects["products"] == ["One", "Two"]
    assert projects["options"] == ["cost-center=retail", "cost-center=risk"]
    launch = json.dumps({"LocalRoleName": "seedbed-launch"})
    assert ("One", "LAUNCH", launch) in projects["constraints"]
    assert [one[:2] for one in projects["constraints"]] == [
        ("One", "LAUNCH"),
        ("One", "RESOURCE_UPDATE"),
        ("Two", "LAUNCH"),
    ]
    assert [(one["PrincipalId"], one["SharePrincipals"]) for one in projects["shares"]] == [
        (DEV, True)
    ]
    one = product(hub, "One")
    assert one["tags"] == ["sagemaker:studio-visibility=true", "seedbed:product=one"]
    assert one["SupportEmail"] == "ml@example.com"
    (objects,) = held["buckets"].values()
    tags = objects["studio/one.yml"][1]
    assert tags == [{"Key": "sagemaker:studio-visibility", "Value": "true"}]
    assert "studio/three.yml" not in objects
    assert "manifests/v0.1.0.json" in objects


def test_a_second_publish_makes_no_write_call(hub, first):
    published(first)
    before = len(writes(hub))
    plan = published(first)
    assert plan.changes == ()
    assert len(writes(hub)) == before


def test_the_plan_is_what_publish_sends_call_for_call(hub, first):
    before = len(writes(hub))
    plan = published(first)
    sent = [(one["service"], one["operation"]) for one in writes(hub)[before:] if not one["via"]]
    assert sent == [(change.service, change.operation) for change in plan.changes]


def test_a_changed_template_gives_one_new_version_and_deprecates_one(hub, first, tmp_path):
    published(first)
    before = dump(hub)
    second = release(tmp_path / "r2", "v0.2.0", changed=("one",)), tmp_path / "r2"
    plan = published(second)
    asked = [(c.operation, c.target) for c in plan.changes if c.service == CATALOG]
    assert asked == [("CreateProvisioningArtifact", "one"), ("UpdateProvisioningArtifact", "one")]
    states = {name: said[:2] for name, said in product(hub, "One")["versions"].items()}
    assert states == {"v0.1.0": (True, "DEPRECATED"), "v0.2.0": (True, "DEFAULT")}
    for title in ("Two", "Three"):
        assert product(hub, title) == next(o for o in before["products"] if o["Name"] == title)


def test_a_version_with_another_content_is_refused_before_anything_is_sent(hub, first, tmp_path):
    published(first)
    before = dump(hub)
    other = release(tmp_path / "r2", "v0.1.0", changed=("one",)), tmp_path / "r2"
    with pytest.raises(SeedbedError, match="a version never changes"):
        published(other)
    assert dump(hub) == before


def test_versions_retire_step_by_step(hub, tmp_path):
    tell_usage(hub)
    for number in range(1, 6):
        folder = tmp_path / f"r{number}"
        made = release(folder, f"v0.{number}.0", changed=("one",), mark=str(number))
        published((made, folder))
    states = {name: said[:2] for name, said in product(hub, "One")["versions"].items()}
    assert states == {
        "v0.5.0": (True, "DEFAULT"),
        "v0.4.0": (True, "DEPRECATED"),
        "v0.3.0": (False, "DEPRECATED"),
    }


def test_what_a_project_uses_is_neither_deactivated_nor_deleted(hub, tmp_path):
    tell_usage(hub)
    folder = tmp_path / "r0"
    published((release(folder, "v0.0.1", changed=("one",), mark="z"), folder))
    provision(hub, "v0.0.1")
    for number in range(1, 5):
        folder = tmp_path / f"r{number}"
        made = release(folder, f"v0.{number}.0", changed=("one",), mark=str(number))
        plan = published((made, folder))
    states = {name: said[:2] for name, said in product(hub, "One")["versions"].items()}
    assert states == {
        "v0.4.0": (True, "DEFAULT"),
        "v0.3.0": (True, "DEPRECATED"),
        "v0.2.0": (False, "DEPRECATED"),
        "v0.0.1": (True, "DEPRECATED"),
    }
    assert any("v0.0.1 is in use" in note for note in plan.notes)


def test_the_previous_release_can_be_published_again(hub, first, tmp_path):
    published(first)
    published((release(tmp_path / "r2", "v0.2.0", changed=("one",)), tmp_path / "r2"))
    published(first)
    states = {name: said[:2] for name, said in product(hub, "One")["versions"].items()}
    assert states == {"v0.1.0": (True, "DEFAULT"), "v0.2.0": (True, "DEPRECATED")}
    assert planned(first)[1].changes == ()


def test_what_somebody_made_under_our_title_is_never_taken(hub, first):
    hub.client(CATALOG, "hub").create_portfolio(
        DisplayName="ML Admin", ProviderName="me", IdempotencyToken="t"
    )
    with pytest.raises(SeedbedError, match=r"ML Admin.*seedbed:portfolio=admin"):
        planned(first)


def test_without_a_bucket_the_remedy_is_told(sandbox, first, monkeypatch):
    for name, value in sandbox.environment("hub").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SeedbedError, match="seedbed bootstrap hub"):
        planned(first)


def test_an_account_that_a_share_did_not_reach_is_named_and_the_rest_goes_on(hub, first):
    dev = hub.account("dev")
    hub.client("organizations", "management").close_account(AccountId=dev)
    with pytest.raises(SeedbedError, match=f"share projects: share with {DEV}: {dev}.*mend"):
        published(first)
    assert planned(first)[1].changes  # what came after the share is still due
    published(first)
    assert planned(first)[1].changes == ()


def test_without_the_organisations_access_the_remedy_is_told(sandbox, first, monkeypatch):
    make_hub(sandbox, shares=False)
    for name, value in sandbox.environment("hub").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SeedbedError, match="enable-aws-organizations-access"):
        published(first)


def test_each_region_has_all_of_it(hub, first):
    other = "eu-central-1"
    hub.client("s3", "hub", region=other).create_bucket(
        Bucket=f"seedbed-assets-{hub.account('hub')}-{other}",
        CreateBucketConfiguration={"LocationConstraint": other},
    )
    wanted = declared(regions=[REGION, other])
    for region in wanted.regions:
        account = publishing.Account.of(region)
        plan = publishing.plan(account, wanted, *first)
        publishing.apply(account, plan, first[1], pause=brief)
        names = account.client(CATALOG).list_portfolios()["PortfolioDetails"]
        assert sorted(one["DisplayName"] for one in names) == ["ML Admin", "SageMaker Projects"]
        assert publishing.plan(account, wanted, *first).changes == ()


def test_a_domain_of_the_hub_shows_the_templates(hub, first):
    sagemaker = hub.client("sagemaker", "hub")
    arn = sagemaker.create_domain(**DOMAIN)["DomainArn"]
    published(first, declared(domains=[arn.rpartition("/")[2]]))
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    location = f"s3://seedbed-assets-{hub.account('hub')}-{REGION}/studio/"
    assert tags == {"team": "ml", "sagemaker:projectS3TemplatesLocation": location}
    with pytest.raises(SeedbedError, match="domains: d-none"):
        planned(first, declared(domains=["d-none"]))


def test_the_whole_organisation_or_a_unit_and_what_goes_with_the_share(hub, first):
    content = declared().model_dump()["portfolios"]
    content["projects"]["shares"] = {"organization": True, "principals": False}
    published(first, declared(portfolios=content))
    projects = next(o for o in dump(hub)["portfolios"] if o["title"] == "SageMaker Projects")
    assert [(s["Type"], s["SharePrincipals"]) for s in projects["shares"]] == [
        ("ORGANIZATION", False)
    ]
    content["projects"]["shares"] = {"units": [DEV], "principals": False}
    assert [c.operation for c in published(first, declared(portfolios=content)).changes] == [
        "CreatePortfolioShare",
        "DeletePortfolioShare",
    ]
    content["projects"]["shares"] = {"units": [DEV], "principals": True}
    assert [c.operation for c in published(first, declared(portfolios=content)).changes] == [
        "UpdatePortfolioShare"
    ]
    assert planned(first, declared(portfolios=content))[1].changes == ()


def test_drift_is_found_and_mended(hub, first):
    published(first)
    before = dump(hub)
    catalog, s3 = hub.client(CATALOG, "hub"), hub.client("s3", "hub")
    portfolio = next(
        one["Id"]
        for one in catalog.list_portfolios()["PortfolioDetails"]
        if one["DisplayName"] == "SageMaker Projects"
    )
    at = {"PortfolioId": portfolio}
    pattern = {"PrincipalARN": "arn:aws:iam:::role/*", "PrincipalType": "IAM_PATTERN"}
    catalog.associate_principal_with_portfolio(**at, **pattern)
    constraint = catalog.list_constraints_for_portfolio(**at)["ConstraintDetails"][0]
    catalog.delete_constraint(Id=constraint["ConstraintId"])
    catalog.update_portfolio(Id=portfolio, Description="other")
    (bucket,) = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    s3.delete_object_tagging(Bucket=bucket, Key="studio/one.yml")
    asked = {change.operation for change in planned(first)[1].changes}
    assert asked == {
        "CreateConstraint",
        "DisassociatePrincipalFromPortfolio",
        "PutObjectTagging",
        "UpdatePortfolio",
    }
    published(first)
    assert dump(hub) == before


def test_a_product_declared_no_more_is_retired_only_when_asked(hub, first):
    published(first)
    content = declared().model_dump()
    del content["portfolios"]["projects"]["products"]["two"]
    fewer = declared(portfolios=content["portfolios"])
    plan = published(first, fewer)
    assert plan.changes == ()
    assert any("two is declared no more" in note for note in plan.notes)
    plan = published(first, fewer, prune=True)
    # The unit's account has no role that tells what it uses: nothing is deleted.
    assert [change.operation for change in plan.changes] == ["UpdateProvisioningArtifact"]
    assert product(hub, "Two")["versions"]["v0.1.0"][:2] == (True, "DEPRECATED")


def test_a_share_that_is_refused_costs_nobody_theirs(hub, first):
    published(first)
    content = declared().model_dump()["portfolios"]
    content["projects"]["shares"]["units"] = ["ou-seed-99999999"]
    with pytest.raises(SeedbedError, match="ou-seed-99999999"):
        published(first, declared(portfolios=content))
    held = next(one for one in dump(hub)["portfolios"] if one["title"] == "SageMaker Projects")
    assert [one["PrincipalId"] for one in held["shares"]] == [DEV]


def test_an_account_whose_role_was_changed_does_not_tell(hub, first):
    """It is told by its id, as one that has no such role; nothing is deleted."""
    tell_usage(hub)
    hub.client("iam", "dev").delete_role_policy(RoleName="seedbed-inventory", PolicyName="search")
    published(first)
    plan = planned(first, declared(portfolios=without("projects")[0]), prune=True)[1]
    dev = hub.account("dev")
    assert any(f"may be in use in {dev}" in note for note in plan.notes)
    assert {change.operation for change in plan.changes} == {"UpdateProvisioningArtifact"}


def without(key):
    """Return the declaration less a portfolio, and that portfolio's declaration."""
    content = declared().model_dump()["portfolios"]
    return content, content.pop(key)


def test_a_portfolio_declared_no_more_is_taken_away_only_when_asked(hub, first):
    """With all that it offers: nobody keeps access that the declaration took from them."""
    tell_usage(hub)
    published(first)
    fewer = declared(portfolios=without("projects")[0])
    plan = published(first, fewer)
    assert plan.changes == ()
    assert any("portfolio projects is declared no more" in note for note in plan.notes)
    calls = [change.operation for change in published(first, fewer, prune=True).changes]
    assert calls[-1] == "DeletePortfolio"
    assert "DeletePortfolioShare" in calls
    held = dump(hub)
    assert [one["title"] for one in held["portfolios"]] == ["ML Admin"]
    assert [one["Name"] for one in held["products"]] == ["Three"]
    assert planned(first, fewer, prune=True)[1].changes == ()


@pytest.mark.usefixtures("hub")
def test_a_portfolio_in_use_that_is_declared_no_more_stays(first):
    published(first)  # the unit's account does not tell what it uses
    fewer = declared(portfolios=without("projects")[0])
    plan = published(first, fewer, prune=True)
    assert {change.operation for change in plan.changes} == {"UpdateProvisioningArtifact"}
    assert any("portfolio projects is declared no more and stays" in note for note in plan.notes)


def test_products_go_with_a_portfolio_that_gets_another_key(hub, first):
    """A launch constraint is there before the product is out of the old one."""
    published(first)
    content, moved = without("admin")
    renamed = declared(portfolios=content | {"administration": moved})
    calls = [change.operation for change in published(first, renamed).changes]
    assert calls.index("CreateConstraint") < calls.index("DisassociateProductFromPortfolio")
    published(first, renamed, prune=True)
    admin = [one for one in dump(hub)["portfolios"] if one["title"] == "ML Admin"]
    assert [(one["products"], one["tags"]) for one in admin] == [
        (["Three"], ["seedbed:portfolio=administration"])
    ]


@pytest.mark.usefixtures("hub")
def test_a_no_op_plan_is_linear_in_products(tmp_path):
    """Per product: describe, versions, the launch constraint; the S3 template's head and tags."""
    calls = []
    for count in (1, 2, 4):
        names = tuple(f"p{number}" for number in range(count))
        made = release(tmp_path / str(count), f"v0.{count}.0", names=names), tmp_path / str(count)
        wanted = declared(portfolios=portfolio_of(names))
        published(made, wanted)
        plan = planned(made, wanted)[1]
        assert plan.changes == ()
        calls.append(plan.calls)
    assert calls == [20, 25, 35]


def test_a_withdrawal_takes_away_all_that_was_offered(hub, first):
    tell_usage(hub)
    sagemaker = hub.client("sagemaker", "hub")
    arn = sagemaker.create_domain(**DOMAIN)["DomainArn"]
    wanted = declared(domains=[arn.rpartition("/")[2]])
    published(first, wanted)
    theirs = hub.client(CATALOG, "hub").create_portfolio(
        DisplayName="Theirs", ProviderName="others", IdempotencyToken="t"
    )["PortfolioDetail"]["Id"]
    account = publishing.Account.of(REGION)
    plan = publishing.withdrawal(account, wanted)
    publishing.apply(account, replace(plan, changes=plan.changes[:9]), first[1])  # interrupted
    for left in (plan.changes[9:], ()):
        again = publishing.withdrawal(account, wanted)
        assert again.changes == left
        publishing.apply(account, again, first[1])
    held = dump(hub)
    assert held["products"] == []
    assert [one["title"] for one in held["portfolios"]] == ["Theirs"]
    assert not any("studio/" in key for key in json.dumps(held["buckets"]).split('"'))
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == DOMAIN["Tags"]
    assert hub.client(CATALOG, "hub").describe_portfolio(Id=theirs)
    published(first, wanted)
    assert {one["Name"] for one in dump(hub)["products"]} == {"One", "Two", "Three"}


def test_nothing_is_withdrawn_that_is_in_use_or_may_be(hub, first):
    published(first)
    account = publishing.Account.of(REGION)
    dev = hub.account("dev")
    with pytest.raises(SeedbedError, match=f"accounts {dev} do not tell what they use"):
        publishing.withdrawal(account, declared())
    tell_usage(hub)
    provision(hub, "v0.1.0")
    with pytest.raises(SeedbedError, match="product one: something was provisioned from it"):
        publishing.withdrawal(account, declared())


def provision(hub, version):
    """Launch a version of product One in the hub itself."""
    catalog = hub.client(CATALOG, "hub")
    listed = catalog.list_portfolios()["PortfolioDetails"]
    portfolio = next(one["Id"] for one in listed if one["DisplayName"] == "SageMaker Projects")
    admin = hub.admin_role("hub")
    catalog.associate_principal_with_portfolio(
        PortfolioId=portfolio, PrincipalARN=admin, PrincipalType="IAM"
    )
    permit(hub)
    hub.client(CATALOG, "hub", role=admin).provision_product(
        ProductName="One",
        ProvisioningArtifactName=version,
        ProvisionedProductName="mine",
        Tags=[{"Key": "cost-center", "Value": "risk"}],
    )


def portfolio_of(names):
    launch = {"launch_role": "seedbed-launch", "description": "d", "studio": True}
    products = {name: {**launch, "title": name.upper()} for name in names}
    return {"projects": {"title": "Projects", "description": "d", "products": products}}


def permit(hub):
    """Let the launch role make the topic of a product's stack."""
    statement = {"Effect": "Allow", "Action": ["cloudformation:*", "sns:*"], "Resource": "*"}
    hub.client("iam", "hub").put_role_policy(
        RoleName="seedbed-launch",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement}),
    )


def failing(plan):
    return sorted({f"{c.service}:{c.operation}" for c in plan.changes})


OPERATIONS = [
    "s3:PutBucketCors",
    "s3:PutObject",
    "servicecatalog:AssociatePrincipalWithPortfolio",
    "servicecatalog:AssociateProductWithPortfolio",
    "servicecatalog:AssociateTagOptionWithResource",
    "servicecatalog:CreateConstraint",
    "servicecatalog:CreatePortfolio",
    "servicecatalog:CreatePortfolioShare",
    "servicecatalog:CreateProduct",
    "servicecatalog:CreateTagOption",
]


@pytest.mark.usefixtures("hub")
def test_every_kind_of_request_is_tried_below(first):
    assert failing(planned(first)[1]) == OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_that_took_effect_and_failed_is_made_good(hub, first, operation, whole):
    rule = {"match": operation, "kind": "after", "times": 1, "status": 400, "code": "Lost"}
    hub.chaos(rule)
    with pytest.raises(SeedbedError, match="Lost"):
        published(first)
    hub.chaos()
    published(first)
    assert dump(hub) == whole
    assert planned(first)[1].changes == ()


@pytest.fixture(scope="module")
def whole(sandbox_server, tmp_path_factory):
    """What an undisturbed publish leaves."""
    folder = tmp_path_factory.mktemp("whole")
    sandbox_server.reset()
    make_hub(sandbox_server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox_server.environment("hub").items():
            patch.setenv(name, value)
        published((release(folder, "v0.1.0"), folder))
        return dump(sandbox_server)


@pytest.mark.usefixtures("hub")
def test_what_is_shared_already_is_told_and_not_asked_for_again(first):
    published(first)
    account = publishing.Account.of(REGION)
    plan = portfolios.share(account, declared(), "projects", [DEV, DEV])
    assert (plan.changes, len(plan.notes)) == ((), 1)
    undeclared = "ou-seed-workloadstest"
    plan = portfolios.share(account, declared(), "projects", [undeclared], end=True)
    assert (plan.changes, len(plan.notes)) == ((), 1)
    with pytest.raises(SeedbedError, match="--with is '12': write a unit's id"):
        portfolios.share(account, declared(), "projects", ["12"])


def test_a_principal_sees_the_named_portfolio_only(hub, first, monkeypatch):
    admin = declared().portfolios["admin"]
    both = {"admin": admin.model_copy(update={"shares": declared().portfolios["projects"].shares})}
    wanted = declared().model_copy(update={"portfolios": declared().portfolios | both})
    published(first, wanted)
    for name, value in hub.environment("dev").items():
        monkeypatch.setenv(name, value)
    account, arn = publishing.Account.of(REGION), "arn:aws:iam:::role/another-team"
    found = portfolios.take(account, wanted, [arn], ["projects"])
    assert {one.title for one in found if arn in one.principals} == {"SageMaker Projects"}
    assert {one.title for one in found} == {"SageMaker Projects", "ML Admin"}


@pytest.mark.parametrize(
    "arn", ["arn:aws:iam:::role/*", "arn:aws:iam::444444444444:role/x", "seedbed-data-scientist"]
)
def test_no_wide_or_foreign_principal_is_let_in(hub, arn):
    before = len(hub.calls(service=CATALOG))
    with pytest.raises(SeedbedError, match="--principal is"):
        portfolios.take(publishing.Account.of(REGION), declared(), [arn], ["projects"])
    assert len(hub.calls(service=CATALOG)) == before


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_PROFILE", "nobody", "profile .nobody. could not be found: there are none"),
        ("AWS_ACCESS_KEY_ID", "AKIA0", "InvalidClientTokenId: .*: give --profile"),
        ("AWS_ENDPOINT_URL", "nowhere", "Invalid endpoint: nowhere: mend AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "mend or unset AWS_ENDPOINT_URL"),
        ("AWS_CONFIG_FILE", __file__, "Unable to parse config file: .*: mend the file"),
    ],
)
def test_a_wrong_way_to_aws_is_one_line_with_its_remedy(
    sandbox, monkeypatch, variable, value, says
):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name, said in sandbox.environment("hub").items():
        monkeypatch.setenv(name, said)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SeedbedError, match=says) as caught:
        assert publishing.Account.of(REGION).id
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "product", "says"),
    [
        ("a b", "one", "NAME is 'a b'"),
        ("-a", "one", "NAME is '-a'"),
        ("a", "three", "--product three: no project is made from it: use one of one, two"),
        ("a", "four", "use one of one, two"),
    ],
)
def test_what_cannot_be_a_project_is_refused_before_any_call(hub, name, product, says):
    before = len(hub.calls())
    with pytest.raises(SeedbedError, match=says):
        projects.create(publishing.Account.of(REGION), declared(), name, product, {}, hub="")
    assert len(hub.calls()) == before


def test_a_project_that_is_not_there_is_told_with_the_place(hub):
    with pytest.raises(SeedbedError, match=f"there is none in {hub.account('hub')} {REGION}"):
        projects.show(publishing.Account.of(REGION), "churn")


@pytest.mark.usefixtures("hub")
def test_a_wrong_hub_is_told_as_such():
    with pytest.raises(SeedbedError, match=r"--hub: bucket .*444444444444.* is not there"):
        projects.create(
            publishing.Account.of(REGION), declared(), "a", "one", {}, hub="4" * 12, route="s3"
        )


class Shop:
    """Offers two products of one title, the first of which is retired."""

    GUIDANCE: ClassVar = {"prod-old": "DEPRECATED", "prod-new": "DEFAULT"}

    def every(self, *_):
        return [{"ProductId": id_, "Name": "One"} for id_ in self.GUIDANCE]

    def client(self, _):
        return self

    def describe_product(self, Id):  # noqa: N803 (boto3's name)
        one = {"Id": f"pa-{Id}", "Guidance": self.GUIDANCE[Id], "CreatedTime": 0}
        return {"ProvisioningArtifacts": [one]}


def test_a_retired_product_of_the_same_title_is_not_launched():
    assert projects._offered(Shop(), "One") == ("prod-new", "pa-prod-new")
