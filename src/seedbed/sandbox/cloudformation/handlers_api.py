"""API Gateway's REST APIs: their updates are lists of patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seedbed.sandbox.cloudformation.aws import Aws, convert, input_shape
from seedbed.sandbox.cloudformation.errors import ResourceError
from seedbed.sandbox.cloudformation.resources import Generic, Resource, call_unless_gone, without

PLACE = ("RestApiId", "ResourceId", "HttpMethod")

# A method setting -> the end of its patch's path, as UpdateStage documents it.
METHOD_SETTINGS: Mapping[str, str] = {
    "CacheDataEncrypted": "caching/dataEncrypted", "CacheTtlInSeconds": "caching/ttlInSeconds",
    "CachingEnabled": "caching/enabled", "DataTraceEnabled": "logging/dataTrace",
    "LoggingLevel": "logging/loglevel", "MetricsEnabled": "metrics/enabled",
    "ThrottlingBurstLimit": "throttling/burstLimit", "ThrottlingRateLimit": "throttling/rateLimit",
}  # fmt: skip

Patch = dict[str, str]


def patch(path: str, value: Any) -> Patch:
    said = str(value).lower() if isinstance(value, bool) else value
    return {"op": "replace", "path": path, "value": said if isinstance(said, str) else str(said)}


class Patched(Generic):
    """A handler that a row drives, and that changes scalars by patches."""

    def _change(self, resource: Resource, changed: set[str], aws: Aws) -> None:
        patches = []
        for name in sorted(changed):
            value = resource.properties.get(name)
            if value is None or isinstance(value, (Mapping, list)):
                raise ResourceError(
                    f"{resource.where}: changing property {name} in an update is not emulated"
                )
            member = self.kind.rename.get(name, name[0].lower() + name[1:])
            patches.append(patch(f"/{member}", value))
        self._patch(resource, patches, aws)

    def _patch(self, resource: Resource, patches: list[Patch], aws: Aws) -> None:
        update = self.kind.update
        aws.call(update, **self.identity(resource, update, aws), patchOperations=patches)


class Stage(Patched):
    """AWS::ApiGateway::Stage: logs and method settings are patches in any case."""

    ASIDE = ("AccessLogSetting", "MethodSettings")

    def create(self, resource: Resource, aws: Aws) -> None:
        with resource.sent_as(without(resource.properties, *self.ASIDE)):
            super().create(resource, aws)
        if patches := list(self._settings(resource)):
            self._patch(resource, patches, aws)

    def _change(self, resource: Resource, changed: set[str], aws: Aws) -> None:
        if gone := sorted({*self.ASIDE} & changed - set(resource.properties)):
            raise ResourceError(
                f"{resource.where}: taking away property {gone[0]} in an update is not emulated"
            )
        if {*self.ASIDE} & changed:
            self._patch(resource, list(self._settings(resource)), aws)
        if rest := changed - {*self.ASIDE}:
            super()._change(resource, rest, aws)

    def _settings(self, resource: Resource) -> Iterator[Patch]:
        logs = resource.properties.get("AccessLogSetting", {})
        for name, value in logs.items():
            yield patch(f"/accessLogSettings/{name[0].lower()}{name[1:]}", value)
        for setting in resource.properties.get("MethodSettings", []):
            path = setting.get("ResourcePath", "/*").removeprefix("/").replace("/", "~1")
            place = f"/{path or '~1'}/{setting.get('HttpMethod', '*')}"
            for name, end in METHOD_SETTINGS.items():
                if name in setting:
                    yield patch(f"{place}/{end}", setting[name])


class Deployment(Patched):
    """AWS::ApiGateway::Deployment; with a stage's name it makes the stage too."""

    STAGE: Mapping[str, str] = {
        "CacheClusterEnabled": "CacheClusterEnabled", "CacheClusterSize": "CacheClusterSize",
        "Description": "StageDescription", "TracingEnabled": "TracingEnabled",
        "Variables": "Variables",
    }  # fmt: skip

    def create(self, resource: Resource, aws: Aws) -> None:
        said = without(resource.properties, "StageDescription")
        for name, value in resource.properties.get("StageDescription", {}).items():
            if name not in self.STAGE:
                raise ResourceError(
                    f"{resource.where}: property StageDescription/{name} is not emulated"
                )
            said[self.STAGE[name]] = value
        with resource.sent_as(said):
            super().create(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        if "StageName" in given:
            place = {"restApiId": given["RestApiId"], "stageName": given["StageName"]}
            call_unless_gone(aws, "apigateway:DeleteStage", **place)
        super().delete(resource, aws)


class Account:
    """AWS::ApiGateway::Account: the region's setting, which stays when the resource goes."""

    def create(self, resource: Resource, aws: Aws) -> None:
        self._set(resource, aws)
        resource.physical_id = resource.attributes["Id"] = resource.unique(64)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        del old
        self._set(resource, aws)

    def delete(self, resource: Resource, aws: Aws) -> None:
        """Leave the account's setting, as CloudFormation does."""

    def _set(self, resource: Resource, aws: Aws) -> None:
        if role := resource.properties.get("CloudWatchRoleArn"):
            patches = [patch("/cloudwatchRoleArn", role)]
            aws.call("apigateway:UpdateAccount", patchOperations=patches)


class Method:
    """AWS::ApiGateway::Method: the method, its integration, and the responses of both."""

    def create(self, resource: Resource, aws: Aws) -> None:
        given = resource.properties
        said = without(given, "Integration", "MethodResponses")
        said.setdefault("AuthorizationType", "NONE")
        self._call("PutMethod", resource, said, "", aws)
        resource.physical_id = resource.unique(64)
        for at, response in enumerate(given.get("MethodResponses", [])):
            self._call("PutMethodResponse", resource, response, f"MethodResponses/{at}", aws)
        if "Integration" not in given:
            return
        integration = dict(given["Integration"])
        responses = integration.pop("IntegrationResponses", [])
        self._call("PutIntegration", resource, integration, "Integration", aws)
        for at, response in enumerate(responses):
            where = f"Integration/IntegrationResponses/{at}"
            self._call("PutIntegrationResponse", resource, response, where, aws)

    def update(self, resource: Resource, old: Mapping[str, Any], aws: Aws) -> None:
        """Make the method anew in its place."""
        with resource.sent_as(dict(old)):
            self.delete(resource, aws)
        name = resource.physical_id
        self.create(resource, aws)
        resource.physical_id = name

    def delete(self, resource: Resource, aws: Aws) -> None:
        place = {key[0].lower() + key[1:]: resource.properties[key] for key in PLACE}
        call_unless_gone(aws, "apigateway:DeleteMethod", **place)

    def _call(
        self, operation: str, resource: Resource, said: Mapping[str, Any], where: str, aws: Aws
    ) -> None:
        shape = input_shape(f"apigateway:{operation}")
        place = {key: resource.properties[key] for key in PLACE}
        inner = f"{resource.where}: property {where}".rstrip("/ ")
        aws.call(f"apigateway:{operation}", **convert({**said, **place}, shape, inner))
