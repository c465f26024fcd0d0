"""Calls that a draft made for what is timed would get wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64, Int64

import outpace
from outpace.codegen.inputs import Case, draw_inputs
from outpace.kernels.nearness import covers
from outpace.model import Workload
from outpace.tuner.arena import ALIGNMENT, Arena, Layout, poison
from outpace.tuner.numerics.unseen import almost_same, draw_nearby
from outpace.tuner.process import Call

seeds = st.integers(0, 2**32)


def reference_of(function, **contract):
    return outpace.reference(function, **contract).reference


def blur(u: Float64[np.ndarray, "y x"], steps: int) -> Float64[np.ndarray, "y x"]:
    return u * steps


def transform(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u


BLUR = reference_of(blur, workloads={"only": {"y": 100, "x": 30, "steps": 10}})
POWERS = reference_of(transform, workloads={"only": {"n": 4096}}, where="n == 2**q")


def sizes_near(reference, workload, bounds, seed, common=0.25):
    case = draw_nearby(reference, workload, bounds, np.random.default_rng(seed), common)
    return None if case is None else case.sizes


@given(seeds, st.sampled_from([(0.0, 1.0), (1.0, 2.0), (1.0, 1.25)]))
def test_nearby_sizes_would_be_served_and_are_others(seed, bounds):
    workload = BLUR.contract.workloads[0]
    sizes = sizes_near(BLUR, workload, bounds, seed)
    assert sizes != workload.sizes
    assert covers(workload.sizes, sizes)
    assert sizes["steps"] <= 10
    assert bounds[0] <= sizes["y"] * sizes["x"] / 3000 <= bounds[1]


def test_nearby_sizes_are_larger_and_smaller_ones_with_any_remainder():
    workload = BLUR.contract.workloads[0]
    found = [sizes_near(BLUR, workload, (0.0, 2.0), seed) for seed in range(200)]
    assert min(s["y"] for s in found) == 50
    assert max(s["y"] for s in found) == 200
    assert {s["x"] % 8 for s in found} == set(range(8))


def test_nearby_sizes_share_factors_with_the_workload_as_often_as_asked():
    workload = BLUR.contract.workloads[0]
    for common, least, most in ((0.0, 0, 10), (0.5, 60, 140)):
        found = [sizes_near(BLUR, workload, (0.0, 2.0), seed, common) for seed in range(200)]
        assert least <= sum(s["y"] in (50, 100, 200) for s in found) <= most


@given(seeds, st.sampled_from([0.0, 0.5]))
def test_nearby_sizes_are_in_the_domain(seed, common):
    workload = POWERS.contract.workloads[0]
    assert sizes_near(POWERS, workload, (0.0, 1.0), seed, common) == {"n": 2048}
    assert sizes_near(POWERS, workload, (1.0, 2.0), seed, common) == {"n": 8192}


def test_where_the_domain_is_one_size_there_are_none_near_it():
    only = reference_of(transform, workloads={"only": {"n": 64}}, where="n == 64")
    assert sizes_near(only, only.contract.workloads[0], (0.0, 2.0), 0) is None


def test_sizes_of_zero_stay_zero():
    workload = Workload("none", {"y": 0, "x": 8, "steps": 0})
    assert sizes_near(BLUR, workload, (0.0, 2.0), 0) is None or workload.sizes["y"] == 0


def call_of(reference, seed):
    case = Case.of_workload(reference.contract.workloads[0], seed)
    return Call(case.sizes, draw_inputs(reference, case))


@given(seeds, st.integers(1, 4), st.integers(0, 1))
def test_almost_equal_calls_differ_in_one_or_two_elements_from_the_one_before(seed, count, turn):
    calls = [call_of(BLUR, seed + i) for i in range(count)]
    last = calls[-1].values["u"].copy()
    others = almost_same(BLUR, calls, turn, np.random.default_rng(seed))
    assert [o.values["steps"] for o in others] == [c.values["steps"] for c in calls]
    for position, other in enumerate(others, turn):
        changed = np.count_nonzero(other.values["u"] != last)
        assert changed == (2 if position % 2 == 0 else 1)
        kept_its_elements = np.array_equal(np.sort(other.values["u"], None), np.sort(last, None))
        assert kept_its_elements == (position % 2 == 0)
        last = other.values["u"]


def lookup(u: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    return u


def test_what_a_callable_gives_is_drawn_anew_and_not_touched():
    ordered = reference_of(
        lookup,
        workloads={"only": {"n": 50}},
        inputs=lambda sizes, rng: {"u": np.sort(rng.integers(0, 1000, sizes["n"]))},
    )
    call = call_of(ordered, 2)
    (other,) = almost_same(ordered, [call], 0, np.random.default_rng(0))
    assert not np.array_equal(other.values["u"], call.values["u"])
    assert np.array_equal(other.values["u"], np.sort(other.values["u"]))


def scaled(u: Float64[np.ndarray, "n"], largest: float) -> Float64[np.ndarray, "n"]:
    return u / largest


def with_its_largest(sizes, rng):
    u = rng.uniform(size=sizes["n"])
    return {"u": u, "largest": float(u.max())}


def test_arrays_that_go_with_a_scalar_stay_with_it():
    joined = reference_of(scaled, workloads={"only": {"n": 50}}, inputs=with_its_largest)
    calls = [call_of(joined, seed) for seed in range(3)]
    for other in almost_same(joined, calls, 0, np.random.default_rng(0)):
        assert other.values["u"].max() == other.values["largest"]


DTYPES = ["float64", "float32", "int64", "int8", "complex128", "bool"]


@settings(max_examples=50)
@given(seeds, st.lists(st.tuples(st.integers(0, 300), st.sampled_from(DTYPES)), max_size=5))
def test_arrays_anywhere_are_apart_with_their_margins_and_aligned_to_their_elements(seed, wanted):
    room = sum(Layout.room(n * np.dtype(dtype).itemsize) for n, dtype in wanted)
    layout = Layout(room, np.random.default_rng(seed))
    end = 0
    for n, dtype in wanted:
        placed = layout.place((n,), dtype, anywhere=True)
        before, after = placed.margins()
        assert placed.offset % np.dtype(dtype).alignment == 0
        assert before.offset >= end
        end = after.offset + after.nbytes
    assert end <= max(room, 0)


def test_anywhere_is_not_only_at_cache_lines():
    places = [
        Layout(10_000, np.random.default_rng(s)).place((8,), "float64", anywhere=True)
        for s in range(40)
    ]
    assert {p.offset % ALIGNMENT for p in places} == set(range(0, ALIGNMENT, 8))


def test_floats_are_poisoned_with_nan_and_with_numbers():
    array, rng = np.empty(3), np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        poison(array, rng)
        seen.add(bool(np.isnan(array[0])))
        assert len({str(x) for x in array}) == 1
    assert seen == {True, False}


@pytest.mark.parametrize(("dtype", "is_read_as"), [("float64", np.isnan), ("float32", np.isnan)])
def test_a_read_beyond_an_array_of_floats_gives_nan(dtype, is_read_as):
    arena = Arena(4096, read_only_descriptor=False)
    try:
        placed = Layout(4096, np.random.default_rng(0)).place((4,), dtype)
        for margin in placed.margins():
            arena.mapping.array(margin)[...] = placed.margin_byte
            assert is_read_as(arena.mapping.array(margin).view(dtype)).all()
    finally:
        arena.close()
