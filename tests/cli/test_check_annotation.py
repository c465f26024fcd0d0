"""`outpace check-annotation`: a sentence and an exit code for what an annotation promises."""

import pytest

MODULE = """
import numpy as np
import outpace
from jaxtyping import Float64
from outpace import Block, Boundary, Combination, Reduced

WORKLOADS = {{"w": {{"n": 500, "steps": 4}}}}

@outpace.optimize(workloads=WORKLOADS, {options})
def smooth(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    old = u.copy()
    for _ in range(steps):
        new = old.copy()
        new[1:-1] = 0.25 * (old[:-2] + 2 * old[1:-1] + old[2:])
        old = new
    return old

@outpace.optimize(workloads={{"w": {{"y": 60, "x": 50}}}}, {more})
def totals(a: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x"]:
    return a.sum(axis=0)
"""


@pytest.fixture
def module(tmp_path):
    def write(options="", more=""):
        path = tmp_path / f"module_{abs(hash((options, more)))}.py"
        path.write_text(MODULE.format(options=options, more=more))
        return path

    return write


def test_a_right_annotation(outpace, outpace_json, module):
    path = module('split={"n": Block(halo=2)}, steps="steps"')
    code, answer = outpace_json("check-annotation", f"{path}:smooth")
    assert code == 0
    assert answer["schema"] == "outpace.check-annotation/1"
    assert answer["reference"].endswith(":smooth")
    assert answer["split"] == {"n": {"kind": "block", "halo": 2, "minimum": 1, "boundary": "fixed"}}
    assert (answer["steps"], answer["reduce"], answer["carries"]) == ("steps", {}, {"out": "u"})
    assert answer["violation"] is answer["proposal"] is None
    assert answer["problems"] > 6
    assert answer["notes"][0].startswith("a halo of 1 is enough for 'n'")
    shown = outpace("check-annotation", f"{path}:smooth").stdout
    assert f"not refuted by {answer['problems']} problems" in shown
    assert "from step to step out becomes u" in shown
    assert "note: a halo of 1 is enough" in shown


def test_a_wrong_annotation_exits_with_1(outpace, outpace_json, module):
    path = module('split={"n": Block(halo=1, boundary=Boundary.PERIODIC)}, steps="steps"')
    code, answer = outpace_json("check-annotation", f"{path}:smooth")
    assert code == 1
    assert answer["violation"].startswith("'n' is declared periodic, but no cell at one end")
    assert answer["notes"] == []
    done = outpace("check-annotation", f"{path}:smooth")
    assert done.exit_code == 1
    assert answer["violation"] in done.stdout.replace("\n", " ")


def test_an_annotation_that_contradicts_itself_exits_with_2(outpace, module):
    done = outpace("check-annotation", f"{module('steps=' + repr('sweeps'))}:smooth")
    assert done.exit_code == 2
    assert "steps='sweeps' is no int argument; these are ['steps']" in done.stderr
    assert outpace("check-annotation", "nowhere.py:smooth").exit_code == 2


def test_a_function_that_says_nothing_gets_a_proposal_that_holds(outpace, outpace_json, module):
    path = module()
    code, answer = outpace_json("check-annotation", f"{path}:smooth")
    assert (code, answer["split"], answer["violation"]) == (0, {}, None)
    assert answer["proposal"]["text"] == 'split={"n": Block(halo=1)},\nsteps="steps",'
    assert answer["proposal"]["split"]["n"]["halo"] == 1
    assert '    steps="steps",' in outpace("check-annotation", f"{path}:smooth").stdout

    text = outpace_json("check-annotation", f"{path}:totals")[1]["proposal"]["text"]
    assert text.splitlines()[0] == 'split={"x": Block(halo=0)},'

    pasted = module(answer["proposal"]["text"].replace("\n", " "), text.replace("\n", " "))
    for name in ("smooth", "totals"):
        assert outpace("check-annotation", f"{pasted}:{name}").exit_code == 0


def test_a_proposal_says_why_not(outpace, outpace_json):
    name = "outpace.kernels.library.quantum:apply_gate"
    code, answer = outpace_json("check-annotation", name)
    assert code == 0
    assert answer["proposal"]["text"] is None
    assert "results read cells up to" in answer["proposal"]["reasons"]["n"]
    shown = outpace("check-annotation", name).stdout
    assert "declares no dim that may be cut, and none was found" in shown
    assert "not 'n': results read cells" in shown
