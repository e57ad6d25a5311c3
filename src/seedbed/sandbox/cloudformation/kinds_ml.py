"""The table, part two: SageMaker, Service Catalog and data."""

from __future__ import annotations

from typing import Any

from seedbed.sandbox.cloudformation.kinds import Extra, Kind


def _sagemaker(noun: str, *, named: bool = False, **more: Any) -> Kind:
    """Return the row of a SageMaker type: its operations are named for it throughout."""
    arn = f"{noun}Arn"
    ident = {"ResourceArn": arn, **more.pop("ident", {})}
    name = more.pop("name", f"{noun}Name" if named else "")
    return Kind(
        f"sagemaker:Create{noun}", f"sagemaker:Delete{noun}", read=f"sagemaker:Describe{noun}",
        name=name, limit=63, ident=ident, tag="sagemaker:AddTags", untag="sagemaker:DeleteTags",
        **{"ref": arn, **more},
    )  # fmt: skip


def _job_definition(noun: str) -> Kind:
    return _sagemaker(
        noun, ref="JobDefinitionArn", name="JobDefinitionName",
        ident={"ResourceArn": "Ref", "JobDefinitionName": "JobDefinitionName"},
        keep={"JobDefinitionName": "JobDefinitionName"},
    )  # fmt: skip


