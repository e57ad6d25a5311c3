"""Model monitoring: schedules and job definitions, as records; no schedule ever runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from seedbed.sandbox.service import ServiceError
from seedbed.sandbox.services.sagemaker.records import Kind, Records
from seedbed.sandbox.world import Context


def _definition(noun: str, resource: str) -> Kind:
    return Kind(
        noun,
        ("JobDefinitionName",),
        f"{resource}/{{JobDefinitionName}}",
        renamed={
            "MonitoringJobDefinitionName": "JobDefinitionName",
            "MonitoringJobDefinitionArn": "JobDefinitionArn",
        },
        descending=True,
    )


SCHEDULE = Kind(
    "MonitoringSchedule",
    ("MonitoringScheduleName",),
    "monitoring-schedule/{MonitoringScheduleName}",
    status=("MonitoringScheduleStatus", "Scheduled"),
    merges=False,
    descending=True,
)
DEFINITIONS = {
    "DataQuality": _definition("DataQualityJobDefinition", "data-quality-job-definition"),
    "ModelQuality": _definition("ModelQualityJobDefinition", "model-quality-job-definition"),
    "ModelBias": _definition("ModelBiasJobDefinition", "model-bias-job-definition"),
    "ModelExplainability": _definition(
        "ModelExplainabilityJobDefinition", "model-explainability-job-definition"
    ),
}


class Monitoring(Records):
    """Schedules are kept and never fire: there are no executions to list."""

    kinds: ClassVar[tuple[Kind, ...]] = (SCHEDULE, *DEFINITIONS.values())

    def create_data_quality_job_definition(self, ctx: Context, **params: Any) -> dict[str, Any]:
        return self._define(ctx, "DataQuality", params)

    def create_model_quality_job_definition(self, ctx: Context, **params: Any) -> dict[str, Any]:
        return self._define(ctx, "ModelQuality", params)

    def create_model_bias_job_definition(self, ctx: Context, **params: Any) -> dict[str, Any]:
        return self._define(ctx, "ModelBias", params)

    def create_model_explainability_job_definition(
        self, ctx: Context, **params: Any
    ) -> dict[str, Any]:
        return self._define(ctx, "ModelExplainability", params)

    def _define(self, ctx: Context, type_name: str, params: dict[str, Any]) -> dict[str, Any]:
        kind = DEFINITIONS[type_name]
        answer = self.make(ctx, kind, params)
        source = params[f"{type_name}JobInput"]
        record = self.find(ctx, kind, params)
        # A list of definitions tells the endpoint; one of a batch transform has none.
        record.beside["EndpointName"] = source.get("EndpointInput", {}).get("EndpointName", "")
        return answer

    def create_monitoring_schedule(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Keep a schedule, with what Describe and List tell of its job definition."""
        told = self._told(ctx, params["MonitoringScheduleConfig"])
        answer = self.make(ctx, SCHEDULE, params)
        self._note(ctx, params, told)
        return answer

    def update_monitoring_schedule(self, ctx: Context, **params: Any) -> dict[str, Any]:
        self.find(ctx, SCHEDULE, params)
        told = self._told(ctx, params["MonitoringScheduleConfig"])
        answer = self.change(ctx, SCHEDULE, params)
        self._note(ctx, params, told)
        return answer

    def start_monitoring_schedule(
        self, ctx: Context, MonitoringScheduleName: str
    ) -> dict[str, Any]:
        return self._switch(ctx, MonitoringScheduleName, "Scheduled")

    def stop_monitoring_schedule(self, ctx: Context, MonitoringScheduleName: str) -> dict[str, Any]:
        return self._switch(ctx, MonitoringScheduleName, "Stopped")

    def list_monitoring_executions(self, ctx: Context, **filters: Any) -> dict[str, Any]:
        """Answer with no execution at all: schedules do not run here."""
        if name := filters.get("MonitoringScheduleName"):
            self.find(ctx, SCHEDULE, {"MonitoringScheduleName": name})
        return {"MonitoringExecutionSummaries": []}

    def _told(self, ctx: Context, config: Mapping[str, Any]) -> dict[str, str]:
        """Return the type and endpoint that a schedule's configuration tells.

        Raises:
            ServiceError: It names a job definition that does not exist.
        """
        name, type_name = config.get("MonitoringJobDefinitionName"), config.get("MonitoringType")
        endpoint = _endpoint(config.get("MonitoringJobDefinition", {}))
        if name:
            if type_name is None:
                raise ServiceError("ValidationException", "MonitoringType is required.")
            with self.lock:
                found = self.table(ctx, DEFINITIONS[type_name].noun).get((name,))
            if found is None:
                message = f"Could not find job definition {name} of type {type_name}."
                raise ServiceError("ValidationException", message)
            endpoint = found.beside["EndpointName"]
        told = {"MonitoringType": type_name, "EndpointName": endpoint}
        return {member: value for member, value in told.items() if value}

    def _note(self, ctx: Context, params: Mapping[str, Any], told: dict[str, str]) -> None:
        record, config = self.find(ctx, SCHEDULE, params), params["MonitoringScheduleConfig"]
        with self.lock:
            for member in ("MonitoringType", "EndpointName"):
                record.said.pop(member, None)
            record.said |= told
            name = config.get("MonitoringJobDefinitionName")
            record.beside["MonitoringJobDefinitionName"] = name

    def _switch(self, ctx: Context, name: str, state: str) -> dict[str, Any]:
        record = self.find(ctx, SCHEDULE, {"MonitoringScheduleName": name})
        with self.lock:
            record.said["MonitoringScheduleStatus"] = state
            record.said["LastModifiedTime"] = self.now()
        return {}


def _endpoint(definition: Mapping[str, Any]) -> str:
    names = [
        str(source["EndpointInput"]["EndpointName"])
        for source in definition.get("MonitoringInputs", [])
        if "EndpointInput" in source
    ]
    return names[0] if names else ""
