"""A call runs the promotion that was confirmed for it, and the reference in every other case."""

import os
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import outpace
from outpace.kernels import nearness, promotions, serve, target
from outpace.kernels.forking import GUARD
from outpace.kernels.promotions import PromotionWarning
from outpace.model import Contract, Draft, Variant

STEP = """
@outpace.optimize(workloads={"small": dict(y=8, x=8, steps=4), "large": dict(y=80, x=80, steps=4)})
def step(u: Float64[np.ndarray, "y+2 x"], steps: int = 4, dt: float = 0.5
         ) -> Float64[np.ndarray, "y x"]:
    return u[:-2] + steps * dt
"""
# Kernels answer something that the reference never would, so that results tell who ran.
STEP_KERNEL = "def kernel(u, steps, dt, out):\n    out[:] = -1\n"


@pytest.fixture
def step(module, promote):
    fn = module(STEP).step
    promote.write(fn, STEP_KERNEL)
    return fn


def promoted_ran(result):
    return bool((np.asarray(result) == -1).all())


def grid(y=8, x=8, dtype="float64"):
    return np.arange((y + 2) * x, dtype=dtype).reshape(y + 2, x)


# --- What is served -----------------------------------------------------------------------------


def test_a_confirmed_size_runs_the_promotion(step):
    assert promoted_ran(step(grid(), 4, 0.5))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(grid(), steps=4, dt=0.5),
        lambda f: f(dt=0.5, u=grid(), steps=4),
        lambda f: f(grid()),
        lambda f: f(grid(), np.int64(4), np.float64(0.5)),
        lambda f: f(grid(), 4, 1),
        lambda f: f(grid().astype(np.dtype("float64").newbyteorder("=")), 4, 0.5),
        lambda f: f(np.broadcast_to(grid(), (10, 8)), 4, 0.5),
        lambda f: f(np.frombuffer(grid().tobytes()).reshape(10, 8), 4, 0.5),
    ],
    ids=["keywords", "order", "defaults", "numpy", "int", "dtype", "broadcast", "read-only"],
)
def test_unusual_calls_with_the_same_meaning_run_the_promotion(step, call):
    assert promoted_ran(call(step))


def test_the_kernel_gets_the_memory_of_a_read_only_input_as_writeable(module, promote):
    fn = module(STEP).step
    promote.write(fn, "def kernel(u, steps, dt, out):\n    out[:] = u[2:] + u.flags.writeable\n")
    u = grid()
    u.flags.writeable = False
    np.testing.assert_array_equal(fn(u, 4, 0.5), grid()[2:] + 1)


class Sub(np.ndarray):
    pass


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((grid(dtype="float32"), 4, 0.5), "u has dtype float32, the annotation says float64"),
        ((grid().astype(">f8"), 4, 0.5), "u has dtype >f8"),
        ((np.asfortranarray(grid()), 4, 0.5), "u is not C-contiguous"),
        ((grid(x=16)[:, ::2], 4, 0.5), "u is not C-contiguous"),
        (
            (np.zeros(8 * 80 + 1, "u1")[1:].view("f8").reshape(10, 8), 4, 0.5),
            "u is not aligned",
        ),
        ((grid().view(Sub), 4, 0.5), "u is a Sub"),
        ((grid(), True, 0.5), "steps is a bool"),
        ((grid(), np.int32(4), 0.5), "steps is a int32"),
        ((grid(), 4, np.float32(0.5)), "dt is a float32"),
        ((grid(17), 4, 0.5), r"size y=17 is outside 0.5 to 2 times .*y=8; y=80"),
        ((grid(8, 3), 4, 0.5), "size x=3 is outside"),
        ((grid(8, 80), 4, 0.5), r"size y=8, x=80, steps=4 is outside .*y=8, x=8, steps=4; y=80"),
        ((grid(), 9, 0.5), "size steps=9 is outside"),
        ((grid(8, 0), 4, 0.5), "size x=0 is outside"),
        ((np.zeros((1, 8)), 4, 0.5), "u has extent 1, which 'y.2' cannot be"),
    ],
)
def test_what_was_not_confirmed_runs_the_reference_and_explain_says_why(step, args, reason):
    np.testing.assert_array_equal(step(*args), step.reference.fn(*args))
    explanation = step.explain(*args)
    assert explanation.promotion is None
    assert re.search(reason, str(explanation))


def test_a_wrong_call_raises_what_the_function_would(step):
    with pytest.raises(TypeError, match=r"step\(\) got an unexpected keyword argument 'step'"):
        step(grid(), step=4)
    with pytest.raises(TypeError, match=r"step\(\) missing 1 required positional argument: 'u'"):
        step()


