"""Studio: domains, profiles and what hangs on them keep all they are given; tags work."""

from __future__ import annotations

import pytest
from access import allow, make_role, refused
from moto.core.utils import get_service_model

from seedbed.sandbox.services.sagemaker.monitoring import Monitoring
from seedbed.sandbox.services.sagemaker.studio import Studio

ROLE = "arn:aws:iam::333333333333:role/studio"
IDLE = {"LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": 60}
LAB = {
    "DefaultResourceSpec": {"InstanceType": "ml.t3.medium"},
    "LifecycleConfigArns": ["arn:aws:sagemaker:eu-west-1:333333333333:studio-lifecycle-config/x"],
    "CodeRepositories": [{"RepositoryUrl": "https://git.example.com/a"}],
    "AppLifecycleManagement": {"IdleSettings": IDLE},
}
SETTINGS = {
    "ExecutionRole": ROLE,
    "SecurityGroups": ["sg-00000001"],
    "SharingSettings": {"NotebookOutputOption": "Disabled"},
    "JupyterLabAppSettings": LAB,
    "CodeEditorAppSettings": {"AppLifecycleManagement": {"IdleSettings": IDLE}},
    "SpaceStorageSettings": {
        "DefaultEbsStorageSettings": {
            "DefaultEbsVolumeSizeInGb": 10,
            "MaximumEbsVolumeSizeInGb": 50,
        }
    },
    "DefaultLandingUri": "studio::",
    "StudioWebPortal": "ENABLED",
    "StudioWebPortalSettings": {"HiddenMlTools": ["DataWrangler"]},
    "AutoMountHomeEFS": "Disabled",
}
SPACES = {"ExecutionRole": ROLE, "SecurityGroups": ["sg-00000002"], "JupyterLabAppSettings": LAB}
DOMAIN = {
    "DomainName": "team",
    "AuthMode": "IAM",
    "DefaultUserSettings": SETTINGS,
    "DefaultSpaceSettings": SPACES,
    "DomainSettings": {
        "SecurityGroupIds": ["sg-00000003"],
        "ExecutionRoleIdentityConfig": "USER_PROFILE_NAME",
        "DockerSettings": {"EnableDockerAccess": "DISABLED"},
    },
    "SubnetIds": ["subnet-1", "subnet-2"],
    "VpcId": "vpc-00000001",
    "AppNetworkAccessType": "VpcOnly",
    "AppSecurityGroupManagement": "Customer",
    "KmsKeyId": "arn:aws:kms:eu-west-1:333333333333:key/k",
    "TagPropagation": "ENABLED",
}
LOCATION = {"Key": "sagemaker:projectS3TemplatesLocation", "Value": "s3://b/templates/"}


@pytest.fixture
def studio(sandbox):
    return sandbox.client("sagemaker")


@pytest.fixture
def domain(studio):
    return studio.create_domain(**DOMAIN)["DomainArn"].rpartition("/")[2]


def shown(answer, given):
    return {name: answer.get(name) for name in given}


def test_a_domain_keeps_all_it_is_given(studio):
    made = studio.create_domain(**DOMAIN, Tags=[LOCATION])
    domain_id = made["DomainId"]
    assert made["DomainArn"].endswith(f":domain/{domain_id}")
    said = studio.describe_domain(DomainId=domain_id)
    assert shown(said, DOMAIN) == DOMAIN
    assert said["Status"] == "InService"
    assert said["HomeEfsFileSystemId"].startswith("fs-")
    assert said["Url"] == made["Url"]
    assert studio.list_tags(ResourceArn=made["DomainArn"])["Tags"] == [LOCATION]
    assert [one["DomainId"] for one in studio.list_domains()["Domains"]] == [domain_id]


def test_a_domain_has_the_documented_defaults(studio):
    said = {"DomainName": "d", "AuthMode": "IAM", "DefaultUserSettings": {"ExecutionRole": ROLE}}
    made = studio.create_domain(**said)["DomainId"]
    found = studio.describe_domain(DomainId=made)
    assert found["AppNetworkAccessType"] == "PublicInternetOnly"
    assert found["TagPropagation"] == "DISABLED"
    assert found["HomeEfsFileSystemCreation"] == "Enabled"
    none = studio.create_domain(**said, HomeEfsFileSystemCreation="Disabled")["DomainId"]
    assert "HomeEfsFileSystemId" not in studio.describe_domain(DomainId=none)
    with refused("ValidationException", "VpcId"):
        studio.create_domain(**said, AppNetworkAccessType="VpcOnly")


