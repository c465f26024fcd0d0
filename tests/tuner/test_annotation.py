"""Annotations for cutting dims over ranks: right ones pass, wrong ones are named with indices."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64

from outpace.errors import ContractError
from outpace.kernels.library import aerospace, astro, climate, linalg
from outpace.split import Block, Boundary, Pencil, Reduced, Replicated, Ring
from outpace.tuner.numerics.annotation import prove_annotation
from outpace.tuner.numerics.selfcheck import check_reference

sys.path.append(str(Path(__file__).parent))
import annotated as a
from annotated import NS, YX, N, referred

SUM = Reduced()
ROUND = Block(halo=1, boundary=Boundary.PERIODIC)
WIDE = Block(halo=2, boundary=Boundary.PERIODIC)
ZYXS = {"z": 40, "y": 40, "x": 40, "steps": 2}
MKN = {"m": 50, "k": 40, "n": 60}

LIBRARY = (
    climate.hdiff,
    climate.heat_3d,
    climate.advect_1d,
    climate.diffuse_3d,
    aerospace.jacobi_2d,
    astro.nbody,
    linalg.softmax,
    linalg.conv2d,
    linalg.matmul,
    linalg.transpose,
    linalg.fft2,
    linalg.dot,
)


@pytest.mark.parametrize("fn", LIBRARY, ids=lambda fn: fn.reference.fn.__name__)
def test_the_library_says_what_is_true(fn):
    proof = prove_annotation(fn.reference)
    assert (proof.violation, proof.notes) == (None, ())
    assert proof.problems >= 6


@pytest.mark.parametrize(
    ("fn", "sizes", "options"),
    [
        (a.five_point, YX, {"split": {"y": Block(halo=1), "x": Block(halo=1)}}),
        (a.five_point, YX, {"split": {"y": Block(halo=1)}}),
        (a.nine_point, YX, {"split": {"y": Block(halo=1), "x": Block(halo=1)}}),
        (a.knight, YX, {"split": {"y": Block(halo=(2, 0)), "x": Block(halo=(1, 0))}}),
        (a.upwind, N, {"split": {"n": Block(halo=(2, 0))}}),
        (a.circular, N, {"split": {"n": Block(halo=(1, 0), boundary=Boundary.PERIODIC)}}),
        (a.circular_steps, NS, {"split": {"n": ROUND}, "steps": "steps"}),
        (a.smooth, NS, {"split": {"n": Block(halo=1)}, "steps": "steps"}),
        (
            a.smooth_in_place,
            NS,
            {"split": {"n": Block(halo=1)}, "steps": "steps", "mutates": ("u",)},
        ),
        (a.leapfrog, NS, {"split": {"n": Block(halo=1)}, "steps": "steps"}),
        (a.padded, N, {"split": {"n": Block(halo=2)}}),
        (a.staggered, N, {"split": {"n": Block(halo=(0, 1))}}),
        (a.total, YX, {"split": {"y": Block(), "x": Block()}, "reduce": {"out": SUM}}),
        (a.largest, N, {"split": {"n": Block()}, "reduce": {"out": Reduced("max", False)}}),
        (
            a.whole_total,
            N,
            {"split": {"n": Block()}, "reduce": {"out": Reduced("sum", reassociable=False)}},
        ),
        (a.row_sums, YX, {"split": {"y": Block(), "x": Replicated()}}),
        (a.column_sums, YX, {"split": {"y": Block()}, "reduce": {"out": SUM}}),
        (a.product, MKN, {"split": {"k": Block()}, "reduce": {"out": SUM}}),
        (a.product, MKN, {"split": {"m": Block(), "n": Block(), "k": Ring()}}),
        (a.transform, YX, {"split": {"y": Pencil(), "x": Pencil()}}),
        (a.fourth_order, ZYXS, {"split": dict.fromkeys("zyx", WIDE), "steps": "steps"}),
        (a.turned, YX, {"split": {"y": Block(), "x": Block()}}),
        (a.all_pairs, N, {"split": {"n": Ring()}}),
    ],
)
def test_right_annotations(fn, sizes, options):
    proof = prove_annotation(referred(fn, sizes, **options))
    assert (proof.violation, proof.notes) == (None, ())


FAR_IN_X = (
    r"^output out\[\d+, \d+\] changes with u\[\d+, \d+\]: 1 cell away in x, the declared halo is "
)
PLANTED = {
    "no halo in one dim": (
        a.five_point,
        YX,
        {"split": {"y": Block(halo=1), "x": Block()}},
        FAR_IN_X + r"0 \(at y=\d+, x=\d+\); write Block\(halo=1\)$",
    ),
    "halo too small in three dims": (
        a.fourth_order,
        ZYXS,
        {"split": {"z": WIDE, "y": WIDE, "x": ROUND}, "steps": "steps"},
        r"2 cells away in x, the declared halo is 1 .*; write Block\(halo=2\)$",
    ),
    "low side missing": (
        a.five_point,
        YX,
        {"split": {"y": Block(halo=1), "x": Block(halo=(0, 1))}},
        FAR_IN_X + r"\(0, 1\) .*; write Block\(halo=1\)$",
    ),
    "high side missing": (
        a.five_point,
        YX,
        {"split": {"y": Block(halo=1), "x": Block(halo=(1, 0))}},
        FAR_IN_X + r"\(1, 0\) .*; write Block\(halo=1\)$",
    ),
    "halo too small": (
        a.upwind,
        N,
        {"split": {"n": Block(halo=(1, 0))}},
        r"2 cells away in n, the declared halo is \(1, 0\) .*; write Block\(halo=\(2, 0\)\)$",
    ),
    "sides exchanged": (
        a.downwind,
        N,
        {"split": {"n": Block(halo=(2, 0))}},
        r"2 cells away in n, the declared halo is \(2, 0\) .*; write Block\(halo=2\)$",
    ),
    "corner": (
        a.knight,
        YX,
        {"split": {"y": Block(halo=(1, 0)), "x": Block(halo=(1, 0))}},
        r"2 cells away in y, the declared halo is \(1, 0\) .*; write Block\(halo=\(2, 0\)\)$",
    ),
    "padding not counted": (
        a.padded,
        N,
        {"split": {"n": Block(halo=1)}},
        r"2 cells away in n, the declared halo is 1 .*; write Block\(halo=2\)$",
    ),
    "fixed that is periodic": (
        a.circular,
        N,
        {"split": {"n": Block(halo=(1, 0))}},
        r'neighbours only across the ends of n, so write boundary="periodic"$',
    ),
    "periodic that is fixed": (
        a.smooth,
        NS,
        {"split": {"n": ROUND}, "steps": "steps"},
        (
            r"^'n' is declared periodic, but no cell at one end of n changes with a cell at the "
            r'other end; write boundary="fixed"$'
        ),
    ),
    "steps not declared": (
        a.smooth,
        NS,
        {"split": {"n": Block(halo=1)}},
        r'; if \'steps\' counts time steps, write steps="steps"$',
    ),
    "two cells a step": (
        a.swept,
        {**NS, "sweeps": 2},
        {"split": {"n": Block(halo=1)}, "steps": "steps", "where": "sweeps == 2"},
        r"the declared halo 1 reaches 2 in 2 steps|the declared halo is 1 ",
    ),
    "written cells read again": (
        a.relaxed,
        N,
        {"split": {"n": Block(halo=1)}, "mutates": ("u",)},
        r"^output u\[\d+\] changes with u\[\d+\]: \d+ cells away in n, the declared halo is 1 ",
    ),
    "steps names the wrong int": (
        a.swept,
        {**NS, "sweeps": 4},
        {"split": {"n": Block(halo=9)}, "steps": "sweeps", "where": "steps == 9"},
        r"^'sweeps' does not count time steps: 2 more after 1 are not 3 \(at ",
    ),
    "steps that start anew": (
        a.ramped,
        NS,
        {"split": {"n": Block()}, "steps": "steps"},
        r"^'steps' does not count time steps: .* leave it out and declare the halo of a whole call",
    ),
    "something else in every fifth step": (
        a.rested,
        NS,
        {"split": {"n": Block()}, "steps": "steps"},
        r"^'steps' does not count time steps",
    ),
    "farther at one end": (
        a.one_sided,
        N,
        {"split": {"n": Block(halo=1)}},
        r"^output out\[0\] changes with u\[2\]: 2 cells away in n, the declared halo is 1 ",
    ),
    "more cells held at the ends than read": (
        a.rimmed,
        NS,
        {"split": {"n": Block(halo=1)}, "steps": "steps"},
        r"^out\[\d+\] of the whole .*; blocks are right with split=\{'n': Block\(halo=2\)\}$",
    ),
    "halo missing under constant inputs": (
        a.upwind,
        N,
        {"split": {"n": Block(halo=(1, 0))}, "inputs": a.constant_field},
        r"2 cells away in n, the declared halo is \(1, 0\)",
    ),
    "something in the middle": (
        a.sourced,
        N,
        {"split": {"n": Block()}},
        r"it depends on a size, on positions",
    ),
    "indices in an argument": (
        a.looked_up,
        N,
        {"split": {"n": Block(halo=3)}},
        r"the declared halo is 3 |beyond its halo",
    ),
    "maximum claimed a sum": (
        a.largest,
        N,
        {"split": {"n": Block()}, "reduce": {"out": SUM}, "inputs": a.POSITIVE},
        (
            r"^'out' is not the sum of what the reference gives on blocks: .*"
            r'; write Reduced\("max"\) \(at n=\d+, blocks n=0:\d+; n='
        ),
    ),
    "sum claimed a maximum": (
        a.total,
        YX,
        {"split": {"y": Block()}, "reduce": {"out": Reduced("max")}},
        r'is not the max of .*; write Reduced\("sum"\)',
    ),
    "mean claimed a sum": (
        a.mean,
        N,
        {"split": {"n": Block()}, "reduce": {"out": SUM}, "inputs": a.POSITIVE},
        r"is not the sum of .*; leave it out of reduce",
    ),
    "rounding claimed exact": (
        a.total,
        YX,
        {
            "split": {"y": Block(), "x": Block()},
            "reduce": {"out": Reduced("sum", reassociable=False)},
        },
        r"^'out' is declared reassociable=False, but combining .* leave reassociable= out",
    ),
    "reduction not declared": (
        a.total,
        YX,
        {"split": {"y": Block()}},
        (
            r"^output out\[0\] changes with u\[\d+, \d+\], but 'out' does not have the dim 'y', "
            r'which is cut.*reduce=\{"out": Reduced\("sum"\)\}$'
        ),
    ),
    "output without the cut dim": (
        a.row_sums,
        YX,
        {"split": {"y": Block(), "x": Block()}},
        r"but 'out' does not have the dim 'x', which is cut, so .*; leave 'x' out of split$",
    ),
    "global mean": (
        a.minus_mean,
        YX,
        {"split": {"y": Block(halo=1), "x": Block(halo=1)}},
        r"cells away in [yx], the declared halo is 1 .*; leave '[yx]' out of split",
    ),
    "global maximum": (
        a.over_largest,
        N,
        {"split": {"n": Block(halo=2)}},
        r"cells away in n, the declared halo is 2 |change with cells of u beyond its halo",
    ),
    "position": (
        a.graded,
        YX,
        {"split": {"y": Block(), "x": Block()}},
        (
            r"^out\[\d+, \d+\] of the whole \(at y=\d+, x=\d+\) is \S+, but \S+ when the reference "
            r"runs on the block x=\d+:\d+ with the cells around it, .* leave 'x' out of split$"
        ),
    ),
    "size": (
        a.per_size,
        N,
        {"split": {"n": Block(halo=1)}},
        r"it depends on a size, on positions, or on something taken over all cells",
    ),
    "prefix sum": (
        a.prefix,
        N,
        {"split": {"n": Block(halo=3)}},
        r"leave 'n' out of split, or write Ring\(\) if every cell may read all",
    ),
    "block on a transformed dim": (
        a.transform,
        YX,
        {"split": {"y": Block(), "x": Replicated()}},
        r"cells away in y, the declared halo is 0 .*Pencil\(\) if it is transformed as a whole$",
    ),
    "all pairs as blocks": (
        a.all_pairs,
        N,
        {"split": {"n": Block(halo=1)}},
        r"or write Ring\(\) if every cell may read all of n",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_wrong_annotations_are_named(planted):
    fn, sizes, options, message = PLANTED[planted]
    proof = prove_annotation(referred(fn, sizes, **options))
    assert proof.violation is not None
    assert proof.was_tested
    assert np.size(proof.notes) == 0
    with pytest.raises(ContractError, match=message):
        raise ContractError(proof.violation)


def test_a_halo_that_is_larger_than_needed_is_noted():
    proof = prove_annotation(referred(a.upwind, N, split={"n": Block(halo=3)}))
    assert proof.violation is None
    (note,) = proof.notes
    assert note.startswith("a halo of (2, 0) is enough for 'n': no cell farther away was seen")


def test_blocks_that_the_reference_refuses_are_noted():
    (note,) = prove_annotation(referred(a.needy, N, split={"n": Block()})).notes
    assert note == (
        "the reference raises on a block of n=1; if it needs more cells, say so by minimum="
    )


def test_what_carries_on_is_found():
    def carried(fn, **options):
        split = {"n": Block(halo=1)}
        return prove_annotation(referred(fn, NS, split=split, steps="steps", **options))

    assert carried(a.leapfrog).carries == {"out0": "before", "out1": "now"}
    assert carried(a.smooth_in_place, mutates=("u",)).carries == {}
    proof = prove_annotation(
        referred(a.forced, NS, split={"n": Block()}, steps="steps", reduce={"out1": SUM})
    )
    assert (proof.violation, proof.carries) == (None, {"out0": "u"})


def test_an_annotation_that_cannot_be_tested_is_no_pass():
    never = referred(a.upwind, N, split={"n": Block(halo=1)}, where="n == 500")
    proof = prove_annotation(never)
    assert not proof.was_tested
    assert "could not be tested" in proof.violation
    few = referred(
        a.smooth, {**NS, "steps": 1}, split={"n": Block(halo=1)}, steps="steps", where="steps == 1"
    )
    assert prove_annotation(few).violation.startswith("steps='steps' could not be tested")
    undeclared = prove_annotation(referred(a.upwind, N))
    assert undeclared.violation.startswith("no dim may be cut over ranks")


def test_the_check_of_a_reference_notes_what_could_not_be_tested():
    once = {**NS, "steps": 1}
    split = {"n": Block(halo=1)}
    few = referred(a.smooth, once, split=split, steps="steps", where="steps == 1")
    notes = check_reference(few, 5, 24).notes
    assert any(note.startswith("steps='steps' could not be tested") for note in notes)


def test_the_check_of_a_reference_refuses_a_wrong_annotation():
    wrong = referred(a.five_point, YX, split={"y": Block(), "x": Block()})
    with pytest.raises(ContractError, match=r"five_point: output out\[.*the declared halo is 0"):
        check_reference(wrong, 5, 24)


offsets = st.lists(st.integers(-3, 3), min_size=1, max_size=3, unique=True)


def stencil(reads, *, periodic):
    """A sum of cells at these offsets, and of the cell itself."""

    def fn(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        n = u.size
        out = u.copy()
        for offset in reads:
            at = np.arange(n) + offset
            inside = slice(None) if periodic else (at >= 0) & (at < n)
            out[inside] += 0.5 * u[at[inside] % max(n, 1)]
        return out

    fn.__module__ = __name__
    return fn


@settings(max_examples=15, deadline=None)
@given(offsets, st.booleans())
def test_the_exact_halo_passes_and_any_smaller_one_does_not(reads, periodic):
    low, high = max(0, *(-r for r in reads), 0), max(0, *reads, 0)
    if (low, high) == (0, 0):
        periodic = False
    boundary = Boundary.PERIODIC if periodic else Boundary.FIXED
    fn = stencil(reads, periodic=periodic)

    def violation(low, high):
        block = Block(halo=(low, high), boundary=boundary)
        return prove_annotation(referred(fn, N, split={"n": block})).violation

    assert violation(low, high) is None
    if low:
        assert violation(low - 1, high) is not None
    if high:
        assert violation(low, high - 1) is not None
