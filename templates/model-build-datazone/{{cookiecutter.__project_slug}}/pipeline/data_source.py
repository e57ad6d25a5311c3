"""The data: assets that a DataZone project subscribes to. No other module knows its source."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.definition import Join
from pipeline.settings import ROOT, Block, Settings, SettingsError
from pipeline.source import Source, StandIn, settable
from pipeline.steps import INPUT, OUTPUT, output

if TYPE_CHECKING:
    from pipeline.steps import Jobs

FILE = "datazone-request.json"  # what the job is to know, beside its code
LAKE = ROOT / "data" / "lake"
DATABASE = "sample_sub_db"  # the sample's, by the name that a data lake environment might have
GIGABYTE = 10**9
ID = r"[a-zA-Z0-9_-]{1,36}"


def wanted(settings: Settings) -> dict[str, Any]:
    """Return config/data.yml, checked. Raises SettingsError for the first wrong value."""
    top = Block("", settings.data, "config/data.yml")
    found = {
        "domain": top.text("domain", rf"dzd[-_]{ID}", "the id of a DataZone domain"),
        "project": top.text("project", ID, "the id of a DataZone project"),
        "environment": top.text("environment", ID, "the id of an environment"),
        "assets": top.take("assets", list, "a list of tables"),
        "parameters": top.named("parameters"),
        "scan_limit": round(top.number("scan_limit_gb", above=0.01) * GIGABYTE),
        "query": top.text("query", r"(?s).*\S.*", "one SELECT"),
        "resources": _resources(top),
        "region": settings.region,
    }
    top.finish()
    for name in found["assets"] or [""]:
        if not re.fullmatch(r"[a-z0-9_]{1,255}", str(name)):
            raise top.wrong("assets", name, "at least one table: lower-case letters, digits or _")
    if settings.target_column != settings.target_column.lower():
        line = f"problem.target_column is {settings.target_column!r}"
        raise SettingsError(f"config/dev.yml: {line}: write it in lower case, as Athena answers")
    return found


def _resources(top: Block) -> dict[str, str]:
    block = top.block("resources")
    names = {key: block.text(key, r"\w{1,128}", "a name") for key in ("database", "workgroup")}
    block.finish()
    return names


def source(jobs: Jobs) -> Source:
    """Return the step Extract, which queries the assets and leaves the rows for Preprocess."""
    asked = wanted(jobs.settings)
    parameters, words = settable(asked["parameters"])
    extract = jobs.processing(
        "Extract",
        "datazone.py",
        inputs={},
        outputs=["data", "query"],
        arguments=[*("--request", f"{INPUT}/code/{FILE}"), *("--output-dir", OUTPUT), *words],
        fetches=True,
    )
    record = output(extract, "query")
    return Source(
        uri=output(extract, "data"),
        steps=[extract],
        parameters=parameters,
        provenance={
            "DataZoneDomain": asked["domain"],
            "DataZoneEnvironment": asked["environment"],
            "DataQuery": Join(on="/", values=[record, "query.json"]),
        },
    )


def files(settings: Settings) -> dict[str, bytes]:
    """Return what the jobs need besides jobs/ to read the data, by file name: the request."""
    return {FILE: (json.dumps(wanted(settings), indent=2, ensure_ascii=False) + "\n").encode()}


def stack_parameters(settings: Settings) -> Mapping[str, str]:
    """Return the parameters of infra/data.yml that config/data.yml gives."""
    asked = wanted(settings)
    return {
        "DataDomainId": asked["domain"],
        "DataEnvironmentId": asked["environment"],
        "DataProjectId": asked["project"],
    }


def explain(settings: Settings) -> Iterator[str]:
    """Yield, a line each, what is asked of DataZone, and the SQL for both engines.

    Database, workgroup and assets are the sample's: a run in AWS tells yours in query.json.
    """
    sys.path.append(str(ROOT / "jobs"))
    import datazone
    import query
    from features import InputError

    asked, lake = wanted(settings), stand_in(settings, None).data
    try:
        client = datazone.StandIn(lake)
        environment = datazone.resolve(client, asked)
        chosen = datazone.check(asked["assets"], datazone.assets(client, environment))
        made = datazone.as_query(asked, environment, asked["parameters"])
        text, values = query.statement(made)
        tables, here = query.tables(made, lake), query.local(made, lake)
    except InputError as error:
        raise SettingsError(f"config/data.yml: {error}") from None
    if unknown := {name.rsplit(".", 1)[1] for name in tables} - set(asked["assets"]):
        line = f"config/data.yml: assets lacks {min(unknown)!r}, which the query reads"
        raise SettingsError(f"{line}: add it")
    yield f"domain {asked['domain']}, project {asked['project']}, environment {environment.id}"
    for asset in chosen:
        line = f"asset {asset.name} of {asset.owner}, {asset.state} by {asset.subscription}"
        yield f"  {line}: table {environment.database}.{asset.table}"
    limit = asked["scan_limit"] / GIGABYTE
    yield f"Athena runs in workgroup {environment.workgroup}, within {limit:g} GB:"
    yield text.rstrip()
    for name, value in zip(asked["parameters"], values, strict=True):
        yield f"  {name} = {value}"
    yield f"it reads {', '.join(tables)}, and writes to the workgroup's own output location"
    yield f"this machine runs, on {lake}:"
    yield here


def stand_in(settings: Settings, data: Path | None) -> StandIn:
    """Return the folder that stands for DataZone and its tables: datazone.json, <database>/*.csv.

    Without `data` it is the sample, which is made when it is first needed, and again when the
    configuration names another environment or other assets.
    """
    asked = wanted(settings)
    if data is not None and not (data / "datazone.json").is_file():
        line = f"--data {data} holds no datazone.json"
        raise SettingsError(f"{line}: give it a folder like the sample's, data/lake")
    if data is None:
        answers = json.dumps(_answers(asked), indent=2) + "\n"
        known = LAKE / "datazone.json"
        if not known.exists() or known.read_text("utf-8") != answers:
            from pipeline import sample  # only now: it loads scikit-learn

            draft = LAKE.with_suffix(".draft")  # a killed export is to leave no half of a sample
            shutil.rmtree(draft, ignore_errors=True)
            sample.write_tables(settings.problem_type, draft / DATABASE)
            (draft / "datazone.json").write_text(answers, encoding="utf-8")
            shutil.rmtree(LAKE, ignore_errors=True)
            draft.replace(LAKE)
    lake = data or LAKE
    return StandIn(lake, environment={"LOCAL_LAKE": str(lake.resolve())})


def _answers(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what DataZone would answer, by operation (a test holds it against botocore)."""
    day = "2024-01-01T00:00:00+00:00"
    when = {"createdBy": "sample", "createdAt": day, "updatedAt": day}
    made = {"database": DATABASE, "workgroup": "sample-workgroup"}
    domain = {"domainId": asked["domain"], **when}
    subscriptions, grants = [], []
    for number, name in enumerate(("observations", "outcomes")):
        listing = {"id": f"listing{number}", "name": name, "description": f"The {name}"}
        principal = {"project": {"id": asked["project"], "name": "sample project"}}
        subscriptions.append(
            {
                **domain,
                "id": f"subscription{number}",
                "status": "APPROVED",
                "subscribedPrincipal": principal,
                "subscribedListing": {
                    **listing,
                    "item": {"assetListing": {"entityId": f"asset{number}"}},
                    "ownerProjectId": "publisher00000",
                    "ownerProjectName": "data owners",
                },
            }
        )
        grants.append(
            {
                **domain,
                "id": f"grant{number}",
                "environmentId": asked["environment"],
                "subscriptionTargetId": "target0",
                "subscriptionId": f"subscription{number}",
                "grantedEntity": {"listing": {"id": f"listing{number}", "revision": "1"}},
                "status": "COMPLETED",
                "assets": [
                    {
                        "assetId": f"asset{number}",
                        "assetRevision": "1",
                        "status": "GRANTED",
                        "targetName": name,
                    }
                ],
            }
        )
    return {
        "GetEnvironment": {
            **domain,
            "id": asked["environment"],
            "projectId": asked["project"],
            "name": "sample",
            "provider": "Amazon DataZone",
            "status": "ACTIVE",
            "awsAccountId": "111122223333",
            "awsAccountRegion": asked["region"],
            "provisionedResources": [
                {"name": name, "value": made[key], "type": "string"}
                for key, name in asked["resources"].items()
            ],
        },
        "ListSubscriptions": {"items": subscriptions},
        "ListSubscriptionGrants": {"items": grants},
        "ListSubscriptionRequests": {"items": []},
    }
