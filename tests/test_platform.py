"""From nothing to projects: what a platform engineer and a data scientist do, in the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from conftest import commit, git, make_repository
from publishing import DEV, writes
from typer.testing import CliRunner
from waiting import settled_share

from seedbed import catalog, declaration
from seedbed.cli import app
from seedbed.commands import options, stacks
from seedbed.errors import SeedbedError

RUN = CliRunner()
SCIENTIST = "seedbed-data-scientist"
GROUP = "arn:aws:sagemaker:eu-west-1:666666666666:feature-group/measurements"
DATA = {  # what each product's own data access asks for
    "model-build-s3": ["DataLocation=s3://lake-bucket/churn/"],
    "model-build-athena": ["DataDatabase=lake", "DataLakeLocation=s3://lake-bucket/lake/"],
    "model-build-datazone": [
        "DataDomainId=dzd_4k2example9q",
        "DataProjectId=project1",
        "DataEnvironmentId=environ1",
        "DataMembership=false",  # the sandbox knows no DataZone
    ],
    "model-build-featurestore": [
        f"FeatureGroupArns={GROUP}",
        "OfflineStoreLocation=s3://store-bucket/offline/",
        "LabelDatabase=training",
        "LabelTable=labels",
    ],
}


class Desk:
    """A shell in a checkout of the templates, as an account's administrator or as a role."""

    def __init__(self, sandbox, checkout):
        self.sandbox, self.checkout = sandbox, checkout
        self.hub = sandbox.account("hub")

    def environment(self, account, role=None):
        """Return an administrator's environment, or that of a role as Studio takes it."""
        made = self.sandbox.environment(account)
        if role:
            arn = f"arn:aws:iam::{self.sandbox.account(account)}:role/{role}"
            said = self.sandbox.admin("POST", "become", {"role_arn": arn})
            made |= {key.upper(): value for key, value in said.items()}
        return made

    def run(self, account, *words, role=None, code=0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalog, "CHECKOUT", self.checkout)
            patch.chdir(self.checkout)
            for name, value in self.environment(account, role).items():
                patch.setenv(name, value)
            done = RUN.invoke(app, list(words))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    def create(self, name, product, route):
        """Create a project as a data scientist, with a repository in CodeCommit; return its id."""
        words = ["project", "create", name, "--product", product, "--route", route, "--json"]
        given = ["GitHost=codecommit", f"RepositoryId={name}", "ConnectionArn=", *DATA[product]]
        given.append(f"ModelPackageGroupName={name}")
        sets = [word for pair in given for word in ("--set", pair)]
        said = self.run("dev", *words, "--hub", self.hub, *sets, role=SCIENTIST)
        return json.loads(said)["id"]


@pytest.fixture(scope="module")
def desk(sandbox_server, tmp_path_factory):
    """A hub and two spokes, made from nothing by the tool's own commands."""
    sandbox_server.reset()
    checkout = make_repository(tmp_path_factory.mktemp("desk") / "checkout", "v0.1.0")
    declared = checkout / declaration.FILE
    declared.write_text(declared.read_text().replace("units: []", f"units: [{DEV}]"))
    commit(checkout, "v0.2.0")
    made = Desk(sandbox_server, checkout)
    sandbox_server.client("servicecatalog", "management").enable_aws_organizations_access()
    sandbox_server.client("organizations", "management").register_delegated_administrator(
        AccountId=made.hub, ServicePrincipal="servicecatalog.amazonaws.com"
    )
    made.run("hub", "bootstrap", "hub", "--yes")
    for account in ("dev", "test"):
        made.run(account, "bootstrap", "spoke", "--hub", made.hub, "--yes")
    made.run("hub", "package")
    made.run("hub", "plan", code=2)
    made.run("hub", "publish", "--yes")
    # A first build takes minutes: tests/sandbox/test_build_from_push.py has one.
    rule = {"match": "codebuild:StartBuild", "kind": "fail", "role": "*-pipeline-*"}
    sandbox_server.chaos(rule)
    yield made
    sandbox_server.chaos()


def test_a_second_bootstrap_package_and_publish_change_nothing(desk):
    before = len(writes(desk.sandbox))
    said = desk.run("dev", "bootstrap", "spoke", "--hub", desk.hub, "--plan")
    assert said.count("nothing changes") == 4
    assert "Add " not in said
    desk.run("hub", "package")
    assert "nothing to do" in desk.run("hub", "plan")
    desk.run("hub", "publish", "--yes")
    later = [one["operation"] for one in writes(desk.sandbox)[before:] if not one["via"]]
    assert set(later) <= {"CreateChangeSet", "DeleteChangeSet"}  # a change set shows what is due