def test_an_update_of_a_domain_leaves_what_it_does_not_name(studio, domain):
    idle = {"LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": 120}
    studio.update_domain(
        DomainId=domain,
        DefaultUserSettings={
            "JupyterLabAppSettings": {"AppLifecycleManagement": {"IdleSettings": idle}}
        },
        DomainSettingsForUpdate={"DockerSettings": {"EnableDockerAccess": "ENABLED"}},
        SubnetIds=["subnet-3"],
        TagPropagation="DISABLED",
    )
    said = studio.describe_domain(DomainId=domain)
    lab = {**LAB, "AppLifecycleManagement": {"IdleSettings": idle}}
    assert said["DefaultUserSettings"] == {**SETTINGS, "JupyterLabAppSettings": lab}
    assert said["DefaultSpaceSettings"] == SPACES
    docker = {"DockerSettings": {"EnableDockerAccess": "ENABLED"}}
    assert said["DomainSettings"] == {**DOMAIN["DomainSettings"], **docker}
    assert (said["SubnetIds"], said["TagPropagation"]) == (["subnet-3"], "DISABLED")
    assert said["LastModifiedTime"] > said["CreationTime"]
    with refused("ResourceNotFound", "does not exist"):
        studio.update_domain(DomainId="d-none")


def test_tags_come_and_go(studio, domain):
    arn = studio.describe_domain(DomainId=domain)["DomainArn"]
    studio.add_tags(ResourceArn=arn, Tags=[LOCATION, {"Key": "team", "Value": "a"}])
    other = {**LOCATION, "Value": "s3://other"}
    assert other in studio.add_tags(ResourceArn=arn, Tags=[other])["Tags"]
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [other, {"Key": "team", "Value": "a"}]
    studio.delete_tags(ResourceArn=arn, TagKeys=[LOCATION["Key"]])
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a"}]
    with refused("ValidationException", "Could not find"):
        studio.list_tags(ResourceArn=f"{arn}x")
    with refused("NotImplementedInSandbox", "tags of"):
        studio.list_tags(ResourceArn=arn.replace("domain/", "edge-packaging-job/"))


def test_a_tag_of_moto_s_is_there_once(studio):
    studio.create_pipeline(PipelineName="p", PipelineDefinition="{}", RoleArn=ROLE)
    arn = studio.describe_pipeline(PipelineName="p")["PipelineArn"]
    for value in ("a", "b"):
        studio.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": value}])
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "b"}]
    studio.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert studio.list_tags(ResourceArn=arn)["Tags"] == []


def test_a_user_profile_from_birth_to_deletion(studio, domain):
    key = {"DomainId": domain, "UserProfileName": "ann"}
    arn = studio.create_user_profile(
        **key, UserSettings=SETTINGS, Tags=[{"Key": "a", "Value": "b"}]
    )["UserProfileArn"]
    assert arn.endswith(f":user-profile/{domain}/ann")
    said = studio.describe_user_profile(**key)
    assert (said["Status"], said["UserSettings"]) == ("InService", SETTINGS)
    studio.update_user_profile(**key, UserSettings={"SecurityGroups": ["sg-00000009"]})
    said = studio.describe_user_profile(**key)
    assert said["UserSettings"] == {**SETTINGS, "SecurityGroups": ["sg-00000009"]}
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    with refused("ResourceInUse", "already exists"):
        studio.create_user_profile(**key)
    with refused("ResourceInUse", "UserProfile"):
        studio.delete_domain(DomainId=domain)
    studio.delete_user_profile(**key)
    with refused("ResourceNotFound", "does not exist"):
        studio.describe_user_profile(**key)
    studio.delete_domain(DomainId=domain, RetentionPolicy={"HomeEfsFileSystem": "Delete"})
    with refused("ResourceNotFound"):
        studio.describe_domain(DomainId=domain)


def test_a_domain_says_how_its_users_are_named(studio, domain):
    sso = studio.create_domain(**{**DOMAIN, "DomainName": "sso", "AuthMode": "SSO"})["DomainId"]
    assert studio.describe_domain(DomainId=sso)["SingleSignOnApplicationArn"].startswith("arn:")
    user = {"SingleSignOnUserIdentifier": "UserName", "SingleSignOnUserValue": "ann@x.org"}
    with refused("ValidationException", "required"):
        studio.create_user_profile(DomainId=sso, UserProfileName="ann")
    studio.create_user_profile(DomainId=sso, UserProfileName="ann", **user)
    said = studio.describe_user_profile(DomainId=sso, UserProfileName="ann")
    assert shown(said, user) == user
    with refused("ValidationException", "cannot be specified"):
        studio.create_user_profile(DomainId=domain, UserProfileName="ann", **user)


def test_user_profiles_are_listed_as_asked(studio, domain):
    other = studio.create_domain(**{**DOMAIN, "DomainName": "other"})["DomainId"]
    for place, name in ((domain, "ben"), (domain, "ann"), (other, "ann")):
        studio.create_user_profile(DomainId=place, UserProfileName=name)

    def names(**asked):
        found = studio.list_user_profiles(**asked)["UserProfiles"]
        return [(one["DomainId"] == domain, one["UserProfileName"]) for one in found]

    assert names() == [(True, "ben"), (True, "ann"), (False, "ann")]
    assert names(DomainIdEquals=other) == [(False, "ann")]
    assert names(UserProfileNameContains="be") == [(True, "ben")]
    assert names(SortOrder="Descending", MaxResults=1) == [(False, "ann")]
    with refused("ResourceNotFound", "Domain d-none"):
        studio.create_user_profile(DomainId="d-none", UserProfileName="x")


