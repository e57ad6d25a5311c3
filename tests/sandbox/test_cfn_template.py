"""Templates without a stack: reading, functions, conditions, parameters, rules, loops."""

from __future__ import annotations

import pytest

from seedbed.sandbox.cloudformation import language, parameters
from seedbed.sandbox.cloudformation.desired import sort
from seedbed.sandbox.cloudformation.dynamic import resolve as resolve_dynamic
from seedbed.sandbox.cloudformation.errors import ResourceError, StackError
from seedbed.sandbox.cloudformation.intrinsics import (
    NO_VALUE,
    Evaluator,
    Unknown,
    references,
    unknowns,
)
from seedbed.sandbox.cloudformation.template import check_resources, parse

PSEUDO = {"AWS::Region": "eu-west-1", "AWS::AccountId": "333333333333"}
RESOURCES = "Resources: {T: {Type: AWS::SNS::Topic}}\n"


def evaluator(**more):
    given = {"Env": "dev", "Names": ["a", "b"]}
    ids = {"Topic": "arn:topic"}
    return Evaluator(
        given,
        PSEUDO,
        ref=ids.__getitem__,
        get_att=lambda name, attribute: f"{name}/{attribute}",
        **more,
    )


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"Ref": "Env"}, "dev"),
        ({"Ref": "Topic"}, "arn:topic"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Fn::GetAtt": ["Topic", "Name"]}, "Topic/Name"),
        ({"Fn::GetAtt": "Stack.Outputs.Arn"}, "Stack/Outputs.Arn"),
        ({"Fn::Sub": "x-${Env}-${Topic.Name}-${!Env}"}, "x-dev-Topic/Name-${Env}"),
        ({"Fn::Sub": ["${A}-${Env}", {"A": {"Ref": "Topic"}}]}, "arn:topic-dev"),
        ({"Fn::Join": [",", {"Ref": "Names"}]}, "a,b"),
        ({"Fn::Join": ["", ["a", 1, True]]}, "a1true"),
        ({"Fn::Split": ["-", "a-b"]}, ["a", "b"]),
        ({"Fn::Select": ["1", {"Ref": "Names"}]}, "b"),
        ({"Fn::Base64": "seed"}, "c2VlZA=="),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Cidr": ["10.0.0.0/24", "1"]}, ["10.0.0.0/24"]),
        ({"Fn::GetAZs": ""}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::If": ["IsDev", "small", "large"]}, "small"),
        ({"A": {"Ref": "AWS::NoValue"}, "B": [{"Ref": "AWS::NoValue"}, 1]}, {"B": [1]}),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "count"]}, 2),
    ],
)
def test_functions(node, value):
    conditions = {"IsDev": {"Fn::Equals": [{"Ref": "Env"}, "dev"]}}
    mappings = {"Sizes": {"dev": {"count": 2}}}
    assert evaluator(conditions=conditions, mappings=mappings).value(node) == value


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"Fn::Select": [2, ["a"]]}, "cannot select value 2"),
        ({"Fn::FindInMap": ["No", "a", "b"]}, "Unable to get mapping for No::a::b"),
        ({"Fn::If": ["Nowhere", 1, 2]}, "unresolved condition dependency Nowhere"),
        ({"Fn::Sub": "${Names}"}, "is a list"),
        ({"Fn::Cidr": ["10.0.0.0/24", 300, 8]}, "has no 300 blocks"),
        ({"Fn::Frobnicate": 1}, "Fn::Frobnicate is unknown"),
        ({"Fn::Transform": {"Name": "AWS::Include"}}, "Fn::Transform is not emulated"),
        ({"Fn::Length": {"Ref": "Names"}}, "needs Transform: AWS::LanguageExtensions"),
        ({"Fn::ImportValue": "absent"}, "No export named absent"),
        ({"Fn::FindInMap": ["a", "b", "c", {"DefaultValue": 1}]}, "DefaultValue needs Transform"),
    ],
)
def test_functions_name_what_is_wrong(node, said):
    with pytest.raises(StackError, match=said):
        evaluator().value(node)


