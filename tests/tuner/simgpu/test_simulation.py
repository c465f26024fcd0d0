"""The runtime of the simulated GPU: warps, orders of threads, and which accesses race."""

import itertools
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Int64

from outpace.codegen.abi import bind_sizes
from outpace.codegen.cuda import parse_plan, resolve
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.model import Grade, Status
from outpace.tuner.process import Call, Failure
from outpace.tuner.simgpu.building import Build, build_program, unavailable
from outpace.tuner.simgpu.simulation import Simulation
from outpace.tuner.simgpu.source import device_file, translation_unit

pytestmark = pytest.mark.skipif(unavailable() is not None, reason="there is no C++ compiler")
LIMIT = 60.0


def steps(what: Int64[np.ndarray, "n m"]) -> Int64[np.ndarray, "m"]:
    """Stands for kernels that take a table of `n` steps for `m` threads."""
    return what.sum(axis=0)


CONTRACT = Reference(steps, ReferenceOptions(workloads={"w": {"n": 4, "m": 32}})).contract
PLAN = parse_plan(
    {"steps": [{"launch": "f", "grid": [1], "block": ["m"], "arguments": ["what", "out", "n"]}]}
)
KERNEL = "__global__ void f(const int64_t *what, int64_t *out, int64_t n)"


def compiled(code, folder, build=Build.RACES):
    unit = translation_unit((), ("f",), "")
    return build_program(
        unit, device_file(f"{KERNEL} {{{code}}}", ()), ("f",), folder, build, Grade.D
    )


@contextmanager
def running(program):
    """A function that simulates one call: a table of steps and a seed in, the output back."""

    def plan(sizes):
        return resolve(PLAN, sizes, {}, CONTRACT)

    with Simulation(program, CONTRACT, plan, 1 << 20) as simulation:

        def call(table, seed=0):
            values = {"what": np.ascontiguousarray(table, dtype=np.int64)}
            simulation.seed = seed
            simulation.prepare([Call(bind_sizes(CONTRACT, values), values)])
            simulation.run(LIMIT)
            return simulation.results()[0].copy()

        yield call


# --- warps --------------------------------------------------------------------------------------

WARP = """
    const int64_t *mine = what + threadIdx.x;
    int m = blockDim.x, width = 1 << mine[0], by = (int)mine[m], value = (int)mine[2 * m];
    out[threadIdx.x] = __shfl_sync(~0u, value, by, width)
        + 100 * __shfl_up_sync(~0u, value, by, width)
        + 10000 * __shfl_down_sync(~0u, value, by, width)
        + 1000000 * (int64_t)__shfl_xor_sync(~0u, value, by, width)
        + 100000000 * (int64_t)__popc(__ballot_sync(~0u, value % 2))
        + 10000000000 * (int64_t)__reduce_max_sync(~0u, value);
"""


def warp_model(width, by, values):
    """What WARP computes, by the definitions in the CUDA C++ Programming Guide."""
    found = []
    for lane in range(32):
        first = lane // width * width
        up = lane - by if lane - by >= first else lane
        down = lane + by if lane + by < first + width else lane
        across = lane ^ by if lane ^ by < first + width else lane
        sources = (first + by % width, up, down, across)
        digits = [values[source] for source in sources]
        digits += [sum(value % 2 for value in values), max(values)]
        found.append(sum(digit * 100**i for i, digit in enumerate(digits)))
    return found


@pytest.fixture(scope="module")
def warp(tmp_path_factory):
    with running(compiled(WARP, tmp_path_factory.mktemp("warp"))) as call:
        yield call


@settings(max_examples=60)
@given(
    st.integers(0, 5),
    st.integers(0, 31),
    st.lists(st.integers(0, 99), min_size=32, max_size=32),
    st.integers(0, 99),
)
def test_warp_operations_follow_their_definitions(warp, power, by, values, seed):
    table = [[power] * 32, [by] * 32, values]
    assert warp(table, seed).tolist() == warp_model(1 << power, by, values)


# --- races --------------------------------------------------------------------------------------

