"""Predicted traffic is that of the program at full size; predictions behave as a model must."""

import functools
from math import prod
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outpace.codegen.mpi.layout import default_grid, grids
from outpace.codegen.reference import load_module
from outpace.errors import ContractError, UsageError
from outpace.model import Workload
from outpace.tuner.mpi.scaling import _points, _problem, _Timed, scaling
from outpace.tuner.mpi.scaling_model import Model, Network, Problem, Traffic

references = load_module(str(Path(__file__).parents[2] / "codegen" / "mpi" / "mpi_references.py"))


def problem_of(name, ranks, **sizes):
    contract = getattr(references, name).reference.contract
    return Problem(ranks, sizes, default_grid(contract, sizes, ranks))


def traffic(name, ranks, **sizes):
    return model_of(name).traffic(problem_of(name, ranks, **sizes))


@functools.cache
def model_of(name):
    return Model(getattr(references, name).reference)


# --- Traffic ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ranks", "sizes", "received"),
    [
        # Rows and columns of doubles at both sides of an inner block, each step.
        ("heat", 2, {"y": 4096, "x": 4096, "steps": 50}, 8 * 4096 * 50),
        ("heat", 256, {"y": 4096, "x": 4096, "steps": 50}, 8 * 4 * 256 * 50),
        # 2 + 1 cells of q each step, and of the speed once.
        ("advect", 8, {"x": 10**6, "steps": 9}, 8 * 3 * (9 + 1)),
        # Rows of a and columns of b that others own: 3/4 and 3/4 of what a rank needs.
        ("product", 16, {"m": 2048, "n": 2048, "k": 2048}, 8 * 2 * 512 * 2048 * 3 // 4),
        # All but a rank's own share, there and back.
        ("spectrum", 64, {"y": 2048, "x": 2048}, 2 * 16 * 2048 * 2048 // 64 * 63 // 64),
    ],
)
def test_bytes_of_the_smaller_problem_become_those_of_the_real_one(name, ranks, sizes, received):
    assert traffic(name, ranks, **sizes).received == pytest.approx(received, rel=0.1)


def test_latencies_grow_with_steps_and_with_the_depth_of_a_tree():
    steps = [traffic("heat", 8, y=64, x=64, steps=n).latencies for n in (0, 1, 2, 10)]
    assert steps[1] > 0
    assert steps[3] - steps[2] == pytest.approx(8 * (steps[2] - steps[1]))
    few, many = (traffic("least", n, y=512, x=512).latencies for n in (4, 256))
    assert 0 < few < many <= 8 * few


def test_one_rank_sends_nothing():
    assert traffic("heat", 1, y=64, x=64, steps=5) == Traffic(0.0, 0.0)


@given(
    a=st.floats(0, 1e-3), b=st.floats(0, 1e-6), more=st.floats(1, 10),
    latencies=st.floats(0, 1e4), received=st.floats(0, 1e9),
)  # fmt: skip
def test_a_slower_network_is_never_faster(a, b, more, latencies, received):
    sent = Traffic(latencies, received)
    base = sent.seconds(Network(a, b, ""))
    assert 0 <= base <= sent.seconds(Network(more * a, b, ""))
    assert base <= sent.seconds(Network(a, more * b, ""))
    assert sent.onward(sent, 7) == sent


# --- The busiest rank ---------------------------------------------------------------------------


@given(data=st.data(), ranks=st.sampled_from([1, 2, 3, 4, 6, 8, 12]))
def test_the_busiest_rank_has_at_least_its_share(data, ranks):
    name = data.draw(st.sampled_from(["heat", "scaled", "smooth", "diffuse", "least"]))
    contract = getattr(references, name).reference.contract
    sizes = {dim: data.draw(st.integers(0, 70), dim) for dim in contract.dims} | {"steps": 3}
    grid = data.draw(st.sampled_from(grids(contract, ranks)))
    busiest = model_of(name).busiest(Problem(ranks, sizes, grid))
    cells, share = (prod(s[dim] for dim in contract.dims) for s in (sizes, busiest))
    assert share * ranks >= cells
    assert all(busiest[dim] <= sizes[dim] for dim in contract.dims)


@given(n=st.integers(0, 10**6), ranks=st.integers(1, 300))
def test_in_a_ring_the_busiest_rank_has_its_rows_of_all_pairs(n, ranks):
    problem = Problem(ranks, {"n": n, "steps": 1}, {"n": ranks})
    own = model_of("bodies").busiest(problem)["n"]
    pairs = -(-n // ranks) * n
    assert own**2 >= pairs
    assert own == 0 or (own - 1) ** 2 < pairs


# --- Curves -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    side=st.integers(8, 300), counts=st.sets(st.integers(1, 64), min_size=1),
    sent=st.floats(0, 1), weak=st.booleans(),
)  # fmt: skip
def test_without_effects_of_caches_no_efficiency_is_above_1(side, counts, sent, weak):
    reference = references.scaled.reference
    model = model_of("scaled")
    workload = Workload("a", {"y": side, "x": side})
    timed = []
    for ranks in sorted({1, *counts}):
        problem = _problem(reference, workload, ranks, weak=weak)
        busiest = model.busiest(problem)
        timed.append(_Timed(problem, float(busiest["y"] * busiest["x"]), None))
    predicted = [one.computing + (one.problem.ranks > 1) * sent for one in timed]
    for point in _points(timed, predicted, weak=weak):
        assert point.efficiency <= 1 + 1e-12
        assert point.speedup == pytest.approx(point.efficiency * point.ranks)


def test_a_weak_problem_keeps_every_block():
    reference = references.heat.reference
    workload = reference.contract.workloads[0]
    problem = _problem(reference, workload, 6, weak=True)
    assert problem.sizes == {"y": 3 * 64, "x": 2 * 64, "steps": 9}
    assert model_of("heat").busiest(problem) == {"y": 66, "x": 66, "steps": 9}


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(ContractError, match="has no workload b; it has a"):
        scaling(references.heat.reference, [1], workload="b")
    contract = msgspec.structs.replace(references.least.reference.contract, where="y <= 32")
    with pytest.raises(UsageError, match="y=64, x=64, which is outside the domain `y <= 32`"):
        _problem(SimpleNamespace(contract=contract), contract.workloads[0], 4, weak=True)