def test_language_extensions_add_functions():
    extended = evaluator(extended=True)
    assert extended.value({"Fn::Length": {"Ref": "Names"}}) == 2
    assert extended.value({"Fn::ToJsonString": {"a": {"Ref": "Env"}}}) == '{"a":"dev"}'
    assert extended.value({"Fn::FindInMap": ["a", "b", "c", {"DefaultValue": "d"}]}) == "d"


@pytest.mark.parametrize(
    ("node", "holds"),
    [
        ({"Fn::Equals": [1, "1"]}, True),
        ({"Fn::Equals": [True, "true"]}, True),
        ({"Fn::Not": [{"Fn::Equals": ["a", "a"]}]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]}, True),
    ],
)
def test_conditions(node, holds):
    conditions = {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Equals": ["a", "b"]}}
    assert evaluator(conditions=conditions).decide(node) is holds


def test_a_circle_of_conditions_is_an_error():
    circle = {"A": {"Condition": "B"}, "B": {"Condition": "A"}}
    with pytest.raises(StackError, match="circular dependency of condition A"):
        evaluator(conditions=circle).holds("A")


def test_unknown_values_spread_through_functions():
    later = evaluator()
    later.ref = lambda name: Unknown(frozenset({name}))
    for node in (
        {"Fn::Sub": "a-${Topic}"},
        {"Fn::Join": ["", ["a", {"Ref": "Topic"}]]},
        {"Fn::Select": [0, {"Fn::Split": [":", {"Ref": "Topic"}]}]},
        {"Fn::Base64": {"Ref": "Topic"}},
    ):
        assert unknowns(later.value(node)) == {"Topic"}


def test_references_are_found_in_all_forms():
    tree = {
        "a": {"Ref": "A"},
        "b": {"Fn::GetAtt": ["B", "Arn"]},
        "c": {"Fn::Sub": ["${C}-${D.Arn}-${E}-${!F}", {"E": {"Ref": "G"}}]},
    }
    assert {name for name, _ in references(tree)} == {"A", "B", "C", "D", "G"}


def test_pruning_leaves_out_the_branch_that_is_not_taken():
    conditions = {"No": {"Fn::Equals": ["a", "b"]}}
    tree = {"A": {"Fn::If": ["No", {"Ref": "Gone"}, {"Ref": "AWS::NoValue"}]}, "B": 1}
    assert evaluator(conditions=conditions).prune(tree) == {"B": 1}
    assert evaluator(conditions=conditions).value(tree["A"]) is NO_VALUE


# Reading


def test_short_tags_and_dates_are_read():
    template = parse(
        "AWSTemplateFormatVersion: 2010-09-09\n"
        "Resources:\n  T:\n    Type: AWS::SNS::Topic\n"
        "    Properties:\n      TopicName: !Join ['-', [!Ref A, !GetAtt B.C.D]]\n"
        "      DisplayName: 2012-10-17\n"
    )
    said = template.resources["T"]["Properties"]
    parts = [{"Ref": "A"}, {"Fn::GetAtt": ["B", "C.D"]}]
    assert said == {"TopicName": {"Fn::Join": ["-", parts]}, "DisplayName": "2012-10-17"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("- a", "unsupported structure"),
        ("Resources: {}", "At least one Resources member"),
        ("a: b: c", "not well-formed"),
        (RESOURCES + "Ressources: {}", "Ressources"),
        ("Resources: {T: {Type: A}, T: {Type: B}}", "duplicate key 'T'"),
        (
            "Resources: {F: {Type: AWS::Serverless::Api}}\nTransform: AWS::Serverless-2016-10-31",
            r"F \(AWS::Serverless::Api\): Transform AWS::Serverless-2016-10-31 is not emulated",
        ),
        (RESOURCES + "Transform: [MyMacro]", "Transform MyMacro is not emulated"),
    ],
)
def test_templates_that_are_refused(body, said):
    with pytest.raises(StackError, match=said):
        parse(body)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({"Type": "A", "DeletionPolicy": "Snapshot"}, "DeletionPolicy Snapshot is not emulated"),
        ({"Type": "A", "DeletionPolicy": "Keep"}, "'Keep' is not valid"),
        ({"Type": "A", "UpdateReplacePolicy": "RetainExceptOnCreate"}, "is not valid"),
        ({"Type": "A", "CreationPolicy": {}}, "CreationPolicy is not emulated"),
        ({"Type": "A", "Proprties": {}}, "Proprties"),
        ({"Properties": {}}, "must contain a Type"),
    ],
)
def test_resources_that_are_refused(resource, said):
    with pytest.raises(StackError, match=said):
        check_resources({"R": resource})


