"""Lambda: the real handler runs, as its role, within its time; what fails says how."""

import base64
import io
import json
import zipfile

import pytest
from access import allow, document, make_role, refused
from waiting import until

CODE = """
import os, sys, time
import boto3

def handler(event, context):
    print("heard", event.get("say"))
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("fail"):
        raise ValueError(event["fail"])
    if event.get("exit"):
        os._exit(3)
    if event.get("read"):
        return boto3.client("s3").list_buckets()["Buckets"]
    left = context.get_remaining_time_in_millis()
    who = boto3.client("sts").get_caller_identity()["Arn"]
    return {"who": who, "mine": os.environ["MINE"], "left": left > 0, "id": context.aws_request_id}
"""
TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)
LOGS = allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"])


def zipped(code):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", code)
    return packed.getvalue()


@pytest.fixture
def function(sandbox):
    def make(*statements, code=CODE, **more):
        role = make_role(sandbox, "worker", *(statements or [LOGS]), trust=TRUST)
        client = sandbox.client("lambda", "dev")
        settings = {"Runtime": "python3.13", "Handler": "main.handler", "Timeout": 10, **more}
        client.create_function(
            FunctionName="worker",
            Role=role,
            Code={"ZipFile": zipped(code)},
            Environment={"Variables": {"MINE": "yes"}},
            **settings,
        )
        return client

    return make


