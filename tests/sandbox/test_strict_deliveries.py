"""SNS, S3 and log groups deliver as themselves: the receiver's policy decides, our Lambda runs."""

from __future__ import annotations

import base64
import gzip
import json
import time

import pytest
from access import allow, document, make_role, refused, trusting
from test_events import make_queue, received
from test_lambda import LOGS, zipped

REGION = "eu-west-1"
DEV = "333333333333"
BUCKET = "bucket-a"
# Tells what it got in a queue: the only thing that a test can look at.
CODE = """
import json, os
import boto3

def handler(event, context):
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
"""


def nothing(sandbox, url):
    """Expect an empty queue; what is sent is sent before the sender is answered."""
    assert "Messages" not in sandbox.client("sqs").receive_message(QueueUrl=url)


def denied(sandbox, operation):
    return [one for one in sandbox.calls(operation=operation) if one["decision"] == "denied"]


@pytest.fixture
def topic(sandbox):
    return sandbox.client("sns").create_topic(Name="t")["TopicArn"]


@pytest.fixture
def bucket(sandbox):
    place = {"LocationConstraint": REGION}
    sandbox.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    return sandbox.client("s3")


@pytest.fixture
def function(sandbox):
    """A function, and the queue in which it tells what it got."""
    url, _ = make_queue(sandbox, "heard", open_to=())
    role = make_role(
        sandbox, "r", LOGS, allow("sqs:SendMessage"),
        trust=trusting({"Service": "lambda.amazonaws.com"}),
    )  # fmt: skip
    made = sandbox.client("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Handler="main.handler", Role=role, Timeout=20,
        Code={"ZipFile": zipped(CODE)}, Environment={"Variables": {"QUEUE": url}},
    )  # fmt: skip
    return made["FunctionArn"], url


def let(sandbox, service, source):
    """Let a service invoke the function for one of its resources."""
    sandbox.client("lambda").add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction",
        Principal=f"{service}.amazonaws.com", SourceArn=source, SourceAccount=DEV,
    )  # fmt: skip


# SNS


def test_a_topic_delivers_only_to_a_queue_that_lets_it(sandbox, topic):
    urls = {}
    for name, who in (("open", ("sns.amazonaws.com",)), ("shut", ())):
        urls[name], arn = make_queue(sandbox, name, open_to=who)
        sandbox.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sandbox.client("sns").publish(TopicArn=topic, Message="hello", Subject="s")
    said = json.loads(received(sandbox, urls["open"])["Body"])
    assert (said["Type"], said["Message"], said["Subject"]) == ("Notification", "hello", "s")
    assert said["TopicArn"] == topic
    nothing(sandbox, urls["shut"])
    (call,) = denied(sandbox, "SendMessage")
    assert call["principal"] == "sns.amazonaws.com"


def test_the_condition_on_the_topic_counts(sandbox, topic):
    url, arn = make_queue(sandbox, "q", open_to=())
    other = {"ArnEquals": {"aws:SourceArn": topic + "-other"}}
    policy = document(
        allow("sqs:SendMessage", arn, Principal={"Service": "sns.amazonaws.com"}, Condition=other)
    )
    sandbox.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns = sandbox.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    nothing(sandbox, url)
    sandbox.client("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": policy.replace("-other", "")}
    )
    sns.publish(TopicArn=topic, Message="hello")
    received(sandbox, url)


def test_raw_delivery_filters_and_attributes(sandbox, topic):
    url, arn = make_queue(sandbox, "q", open_to=("sns.amazonaws.com",))
    sns = sandbox.client("sns")
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": '{"kind": ["a"]}'},
    )  # fmt: skip
    for kind in ("b", "a"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes=attributes)
    said = received(sandbox, url)
    assert (said["Body"], said["MessageAttributes"]["kind"]["StringValue"]) == ("a", "a")
    nothing(sandbox, url)


def test_what_a_topic_cannot_deliver_goes_to_its_dead_letter_queue(sandbox, topic):
    _, shut = make_queue(sandbox, "shut", open_to=())
    url, dead = make_queue(sandbox, "dead", open_to=("sns.amazonaws.com",))
    sns = sandbox.client("sns")
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=shut, Attributes=redrive)
    sns.publish(TopicArn=topic, Message="hello")
    assert json.loads(received(sandbox, url)["Body"])["Message"] == "hello"


def test_a_topic_invokes_a_function_that_lets_it(sandbox, topic, function):
    arn, url = function
    sns = sandbox.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="hello")
    assert denied(sandbox, "Invoke")
    let(sandbox, "sns", topic)
    sns.publish(TopicArn=topic, Message="hello")
    (record,) = json.loads(received(sandbox, url)["Body"])["Records"]
    assert (record["EventSource"], record["Sns"]["Message"]) == ("aws:sns", "hello")
    assert record["Sns"]["TopicArn"] == topic