@pytest.mark.parametrize("y", [4, 16, 40, 160])
def test_sizes_are_served_from_half_to_twice_a_confirmed_one(step, y):
    assert promoted_ran(step(grid(y, 8 if y < 40 else 80), 4, 0.5))


@given(st.integers(-50, 50), st.integers(-50, 50))
def test_covering_is_symmetric_and_zero_covers_zero_alone(a, b):
    assert nearness.covers({"n": a}, {"n": b}) == nearness.covers({"n": b}, {"n": a})
    assert nearness.covers({"n": a}, {"n": a})
    assert nearness.covers({"n": 0}, {"n": b}) == (b == 0)
    assert nearness.covers({"n": a}, {"n": b}) == (a == b or (a * b > 0 and 0.5 <= b / a <= 2))


def test_the_promotion_of_the_nearest_workload_is_chosen_and_the_newest_of_equals(module, promote):
    fn = module(STEP.replace("y=80, x=80", "y=12, x=8")).step
    promote.write(fn, STEP_KERNEL.replace("-1", "10"), workloads=("small",), created="2020")
    promote.write(fn, STEP_KERNEL.replace("-1", "20"), workloads=("large",), created="2021")
    promote.write(fn, STEP_KERNEL.replace("-1", "30"), created="2022")
    assert [fn(grid(y), 4, 0.5)[0, 0] for y in (8, 9, 11, 12)] == [30, 30, 30, 30]
    for stored in promotions.find(fn.reference):
        if stored.promotion.created == "2022":
            promotions.remove(stored.path)
    fn.reload()
    assert [fn(grid(y), 4, 0.5)[0, 0] for y in (8, 9, 11, 12)] == [10, 10, 20, 20]


def test_sizes_at_which_the_reference_raises_and_those_outside_where_are_not_served(
    module, promote
):
    fn = module(STEP.replace("optimize(", 'optimize(where="x % 2 == 0", ')).step
    promote.write(fn, STEP_KERNEL, refused_sizes=({"y": 9, "x": 8, "steps": 4},))
    assert promoted_ran(fn(grid(8, 10)))
    assert not promoted_ran(fn(grid(9, 8)))
    assert not promoted_ran(fn(grid(8, 9)))
    assert "raised at size y=9" in str(fn.explain(grid(9, 8)))
    assert "outside the domain `x % 2 == 0`" in str(fn.explain(grid(8, 9)))


def test_explain_names_the_promotion_its_speedup_and_its_tools(module, promote):
    here = msgspec.structs.replace(target.hardware(), versions={"numpy": "1.0"})
    fn = module(STEP).step
    path = promote.write(fn, STEP_KERNEL, target=here)
    explanation = fn.explain(grid(70, 70))
    assert explanation.promotion == path
    assert str(explanation) == (
        f"promotion {path}: numba, 8.1x [7.9, 8.3] on workload large\n    made with numpy 1.0"
    )


# --- Forms of results ---------------------------------------------------------------------------


def test_several_outputs_and_scalars_have_the_annotated_types(module, promote):
    fn = module("""
@outpace.optimize(workloads={"only": dict(n=8)})
def stats(u: Float32[np.ndarray, "n"]) -> tuple[Float32[np.ndarray, "n"], int, np.float32, bool]:
    return u, 0, np.float32(0), False
""").stats
    promote.write(
        fn, "def kernel(u, a, b, c, d):\n    a[:] = 2 * u; b[0] = 3; c[0] = 4; d[0] = 1\n"
    )
    u = np.ones(8, "float32")
    for result in (fn(u), fn(u=u)):
        array, count, mean, flag = result
        np.testing.assert_array_equal(array, np.full(8, 2, "float32"), strict=True)
        assert (count, mean, flag) == (3, 4, True)
        assert (type(count), type(mean), type(flag)) == (int, np.float32, bool)


TOTAL = """
@outpace.optimize(workloads={"only": dict(n=8)})
def total(u: Float64[np.ndarray, "n"]) -> float:
    return float(u.sum())
"""


def test_a_scalar_output_is_a_number(module, promote):
    fn = module(TOTAL).total
    promote.write(fn, "def kernel(u, out):\n    out[0] = -1\n")
    assert fn(np.ones(8)) == -1.0
    assert type(fn(np.ones(8))) is float
    out = np.zeros(1)
    assert fn(np.ones(8), out=out) is out
    assert out[0] == -1
    assert fn(np.ones(800), out=out)[0] == 800