def test_a_plan_of_a_new_hub_shows_all_and_leaves_nothing(desk):
    words = ["bootstrap", "hub", "--plan", "--json"]
    said = json.loads(desk.run("governance", *words, code=2))
    assert [one["stack"] for one in said if not one["changes"]] == ["seedbed-hub-publish"]
    assert desk.sandbox.client("cloudformation", "governance").describe_stacks()["Stacks"] == []
    assert desk.sandbox.client("s3", "governance").list_buckets()["Buckets"] == []


def test_who_interrupts_the_question_leaves_nothing(desk, monkeypatch):
    monkeypatch.setattr(options, "able_to_ask", lambda **_: None)
    monkeypatch.setattr(stacks, "able_to_ask", lambda **_: None)
    desk.run("governance", "bootstrap", "hub", code=1)  # its standard input ends
    assert desk.sandbox.client("cloudformation", "governance").describe_stacks()["Stacks"] == []


def test_a_spoke_takes_what_is_shared(desk):
    said = json.loads(desk.run("dev", "portfolio", "import", "--json"))
    assert [len(one["products"]) for one in said] == [4, 6]
    assert not any(one["missing_roles"] for one in said)
    with pytest.raises(Exception, match="nothing is shared with 444444444444"):
        desk.run("test", "portfolio", "import")


def test_studio_offers_every_product_by_both_ways(desk):
    bucket = f"s3://seedbed-assets-{desk.hub}-eu-west-1/studio/"
    domain = desk.sandbox.client("sagemaker", "dev").create_domain(
        DomainName="studio",
        AuthMode="IAM",
        DefaultUserSettings={"ExecutionRole": f"arn:aws:iam::333333333333:role/{SCIENTIST}"},
        SubnetIds=["subnet-0123456789abcdef0"],
        VpcId="vpc-0123456789abcdef0",
        Tags=[{"Key": "sagemaker:projectS3TemplatesLocation", "Value": bucket}],
    )
    arn = domain["DomainArn"]
    offered = desk.sandbox.studio_templates("dev", SCIENTIST, arn.rpartition("/")[2])
    for tab in ("organization", "s3"):
        assert len(offered[tab]) == len(DATA), offered[tab]
        assert not any(one.get("reason") for one in offered[tab])


@pytest.mark.parametrize("route", ["catalog", "s3"])
@pytest.mark.parametrize("product", list(DATA))
def test_a_project_is_born_whole(desk, product, route, tmp_path):
    """Its repository passes its own tests, and Copier and Seedbed bring it to the next release."""
    name = f"{product.removeprefix('model-build-')}-{route}"
    id_ = desk.create(name, product, route)
    project = tmp_path / "project"
    address = f"https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/{name}"
    clone = ["git", "clone", "--quiet", address, str(project)]
    subprocess.run(clone, check=True, env=desk.sandbox.git_environment("dev"))
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    canonical = catalog.load(desk.checkout).repository
    assert (answers["_src_path"], answers["_commit"]) == (canonical, "v0.2.0")
    assert answers["template"] == product
    assert answers["model_package_group"] == name
    assert id_ in (project / ".seedbed-project").read_text()
    same = (
        []
        if name == "s3-catalog"
        else ["--ignore=tests/test_jobs.py", "--ignore=tests/test_report.py"]
    )
    run(project, sys.executable, "-m", "pytest", "-q", *same)
    newer = later(desk, tmp_path)
    run(project, sys.executable, "-m", "copier", "update", "--defaults", "--quiet", env=newer)
    assert "# later" in (project / "Makefile").read_text()
    git(project, "reset", "--quiet", "--hard")
    run(project, sys.executable, "-m", "seedbed", "upgrade", ".", env=newer)
    assert "# later" in (project / "Makefile").read_text()


