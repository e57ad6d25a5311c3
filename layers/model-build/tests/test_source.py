"""Values that a start may set become parameters of the pipeline and arguments of a job."""

import pytest

from pipeline.settings import Block, SettingsError
from pipeline.source import settable


def test_each_kind_of_value_becomes_a_parameter_of_its_type():
    parameters, arguments = settable({"from_date": "2024-01-01", "least": 3, "share": 0.5})
    assert [type(parameter).__name__ for parameter in parameters] == [
        "ParameterString",
        "ParameterInteger",
        "ParameterFloat",
    ]
    assert [parameter.name for parameter in parameters] == ["FromDate", "Least", "Share"]
    assert arguments[::2] == ["--text", "--number", "--number"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"from_date": ""}, "parameters.from_date is ''"),
        ({"from_date": "x" * 300}, "text of 1 to 200"),
        ({"From": "x"}, "names of lower-case"),
        ({"on": True}, "parameters.on is True"),
        ([], "a block of names and values"),
    ],
)
def test_a_value_that_cannot_be_a_parameter_is_named(values, says):
    with pytest.raises(SettingsError, match=says):
        Block("", {"parameters": values}, "config/data.yml").named("parameters")
