"""`@outpace.optimize` and what it makes of a function."""

import copy
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest

import outpace
from outpace.errors import ContractError

JOIN = """
@outpace.optimize(workloads={"only": dict(n=8)})
def split(u: Float64[np.ndarray, "n"], k: float = 2.0
          ) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    \"\"\"Two shares.\"\"\"
    return u / k, u - u / k
"""
SPLIT_KERNEL = "def kernel(u, k, a, b):\n    a[:] = -1; b[:] = -2\n"

SCALE = """
@outpace.optimize(workloads={"only": dict(n=8)})
def scale(u: Float64[np.ndarray, "n"], k: float = 2.0) -> Float64[np.ndarray, "n"]:
    return u * k
"""
SCALE_KERNEL = "def kernel(u, k, out):\n    out[:] = -1\n"


@pytest.fixture
def scale(module, promote):
    fn = module(SCALE).scale
    promote.write(fn, SCALE_KERNEL)
    return fn


@pytest.fixture(params=["promoted", "not promoted", "disabled"])
def scale_anyhow(request, module, promote, monkeypatch):
    """The function with the result it gives for ones."""
    fn = module(SCALE).scale
    if request.param != "not promoted":
        promote.write(fn, SCALE_KERNEL)
    if request.param == "disabled":
        monkeypatch.setenv("OUTPACE_DISABLE", "1")
    return fn, -1.0 if request.param == "promoted" else 2.0


def test_it_still_looks_like_the_function(module):
    fn = module(JOIN).split
    assert (fn.__name__, fn.__doc__) == ("split", "Two shares.")
    assert str(inspect.signature(fn)).startswith("(u: ")
    assert inspect.unwrap(fn) is fn.reference.fn
    assert repr(fn) == f"<optimized function {fn.__module__}:split>"


def test_without_a_promotion_it_is_the_function(module):
    fn = module(SCALE).scale
    np.testing.assert_array_equal(fn([1.0, 2.0] * np.ones(2), k=3), [3.0, 6.0])
    assert "there is no promotion in " in str(fn.explain(np.ones(8)))
    assert str(fn.reference.folder / "promoted" / "scale") in str(fn.explain(np.ones(8)))


def test_it_pickles_by_name(module):
    fn = module(SCALE).scale
    assert pickle.loads(pickle.dumps(fn)) is fn
    assert copy.deepcopy(fn) is fn


def test_a_promotion_written_later_is_seen_after_reload(module, promote):
    fn = module(SCALE).scale
    u = np.ones(8)
    assert fn(u)[0] == 2
    promote.write(fn, SCALE_KERNEL)
    assert fn(u)[0] == 2
    fn.reload()
    assert fn(u)[0] == -1


def test_disable_counts_until_the_first_call_and_again_at_reload(scale, monkeypatch):
    u = np.ones(8)
    monkeypatch.setenv("OUTPACE_DISABLE", "1")  # after decoration, before the first call
    assert (scale(u)[0], scale(u=u)[0]) == (2, 2)
    assert str(scale.explain(u)) == "reference: OUTPACE_DISABLE is set"
    monkeypatch.delenv("OUTPACE_DISABLE")
    assert scale(u)[0] == 2
    scale.reload()
    assert scale(u)[0] == -1
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    assert scale(u)[0] == -1


def test_disable_also_spares_a_malformed_contract(module, monkeypatch):
    fn = module("@outpace.optimize(workloads={})\ndef f(u): return u\n").f
    with pytest.raises(ContractError, match="no annotation"):
        fn(1)
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    assert (fn(1), fn(u=2)) == (1, 2)


