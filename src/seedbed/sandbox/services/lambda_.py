"""Lambda: moto keeps the functions, we run them: the real handler, in a process of its own."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import LambdaFunction, lambda_backends

from seedbed.sandbox import moto_state, policies
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.world import Context

LONGEST_ANSWER = 6 * 2**20  # bytes: "Lambda quotas", synchronous payloads
LONGEST_LOG = 4096  # bytes of the log that LogType Tail returns: the Invoke API
TRIES = 3  # of an asynchronous invocation: "Error handling for asynchronous invocation"
# Runs the handler as Lambda's runtime does; the answer goes to a file, all else is the log.
BOOTSTRAP = """
import importlib, json, os, sys, time, traceback
answer, deadline = sys.argv[1], float(sys.argv[2])
class Context:
    function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
    memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
    log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
    log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
    invoked_function_arn = os.environ["SANDBOX_FUNCTION_ARN"]
    aws_request_id = os.environ["SANDBOX_REQUEST_ID"]
    identity = client_context = None
    def get_remaining_time_in_millis(self):
        return max(0, int((deadline - time.time()) * 1000))
sys.path.insert(0, os.getcwd())
event = json.loads(sys.stdin.buffer.read() or b"null")
try:
    module, _, name = os.environ["_HANDLER"].rpartition(".")
    handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    body, code = json.dumps(handler(event, Context())), 0
except BaseException as error:
    traceback.print_exc()
    told = {"errorMessage": str(error), "errorType": type(error).__name__}
    told["stackTrace"] = traceback.format_tb(error.__traceback__)
    body, code = json.dumps(told), 1
with open(answer, "w") as file:
    file.write(body)
sys.exit(code)
"""


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: its payload, the kind of its error if it failed, and its log."""

    payload: bytes
    error: str
    log: bytes


# Of asynchronous invocations.
SETTINGS = ("MaximumEventAgeInSeconds", "MaximumRetryAttempts")
FORGOTTEN = ("DeadLetterConfig", "LoggingConfig")
# Of a permission: conditions that moto loses.
UNHEEDED = ("EventSourceToken", "FunctionUrlAuthType", "InvokedViaFunctionUrl")


