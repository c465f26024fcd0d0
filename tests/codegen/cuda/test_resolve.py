import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.codegen.cuda import (
    ArrayArgument,
    Buffer,
    Copy,
    Fill,
    Launch,
    ScalarArgument,
    parse_plan,
    resolve,
)
from outpace.codegen.cuda.limits import ARCHITECTURES, occupancy
from outpace.errors import DraftError
from outpace.model import Argument, Contract, Output

SIZES = {"y": 64, "x": 96, "steps": 3}


def launch(**changes):
    return {"launch": "step", "grid": [1], "block": [32], **changes}


def resolved(contract, *steps, params=None, sizes=SIZES, **parts):
    plan = parse_plan({"steps": list(steps), **parts})
    return resolve(plan, sizes, params or {}, contract)


def test_steps_become_actions_over_memory(contract, plan):
    found = resolve(plan, SIZES, {"TX": 32, "note": "text", "scale": 1.5}, contract)
    assert found.buffers == (Buffer("other", "float64", (64, 96)),)

    def step(source, target):
        memory = ArrayArgument(source), ArrayArgument(target)
        return Launch("step<TX>", (3, 16, 1), (32, 4, 1), 0, (*memory, ScalarArgument("a"), 64, 96))

    assert found.actions == (
        Copy("u", "out"),
        step("out", "other"),
        step("other", "out"),
        step("out", "other"),
        Copy("other", "out"),
    )


def test_an_even_number_of_swaps_needs_no_copy(contract, plan):
    found = resolve(plan, {**SIZES, "steps": 4}, {"TX": 32}, contract)
    assert isinstance(found.actions[-1], Launch)
    assert found.launches[-1].arguments[1] == ArrayArgument("out")


def test_a_grid_of_0_launches_nothing(contract):
    found = resolved(contract, launch(grid=["x", "y"]), sizes={**SIZES, "y": 0})
    assert found.actions == ()


