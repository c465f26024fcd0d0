"""Patterns are recognised or refused with a reason; plans are complete, and ranked sensibly."""

import itertools

import mpi_references
import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.codegen.mpi.cost import Machine, cost, ranked
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import numpy_kernel
from outpace.codegen.mpi.patterns import Pattern, recognise
from outpace.codegen.mpi.plan import Collective, Corners, Exchange, Plan, plans
from outpace.codegen.mpi.text import beside
from outpace.errors import ContractError, DraftError
from outpace.split import Block, Pencil, Reduced, Ring

PATTERNS = {
    "scaled": Pattern.MAP,
    "heat": Pattern.STENCIL,
    "advect": Pattern.STENCIL,
    "smooth": Pattern.STENCIL,
    "diffuse": Pattern.STENCIL,
    "maxwell": Pattern.STENCIL,
    "product": Pattern.PRODUCT,
    "transposed": Pattern.TRANSPOSE,
    "spectrum": Pattern.TRANSFORM,
    "column_sums": Pattern.REDUCTION,
    "least": Pattern.REDUCTION,
    "bodies": Pattern.RING,
}


def reference_of(name):
    return getattr(mpi_references, name).reference


@pytest.mark.parametrize(("name", "pattern"), PATTERNS.items())
def test_patterns_are_recognised(name, pattern):
    reference = reference_of(name)
    assert recognise(reference.contract, reference.closure) is pattern


def uncut(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return u + 1


def scan(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return np.cumsum(u)


def whole(u: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "m"]:
    return u[0].copy()


def smoothed_sum(u: Float64[np.ndarray, "n"]) -> float:
    return float(np.sum(u[1:] - u[:-1]))


def realigned(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "x y"]:
    return np.sort(u, axis=0).T


def cube(u: Float64[np.ndarray, "z y x"]) -> Float64[np.ndarray, "z y x"]:
    return np.fft.fftn(u).real


def mixed(u: Float64[np.ndarray, "y x"]) -> Float64[np.ndarray, "y x"]:
    return u + 1


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (uncut, {}, "name one, as in split="),
        (
            scan,
            {"split": {"n": Block()}},
            "no plans for a scan along n yet; cumsum is used in line 2 of scan",
        ),
        (whole, {"split": {"n": Block()}}, "out does not mention n, which may be cut"),
        (
            smoothed_sum,
            {"split": {"n": Block(halo=1)}, "reduce": {"out": Reduced()}},
            "no plans for a reduction over a stencil",
        ),
        (realigned, {"split": {"y": Pencil(), "x": Pencil()}}, "neither those of `np.fft.fft2"),
        (cube, {"split": {d: Pencil() for d in "zyx"}}, "no plans for a transform of three axes"),
        (mixed, {"split": {"y": Block(), "x": Ring()}}, "cut in different ways"),
    ],
)
def test_what_has_no_plan_is_refused_with_a_reason(fn, options, message):
    sizes = {"n": 8, "m": 4, "z": 4, "y": 4, "x": 4}
    hints = [hint.dim_str for hint in fn.__annotations__.values() if hasattr(hint, "dim_str")]
    needed = {name for text in hints for name in text.split()}
    workload = {name: size for name, size in sizes.items() if name in needed}
    reference = outpace.reference(fn, workloads={"a": workload}, **options).reference
    with pytest.raises(ContractError, match=message):
        recognise(reference.contract, reference.closure)


@pytest.mark.parametrize("name", PATTERNS)
def test_plans_are_what_the_search_space_holds(name):
    reference = reference_of(name)
    contract = reference.contract
    (draft, *_) = mpi_drafts(reference, numpy_kernel(reference), 4)
    names = [p.name for p in draft.parameters]
    choices = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(p.values for p in draft.parameters))
    ]
    space = {
        frozenset(choice.items())
        for choice in choices
        if all(eval(text, {}, dict(choice)) for text in draft.constraints)
    }
    sizes = dict.fromkeys((*contract.dims, "steps"), 960)
    found = [
        frozenset((n, v) for n, v in plan.params.items() if n in names)
        for plan in plans(contract, PATTERNS[name], sizes, 4)
        if plan.depth in next((p.values for p in draft.parameters if p.name == "DEPTH"), (1,))
    ]
    assert len(set(found)) == len(found)
    assert set(found) == space