ACCESSES = """
    __shared__ int room[3];
    int64_t sum = 0;
    for (int64_t i = 0; i < n; ++i) {
        int64_t step = what[i * blockDim.x + threadIdx.x];
        int64_t place = step / 4;
        if (step % 4 == 1) sum += room[place];
        if (step % 4 == 2) room[place] = (int)(64 * i + threadIdx.x + 1);
        if (step % 4 == 3) atomicAdd(&room[place], 1);
        __syncthreads();
    }
    out[threadIdx.x] = sum;
"""
KINDS = ("idle", "read", "write", "atomic")


def races(table):
    """Whether two threads access one place in one step, one of them writing, one not atomically."""
    for row in table:
        for first, second in itertools.combinations(row, 2):
            kinds = {KINDS[first % 4], KINDS[second % 4]}
            is_conflict = kinds & {"write", "atomic"} and kinds != {"atomic"}
            if first // 4 == second // 4 and "idle" not in kinds and is_conflict:
                return True
    return False


@pytest.fixture(scope="module")
def accesses(tmp_path_factory):
    return compiled(ACCESSES, tmp_path_factory.mktemp("accesses"))


@settings(max_examples=15)
@given(
    st.lists(
        st.lists(st.sampled_from((0, 0, 0, 1, 1, 2, 3, 5, 5, 6, 9, 11)), min_size=5, max_size=5),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 99),
)
def test_exactly_the_unordered_conflicts_are_races(accesses, table, seed):
    with running(accesses) as call:
        if races(table):
            with pytest.raises(Failure, match="a race on `room` at byte") as caught:
                call(table, seed)
            assert caught.value.status is Status.WRONG
        else:
            call(table, seed)


def test_two_writes_of_one_value_do_no_harm(tmp_path):
    code = """
        __shared__ int flag;
        if (what[threadIdx.x]) flag = 1;
        __syncthreads();
        out[threadIdx.x] = flag;
    """
    with running(compiled(code, tmp_path)) as call:
        assert call(np.ones((1, 40)), 3).tolist() == [1] * 40


def test_a_race_names_both_lines(accesses):
    with running(accesses) as call, pytest.raises(Failure, match=r"line \d+.*line \d+"):
        call([[2, 1]])


# --- orders and what unwritten memory holds -----------------------------------------------------


def test_orders_differ_between_seeds_and_not_within_one(tmp_path):
    code = """
        __shared__ unsigned turn;
        if (threadIdx.x == 0) turn = 0;
        __syncthreads();
        out[threadIdx.x] = atomicAdd(&turn, 1u);
    """
    table = np.zeros((1, 40))
    with running(compiled(code, tmp_path)) as call:
        orders = [tuple(call(table, seed)) for seed in (*range(8), *range(8))]
    assert orders[:8] == orders[8:]
    assert len(set(orders[:8])) == 8
    assert orders[0] == tuple(range(40))


def test_unwritten_shared_memory_holds_no_zeros(tmp_path):
    code = (
        "__shared__ int64_t room[64]; out[threadIdx.x] = room[threadIdx.x]; if (n < 0) room[0] = 1;"
    )
    with running(compiled(code, tmp_path)) as call:
        found = {tuple(call(np.zeros((1, 4)), seed)) for seed in range(3)}
    assert len(found) == 3
    assert all(0 not in row for row in found)


# --- what the sanitizers see ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("int64_t a[4] = {}; a[what[0] + 4] = 1; out[0] = a[what[0]];", "an index outside"),
        ("out[what[0] - 1] = 0;", r"`out`, of shape \(2,\), at element -1"),
        ("int x = 2147483647; out[0] = x + (int)n;", "integer overflow in a sum"),
        ("out[0] = n << (what[0] + 64);", "a shift by too much"),
        ("int64_t *p = n ? nullptr : out; *p = 1;", "a null pointer"),
        ("*(double *)((char *)out + 4) = 1.0;", "a misaligned address"),
    ],
)
def test_undefined_behaviour_is_named(tmp_path, code, says):
    with (
        running(compiled(code, tmp_path, Build.SANITIZED)) as call,
        pytest.raises(Failure, match=says),
    ):
        call(np.zeros((1, 2)))


def test_a_draft_sees_no_files_and_starts_nothing_it_could_not(tmp_path):
    secret = tmp_path.parent / "secret"
    secret.write_text("x")
    code = f'FILE *f = fopen("{secret}", "r"); out[threadIdx.x] = f != nullptr;'
    with running(compiled(code, tmp_path)) as call:
        assert not call(np.zeros((1, 1))).any()
    assert Path(secret).exists()