def test_lets_parameters_and_loop_indices_are_numbers(contract):
    found = resolved(
        contract,
        {
            "repeat": "t",
            "range": ["y", 0, -16],
            "steps": [
                {"when": "t % 32 == 0", "steps": [launch(grid=["t * half"], arguments=["t"])]}
            ],
        },
        let={"half": "UNROLL // 2", "more": "half + 1"},
        params={"UNROLL": 4, "VECTOR": True},
    )
    assert [(a.grid[0], a.arguments) for a in found.actions] == [(128, (64,)), (64, (32,))]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (launch(grid=["z"]), r"steps\[0\]\.grid\[0\]: 'z' uses 'z', which is no integer known"),
        (launch(grid=["a"]), r"steps\[0\]\.grid\[0\]: 'a' uses 'a', which is no integer known"),
        (launch(arguments=["u + 1"]), r"steps\[0\]\.arguments\[0\]: 'u \+ 1' uses 'u'"),
        (launch(grid=["y - 65"]), r"steps\[0\]\.grid\[0\]: -1 is not between 0 and"),
        (launch(grid=[1, 65536]), r"steps\[0\]\.grid\[1\]: 65536 is not between 0 and 65535"),
        (launch(block=["y - 64"]), r"steps\[0\]\.block\[0\]: 0 is not between 1 and 1024"),
        (launch(block=[1, 1, 65]), r"steps\[0\]\.block\[2\]: 65 is not between 1 and 64"),
        (launch(block=["y", 32]), r"steps\[0\]\.block: 64 x 32 x 1 is 2048 threads; .* 1024"),
        (launch(shared="1 << 20"), r"steps\[0\]\.shared: 1048576 bytes are not between"),
        (launch(grid=["y // (x - 96)"]), r"steps\[0\]\.grid\[0\]: .* divides by zero at y=64"),
        ({"fill": "u", "value": 0}, r"steps\[0\]\.fill: 'u' is an input that is only read"),
        ({"fill": "v", "value": 0}, r"steps\[0\]\.fill: 'v' is no array; there are u, out"),
        ({"copy": ["out", "u"]}, r"steps\[0\]\.copy\[1\]: 'u' is an input that is only read"),
        ({"copy": ["u", "counts"]}, r"steps\[0\]: u holds float64, counts int32"),
        ({"copy": ["u", "row"]}, r"steps\[0\]: u has shape \(64, 96\), row \(96,\)"),
        ({"fill": "counts", "value": 0.5}, r"steps\[0\]\.value: 0\.5 is no int32"),
        ({"swap": ["u", "out"]}, r"steps\[0\]\.swap\[0\]: 'u' is an input that is only read"),
        ({"repeat": "y", "range": [0, 1, 1], "steps": []}, r"steps\[0\]\.repeat: 'y' has"),
        ({"repeat": "t", "range": [0, 9, 0], "steps": []}, r"steps\[0\]\.range\[2\]: '0' is 0"),
        ({"repeat": "t", "range": [0, 1 << 40, 1], "steps": []}, r"steps: .* more than 100000"),
        # Also where these sizes do not come to it.
        ({"when": "y < 0", "steps": [launch(grid=["z"])]}, r"steps\[0\]\.steps\[0\]\.grid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_place(contract, step, message):
    buffers = [
        {"name": "counts", "dtype": "int32", "shape": ["y", "x"]},
        {"name": "row", "dtype": "float64", "shape": ["x"]},
    ]
    with pytest.raises(DraftError, match=f"^{message}"):
        resolved(contract, step, buffers=buffers)


@pytest.mark.parametrize(
    ("parts", "params", "message"),
    [
        ({"let": {"y": 1}}, {}, r"let\.y: 'y' is a dim already"),
        ({"let": {"TX": 1}}, {"TX": 2}, r"let\.TX: 'TX' is a parameter already"),
        ({}, {"steps": 2}, r"parameter 'steps': 'steps' is a scalar argument already"),
        ({"let": {"b": "c", "c": 1}}, {}, r"let\.b: 'c' uses 'c', which is no integer known"),
        (
            {"buffers": [{"name": "u", "dtype": "bool", "shape": []}]},
            {},
            r"buffers\[0\]\.name: 'u' is an array of the contract already",
        ),
        (
            {"buffers": [{"name": "b", "dtype": "bool", "shape": ["-y"]}]},
            {},
            r"buffers\[0\]\.shape: \(-64,\) has a negative extent",
        ),
        (
            {"buffers": [{"name": "b", "dtype": "float64", "shape": ["1 << 40"]}]},
            {},
            r"buffers: they need more than 256 GiB",
        ),
    ],
)
def test_a_name_has_one_meaning_and_a_buffer_a_size(contract, parts, params, message):
    with pytest.raises(DraftError, match=f"^{message}"):
        resolved(contract, params=params, **parts)


# --- swaps --------------------------------------------------------------------------------------

RESULTS = ("p", "q", "r")
BUFFERS = ("b0", "b1")
TRIO = Contract((), tuple(Output(name, "int64", ("3",)) for name in RESULTS), (), ())
swaps = st.lists(
    st.tuples(st.sampled_from(RESULTS + BUFFERS), st.sampled_from(BUFFERS)).filter(
        lambda pair: pair[0] != pair[1]
    ),
    max_size=8,
)


@given(swaps)
def test_results_are_in_their_own_memory_whatever_was_swapped(pairs):
    fills = [{"fill": name, "value": i} for i, name in enumerate(RESULTS + BUFFERS)]
    found = resolved(
        TRIO,
        *fills,
        *({"swap": list(pair)} for pair in pairs),
        sizes={},
        buffers=[{"name": name, "dtype": "int64", "shape": [3]} for name in BUFFERS],
    )
    memory = {}
    for action in found.actions:
        match action:
            case Fill(array=array, value=value):
                memory[array] = value
            case Copy(source=source, target=target):
                memory[target] = memory[source]
    expected = {name: i for i, name in enumerate(RESULTS + BUFFERS)}
    for a, b in pairs:
        expected[a], expected[b] = expected[b], expected[a]
    assert {name: memory[name] for name in RESULTS} == {name: expected[name] for name in RESULTS}


def test_two_results_cannot_be_swapped():
    with pytest.raises(DraftError, match=r"^steps\[0\]\.swap: one of p and q must be a buffer"):
        resolved(TRIO, {"swap": ["p", "q"]}, sizes={})


def test_scalars_of_every_dtype_are_named_not_computed(contract):
    arguments = (*contract.arguments, Argument("on", "bool"), Argument("count", "int32"))
    wider = msgspec.structs.replace(contract, arguments=arguments)
    names = ["on", "count", "steps", "a", "count + 1"]
    found = resolved(wider, launch(arguments=names), sizes={**SIZES, "count": 7})
    assert found.launches[0].arguments == (*map(ScalarArgument, names[:4]), 8)


# --- occupancy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "threads", "registers", "shared", "blocks", "limit"),
    [
        ("sm_90", 256, 32, 0, 8, "threads"),
        ("sm_90", 32, 32, 0, 32, "blocks"),
        ("sm_90", 256, 64, 0, 4, "registers"),
        ("sm_90", 1024, 65, 0, 0, "registers"),
        ("sm_90", 256, 32, 100 * 1024, 2, "shared memory"),
        ("sm_86", 256, 32, 0, 6, "threads"),
        ("sm_75", 64, 16, 0, 16, "threads"),
        ("sm_80", 128, 255, 0, 2, "registers"),
    ],
)
def test_occupancy_as_the_toolkits_calculator_has_it(
    architecture, threads, registers, shared, blocks, limit
):
    found = occupancy(ARCHITECTURES[architecture], threads, registers, shared)
    assert (found.blocks, found.limit) == (blocks, limit)
    assert found.share == blocks * threads / ARCHITECTURES[architecture].threads


@given(
    st.sampled_from(sorted(ARCHITECTURES)),
    st.integers(1, 1024),
    st.integers(1, 255),
    st.integers(0, 100_000),
)
def test_what_is_resident_fits(name, threads, registers, shared):
    architecture = ARCHITECTURES[name]
    found = occupancy(architecture, threads, registers, shared)
    assert 0 <= found.share <= 1
    assert found.blocks * threads * registers <= 65536
    assert found.blocks * (shared + architecture.reserved) <= architecture.shared
    assert found.blocks * np.ceil(threads / 32) <= architecture.warps