def test_dependencies_come_first_and_circles_are_named():
    assert sort({"c": ["b"], "b": ["a"], "a": []}) == ["a", "b", "c"]
    with pytest.raises(StackError, match=r"Circular dependency between resources: \[a, b\]"):
        sort({"a": ["b"], "b": ["a"]})


# Parameters and rules


def parameter(declared, value, ssm=None):
    template = parse('{"Parameters": {}, "Resources": {"T": {"Type": "AWS::SNS::Topic"}}}')
    object.__setattr__(template, "parameters", {"P": declared})
    given = [] if value is None else [{"ParameterKey": "P", "ParameterValue": value}]
    return parameters.resolve(template, given, {}, ssm or {}.__getitem__)["P"]


@pytest.mark.parametrize(
    ("declared", "value", "resolved"),
    [
        ({"Type": "String", "Default": "d"}, None, "d"),
        ({"Type": "Number"}, "1.5", "1.5"),
        ({"Type": "CommaDelimitedList"}, "a, b", ["a", "b"]),
        ({"Type": "List<Number>"}, "1,2", ["1", "2"]),
        ({"Type": "List<AWS::EC2::Subnet::Id>"}, "subnet-1a", ["subnet-1a"]),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "abc", "abc"),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "^([0-9]{2})?$"}, "", [""]),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "/name", "stored,too"),
        ({"Type": "AWS::SSM::Parameter::Value<List<String>>"}, "/name", ["stored", "too"]),
    ],
)
def test_parameters(declared, value, resolved):
    assert parameter(declared, value, {"/name": "stored,too"}.__getitem__).resolved == resolved


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        ({"Type": "String"}, None, r"\[P\] must have values"),
        ({"Type": "Number"}, "one", "P='one' is no Number"),
        ({"Type": "AWS::EC2::VPC::Id"}, "sg-1", "is no AWS::EC2::VPC::Id"),
        ({"Type": "Strng"}, "a", "Unrecognized parameter type: Strng"),
        ({"Type": "String", "AllowedValues": ["a", "b"]}, "c", r"AllowedValues \[a, b\]"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "abc1", r"must match pattern \[a-z\]"),
        ({"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]+"}, "a,1", "must match pattern"),
        ({"Type": "String", "MinLength": 2}, "a", "at least 2 characters"),
        ({"Type": "String", "MaxLength": "2"}, "abc", "at most 2 characters"),
        ({"Type": "Number", "MinValue": 2}, "1", "not less than 2"),
        ({"Type": "Number", "MaxValue": 2}, "3", "not greater than 2"),
        ({"Type": "String", "MaxLength": 1, "ConstraintDescription": "be short"}, "ab", "be short"),
    ],
)
def test_parameters_that_break_a_constraint(declared, value, said):
    with pytest.raises(StackError, match=said):
        parameter(declared, value)


def test_a_hidden_parameter_is_never_told():
    hidden = parameter({"Type": "String", "NoEcho": True}, "secret")
    assert hidden.wire("P") == {"ParameterKey": "P", "ParameterValue": "****"}
    assert hidden.resolved == "secret"


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        ({"Fn::Contains": [["dev", "test"], {"Ref": "Env"}]}, True),
        ({"Fn::Contains": [["prod"], {"Ref": "Env"}]}, False),
        ({"Fn::EachMemberIn": [{"Ref": "Names"}, ["a", "b", "c"]]}, True),
        ({"Fn::EachMemberIn": [{"Ref": "Names"}, ["a"]]}, False),
        ({"Fn::EachMemberEquals": [["dev", "dev"], {"Ref": "Env"}]}, True),
        ({"Fn::Not": [{"Fn::Contains": [["prod"], {"Ref": "Env"}]}]}, True),
    ],
)
def test_rules(assertion, holds):
    rule = {"Assertions": [{"Assert": assertion, "AssertDescription": "say why"}]}
    template = parse(RESOURCES)
    object.__setattr__(template, "rules", {"R": rule})
    if holds:
        parameters.check_rules(template, evaluator())
    else:
        with pytest.raises(StackError, match="R: say why"):
            parameters.check_rules(template, evaluator())