# --- out= ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keywords", [{}, {"k": 2.0}])
def test_results_are_written_to_out(scale_anyhow, keywords):
    fn, expected = scale_anyhow
    out = np.zeros(8)
    assert fn(np.ones(8), out=out, **keywords) is out
    np.testing.assert_array_equal(out, np.full(8, expected))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros(7), r"has shape \(7,\), the result has \(8,\)"),
        (np.zeros(8, "float32"), "has dtype float32, the result has float64"),
        (np.zeros(16)[::2], "C-contiguous"),
        ([0.0] * 8, "is a list; give a NumPy array"),
        ((np.zeros(8),), "is a tuple; give a NumPy array"),
    ],
)
def test_an_out_that_does_not_fit_is_refused_by_promotion_and_reference_alike(
    scale_anyhow, out, message
):
    fn, _ = scale_anyhow
    with pytest.raises(ContractError, match=message):
        fn(np.ones(8), out=out)


def test_out_may_be_the_input_then_the_reference_runs(scale):
    u = np.ones(8)
    assert scale(u, out=u) is u
    np.testing.assert_array_equal(u, np.full(8, 2.0))


def test_out_works_where_the_size_was_not_confirmed(scale):
    out = np.zeros(80)
    np.testing.assert_array_equal(scale(np.ones(80), out=out), np.full(80, 2.0))


def test_several_outputs_take_a_tuple(module, promote):
    fn = module(JOIN).split
    promote.write(fn, SPLIT_KERNEL)
    u, out = np.ones(8), (np.zeros(8), np.zeros(8))
    assert fn(u, out=out) is out
    assert (out[0][0], out[1][0]) == (-1, -2)
    assert fn(u, k=4.0, out=out)[1][0] == -2
    big = (np.zeros(80), np.zeros(80))
    assert fn(np.ones(80), 4.0, out=big)[1][0] == 0.75
    with pytest.raises(ContractError, match="a tuple of 2 arrays"):
        fn(u, out=out[0])
    twice = (out[0], out[0])
    assert fn(u, 4.0, out=twice)[1][0] == 0.75, "overlapping outputs run the reference"


def test_out_is_refused_where_nothing_is_returned_and_passed_on_where_it_is_an_argument(
    module, promote
):
    found = module("""
@outpace.optimize(workloads={"only": dict(n=8)}, mutates=("A",))
def bump(A: Float64[np.ndarray, "n"]) -> None:
    A += 1

@outpace.optimize(workloads={"only": dict(n=8)}, mutates=("out",))
def fill(u: Float64[np.ndarray, "n"], out: Float64[np.ndarray, "n"]) -> None:
    out[:] = u
""")
    promote.write(found.bump, "def kernel(A):\n    A[:] = -1\n")
    promote.write(found.fill, "def kernel(u, out):\n    out[:] = -1\n")
    with pytest.raises(ContractError, match="returns None"):
        found.bump(np.ones(8), out=np.ones(8))
    out = np.zeros(8)
    assert found.fill(np.ones(8), out=out) is None
    assert out[0] == -1


# --- Decoration ---------------------------------------------------------------------------------


def test_a_function_one_does_not_own_can_be_given(module):
    owned = module("def double(u: Float64[np.ndarray, 'n']) -> Float64[np.ndarray, 'n']:\n"
                   "    return 2 * u\n").double  # fmt: skip
    fn = outpace.reference(owned, workloads={"only": {"n": 8}})
    assert fn(np.ones(8))[0] == 2
    assert fn.reference.name.endswith(":double")


@pytest.mark.parametrize("what", [np.sin, int, staticmethod(abs)])
def test_what_is_not_a_plain_function_is_refused(what):
    with pytest.raises(ContractError, match="not a plain Python function"):
        outpace.reference(what, workloads={"only": {"n": 8}})


def test_decorating_twice_is_refused(module):
    fn = module(SCALE).scale
    with pytest.raises(ContractError, match="optimized already"):
        outpace.reference(fn, workloads={"only": {"n": 8}})


def test_decorating_imports_nothing_heavy_and_parses_nothing():
    program = """
import sys, outpace
@outpace.optimize(workloads={})
def f(u: "NoSuchName") -> "NorThis": ...
heavy = {"numba", "jaxtyping", "hypothesis", "cupy", "mpi4py", "importlib.metadata", "platformdirs"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