def later(desk, folder):
    """Return an environment in which the canonical address leads to a release that is newer."""
    newer = folder / "newer"
    git(folder, "clone", "--quiet", str(desk.checkout), str(newer))
    for makefile in newer.glob("templates/*/*/Makefile"):
        makefile.write_text(makefile.read_text() + "# later\n")
    commit(newer, "v0.3.0")
    settings = folder / "gitconfig"
    address = catalog.load(desk.checkout).repository
    settings.write_text(
        f'[url "{newer}"]\n insteadOf = {address}\n[user]\n name = T\n email = t@example.com\n'
    )
    places = {"GIT_CONFIG_GLOBAL": str(settings), "COPIER_CACHE_DIR": str(folder / "cache")}
    return {**os.environ, **places}


def run(folder, *words, env=None):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


SEED = f"functions/{'0' * 64}/seed.zip"
KEY = "arn:aws:kms:us-east-1:222222222222:key/k"
BAD = [
    ("hub", "bootstrap hub --set Nope=1 --plan", "--set Nope: no stack has this parameter"),
    ("hub", "bootstrap hub --set VpcId=x --plan", "--set VpcId is 'x': it must be"),
    ("dev", "bootstrap spoke --hub 666666666666 --yes", "bootstrap the hub from this same commit"),
    ("dev", "bootstrap spoke --hub 22 --plan", "--hub is '22': write an account id of 12 digits"),
    ("hub", "bootstrap spoke --hub 222222222222 --yes", "account 222222222222 is the hub itself"),
    ("dev", "bootstrap spoke --hub 222222222222 --set RouteTableIds=rtb-1 --yes", "needs --set"),
    ("dev", "bootstrap spoke --hub 222222222222", "asked here: give --yes, or --plan to look"),
    ("hub", "publish --json", "--json asks nobody: give --yes, or `seedbed plan --json` to look"),
    ("hub", "teardown hub", "nobody can be asked here: give --yes, or --plan to look only"),
    ("dev", "teardown hub --plan --json", "account 333333333333 is a spoke"),
    ("hub", f"portfolio share projects --with {DEV} --json", "give --yes, or --plan to look only"),
    ("hub", "teardown spoke --hub 222222222222 --yes", "account 222222222222 is the hub itself"),
    ("dev", "teardown hub --yes", "account 333333333333 is a spoke: use the hub's credentials"),
    ("dev", "project create churn --product model-build-s3 --set A=1 --set A=2", "give it once"),
    ("hub", "bootstrap hub --plan --set AssetBucketPrefix=x", "must be 3 to 27 lower-case"),
    ("hub", "bootstrap hub --yes --set AssetBucketPrefix=ours", "assets.bucket in servicecatalog"),
    ("hub", "bootstrap hub --yes --set AssetBucketName=ours", "assets.bucket in servicecatalog"),
    ("hub", "bootstrap hub --yes --set HubAccountId=333333333333", "but the hub says '2222222222"),
    ("hub", f"bootstrap hub --yes --set SeedCodeKey={SEED}", "the seeder of this commit says"),
    ("hub", f"bootstrap hub --yes --set KmsKeyArn={KEY}", "is of us-east-1: name one of eu-west-1"),
    ("hub", "bootstrap hub --yes --set AlertEmail=a@b.example", "needs --set ConnectionArn=... --"),
    ("hub", "bootstrap hub --yes --set VpcId=vpc-1", "VpcId without SubnetIds: --set all of"),
    ("hub", "bootstrap hub --yes --region us-east-1", "--region us-east-1: not declared"),
    ("dev", "bootstrap hub --yes", "account 333333333333 is a spoke: use the hub's credentials"),
    ("hub", "bootstrap spoke --hub 555555555555 --yes", "account 222222222222 is a hub: it has st"),
    ("dev", "bootstrap spoke --hub 222222222222 --plan --set Studio=true", "RouteTableIds=..."),
    ("hub", "plan --region us-east-1", "--region us-east-1: not declared"),
    ("hub", "plan --release nowhere", "nowhere/manifest.json: missing"),
    ("hub", "portfolio share projects --with ou-aaaa-12345678", "add it to portfolios.projects"),
    ("hub", f"portfolio unshare projects --with {DEV}", "take it out of portfolios.projects"),
    ("hub", "portfolio share nope --with 555555555555", "portfolio nope: not declared"),
    ("dev", "portfolio import --principal arn:aws:iam:::role/x", "--principal needs --portfolio"),
    ("dev", "project list --region us-east-1", "--region us-east-1: not declared"),
    ("dev", "project create churn --product nope", "--product nope: no project is made from it"),
    ("dev", "project create churn --product model-build-s3", "the product asks for --set"),
    ("dev", "project create churn --product model-build-s3 --route x", "--route is 'x'"),
    ("dev", "project create churn --product model-build-s3 --set Nope=1", "does not ask it"),
    (
        "dev",
        "project create churn --product model-build-s3 --set DataLocation=x",
        "must be a folder",
    ),
    ("dev", "project create x --product model-build-s3", "NAME is 'x': it must be 2 to 32"),
    ("dev", "project create x --product model-build-s3 --tag aws:a=1", "--tag aws:a: what begins"),
    ("dev", "project create x --product model-build-s3 --tag =1", "'=1' has no key"),
    ("dev", "project show nothing", "nothing"),
    ("dev", "portfolio import --accept x", "--accept is 'x': write a portfolio's id"),
]