def test_thin_blocks_make_no_deep_plans():
    contract = reference_of("advect").contract
    found = plans(contract, Pattern.STENCIL, {"x": 24, "steps": 9}, 4)
    assert {plan.depth for plan in found} == {1, 2}  # a block of 6 cells and a halo of 2


HEAT = reference_of("heat").contract
LARGE = {"y": 4096, "x": 1024, "steps": 50}


def stencil(**changed):
    given = {"exchange": Exchange.NONBLOCKING, "corners": Corners.PHASES, **changed}
    return Plan(Pattern.STENCIL, **{"grid": {"y": 4, "x": 1}, **given})


@pytest.mark.parametrize(
    ("cheaper", "dearer", "machine"),
    [
        (stencil(), stencil(grid={"y": 1, "x": 4}), Machine()),  # shorter edges
        (stencil(), stencil(exchange=Exchange.BLOCKING), Machine(alpha=1e-3)),
        (stencil(depth=4), stencil(), Machine(alpha=1e-2)),
        (stencil(depth=4), stencil(), Machine(alpha=0.0, beta=0.0)),  # fewer calls
        (
            stencil(grid={"y": 64, "x": 1}, depth=4),
            stencil(grid={"y": 64, "x": 1}, depth=64),  # blocks of 64 rows
            Machine(alpha=0.0, beta=0.0),
        ),
        (stencil(), stencil(overlap=True), Machine(alpha=0.0, beta=0.0)),  # pieces are copied
        (stencil(depth=8, overlap=True), stencil(depth=8), Machine(alpha=1e-1)),
    ],
)
def test_cheaper_plans_come_first(cheaper, dearer, machine):
    assert ranked([dearer, cheaper], HEAT, LARGE, machine) == [cheaper, dearer]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_plan_has_a_cost_that_falls_with_the_ranks(name):
    contract = reference_of(name).contract
    sizes = dict.fromkeys((*contract.dims, "steps"), 480)
    costs = [
        min(cost(plan, contract, sizes, Machine(alpha=1e-9, beta=1e-14)) for plan in found)
        for found in (plans(contract, PATTERNS[name], sizes, ranks) for ranks in (1, 2, 8))
    ]
    assert costs[0] > costs[1] > costs[2] > 0


def test_combining_in_order_costs_more():
    contract = reference_of("column_sums").contract
    sizes = {"n": 1000, "m": 1000}
    costs = {
        how: cost(Plan(Pattern.REDUCTION, {"n": 64}, collective=how), contract, sizes, Machine())
        for how in Collective
    }
    assert costs[Collective.ALLREDUCE] < costs[Collective.REDUCE] < costs[Collective.GATHER]


def test_where_the_next_state_is_unclear_there_is_a_draft_for_each_way():
    reference = reference_of("advect")  # q and speed look alike
    drafts = mpi_drafts(reference, numpy_kernel(reference), 2)
    assert ["out becomes q" in d.source for d in drafts] == [True, False]
    assert ["out becomes speed" in d.source for d in drafts] == [False, True]


def test_a_kernel_keeps_clear_of_the_names_around_it():
    source = (
        "def blocks(u):\n    return u.blocks\n\n\ndef kernel(u, out):\n    out[:] = blocks(u)\n"
    )
    around = "def blocks():\n    pass\n\n\nu = 1\n"
    moved = beside(source, around)
    assert moved == source.replace("def blocks", "def serial_blocks").replace("= b", "= serial_b")
    with pytest.raises(DraftError, match="uses the name blocks"):
        beside(source.replace("(u", "(blocks").replace("u.", "blocks."), around)


def test_a_kernel_may_import_what_the_program_imports():
    source = "from math import prod\n\n\ndef kernel(u, out):\n    out[:] = prod(u)\n"
    assert beside(source, "from math import prod, sqrt\n") == source
    with pytest.raises(DraftError, match="uses the name prod"):
        beside(source, "from numpy import prod\n")