def test_a_space_belongs_to_a_user(studio, domain):
    owner = {"OwnerUserProfileName": "ann"}
    said = {
        "DomainId": domain,
        "SpaceName": "lab",
        "SpaceDisplayName": "Lab",
        "OwnershipSettings": owner,
        "SpaceSharingSettings": {"SharingType": "Private"},
        "SpaceSettings": {"AppType": "JupyterLab", "JupyterLabAppSettings": {}},
    }
    with refused("ResourceNotFound", "UserProfile"):
        studio.create_space(**said)
    studio.create_user_profile(DomainId=domain, UserProfileName="ann")
    studio.create_space(**said)
    found = studio.describe_space(DomainId=domain, SpaceName="lab")
    assert shown(found, said) == said
    studio.update_space(DomainId=domain, SpaceName="lab", SpaceDisplayName="New")
    listed = studio.list_spaces(DomainIdEquals=domain)["Spaces"]
    assert [one["SpaceDisplayName"] for one in listed] == ["New"]
    with refused("ResourceInUse", "owns space lab"):
        studio.delete_user_profile(DomainId=domain, UserProfileName="ann")
    studio.delete_space(DomainId=domain, SpaceName="lab")
    studio.delete_user_profile(DomainId=domain, UserProfileName="ann")
    studio.create_space(DomainId=domain, SpaceName="shared")
    with refused("ResourceInUse", "Space"):
        studio.delete_domain(DomainId=domain)
    studio.delete_space(DomainId=domain, SpaceName="shared")
    assert not studio.list_spaces()["Spaces"]


def test_lifecycle_configurations_and_code_repositories(studio):
    said = {
        "StudioLifecycleConfigName": "idle",
        "StudioLifecycleConfigContent": "ZWNobwo=",
        "StudioLifecycleConfigAppType": "JupyterLab",
    }
    arn = studio.create_studio_lifecycle_config(**said)["StudioLifecycleConfigArn"]
    found = studio.describe_studio_lifecycle_config(StudioLifecycleConfigName="idle")
    assert (shown(found, said), found["StudioLifecycleConfigArn"]) == (said, arn)
    listed = studio.list_studio_lifecycle_configs(AppTypeEquals="CodeEditor")
    assert not listed["StudioLifecycleConfigs"]
    assert studio.list_studio_lifecycle_configs(AppTypeEquals="JupyterLab")[
        "StudioLifecycleConfigs"
    ]
    studio.delete_studio_lifecycle_config(StudioLifecycleConfigName="idle")
    place = "arn:aws:secretsmanager:eu-west-1:333333333333:secret:"
    git = {"RepositoryUrl": "https://git.example.com/a", "Branch": "main"}
    git["SecretArn"] = f"{place}x"
    studio.create_code_repository(CodeRepositoryName="code", GitConfig=git)
    studio.update_code_repository(CodeRepositoryName="code", GitConfig={"SecretArn": f"{place}y"})
    found = studio.describe_code_repository(CodeRepositoryName="code")
    assert found["GitConfig"] == {**git, "SecretArn": f"{place}y"}
    assert len(studio.list_code_repositories()["CodeRepositorySummaryList"]) == 1
    studio.delete_code_repository(CodeRepositoryName="code")
    with refused("ValidationException", "does not exist"):
        studio.describe_code_repository(CodeRepositoryName="code")


def test_policies_speak_of_profiles_and_domain_tags(sandbox, studio, domain):
    arn = f"arn:aws:sagemaker:eu-west-1:333333333333:user-profile/{domain}/ann"
    team = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    reader = make_role(
        sandbox,
        "reader",
        allow("sagemaker:DescribeUserProfile", arn),
        allow("sagemaker:DescribeDomain", Condition=team),
    )
    for name in ("ann", "ben"):
        studio.create_user_profile(DomainId=domain, UserProfileName=name)
    client = sandbox.become("sagemaker", reader)
    assert client.describe_user_profile(DomainId=domain, UserProfileName="ann")
    with refused("AccessDeniedException"):
        client.describe_user_profile(DomainId=domain, UserProfileName="ben")
    with refused("AccessDeniedException"):
        client.describe_domain(DomainId=domain)
    own = studio.describe_domain(DomainId=domain)["DomainArn"]
    studio.add_tags(ResourceArn=own, Tags=[{"Key": "team", "Value": "a"}])
    assert client.describe_domain(DomainId=domain)


def test_nobody_logs_in(studio, domain):
    with refused("NotImplementedInSandbox", "CreatePresignedDomainUrl"):
        studio.create_presigned_domain_url(DomainId=domain, UserProfileName="ann")


@pytest.mark.parametrize(
    "kind",
    [*Studio.kinds, *Monitoring.kinds],
    ids=lambda kind: kind.noun,
)
def test_what_a_record_is_given_can_be_told(kind):
    model = get_service_model("sagemaker")
    told = set(model.operation_model(f"Describe{kind.noun}").output_shape.members)
    for verb in ("Create", "Update"):
        if f"{verb}{kind.noun}" in model.operation_names:
            given = model.operation_model(f"{verb}{kind.noun}").input_shape.members
            assert {kind.renamed.get(one, one) for one in given} - told <= {"Tags"}