@pytest.mark.parametrize(("account", "line", "says"), BAD)
def test_a_bad_input_is_one_line_and_changes_nothing(desk, account, line, says):
    before = len(writes(desk.sandbox))
    role = SCIENTIST if line.startswith("project") else None
    with pytest.raises(SeedbedError) as caught:
        desk.run(account, *line.split(), role=role)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [one["operation"] for one in writes(desk.sandbox)[before:]] == []


def test_a_new_region_takes_over_what_was_set(desk, tmp_path):
    """All but what one region knows, which is given for each. Roles stay where they are."""
    git(tmp_path, "clone", "--quiet", str(desk.checkout), "other")
    other = Desk(desk.sandbox, tmp_path / "other")
    declared = other.checkout / declaration.FILE
    two = "regions: [eu-west-1, us-east-1]"
    declared.write_text(declared.read_text().replace("regions: [eu-west-1]", two))
    words = ["bootstrap", "hub", "--region"]
    given = "PackageIndexUrl=https://index.example.com/simple"
    other.run("hub", *words, "eu-west-1", "--set", given, "--yes")
    said = json.loads(other.run("hub", *words, "us-east-1", "--plan", "--json", code=2))
    assert {one["stack"]: one["kept"] for one in said} == {
        "seedbed-hub-assets": {"OrganizationPaths": "o-seedbed0001/*"},
        "seedbed-spoke-seeder": dict([given.split("=", 1)]),
    }
    declared.write_text(declared.read_text().replace(two, "regions: [us-east-1, eu-west-1]"))
    said = json.loads(other.run("hub", *words[:2], "--plan", "--json", code=2))
    assert [one["region"] for one in said if one["stack"] == "seedbed-spoke-roles"] == ["eu-west-1"]
    with pytest.raises(SeedbedError, match="is of one region: add --region"):
        other.run("hub", *words[:2], "--set", "VpcId=vpc-1", "--plan")
    with pytest.raises(SeedbedError, match="seedbed-spoke-roles is in eu-west-1 only"):
        other.run("hub", *words, "us-east-1", "--set", "LinkedDatabases=x", "--plan")
    other.run("hub", *words, "eu-west-1", "--set", "PackageIndexUrl=", "--yes")


def test_a_declared_share_can_be_made_at_once(desk):
    words = ["portfolio", "share", "projects", "--with", DEV, "--yes"]
    assert "nothing to do" in desk.run("hub", *words)
    catalog_ = desk.sandbox.client("servicecatalog", "hub")
    listed = catalog_.list_portfolios()["PortfolioDetails"]
    id_ = next(one["Id"] for one in listed if one["DisplayName"] == "SageMaker Projects")
    unit = {"Type": "ORGANIZATIONAL_UNIT", "Value": DEV}
    said = catalog_.delete_portfolio_share(PortfolioId=id_, OrganizationNode=unit)
    settled_share(catalog_, said)
    assert "share with" in desk.run("hub", *words[:-1], "--plan", code=2)
    assert "1 servicecatalog:CreatePortfolioShare" in desk.run("hub", *words)
    assert "nothing to do" in desk.run("hub", "plan")


def test_a_project_is_listed_and_shown_and_holds_up_a_teardown(desk):
    desk.create("shown", "model-build-s3", "catalog")
    listed = json.loads(desk.run("dev", "project", "list", "--json", role=SCIENTIST))
    found = next(one for one in listed if one["name"] == "shown")
    assert (found["status"], found["route"]) == ("CreateCompleted", "catalog")
    assert found["parameters"]["DataLocation"] == "s3://lake-bucket/churn/"
    assert "CreateCompleted" in desk.run("dev", "project", "show", "shown", role=SCIENTIST)
    with pytest.raises(SeedbedError, match=r"these roles: delete first .* shown \(eu-west-1\)"):
        desk.run("dev", "teardown", "spoke", "--hub", desk.hub, "--yes")