NARROW = """
@outpace.optimize(workloads={"only": dict(n=8)})
def scale(u: Float32[np.ndarray, "n"], a: np.float32) -> Float32[np.ndarray, "n"]:
    return u * a
"""


@pytest.mark.parametrize("factor", [np.float32(3), 3.0, 3])
def test_a_narrow_scalar_reaches_the_kernel_as_it_was_judged(module, promote, factor):
    fn = module(NARROW).scale
    promote.write(fn, "def kernel(u, a, out):\n    out[:] = type(a) is type(u[0])\n")
    assert fn(np.zeros(8, np.float32), factor).all()


SWEEP = """
@outpace.optimize(workloads={"only": dict(n=8)}, mutates=("A",))
def sweep(A: Float64[np.ndarray, "n"], B: Float64[np.ndarray, "n"]) -> None:
    A += B
"""


@pytest.fixture
def sweep(module, promote):
    fn = module(SWEEP).sweep
    promote.write(fn, "def kernel(A, B):\n    A[:] = -1\n")
    return fn


def test_an_argument_is_written_in_place(sweep):
    memory = np.ones((2, 8))
    assert sweep(memory[0], memory[1]) is None
    np.testing.assert_array_equal(memory, [[-1] * 8, [1] * 8])


@pytest.mark.parametrize("by_keyword", [False, True])
@pytest.mark.parametrize("offset", [0, 3])
def test_overlapping_mutated_arguments_run_the_reference(sweep, offset, by_keyword):
    memory = np.ones(16)
    a, b = memory[:8], memory[offset : offset + 8]
    expected = memory.copy()
    expected[:8] += expected[offset : offset + 8]
    sweep(a, B=b) if by_keyword else sweep(a, b)
    np.testing.assert_array_equal(memory, expected)
    assert "A and B overlap in memory" in str(sweep.explain(a, b))


def test_the_same_array_twice_runs_the_reference(sweep):
    a = np.ones(8)
    sweep(a, a)
    np.testing.assert_array_equal(a, np.full(8, 2.0))


def test_a_read_only_mutated_argument_raises_as_the_reference_does(sweep):
    a = np.ones(8)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        sweep(a, np.ones(8))
    assert "A is read-only" in str(sweep.explain(a, np.ones(8)))


# --- Which promotions are offered ---------------------------------------------------------------


def test_a_changed_source_is_not_served(module, promote):
    old, new = module(STEP).step, module(STEP.replace("u[:-2]", "u[1:-1]")).step
    path = promote.write(old, STEP_KERNEL)
    path.parent.rename(promotions.folder_for(new.reference))
    assert not promoted_ran(new(grid()))
    assert "source of the function has changed" in str(new.explain(grid()))


def test_another_machine_and_a_job_of_ranks_are_not_served(module, promote):
    fn = module(STEP).step
    other = msgspec.structs.replace(target.hardware(), cpu="Elbrus", cores=3)
    promote.write(fn, STEP_KERNEL, target=other)
    promote.write(fn, STEP_KERNEL, key=promotions.key_for(fn.reference, target.hardware(), ranks=4))
    assert not promoted_ran(fn(grid()))
    assert "made on another machine (Elbrus, 3 cores)" in str(fn.explain(grid()))
    assert "for 4 ranks" in str(fn.explain(grid()))


def test_a_contract_that_changed_beside_the_source_is_not_served(module, promote):
    fn = module(SWEEP.replace('mutates=("A",)', 'mutates=("A", "B")')).sweep
    promotion = promote.make(fn, "def kernel(A, B):\n    A[:] = -1\n")
    arguments = tuple(
        msgspec.structs.replace(a, mutated=False) for a in fn.reference.contract.arguments
    )
    before = msgspec.structs.replace(fn.reference.contract, arguments=arguments)
    assert isinstance(before, Contract)
    promotions.write(msgspec.structs.replace(promotion, contract=before), fn.reference)
    assert "contract of the function has changed" in str(fn.explain(np.ones(8), np.ones(8)))


def test_a_kernel_that_cannot_be_loaded_warns_once_and_the_reference_is_served(module, promote):
    fn = module(STEP).step
    path = promote.write(fn, "import no_such_compiler\n")
    with pytest.warns(
        PromotionWarning, match="no_such_compiler.*the reference is served"
    ) as caught:
        assert not promoted_ran(fn(grid()))
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not promoted_ran(fn(grid()))
        assert "cannot be loaded: ModuleNotFoundError" in str(fn.explain(grid()))


