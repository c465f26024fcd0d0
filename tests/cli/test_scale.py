"""scale: which points were measured and which predicted, in the table, the JSON and the figure."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.cli.scale import rank_counts
from outpace.codegen.mpi.local import numpy_kernel
from outpace.errors import UsageError
from outpace.kernels import target
from outpace.tuner.mpi import launch, scaling

HEAT = """
import numpy as np
import outpace
from jaxtyping import Float64

@outpace.optimize(
    workloads={"small": {"y": 20, "steps": 1}, "large": {"y": 96, "steps": 4}},
    split={"y": outpace.Block(halo=1)},
    steps="steps",
)
def heat(u: Float64[np.ndarray, "y 4"], steps: int) -> Float64[np.ndarray, "y 4"]:
    u = u.copy()
    for _ in range(steps):
        u[1:-1] = 0.5 * (u[:-2] + u[2:])
    return u

@outpace.optimize(workloads={"small": {"y": 20}})
def whole(u: Float64[np.ndarray, "y"]) -> Float64[np.ndarray, "y"]:
    return u + 1
"""


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    monkeypatch.setattr(scaling, "default_kernel", lambda reference, **_: numpy_kernel(reference))


@pytest.fixture
def heat(tmp_path):
    path = Path(f"heat_{abs(hash(tmp_path))}.py")
    path.write_text(HEAT)
    return f"{path}:heat"


@pytest.fixture
def _no_mpi(monkeypatch):
    monkeypatch.setattr(launch, "unavailable", lambda: "mpi4py is not installed")


# --- Numbers of ranks ---------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_numbers_are_taken_ascending_and_once(counts):
    assert rank_counts(", ".join(map(str, counts))) == tuple(sorted(set(counts)))


@given(first=st.integers(1, 10**6), more=st.integers(0, 10**6))
def test_a_range_doubles_and_ends_where_it_says(first, more):
    last = min(10**6, first + more)
    counts = rank_counts(f"{first}..{last}")
    assert (counts[0], counts[-1]) == (first, last)
    assert all(b == 2 * a for a, b in pairwise(counts[:-1]))
    assert all(a < b <= 2 * a for a, b in pairwise(counts))


@pytest.mark.parametrize(
    "text", ["", ",", "a", "1..", "..4", "1..2..3", "1.5", "²", "0", "4..2", "-1", "1e3", "2000000"]
)
def test_anything_else_is_one_clear_error(text):
    with pytest.raises(UsageError) as error:
        rank_counts(text)
    assert str(error.value).startswith(f"--ranks {text}")


# --- Curves -------------------------------------------------------------------------------------


@pytest.mark.skipif(launch.unavailable() is not None, reason=str(launch.unavailable()))
def test_points_up_to_the_cores_are_measured_and_others_predicted(outpace_json, heat):
    code, answer = outpace_json("scale", heat, "--ranks", "1..8", "--plot", "heat.svg")
    assert code == 0, answer
    assert answer["schema"] == "outpace.scale/1"
    cores = target.hardware().cores
    wanted = {n: "measured" if n <= cores else "predicted" for n in (1, 2, 4, 8)}
    assert {p["ranks"]: p["source"] for p in answer["points"]} == wanted
    assert (answer["workload"], answer["weak"]) == ("large", False)
    assert answer["points"][0]["efficiency"] == 1.0
    for point in answer["points"]:
        assert 0 < point["computing_seconds"] <= point["predicted_seconds"]
        if point["source"] == "predicted":
            assert point["seconds"] == point["predicted_seconds"]
    if cores >= 2:
        assert answer["network"]["origin"] == "measured here"
    drawn = Path("heat.svg").read_text()
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert "predicted, not measured" in drawn
    assert "stroke-dasharray" in drawn


@pytest.mark.usefixtures("_no_mpi")
def test_without_mpi_every_point_is_predicted_and_says_so(outpace, heat):
    done = outpace("scale", heat, "--ranks", "1,2,64", "--workload", "small", "-q")
    assert done.exit_code == 0, done.output
    assert len(re.findall(r"^ +\d+ +predicted ", done.stdout, re.MULTILINE)) == 3
    assert "measured" not in done.stdout.replace("by the model", "")
    assert "assumed, as is usual within a node" in done.stdout
    assert "every point is predicted: mpi4py is not installed" in done.stdout


@pytest.mark.usefixtures("_no_mpi")
def test_a_network_may_be_given(outpace_json, heat):
    run = ("scale", heat, "--ranks", "1,4", "--workload", "small")
    _, near = outpace_json(*run, "--alpha", "1e-6", "--beta", "1e-10")
    _, far = outpace_json(*run, "--alpha", "0.5")
    assert near["network"] == {"latency": 1e-6, "seconds_per_byte": 1e-10, "origin": "given"}
    assert far["network"]["origin"] == "given, else assumed, as is usual within a node"
    assert far["points"][1]["seconds"] > 0.5 > near["points"][1]["seconds"]


@pytest.mark.usefixtures("_no_mpi")
def test_a_weak_curve_lets_the_problem_grow(outpace_json, heat):
    run = ("scale", heat, "--ranks", "1..4", "--workload", "small", "--weak")
    _, answer = outpace_json(*run)
    assert answer["weak"]
    assert [p["sizes"]["y"] for p in answer["points"]] == [20, 40, 80]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ranks", "0"), "is not from 1 to"),
        (("--ranks", "8..2"), "the smaller first"),
        (("--ranks", "few"), "write 1,2,4 or 1..256"),
        (("--alpha", "-1"), "--alpha -1: give seconds"),
        (("--plot", "curve.png"), "give a file that ends with .svg"),
        (("--workload", "huge"), "has no workload huge; it has small, large"),
    ],
)
def test_what_cannot_be_is_one_clear_error(outpace, heat, arguments, said):
    done = outpace("scale", heat, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr.replace("\n", " ")


def test_a_function_that_may_not_be_cut_is_refused(outpace, heat):
    done = outpace("scale", heat.replace(":heat", ":whole"), "--ranks", "1,2")
    assert done.exit_code == 2
    assert "does not say how it may be cut over ranks; add split=" in done.stderr