def test_teardown_removes_a_spokes_stacks(desk):
    words = ["teardown", "spoke", "--hub", desk.hub, "--json"]
    before = len(writes(desk.sandbox))
    shown = json.loads(desk.run("test", *words, "--plan", code=2))
    assert "delete  seedbed-spoke-roles" in desk.run("test", *words[:-1], "--plan", code=2)
    assert writes(desk.sandbox)[before:] == []
    said = json.loads(desk.run("test", *words, "--yes"))
    assert said == shown
    assert [one["stack"] for one in said["deleted"]][-1] == "seedbed-spoke-roles"
    assert desk.sandbox.client("cloudformation", "test").describe_stacks()["Stacks"] == []
    with pytest.raises(desk.sandbox.client("iam", "test").exceptions.NoSuchEntityException):
        desk.sandbox.client("iam", "test").get_role(RoleName="seedbed-launch")
    for option in ("--yes", "--plan"):  # nothing is left: there is nothing to do
        assert json.loads(desk.run("test", *words, option)) == {"deleted": [], "stays": []}
    desk.run("test", "bootstrap", "spoke", "--hub", desk.hub, "--yes")


def test_an_upgrade_keeps_what_was_set_before(desk):
    """What is not given stays; what is given as empty is taken back."""
    words = ["bootstrap", "spoke", "--hub", desk.hub]
    given = ["--set", "PackageIndexUrl=https://index.example.com/simple"]
    desk.run("test", *words, *given, "--yes")
    said = json.loads(desk.run("test", *words, "--plan", "--json"))
    assert [one for one in said if one["changes"]] == []
    kept = {"PackageIndexUrl": "https://index.example.com/simple"}
    assert [one["kept"] for one in said if one["stack"] == "seedbed-spoke-seeder"] == [kept]
    assert "keeps   PackageIndexUrl = https://index" in desk.run("test", *words, "--yes")
    desk.run("test", *words, "--set", "PackageIndexUrl=", "--yes")
    stack = desk.sandbox.client("cloudformation", "test").describe_stacks(
        StackName="seedbed-spoke-seeder"
    )["Stacks"][0]
    assert {"ParameterKey": "PackageIndexUrl", "ParameterValue": ""} in stack["Parameters"]


def test_teardown_of_a_hub_tells_what_stays(desk, tmp_path):
    """A hub of its own, which shares with nobody."""
    git(tmp_path, "clone", "--quiet", str(desk.checkout), "other")
    other = Desk(desk.sandbox, tmp_path / "other")
    text = (other.checkout / declaration.FILE).read_text().replace(f"units: [{DEV}]", "units: []")
    (other.checkout / declaration.FILE).write_text(text)
    commit(other.checkout, "v0.2.1")
    other.run("prod", "bootstrap", "hub", "--yes")
    other.run("prod", "package")
    other.run("prod", "publish", "--yes")
    hub = desk.sandbox.account("prod")
    portfolios = "AWS::ServiceCatalog::Portfolio"
    kept = json.loads(other.run("prod", "teardown", "hub", "--yes", "--json"))["stays"]
    assert {"AWS::S3::Bucket", "AWS::KMS::Key", portfolios} <= {one["type"] for one in kept}
    assert f"seedbed-assets-{hub}-eu-west-1" in {one["id"] for one in kept}
    with pytest.raises(SeedbedError, match="is there without its stack"):
        other.run("prod", "bootstrap", "hub", "--yes")
    words = ["teardown", "hub", "--portfolios", "--json"]
    before = len(writes(desk.sandbox))
    shown = json.loads(other.run("prod", *words, "--plan", code=2))
    assert writes(desk.sandbox)[before:] == []
    said = json.loads(other.run("prod", *words, "--yes"))
    assert said == shown
    assert said["stays"] == []
    assert [one["region"] for one in said["requests"]] == ["eu-west-1"]
    catalog_ = desk.sandbox.client("servicecatalog", "prod")
    assert catalog_.list_portfolios()["PortfolioDetails"] == []
    assert catalog_.search_products_as_admin()["ProductViewDetails"] == []
