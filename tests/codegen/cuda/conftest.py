"""A contract and a plan of a Jacobi iteration, which tests bend."""

import pytest

from outpace.codegen.cuda import parse_plan
from outpace.model import Argument, Contract, Output, Workload

JACOBI = Contract(
    (Argument("u", "float64", ("y", "x")), Argument("steps", "int64"), Argument("a", "float64")),
    (Output("out", "float64", ("y", "x")),),
    ("y", "x"),
    (Workload("small", {"y": 64, "x": 96, "steps": 3}, {"a": 0.25}),),
)
PLAN = {
    "let": {"rows": "ceildiv(y, 4)"},
    "buffers": [{"name": "other", "dtype": "float64", "shape": ["y", "x"]}],
    "steps": [
        {"copy": ["u", "out"]},
        {
            "repeat": "t",
            "range": [0, "steps", 1],
            "steps": [
                {
                    "launch": "step<TX>",
                    "grid": ["ceildiv(x, TX)", "rows"],
                    "block": ["TX", 4],
                    "arguments": ["out", "other", "a", "y", "x"],
                },
                {"swap": ["out", "other"]},
            ],
        },
    ],
}


@pytest.fixture
def contract():
    return JACOBI


@pytest.fixture
def plan():
    return parse_plan(PLAN)