def test_a_rule_applies_under_its_condition_alone():
    never = {"Fn::Equals": ["a", "b"]}
    template = parse(RESOURCES)
    rule = {"RuleCondition": never, "Assertions": [{"Assert": never}]}
    object.__setattr__(template, "rules", {"R": rule})
    parameters.check_rules(template, evaluator())


# Loops


LOOPS = """
Transform: AWS::LanguageExtensions
Resources:
  Fn::ForEach::Topics:
    - Name
    - !Ref Names
    - Topic${Name}:
        Type: AWS::SNS::Topic
        DeletionPolicy: !If [IsDev, Delete, Retain]
        Properties:
          TopicName: !Sub "${Env}-${Name}"
          Fn::ForEach::Settings:
            - Key
            - [DisplayName]
            - ${Key}: !Ref Name
Outputs:
  Fn::ForEach::Out:
    - Name
    - [x.1]
    - Arn&{Name}: {Value: "${Name}"}
"""


def test_loops_are_written_out():
    conditions = {"IsDev": {"Fn::Equals": [{"Ref": "Env"}, "dev"]}}
    template = language.expand(parse(LOOPS), evaluator(conditions=conditions, extended=True))
    assert list(template.resources) == ["Topica", "Topicb"]
    assert template.resources["Topicb"] == {
        "Type": "AWS::SNS::Topic",
        "DeletionPolicy": "Delete",
        "Properties": {"TopicName": {"Fn::Sub": "${Env}-b"}, "DisplayName": "b"},
    }
    assert template.outputs == {"Arnx1": {"Value": "x.1"}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (LOOPS.replace("Transform: AWS::LanguageExtensions", ""), "needs Transform"),
        (LOOPS.replace("Topic${Name}", "Topic"), "twice"),
        (LOOPS.replace("!Ref Names", "!Ref Env"), "must be a list"),
    ],
)
def test_loops_that_are_refused(body, said):
    conditions = {"IsDev": {"Fn::Equals": ["a", "a"]}}
    with pytest.raises(StackError, match=said):
        language.expand(parse(body), evaluator(conditions=conditions, extended=True))


# Dynamic references


class Store:
    """The two stores that references read."""

    def call(self, operation, **params):
        if operation == "ssm:GetParameters":
            known = {"/a": "String", "/a:2": "String", "/s": "SecureString"}
            name = params["Names"][0]
            found = [{"Value": f"<{name}>", "Type": known[name]}] if name in known else []
            return {"Parameters": found}
        return {"SecretString": '{"user": "u"}', **params}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{resolve:ssm:/a}}", "</a>"),
        ("x-{{resolve:ssm:/a:2}}-y", "x-</a:2>-y"),
        ("{{resolve:secretsmanager:s:SecretString:user}}", "u"),
        ("{{resolve:secretsmanager:arn:aws:secretsmanager:r:1:secret:s:SecretString:user}}", "u"),
        ("{{resolve:secretsmanager:s}}", '{"user": "u"}'),
    ],
)
def test_dynamic_references(text, value):
    assert resolve_dynamic({"P": [text]}, "AWS::SNS::Topic", Store()) == {"P": [value]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{resolve:ssm:/absent}}", "no parameter /absent"),
        ("{{resolve:ssm:/s}}", "needs ssm-secure"),
        ("{{resolve:ssm-secure:/s}}", "not supported in this property"),
        ("{{resolve:secretsmanager:s:SecretString:no}}", "no JSON key no"),
        ("{{resolve:vault:x}}", "unknown service vault"),
    ],
)
def test_dynamic_references_that_are_refused(text, said):
    with pytest.raises(ResourceError, match=said):
        resolve_dynamic({"P": text}, "AWS::SNS::Topic", Store())


def test_secure_references_go_where_aws_takes_them():
    said = resolve_dynamic(
        {"MasterUserPassword": "{{resolve:ssm-secure:/s}}"}, "AWS::RDS::DBInstance", Store()
    )
    assert said == {"MasterUserPassword": "</s>"}