@pytest.mark.parametrize("protocol", ["https", "sms", "firehose", "application"])
def test_what_sns_cannot_reach_is_refused(sandbox, topic, protocol):
    with refused("NotImplementedInSandbox", f"protocol {protocol}"):
        sandbox.client("sns").subscribe(TopicArn=topic, Protocol=protocol, Endpoint="https://x.y")


def test_other_ways_to_publish_and_to_subscribe_are_refused(sandbox, topic):
    sns = sandbox.client("sns")
    with refused("NotImplementedInSandbox", "PhoneNumber"):
        sns.publish(PhoneNumber="+491234567", Message="m")
    with refused("NotImplementedInSandbox", "DeliveryPolicy"):
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{DEV}:q",
            Attributes={"DeliveryPolicy": "{}"},
        )  # fmt: skip


# S3


def notify(bucket, **configuration):
    bucket.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration=configuration
    )


def to_queue(arn):
    return {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}


def test_a_bucket_names_only_what_lets_it(sandbox, bucket, topic, function):
    _, shut = make_queue(sandbox, "shut", open_to=())
    events = ["s3:ObjectCreated:*"]
    with refused("InvalidArgument", shut):
        notify(bucket, **to_queue(shut))
    with refused("InvalidArgument", topic):
        notify(bucket, TopicConfigurations=[{"TopicArn": topic, "Events": events}])
    with refused("InvalidArgument", function[0]):
        notify(
            bucket,
            LambdaFunctionConfigurations=[{"LambdaFunctionArn": function[0], "Events": events}],
        )
    assert "QueueConfigurations" not in bucket.get_bucket_notification_configuration(Bucket=BUCKET)


def test_a_bucket_tells_a_queue(sandbox, bucket):
    url, arn = make_queue(sandbox, "q", open_to=("s3.amazonaws.com",))
    notify(bucket, **to_queue(arn))
    assert json.loads(received(sandbox, url)["Body"])["Event"] == "s3:TestEvent"
    bucket.put_object(Bucket=BUCKET, Key="a b", Body=b"x")
    (record,) = json.loads(received(sandbox, url)["Body"])["Records"]
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectCreated:Put", "a+b")


def test_a_bucket_invokes_a_function(sandbox, bucket, function):
    arn, url = function
    let(sandbox, "s3", f"arn:aws:s3:::{BUCKET}")
    one = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    notify(bucket, LambdaFunctionConfigurations=[one])
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    (record,) = json.loads(received(sandbox, url)["Body"])["Records"]
    assert record["s3"]["bucket"]["name"] == BUCKET


def test_a_bucket_s_events_reach_rules(sandbox, bucket):
    url, arn = make_queue(sandbox, "q")
    events = sandbox.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [BUCKET]}}}
    pattern["detail-type"] = ["Object Created"]
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": arn}])
    bucket.put_object(Bucket=BUCKET, Key="before", Body=b"x")
    notify(bucket, EventBridgeConfiguration={})
    bucket.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    said = json.loads(received(sandbox, url)["Body"])
    assert (said["detail-type"], said["account"]) == ("Object Created", DEV)
    assert said["resources"] == [f"arn:aws:s3:::{BUCKET}"]
    assert (said["detail"]["object"]["key"], said["detail"]["reason"]) == ("k", "PutObject")


# Log groups


def test_a_log_group_invokes_a_function_that_lets_it(sandbox, function):
    arn, url = function
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    said = {"logGroupName": "g", "filterName": "n", "filterPattern": "", "destinationArn": arn}
    with refused("InvalidParameterException", "permission"):
        logs.put_subscription_filter(**said)
    let(sandbox, "logs", f"arn:aws:logs:{REGION}:{DEV}:log-group:g:*")
    logs.put_subscription_filter(**said)
    event = {"timestamp": int(time.time() * 1000), "message": "hello"}
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[event])
    packed = json.loads(received(sandbox, url)["Body"])["awslogs"]["data"]
    told = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert (told["logGroup"], told["logEvents"][0]["message"]) == ("g", "hello")


def test_other_destinations_of_log_groups_are_refused(sandbox):
    stream = f"arn:aws:kinesis:{REGION}:{DEV}:stream/s"
    with refused("NotImplementedInSandbox", stream):
        sandbox.client("logs").put_subscription_filter(
            logGroupName="g", filterName="n", filterPattern="", destinationArn=stream
        )


# Lambda's own tries


def test_an_asynchronous_invocation_is_tried_as_often_as_its_settings_say(sandbox, function):
    _, url = function
    dead, arn = make_queue(sandbox, "dead", open_to=())
    client = sandbox.client("lambda")
    client.update_function_code(
        FunctionName="f", ZipFile=zipped(CODE + "    raise ValueError(event)\n")
    )
    client.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": arn})
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)
    client.invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")
    received(sandbox, dead)
    for _ in range(2):
        received(sandbox, url)
    nothing(sandbox, url)
