"""The example of docs/cuda.md is a draft."""

import json
import re
from pathlib import Path

from outpace.codegen.cuda import parse_plan, resolve
from outpace.model import Argument, Contract, Output

PAGE = (Path(__file__).parents[3] / "docs" / "cuda.md").read_text(encoding="utf-8")
JACOBI = Contract(
    (Argument("u", "float64", ("y", "x")), Argument("steps", "int64")),
    (Output("out", "float64", ("y", "x")),),
    ("y", "x"),
    (),
)


def test_the_plan_of_the_documented_example_is_one():
    (draft,) = re.findall(r"```cuda\n(.*?)```", PAGE, re.DOTALL)
    opening, _, code = draft.partition("\n")
    header = json.loads(opening.removeprefix("// outpace:"))
    params = {name: values[0] for name, values in header["parameters"].items()}
    sizes = {"y": 100, "x": 100, "steps": 50}
    found = resolve(parse_plan(header["plan"]), sizes, params, JACOBI)
    assert len(found.launches) == 50
    assert f"{found.launches[0].kernel}(const double" in code


def test_every_step_and_flag_is_documented():
    from outpace.codegen.cuda.parse import _KINDS
    from outpace.kernels.languages.cuda import REGISTERS, SWITCHES

    assert not [kind for kind in _KINDS if f'`{{"{kind}": ' not in PAGE]
    assert not [flag for flag in (*SWITCHES, REGISTERS) if f"`{flag}`" not in PAGE]