class Lambda(Service):
    name: ClassVar[str] = "lambda"

    def invoke(
        self,
        ctx: Context,
        *,
        FunctionName: str,
        InvocationType: str = "RequestResponse",
        Payload: bytes = b"",
        LogType: str = "None",
        Qualifier: str | None = None,
    ) -> dict[str, Any]:
        """Run the handler with the execution role's credentials and this endpoint.

        Source: the Invoke API. Asynchronous: up to three tries, then the dead-letter queue.

        Raises:
            ServiceError: no such function, a runtime that is not Python, a payload that is no JSON.
        """
        function = self._function(ctx, FunctionName, Qualifier)
        payload = Payload.read() if hasattr(Payload, "read") else Payload
        try:
            json.loads(payload or b"null")
        except ValueError:
            code, message = (
                "InvalidRequestContentException",
                "Could not parse request body into json",
            )
            raise ServiceError(code, message, 400) from None
        if str(function.reserved_concurrency) == "0":
            code, message = "TooManyRequestsException", "Rate Exceeded."
            raise ServiceError(
                code, message, 429, Reason="ReservedFunctionConcurrentInvocationLimitExceeded"
            )
        if InvocationType == "DryRun":
            return {"StatusCode": 204}
        if InvocationType == "Event":
            self.world.spawn("lambda", self._later, ctx, function, payload)
            return {"StatusCode": 202}
        outcome = self._run(ctx, function, payload)
        answer: dict[str, Any] = {
            "StatusCode": 200,
            "ExecutedVersion": str(function.version),
            "Payload": outcome.payload,
        }
        if outcome.error:
            answer["FunctionError"] = outcome.error
        if LogType == "Tail":
            answer["LogResult"] = base64.b64encode(outcome.log[-LONGEST_LOG:]).decode()
        return answer

    # moto keeps the first settings of asynchronous invocations, whatever follows.

    def put_function_event_invoke_config(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Set how asynchronous invocations are retried."""
        return self._settle(ctx, params, {})

    def update_function_event_invoke_config(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Change what is given of how asynchronous invocations are retried."""
        old = self.forward(
            ctx, "GetFunctionEventInvokeConfig", {"FunctionName": params["FunctionName"]}
        )
        keep = {name: old[name] for name in SETTINGS if name in old}
        return self._settle(ctx, params, keep)

    def _settle(self, ctx: Context, params: dict[str, Any], keep: dict[str, Any]) -> dict[str, Any]:
        ends = params.get("DestinationConfig", {})
        if any(one.get("Destination") for one in ends.values()):
            raise unsupported(
                "the parameter DestinationConfig of lambda's asynchronous invocations"
            )
        answer = self.forward(ctx, "PutFunctionEventInvokeConfig", {**keep, **params})
        found = self._found(ctx, params["FunctionName"], None)
        found.event_invoke_config = found.event_invoke_config[-1:]
        return answer

    # moto forgets a function's dead-letter queue and where it logs.

    def create_function(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Have moto keep the function, and keep what moto forgets."""
        _check_code(params["Code"])
        return self._with_kept(ctx, "CreateFunction", params)

    def update_function_configuration(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Have moto change the function; a dead-letter queue without ARN is taken away."""
        return self._with_kept(ctx, "UpdateFunctionConfiguration", params)

    def get_function_configuration(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Return what moto keeps of the function, and what it forgets."""
        return self._with_kept(ctx, "GetFunctionConfiguration", params)

    def get_function(self, ctx: Context, **params: Any) -> dict[str, Any]:
        """Return what moto keeps of the function, and what it forgets."""
        answer = self.forward(ctx, "GetFunction", params)
        answer["Configuration"] |= self._kept(ctx, answer["Configuration"]["FunctionName"])
        return answer

    def _with_kept(self, ctx: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        given = {name: params.pop(name) for name in FORGOTTEN if name in params}
        answer = self.forward(ctx, operation, params)
        state, name = self.state(ctx), answer["FunctionName"]
        state[name] = {**({} if operation == "CreateFunction" else state.get(name, {})), **given}
        return answer | self._kept(ctx, name)

    def _kept(self, ctx: Context, name: str) -> dict[str, Any]:
        kept = self.state(ctx).get(name, {})
        logs = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
        told = {"LoggingConfig": logs | kept.get("LoggingConfig", {})}
        queue = kept.get("DeadLetterConfig", {}).get("TargetArn")
        return told | ({"DeadLetterConfig": {"TargetArn": queue}} if queue else {})

    def amend(
        self, ctx: Context, operation: str, params: Mapping[str, Any], environ: dict[str, Any]
    ) -> None:
        """Refuse code and permissions that AWS would refuse, or that moto would keep in part."""
        del environ
        if operation == "UpdateFunctionCode":
            _check_code(params)
        elif operation == "AddPermission":
            self._check_permission(ctx, params)

    def _check_permission(self, ctx: Context, params: Mapping[str, Any]) -> None:
        for name in UNHEEDED:
            if params.get(name):
                raise unsupported(f"the parameter {name} of lambda:AddPermission")
        for wrong in policies.missing(self.world, {"AWS": params["Principal"]}):
            text = f"The provided principal was invalid: {wrong}"
            raise ServiceError("InvalidParameterValueException", text, 400)
        found = self._found(ctx, params["FunctionName"], None)
        if any(one["Sid"] == params["StatementId"] for one in found.policy.statements):
            text = f"The statement id ({params['StatementId']}) provided already exists."
            raise ServiceError("ResourceConflictException", text, 409)

    def resource_policy(self, arn: str) -> Mapping[str, Any] | None:
        """Return the function's policy, which AddPermission writes."""
        _, _, _, region, account, _, name, *_ = arn.split(":")
        try:
            function = lambda_backends[account][region].get_function(name)
        except UnknownFunctionException:
            return None
        statements = json.loads(json.dumps(function.policy.statements))
        return {"Version": "2012-10-17", "Statement": statements} if statements else None

    def _found(self, ctx: Context, name: str, qualifier: str | None) -> LambdaFunction:
        plain = name.rsplit(":function:", maxsplit=1)[-1]
        plain, _, own = plain.partition(":")
        try:
            found: LambdaFunction = lambda_backends[ctx.owner][ctx.region].get_function(
                plain, qualifier or own or None
            )
        except UnknownFunctionException as error:
            arn = f"arn:aws:lambda:{ctx.region}:{ctx.owner}:function:{plain}"
            message = f"Function not found: {arn}"
            raise ServiceError("ResourceNotFoundException", message, 404) from error
        return found

    def _function(self, ctx: Context, name: str, qualifier: str | None) -> LambdaFunction:
        """Return a function that can be run here."""
        found = self._found(ctx, name, qualifier)
        plain = found.function_name
        if not str(found.run_time).startswith("python"):
            raise unsupported(f"the runtime {found.run_time} of the function {plain}")
        if found.layers:
            raise unsupported(f"the layers of the function {plain}")
        return found

    def _later(self, ctx: Context, function: LambdaFunction, payload: bytes) -> None:
        # A function, its role or its queue may be gone by now: then the event is lost, as in AWS.
        with suppress(ClientError, ServiceError):
            self._invoke_later(ctx, function, payload)

    def _invoke_later(self, ctx: Context, function: LambdaFunction, payload: bytes) -> None:
        settings = [one.response() for one in function.event_invoke_config]
        retries = settings[0].get("MaximumRetryAttempts") if settings else None
        for _ in range(TRIES if retries is None else 1 + int(retries)):
            outcome = self._run(ctx, function, payload)
            if not outcome.error or self.world.stopping.is_set():
                return
        if (
            queue := self._kept(ctx, function.function_name)
            .get("DeadLetterConfig", {})
            .get("TargetArn")
        ):
            account, name = queue.split(":")[4:]
            client = ctx.client("sqs", role_arn=function.role)
            client.send_message(
                QueueUrl=f"{self.world.endpoint}/{account}/{name}",
                MessageBody=payload.decode(),
                MessageAttributes={
                    "ErrorMessage": {
                        "DataType": "String",
                        "StringValue": outcome.payload.decode()[:1024] or outcome.error,
                    }
                },
            )

    def _run(self, ctx: Context, function: LambdaFunction, payload: bytes) -> Outcome:
        request = self.world.uuid()
        stream = f"{self.world.now():%Y/%m/%d}/[{function.version}]{request.replace('-', '')}"
        folder = self._code(function)
        answer = self.world.path("lambda", "answers") / request
        environment = {
            **ctx.environment(role_arn=function.role),
            **{key: str(value) for key, value in function.environment_vars.items()},
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": self._log_group(ctx, function),
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "LAMBDA_TASK_ROOT": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SANDBOX_FUNCTION_ARN": function.function_arn,
            "SANDBOX_REQUEST_ID": request,
            "_HANDLER": str(function.handler),
        }
        seconds = float(function.timeout or 3)
        words = [sys.executable, "-c", BOOTSTRAP, str(answer), str(time.time() + seconds)]
        process = self.world.popen(
            words,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            log, _ = process.communicate(payload, timeout=seconds)
            error = "" if process.returncode == 0 else "Unhandled"
        except subprocess.TimeoutExpired:
            process.kill()
            log, _ = process.communicate()
            error = "timeout"
        said = answer.read_bytes() if answer.exists() else b""
        answer.unlink(missing_ok=True)
        if error == "timeout":
            line = f"{request} Task timed out after {seconds:.2f} seconds"
            said, error = json.dumps({"errorMessage": line}).encode(), "Unhandled"
        elif error and not said:
            line = f"RequestId: {request} Error: Runtime exited with {process.returncode}"
            told = {"errorMessage": line, "errorType": "Runtime.ExitError"}
            said = json.dumps(told).encode()
        elif len(said) > LONGEST_ANSWER:
            told = {"errorMessage": "Response payload size exceeded maximum allowed payload size"}
            said, error = json.dumps(told).encode(), "Unhandled"
        self._keep(ctx, function, stream, log)
        return Outcome(said, error, log)

    def _code(self, function: LambdaFunction) -> Path:
        """Return the folder of a function's unpacked code: one for each content."""
        content = function.code_bytes
        digest = hashlib.sha256(content).hexdigest()
        folder = self.world.path("lambda", "code") / digest
        with self.lock:
            if not folder.exists():
                draft = self.world.path("lambda", "code", f"{digest}.draft")
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    archive.extractall(draft)
                draft.rename(folder)
        return folder

    def _log_group(self, ctx: Context, function: LambdaFunction) -> str:
        group: str = self._kept(ctx, function.function_name)["LoggingConfig"]["LogGroup"]
        return group

    def _keep(self, ctx: Context, function: LambdaFunction, stream: str, log: bytes) -> None:
        """Write the log as the role: one that may not write logs has none, as in AWS."""
        lines = [line for line in log.decode(errors="replace").splitlines() if line]
        if not lines:
            return
        client, group = ctx.client("logs", role_arn=function.role), self._log_group(ctx, function)
        now = int(self.world.now().timestamp() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        for call, request in (
            (client.create_log_group, {"logGroupName": group}),
            (client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
            (
                client.put_log_events,
                {"logGroupName": group, "logStreamName": stream, "logEvents": events},
            ),
        ):
            try:
                call(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceAlreadyExistsException" and (
                    call is not client.create_log_group
                ):
                    return


def _check_code(said: Mapping[str, Any]) -> None:
    """Refuse what is no zip; an object of S3 that is not there is told by moto."""
    if not {"ImageUri", "S3Bucket", "ZipFile"} & set(said):
        text = "Please provide a source for function code."
        raise ServiceError("InvalidParameterValueException", text, 400)
    packed = said.get("ZipFile")
    if "S3Bucket" in said:
        held = moto_state.bucket(said["S3Bucket"])
        stored = held.keys.get(said.get("S3Key")) if held else None
        packed = stored.value if stored else None
    if packed is not None and not zipfile.is_zipfile(io.BytesIO(packed)):
        text = "Could not unzip uploaded file. Please check your file, then try to upload again."
        raise ServiceError("InvalidParameterValueException", text, 400)