def test_an_edited_draft_warns_and_the_reference_is_served(step):
    (stored,) = promotions.find(step.reference)
    stored.source_path.write_text(STEP_KERNEL.replace("-1", "-2"))
    with pytest.warns(PromotionWarning, match="not the draft that was judged"):
        assert not promoted_ran(step(grid()))


def test_other_versions_of_the_toolchain_warn_once_and_are_served(module, promote):
    fn = module(STEP).step
    here = msgspec.structs.replace(target.hardware(), versions={"numba": "0.1", "cc": "gcc 1"})
    promote.write(fn, STEP_KERNEL, target=here)
    with pytest.warns(PromotionWarning, match=r"numba 0\.1, here ") as caught:
        assert all(promoted_ran(fn(grid(y), 4, 0.5)) for y in (8, 8, 9))
    assert len(caught) == 1
    assert "gcc" not in str(caught[0].message)
    assert "made with numba 0.1, here" in str(fn.explain(grid()))


def test_threads_that_call_first_at_once_load_once(step, promote):
    barrier = threading.Barrier(8)

    def call(_):
        barrier.wait()
        return promoted_ran(step(grid()))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))
    assert promote.language.loads == 1


def test_endless_new_sizes_do_not_grow_the_memory_of_decisions(step, monkeypatch):
    monkeypatch.setattr(serve, "_KNOWN_SIZES", 5)
    for y in range(4, 17):
        assert promoted_ran(step(grid(y), 4, 0.5))
    assert len(step._server._known) <= 5


# --- Fork ---------------------------------------------------------------------------------------


def in_forked_child(function):
    """What `function` returns in a forked child, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest's process may have threads
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(function()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def fresh_guard(monkeypatch):
    monkeypatch.setattr(GUARD, "_threads_used", False)
    monkeypatch.setattr(GUARD, "threads_lost", False)


@pytest.mark.usefixtures("fresh_guard")
@pytest.mark.parametrize(
    ("source", "flags", "served"),
    [
        (STEP_KERNEL, {}, True),
        (f"{STEP_KERNEL}# omp parallel\n", {}, False),
        (STEP_KERNEL, {"parallel": True}, False),
    ],
)
def test_a_child_of_a_process_that_ran_a_threaded_kernel_runs_the_reference(
    module, promote, source, flags, served
):
    fn = module(STEP).step
    promote.write(fn, source, flags=flags)
    assert in_forked_child(lambda: promoted_ran(fn(grid()))) == "True", "before it ran"
    assert promoted_ran(fn(grid()))
    assert in_forked_child(lambda: promoted_ran(fn(grid()))) == str(served)
    assert ("forked" in in_forked_child(lambda: fn.explain(grid()))) == (not served)
    assert promoted_ran(fn(grid())), "the parent goes on"


@pytest.mark.usefixtures("fresh_guard")
def test_a_child_does_not_wait_for_a_lock_that_nobody_holds_there(step):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(GUARD.lock.acquire).result()
        try:
            assert in_forked_child(lambda: promoted_ran(step(grid()))) == "True"
        finally:
            pool.submit(GUARD.lock.release).result()


# --- A real language ----------------------------------------------------------------------------


def test_a_numba_kernel_is_served(module, promote):
    promote.compiled()
    fn = module(STEP).step
    source = (
        "import numba\n@numba.njit\ndef kernel(u, steps, dt, out):\n"
        "    for i in range(out.shape[0]):\n        for j in range(out.shape[1]):\n"
        "            out[i, j] = u[i, j] + steps * dt\n"
    )
    draft = Draft("numba", source)
    path = promote.write(fn, "", variant=Variant(draft))
    read_only = grid()
    read_only.flags.writeable = False
    for u in (grid(), read_only):
        np.testing.assert_array_equal(fn(u, 4, 0.5), fn.reference.fn(u, 4, 0.5))
        assert fn.explain(u, 4, 0.5).promotion == path


# --- What ran -----------------------------------------------------------------------------------


def test_what_ran_is_listed_with_its_sizes(step):
    u = grid()
    step.explain(u, 4, 0.5)
    assert not any(one.reference == step.reference.name for one in outpace.used())
    for rows in (8, 9, 8):
        step(grid(rows), 4, 0.5)
    step(grid(17), 4, 0.5)  # the reference
    (one,) = (one for one in outpace.used() if one.reference == step.reference.name)
    assert one.sizes == ({"y": 8, "x": 8, "steps": 4}, {"y": 9, "x": 8, "steps": 4})
    stored = promotions.read(one.folder).promotion
    assert one.promotion == stored.key.hash
    assert one.variant == stored.variant.hash
    assert one.source_hash == step.reference.source_hash