KINDS: dict[str, Kind] = {
    "AWS::SageMaker::ModelPackageGroup": _sagemaker(
        "ModelPackageGroup",
        extras=(
            Extra(("ModelPackageGroupPolicy",), "sagemaker:PutModelPackageGroupPolicy",
                  {"ModelPackageGroupPolicy": "ResourcePolicy"},
                  remove="sagemaker:DeleteModelPackageGroupPolicy"),
        ),
    ),
    "AWS::SageMaker::CodeRepository": _sagemaker(
        "CodeRepository", named=True, update="sagemaker:UpdateCodeRepository"
    ),
    "AWS::SageMaker::Domain": _sagemaker(
        "Domain", ref="DomainId", status="Status", update="sagemaker:UpdateDomain",
        update_rename={"DomainSettings": "DomainSettingsForUpdate"},
        ident={"DomainId": "Ref", "ResourceArn": "DomainArn"},
    ),
    "AWS::SageMaker::NotebookInstance": _sagemaker(
        "NotebookInstance", named=True, status="NotebookInstanceStatus",
    ),
    "AWS::SageMaker::UserProfile": _sagemaker(
        "UserProfile", ref="={UserProfileName}|{DomainId}", status="Status",
        update="sagemaker:UpdateUserProfile",
    ),
    "AWS::SageMaker::Space": _sagemaker(
        "Space", ref="={SpaceName}|{DomainId}", status="Status", update="sagemaker:UpdateSpace"
    ),
    "AWS::SageMaker::StudioLifecycleConfig": _sagemaker(
        "StudioLifecycleConfig", ref="StudioLifecycleConfigName"
    ),
    "AWS::SageMaker::AppImageConfig": _sagemaker(
        "AppImageConfig", ref="AppImageConfigName", update="sagemaker:UpdateAppImageConfig",
        ident={"AppImageConfigName": "Ref", "ResourceArn": "AppImageConfigArn"},
    ),
    "AWS::SageMaker::FeatureGroup": _sagemaker(
        "FeatureGroup", ref="FeatureGroupName", status="FeatureGroupStatus",
        keep={"FeatureGroupArn": "FeatureGroupArn"},
    ),
    "AWS::SageMaker::Model": _sagemaker("Model", named=True),
    "AWS::SageMaker::EndpointConfig": _sagemaker("EndpointConfig", named=True),
    "AWS::SageMaker::Endpoint": _sagemaker(
        "Endpoint", named=True, status="EndpointStatus", update="sagemaker:UpdateEndpoint",
        update_only=(
            "RetainAllVariantProperties", "ExcludeRetainedVariantProperties",
            "RetainDeploymentConfig",
        ),
        resets={"DeploymentConfig": {}},
    ),
    "AWS::SageMaker::MonitoringSchedule": _sagemaker(
        "MonitoringSchedule", status="MonitoringScheduleStatus",
        update="sagemaker:UpdateMonitoringSchedule",
        ignored=("EndpointName",),  # the endpoint is its definition's
    ),
    "AWS::SageMaker::ModelCard": _sagemaker(
        "ModelCard", ref="ModelCardName", update="sagemaker:UpdateModelCard",
        ident={"ResourceArn": "ModelCardArn"}, resets={},
    ),
    **{
        f"AWS::SageMaker::{noun}": _job_definition(noun)
        for noun in (
            "DataQualityJobDefinition", "ModelQualityJobDefinition", "ModelBiasJobDefinition",
            "ModelExplainabilityJobDefinition",
        )
    },
    "AWS::ServiceCatalog::Portfolio": Kind(
        "servicecatalog:CreatePortfolio", "servicecatalog:DeletePortfolio",
        "servicecatalog:UpdatePortfolio", ref="Id", ident={"Id": "Ref"},
        attributes={"Id": "PortfolioDetail.Id", "PortfolioName": "={DisplayName}"},
        resets={"Description": ""},
        tag="servicecatalog:UpdatePortfolio", untag="servicecatalog:UpdatePortfolio",
    ),
    "AWS::ServiceCatalog::PortfolioPrincipalAssociation": Kind(
        "servicecatalog:AssociatePrincipalWithPortfolio",
        "servicecatalog:DisassociatePrincipalFromPortfolio",
        ident={"PrincipalType": "PrincipalType"},
    ),
    "AWS::ServiceCatalog::PortfolioProductAssociation": Kind(
        "servicecatalog:AssociateProductWithPortfolio",
        "servicecatalog:DisassociateProductFromPortfolio",
    ),
    "AWS::ServiceCatalog::PortfolioShare": Kind(
        "servicecatalog:CreatePortfolioShare", "servicecatalog:DeletePortfolioShare",
        "servicecatalog:UpdatePortfolioShare", ident={"AccountId": "AccountId"},
    ),
    "AWS::ServiceCatalog::AcceptedPortfolioShare": Kind(
        "servicecatalog:AcceptPortfolioShare", "servicecatalog:RejectPortfolioShare",
    ),
    "AWS::ServiceCatalog::TagOption": Kind(
        "servicecatalog:CreateTagOption", "servicecatalog:DeleteTagOption", ref="Id",
        attributes={"Id": "TagOptionDetail.Id"}, ident={"Id": "Ref"},
        extras=(Extra(("Active",), "servicecatalog:UpdateTagOption"),),
    ),
    "AWS::ServiceCatalog::TagOptionAssociation": Kind(
        "servicecatalog:AssociateTagOptionWithResource",
        "servicecatalog:DisassociateTagOptionFromResource",
    ),
    "AWS::Glue::Database": Kind(
        "glue:CreateDatabase", "glue:DeleteDatabase", "glue:UpdateDatabase",
        name="DatabaseName", limit=255, lower=True, rename={"DatabaseName": "DatabaseInput.Name"},
        ident={"Name": "Ref", "CatalogId": "CatalogId"},
    ),
    "AWS::Glue::Crawler": Kind(
        "glue:CreateCrawler", "glue:DeleteCrawler", "glue:UpdateCrawler", name="Name", limit=255,
        ident={
            "Name": "Ref",
            "ResourceArn": "=arn:{partition}:glue:{region}:{account}:crawler/{Ref}",
        },
        tag="glue:TagResource", untag="glue:UntagResource",
    ),
    "AWS::Athena::WorkGroup": Kind(
        "athena:CreateWorkGroup", "athena:DeleteWorkGroup", "athena:UpdateWorkGroup",
        rename={"WorkGroupConfiguration": "Configuration"},
        update_rename={"WorkGroupConfiguration": "ConfigurationUpdates"},
        ident={
            "WorkGroup": "Ref", "RecursiveDeleteOption": "RecursiveDeleteOption",
            "ResourceARN": "=arn:{partition}:athena:{region}:{account}:workgroup/{Ref}",
        },
        ignored=("RecursiveDeleteOption",), resets={"Description": ""},
        tag="athena:TagResource", untag="athena:UntagResource",
    ),
    "AWS::Athena::NamedQuery": Kind(
        "athena:CreateNamedQuery", "athena:DeleteNamedQuery", name="Name", limit=128,
        ref="NamedQueryId", ident={"NamedQueryId": "Ref"},
    ),
    "AWS::LakeFormation::Resource": Kind(
        "lakeformation:RegisterResource", "lakeformation:DeregisterResource",
        "lakeformation:UpdateResource", ref="ResourceArn", attributes={"Id": "={ResourceArn}"},
    ),
    "AWS::LakeFormation::Tag": Kind("lakeformation:CreateLFTag", "lakeformation:DeleteLFTag"),
    "AWS::RAM::ResourceShare": Kind(
        "ram:CreateResourceShare", "ram:DeleteResourceShare", "ram:UpdateResourceShare", ref="Arn",
        attributes={
            "Arn": "resourceShare.resourceShareArn", "Status": "resourceShare.status",
            "OwningAccountId": "resourceShare.owningAccountId",
        },
        ident={"resourceShareArn": "Ref"}, tag="ram:TagResource", untag="ram:UntagResource",
    ),
}  # fmt: skip
