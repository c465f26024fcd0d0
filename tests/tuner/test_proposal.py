"""What is proposed for references that do not say how they may be cut."""

import sys
from pathlib import Path

import pytest

from outpace.kernels.library import aerospace, climate, linalg
from outpace.split import Block, Boundary, Combination, Reduced
from outpace.tuner.numerics.proposal import propose_annotation

sys.path.append(str(Path(__file__).parent))
import annotated as a
from annotated import NS, YX, N, referred


@pytest.mark.parametrize(
    "fn",
    [climate.hdiff, climate.advect_1d, aerospace.jacobi_2d, linalg.softmax],
    ids=lambda fn: fn.reference.fn.__name__,
)
def test_the_library_is_found_again(fn):
    proposal = propose_annotation(fn.reference)
    contract = fn.reference.contract
    assert proposal.split == contract.split
    assert (proposal.steps, proposal.reduce) == (contract.steps, {})


@pytest.mark.parametrize(
    ("fn", "sizes", "split", "steps", "reduce"),
    [
        (a.upwind, N, {"n": Block(halo=(2, 0))}, None, {}),
        (a.circular, N, {"n": Block(halo=(1, 0), boundary=Boundary.PERIODIC)}, None, {}),
        (a.leapfrog, NS, {"n": Block(halo=1)}, "steps", {}),
        (a.largest, N, {"n": Block()}, None, {"out": Reduced(Combination.MAXIMUM)}),
        (a.padded, N, {"n": Block(halo=2)}, None, {}),
        (a.graded, YX, {"y": Block()}, None, {}),
        (a.row_sums, YX, {"y": Block()}, None, {}),
        (a.all_pairs, N, {}, None, {}),
        (a.over_largest, N, {}, None, {}),
    ],
)
def test_what_is_proposed(fn, sizes, split, steps, reduce):
    proposal = propose_annotation(referred(fn, sizes))
    assert (proposal.split, proposal.steps, proposal.reduce) == (split, steps, reduce)
    assert set(proposal.reasons) == set(referred(fn, sizes).contract.dims) - set(split)


def test_the_text_is_what_is_written():
    assert propose_annotation(referred(a.circular, N)).text == (
        'split={"n": Block(halo=(1, 0), boundary=Boundary.PERIODIC)},'
    )
    assert propose_annotation(referred(a.largest, N)).text == (
        'split={"n": Block(halo=0)},\nreduce={"out": Reduced(Combination.MAXIMUM)},'
    )
    assert propose_annotation(referred(a.all_pairs, N)).text == ""