def invoke(client, event, **more):
    answer = client.invoke(FunctionName="worker", Payload=json.dumps(event), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


def test_the_handler_runs_as_its_role_with_its_variables(function):
    answer, told = invoke(function(), {"say": "hello"}, LogType="Tail")
    assert "FunctionError" not in answer
    assert ":assumed-role/worker/" in told["who"]
    assert (told["mine"], told["left"], len(told["id"])) == ("yes", True, 36)
    assert b"heard hello" in base64.b64decode(answer["LogResult"])


def test_its_role_decides_what_it_may_do(function):
    answer, told = invoke(function(), {"read": True})
    assert answer["FunctionError"] == "Unhandled"
    assert told["errorType"] == "AccessDenied"
    assert "s3:ListAllMyBuckets" in told["errorMessage"]


@pytest.mark.parametrize(
    ("event", "kind", "says"),
    [
        ({"fail": "no such thing"}, "ValueError", "no such thing"),
        ({"exit": True}, "Runtime.ExitError", "Runtime exited with 3"),
    ],
)
def test_a_handler_that_fails_says_how(function, event, kind, says):
    answer, told = invoke(function(), event)
    assert answer["FunctionError"] == "Unhandled"
    assert told["errorType"] == kind
    assert says in told["errorMessage"]


def test_a_handler_beyond_its_time_is_ended(function):
    answer, told = invoke(function(Timeout=1), {"sleep": 60})
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in told["errorMessage"]


def test_what_it_prints_is_in_its_log_group(function, sandbox):
    invoke(function(), {"say": "hello"})
    found = sandbox.client("logs", "dev").filter_log_events(logGroupName="/aws/lambda/worker")
    assert "heard hello" in [event["message"] for event in found["events"]]


def test_without_the_right_to_log_it_runs_all_the_same(function, sandbox):
    answer, _ = invoke(function(allow("s3:ListAllMyBuckets")), {"say": "hello"})
    assert "FunctionError" not in answer
    groups = sandbox.client("logs", "dev").describe_log_groups()["logGroups"]
    assert groups == []


def test_new_code_is_what_runs_next(function):
    client = function()
    other = zipped("def handler(event, context):\n    return 'new'\n")
    client.update_function_code(FunctionName="worker", ZipFile=other)
    assert invoke(client, {})[1] == "new"


def test_an_event_that_always_fails_reaches_the_dead_letter_queue(function, sandbox):
    queues = sandbox.client("sqs", "dev")
    url = queues.create_queue(QueueName="dead")["QueueUrl"]
    arn = f"arn:aws:sqs:{sandbox.region}:{sandbox.account('dev')}:dead"
    client = function(LOGS, allow("sqs:SendMessage", arn), DeadLetterConfig={"TargetArn": arn})
    answer = client.invoke(
        FunctionName="worker", InvocationType="Event", Payload=json.dumps({"fail": "always"})
    )
    assert answer["StatusCode"] == 202
    (message,) = until(lambda: queues.receive_message(QueueUrl=url).get("Messages"))
    assert json.loads(message["Body"]) == {"fail": "always"}


def test_a_rule_reaches_a_function_that_its_policy_opens(function, sandbox):
    code = (
        "import boto3, json\n"
        "def handler(event, context):\n"
        "    boto3.client('ssm').put_parameter(Name='seen', Type='String', Value=event['source'])\n"
    )
    client = function(allow("ssm:PutParameter"), code=code)
    arn = client.get_function(FunctionName="worker")["Configuration"]["FunctionArn"]
    events = sandbox.client("events", "dev")
    rule = events.put_rule(Name="all", EventPattern='{"source": ["ours"]}')["RuleArn"]
    events.put_targets(Rule="all", Targets=[{"Id": "f", "Arn": arn}])
    client.add_permission(
        FunctionName="worker",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    events.put_events(Entries=[{"Source": "ours", "DetailType": "x", "Detail": "{}"}])
    ssm = sandbox.client("ssm", "dev")
    found = until(lambda: ssm.get_parameters(Names=["seen"])["Parameters"])
    assert found[0]["Value"] == "ours"


@pytest.mark.parametrize("more", [{"Runtime": "nodejs22.x"}])
def test_what_cannot_run_here_is_refused_by_name(function, more):
    client = function(**more)
    with refused("NotImplementedInSandbox", "nodejs22.x"):
        invoke(client, {})


def test_a_function_that_is_not_there_is_not_found(sandbox):
    client = sandbox.client("lambda", "dev")
    with refused("ResourceNotFoundException", "function:nobody"):
        client.invoke(FunctionName="nobody")


def test_a_role_that_may_not_invoke_is_denied(function, sandbox):
    function()
    make_role(sandbox, "stranger", allow("s3:ListAllMyBuckets"))
    client = sandbox.client("lambda", "dev", role="stranger")
    with refused("AccessDeniedException", "lambda:InvokeFunction"):
        client.invoke(FunctionName="worker")


STACK = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Timeout: 10
      Code:
        ZipFile: |
          import json, urllib.request
          def handler(event, context):
              keys = ("StackId", "RequestId", "LogicalResourceId")
              asked = event["ResourceProperties"]
              bad = (event["RequestType"], asked["Name"]) == ("Create", "bad")
              answer = {key: event[key] for key in keys} | {
                  "PhysicalResourceId": asked["Name"],
                  "Status": "FAILED" if bad else "SUCCESS",
                  "Reason": "that name is taken",
                  "Data": {"Upper": asked["Name"].upper()},
              }
              body = json.dumps(answer).encode()
              request = urllib.request.Request(event["ResponseURL"], body, method="PUT")
              urllib.request.urlopen(request)
  Custom:
    Type: Custom::Name
    Properties: {ServiceToken: !GetAtt Function.Arn, ServiceTimeout: 60, Name: NAME}
Outputs:
  Upper: {Value: !GetAtt Custom.Upper}
"""


def test_a_stack_makes_a_function_that_answers_for_a_custom_resource(sandbox):
    stacks = sandbox.client("cloudformation", "dev")
    able = {"StackName": "s", "Capabilities": ["CAPABILITY_IAM"]}
    stacks.create_stack(TemplateBody=STACK.replace("NAME", "good"), **able)
    stacks.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    (stack,) = stacks.describe_stacks(StackName="s")["Stacks"]
    assert stack["Outputs"] == [{"OutputKey": "Upper", "OutputValue": "GOOD"}]
    stacks.delete_stack(StackName="s")
    stacks.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig={"Delay": 1})
    assert sandbox.client("lambda", "dev").list_functions()["Functions"] == []


def test_a_function_that_answers_failed_rolls_the_stack_back_with_its_reason(sandbox):
    stacks = sandbox.client("cloudformation", "dev")
    able = {"StackName": "s", "Capabilities": ["CAPABILITY_IAM"]}
    stacks.create_stack(TemplateBody=STACK.replace("NAME", "bad"), **able)

    def ended():
        (stack,) = stacks.describe_stacks(StackName="s")["Stacks"]
        return stack["StackStatus"] if stack["StackStatus"] == "ROLLBACK_COMPLETE" else ""

    assert until(ended)
    events = stacks.describe_stack_events(StackName="s")["StackEvents"]
    assert any("that name is taken" in e.get("ResourceStatusReason", "") for e in events)
    assert sandbox.client("lambda", "dev").list_functions()["Functions"] == []


def test_it_logs_where_it_is_told(function, sandbox):
    client = function(LOGS, LoggingConfig={"LogGroup": "/own/group"})
    found = client.get_function_configuration(FunctionName="worker")["LoggingConfig"]
    assert found == {"LogFormat": "Text", "LogGroup": "/own/group"}
    assert client.get_function(FunctionName="worker")["Configuration"]["LoggingConfig"] == found
    invoke(client, {"fail": "because"})
    logs = sandbox.client("logs", "dev")
    told = logs.filter_log_events(logGroupName="/own/group")["events"]
    assert any("because" in event["message"] for event in told)


@pytest.mark.parametrize(
    ("principal", "told"),
    [
        ("222222222222", {"AWS": "arn:aws:iam::222222222222:root"}),
        ("arn:aws:iam::222222222222:role/far", {"AWS": "arn:aws:iam::222222222222:role/far"}),
        ("s3.amazonaws.com", {"Service": "s3.amazonaws.com"}),
        ("*", "*"),
    ],
)
def test_a_permission_lets_in_whom_it_names(function, sandbox, principal, told):
    far = make_role(sandbox, "far", allow("lambda:InvokeFunction"), account="hub")
    client = function()
    params = {"FunctionName": "worker", "StatementId": "s", "Action": "lambda:InvokeFunction"}
    client.add_permission(Principal=principal, **params)
    (said,) = json.loads(client.get_policy(FunctionName="worker")["Policy"])["Statement"]
    assert said["Principal"] == told
    caller = sandbox.become("lambda", far)
    arn = f"arn:aws:lambda:eu-west-1:{sandbox.account('dev')}:function:worker"
    asked = {"FunctionName": arn, "InvocationType": "DryRun"}
    if "amazonaws" in principal:
        with refused("AccessDeniedException"):
            caller.invoke(**asked)
    else:
        assert caller.invoke(**asked)["StatusCode"] == 204


def test_a_permission_that_aws_would_not_take(function, sandbox):
    client = function()
    params = {"FunctionName": "worker", "StatementId": "s", "Action": "lambda:InvokeFunction"}
    nobody = f"arn:aws:iam::{sandbox.account('dev')}:role/nobody"
    with refused("InvalidParameterValueException", nobody):
        client.add_permission(Principal=nobody, **params)
    with refused("NotImplementedInSandbox", "EventSourceToken"):
        client.add_permission(Principal="s3.amazonaws.com", EventSourceToken="t", **params)
    client.add_permission(Principal="s3.amazonaws.com", **params)
    with refused("ResourceConflictException", "(s)"):
        client.add_permission(Principal="s3.amazonaws.com", **params)
