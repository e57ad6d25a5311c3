"""Requests to operations and parameters, results and errors to responses: by botocore's models.

moto brings a router, a parser and a serialiser for every protocol; these are our hooks into them,
held by tests/sandbox/test_core.py.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from botocore.utils import parse_timestamp
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from seedbed.sandbox.service import ServiceError

# moto warns of error codes that a model lacks; AWS's common ones and our own are such.
warnings.filterwarnings("ignore", message=".*does not match an error shape.*")

# Signing names behind which botocore has several services, or one of another name.
SIGNING_NAMES = {
    "application-autoscaling": ["application-autoscaling"],
    "bedrock": ["bedrock", "bedrock-runtime", "bedrock-agent", "bedrock-agent-runtime"],
    "aws-marketplace": ["marketplace-catalog"],
    "airflow": ["mwaa"],
    "dynamodb": ["dynamodb", "dynamodbstreams"],
    "elasticfilesystem": ["efs"],
    "elasticloadbalancing": ["elbv2", "elb"],
    "elasticmapreduce": ["emr"],
    "eventbridge": ["events"],
    "execute-api": ["apigatewaymanagementapi"],
    "lakeformation": ["lakeformation"],
    "monitoring": ["cloudwatch"],
    "ram": ["ram"],
    "s3": ["s3control", "s3"],
    "sagemaker": [
        "sagemaker",
        "sagemaker-runtime",
        "sagemaker-featurestore-runtime",
        "sagemaker-metrics",
    ],
    "servicequotas": ["service-quotas"],
    "ses": ["ses", "sesv2"],
    "sso": ["sso-admin"],
    "states": ["stepfunctions"],
    "tagging": ["resourcegroupstaggingapi"],
}

CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Signature:
    """What a request says about its caller; the signature itself is not verified."""

    access_key: str
    region: str | None
    service: str | None
    token: str | None


@dataclass(frozen=True)
class Operation:
    """An operation of a service, and how this request speaks to it."""

    service: str
    name: str
    model: OperationModel
    protocol: str
    params: dict[str, Any]

    @property
    def full_name(self) -> str:
        return f"{self.service}:{self.name}"


def signature(request: Request) -> Signature | None:
    """Read who signed: an Authorization header, or a presigned URL's query."""
    token = request.headers.get("X-Amz-Security-Token") or request.args.get("X-Amz-Security-Token")
    said = request.headers.get("Authorization", "")
    if found := CREDENTIAL.search(said):
        return Signature(found[1], found[3], found[4], token)
    if found := CREDENTIAL.search("Credential=" + request.args.get("X-Amz-Credential", "")):
        return Signature(found[1], found[3], found[4], token)
    if key := request.args.get("AWSAccessKeyId"):
        token = request.args.get("x-amz-security-token", token)
        return Signature(key, None, "s3", token)
    return None


def candidates(signing_name: str) -> list[str]:
    """Return the botocore services that sign with this name."""
    return SIGNING_NAMES.get(signing_name, [signing_name])


def model(service: str) -> ServiceModel | None:
    """Return a service's model, or None if botocore has no such service."""
    try:
        return get_service_model(service)
    except Exception as error:  # botocore's and moto's loaders differ in what they raise
        if type(error).__name__ in {"UnknownServiceError", "DataNotFoundError"}:
            return None
        raise


def route(request: Request, signing_name: str) -> Operation | None:
    """Return the operation that a request means, with its parameters parsed."""
    for service in candidates(signing_name):
        of_service = model(service)
        if of_service is None or not _belongs(request, service):
            continue
        try:
            operation, uri_params = get_service_router(service).match(request)
            protocol = determine_request_protocol(of_service, request.content_type)
        except (NotFound, NotImplementedError):
            continue
        params = _parse(request, operation, protocol, uri_params)
        return Operation(service, str(operation.name), operation, protocol, params)
    return None


def _belongs(request: Request, service: str) -> bool:
    if service == "s3control":
        return request.path.startswith("/v20180820/")
    return True


def _parse(
    request: Request, operation: OperationModel, protocol: str, uri_params: dict[str, Any]
) -> dict[str, Any]:
    body = request.get_data()
    if operation.service_model.service_name == "s3" and operation.has_streaming_input:
        body = b""  # objects are moto's business: they come chunked, and large
    parser = PROTOCOL_PARSERS[protocol](operation, timestamp_parser=parse_timestamp)
    parsed: dict[str, Any] = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return {name: value for name, value in parsed.items() if value is not None}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


def result(operation: Operation, value: Mapping[str, Any], request_id: str) -> Reply:
    """Serialise an operation's result.

    Raises:
        ServiceError: The result has a member that the model lacks: a mistake of ours, named.
    """
    if operation.model.output_shape is not None:
        _check(value, operation.model.output_shape, operation.full_name)
    reply = _serialise(operation, value, request_id)
    status = _status(operation, value)
    return Reply(status, reply.headers, reply.body) if status else reply


def _status(operation: Operation, value: Mapping[str, Any]) -> int:
    """Return the HTTP status that a member of the result stands for; 0 if none does."""
    members = operation.model.output_shape.members if operation.model.output_shape else {}
    for name, shape in members.items():
        if shape.serialization.get("location") == "statusCode" and name in value:
            return int(value[name])
    return 0


def failure(operation: Operation, error: ServiceError, request_id: str) -> Reply:
    """Serialise an error in the service's own wire format."""
    reply = _serialise(operation, error, request_id)
    status = reply.status if error.status is None else error.status
    body = b"" if operation.model.http.get("method") == "HEAD" else reply.body
    return Reply(status, reply.headers, body)


def unrouted(error: ServiceError) -> Reply:
    """Serialise an error for a request whose service and operation are not known."""
    text = (
        f"<ErrorResponse><Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    )
    headers = {"Content-Type": "text/xml", "x-amzn-errortype": error.code}
    return Reply(error.status or 400, headers, f"{text}</Error></ErrorResponse>".encode())


def _serialise(operation: Operation, value: object, request_id: str) -> Reply:
    serialiser = get_serializer_class(operation.service, operation.protocol)
    context = SerializationContext(request_id)
    response = serialiser(operation_model=operation.model, context=context).serialize(value)
    body = response["body"]
    headers = {name: str(said) for name, said in response["headers"].items()}
    headers["x-amzn-RequestId"] = request_id
    content = body if isinstance(body, bytes) else str(body).encode()
    return Reply(response["status_code"], headers, content)


def _check(value: object, shape: Any, where: str) -> None:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, member in value.items():
            if name not in shape.members:
                message = f"{where}: the model has no output member {name!r}"
                raise ServiceError("SandboxDefect", message, 501)
            _check(member, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        for member in value:
            _check(member, shape.member, where)
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for member in value.values():
            _check(member, shape.value, where)


SECRET = re.compile(
    "secretstring|secretbinary|password|plaintext|privatekey|sessiontoken", re.IGNORECASE
)
LONG = 200


def summary(value: object, name: str = "") -> Any:
    """Return parameters as the log keeps them: short, without secrets, JSON only."""
    if SECRET.search(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): summary(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [summary(one, name) for one in value]
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, str):
        return value if len(value) <= LONG else f"{value[:LONG]}... ({len(value)} characters)"
    return value if isinstance(value, int | float | bool | None) else str(value)
