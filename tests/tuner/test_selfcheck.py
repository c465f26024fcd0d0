"""A reference and its contract are checked before any draft is judged by them."""

import random

import numpy as np
import pytest
from jaxtyping import Float32, Float64, Int64

from outpace.codegen.distributions import Constant, Integers
from outpace.codegen.inputs import Case
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import ContractError, UntestableError
from outpace.model import Tolerance
from outpace.tuner.numerics import selfcheck
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.numerics.oracle import Mode
from outpace.tuner.numerics.selfcheck import check_reference

N = {"n": 500}
NM = {"n": 500, "m": 500}


def check(fn, sizes=N, seed=5, cases=24, **options):
    return check_reference(
        Reference(fn, ReferenceOptions(**{"workloads": {"w": sizes}, **options})), seed, cases
    )


def third(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x / 3


def test_a_sound_reference_comes_with_cases_and_bands():
    checked = check(third)
    assert checked.mode is Mode.HIGH
    assert checked.refused_sizes == ()
    assert len(checked.cases) == len(checked.expected) == 24
    assert any("float128" in note or "longdouble" in note for note in checked.notes)
    for expected in checked.expected:
        assert compare(checked.reference.contract, expected, expected.native) is None


def test_cases_are_the_same_for_the_same_seed():
    assert check(third).cases == check(third).cases
    assert check(third).cases != check(third, seed=6).cases


# --- Mutation and aliasing ------------------------------------------------------------------------


def writes(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    y *= 2
    return x + y


def scales(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> None:
    x += y


def returns_view(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x[::-1]


def returns_twice(
    x: Float64[np.ndarray, "n"],
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    y = x / 3
    return y, y


def test_undeclared_mutation_names_the_argument():
    with pytest.raises(ContractError, match=r'writes into \'y\'; declare mutates=\("y",\)'):
        check(writes)


def test_declared_mutation_is_accepted():
    checked = check(scales, mutates=("x",))
    assert len(checked.cases) == 24


def test_declared_mutation_that_never_happens():
    with pytest.raises(ContractError, match=r"mutates='y', but did not change it"):
        check(scales, mutates=("x", "y"))


def test_returned_memory_of_an_input():
    with pytest.raises(ContractError, match="returns memory of its argument 'x'; return a copy"):
        check(returns_view)


def test_the_same_memory_returned_twice():
    with pytest.raises(ContractError, match="the same memory twice"):
        check(returns_twice)


# --- Shapes, dtypes, dims -------------------------------------------------------------------------


def too_long(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.append(x, 0.0)


def too_narrow(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x.astype(np.float32)


def forgets(x: Float64[np.ndarray, "n"]) -> tuple[Float64[np.ndarray, "n"], float]:
    x / 3


def unbound(x: Float64[np.ndarray, "n+m"]) -> Float64[np.ndarray, "n"]:
    return x[: len(x) // 2]


@pytest.mark.parametrize(
    ("fn", "sizes", "message"),
    [
        (too_long, N, "returned shape"),
        (too_narrow, N, "returned float32 for out"),
        (forgets, N, "returned 1 values, annotated are 2"),
        (unbound, NM, "cannot be determined"),
    ],
)
def test_results_and_dims_must_be_as_annotated(fn, sizes, message):
    with pytest.raises(ContractError, match=message):
        check(fn, sizes)


# --- Determinism ----------------------------------------------------------------------------------


def rolls_dice(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x + np.random.rand(len(x))


def rolls_python_dice(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x + random.random()


_calls = []


def sometimes_unlucky(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    _calls.append(len(x))
    if len(_calls) % 50 == 0:
        raise RuntimeError("unlucky")
    return x / 3


@pytest.mark.parametrize("fn", [rolls_dice, rolls_python_dice, sometimes_unlucky])
def test_chance_is_refused(fn):
    with pytest.raises(ContractError, match="when it is run again on the same inputs"):
        check(fn, tolerance=Tolerance(rtol=1e-12))


def test_the_global_random_states_are_left_alone():
    np.random.seed(1)
    random.seed(1)
    expected = np.random.rand(), random.random()
    np.random.seed(1)
    random.seed(1)
    check(third)
    assert (np.random.rand(), random.random()) == expected


# --- Domain ---------------------------------------------------------------------------------------


def raises(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    raise KeyError(f"nothing of {x.dtype} works")


def even_only(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return (x.reshape(2, -1) / 3).reshape(-1)


def no_small(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    if len(x) not in (4, 8):
        raise ValueError("only 4 and 8")
    return x / 3


def test_a_reference_that_raises_everywhere():
    with pytest.raises(
        ContractError, match=r"at no drawn size.*it raises KeyError: 'nothing of float64 works'"
    ):
        check(raises)


def test_sizes_at_which_it_raises_are_recorded():
    checked = check(even_only)
    assert checked.refused_sizes
    assert all(sizes["n"] % 2 for sizes in checked.refused_sizes)
    assert all(case.sizes["n"] % 2 == 0 for case in checked.cases)


def test_too_few_sizes():
    with pytest.raises(UntestableError, match=r"ran at 2 small sizes.*only 4 and 8"):
        check(no_small)
    with pytest.raises(UntestableError, match="no small size satisfies where='n > 1000'"):
        check(third, {"n": 2000}, where="n > 1000")
    with pytest.raises(UntestableError, match="ran at 2 small sizes"):
        check(third, where="n == 4 or n == 8 or n == 16", workloads={"w": {"n": 16}})


def picky_inputs(sizes, rng):
    return {"x": rng.normal(size=sizes["n"]) * (1 // (sizes["n"] - 1)) + rng.random(sizes["n"])}


def test_inputs_that_cannot_be_drawn_refuse_the_size():
    checked = check(third, inputs=picky_inputs)
    assert {"n": 1} in checked.refused_sizes


# --- Negative controls ----------------------------------------------------------------------------


def nothing(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x * 0


def everywhere(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.full(len(x), 7.5)


def duplicate(x: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return x.copy()


def touch(x: Float64[np.ndarray, "n"]) -> None:
    x *= 1 + 1e-9


def third_single(x: Float32[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    return x / np.float32(3)


def total(x: Float64[np.ndarray, "n"]) -> float:
    return np.sum(x)


def ranks(x: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    return np.argsort(x)


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (nothing, {}, "all zero"),
        (everywhere, {}, "filled with their mean"),
        (duplicate, {}, "passed through"),
        (touch, {"mutates": ("x",), "tolerance": 1e-6}, "passed through"),
        (third, {"tolerance": 1e-5}, "down-cast"),
        (third_single, {"tolerance": Tolerance(rtol=1e-2, atol=1e-3)}, "down-cast"),
        (third, {"tolerance": Tolerance(atol=10.0)}, "all zero"),
        (third, {"inputs": {"x": Constant(0.3)}}, "filled with their mean"),
    ],
)
def test_controls_that_would_pass_make_a_reference_untestable(fn, options, message):
    with pytest.raises(UntestableError, match=message):
        check(fn, **options)


@pytest.mark.parametrize(
    ("fn", "options"),
    [(total, {}), (ranks, {}), (third, {"inputs": {"x": Integers(0, 9)}}), (third_single, {})],
)
def test_controls_that_do_not_apply_refuse_nothing(fn, options):
    assert len(check(fn, **options).cases) > 10


# --- Time -----------------------------------------------------------------------------------------


def test_a_reference_that_is_very_slow_is_checked_on_three_sizes(monkeypatch):
    monkeypatch.setattr(selfcheck, "BUDGET_SECONDS", 0.0)
    monkeypatch.setattr(selfcheck, "LONGEST_SECONDS", 0.0)
    checked = check(third)
    assert len(checked.cases) == selfcheck.LEAST_SIZES
    assert all(case.sizes["n"] > 0 for case in checked.cases)


def test_replayed_cases_come_first_and_must_be_right_too():
    replayed = (Case({"n": 6}, 3, "sorted"), Case({"n": 2}, 0))
    checked = check_reference(
        Reference(third, ReferenceOptions(workloads={"w": N})), 5, 24, replayed
    )
    assert checked.cases[:2] == replayed
    assert len(checked.cases) == len(checked.expected) == 26


def test_a_slow_reference_is_checked_on_the_fewest_cases(monkeypatch):
    monkeypatch.setattr(selfcheck, "BUDGET_SECONDS", 0.0)
    checked = check(third)
    assert selfcheck.LEAST_CASES <= len(checked.cases) < 24
    assert len({case.sizes["n"] for case in checked.cases} - {0}) >= selfcheck.LEAST_SIZES
    assert any("is slow" in note for note in checked.notes)
