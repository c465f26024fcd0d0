"""Random loops over rows, stencils and sums mean in CUDA what they mean in Python.

Five to ten minutes each on two busy cores.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_programs import row_programs
from simulated_kernels import SMALL, simulated
from test_emit_cuda import drafts_of, many
from test_lifting import agrees, lifted, reference_of
from tiled_programs import stencil_programs, sum_programs

from outpace.model import Draft, Scalar
from outpace.tuner.simgpu.building import Build, unavailable

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(unavailable() is not None, reason=f"no simulated GPU: {unavailable()}"),
]
SHAPES = ((6, 7), (9, 21), (1, 5), (5, 1), (3, 2), (17, 33), (0, 3), (4, 0))
seeds = st.integers(0, 2**20)


def small_for(draft: Draft) -> dict[str, Scalar]:
    """`SMALL`, with a number of steps at once that the draft allows."""
    for time in (SMALL["TIME"], 4):
        params = {**SMALL, "TIME": time}
        if all(eval(c, {}, params) for c in draft.constraints):
            return params
    raise AssertionError(draft.constraints)


def check(text: str, seed: int, folder: Path) -> None:
    """One of the drafts of a program."""
    reference = reference_of(text, folder)
    drafts = () if lifted(reference) is None else drafts_of(reference)
    if drafts:
        build, draft = list(Build)[seed % 2], drafts[seed // 2 % len(drafts)]
        with simulated(reference, draft, folder, small_for(draft), build) as kernel:
            for k, shape in enumerate(SHAPES):
                agrees(reference, kernel, seed + k, shape)


@settings(many, max_examples=100)
@given(text=row_programs(), seed=seeds)
def test_loops_over_rows(text, seed, tmp_path):
    check(text, seed, tmp_path)


@settings(many, max_examples=60)
@given(text=stencil_programs(), seed=seeds)
def test_time_loops_over_stencils(text, seed, tmp_path):
    check(text, seed, tmp_path)


@settings(many, max_examples=60)
@given(text=sum_programs(), seed=seeds)
def test_sums_of_products(text, seed, tmp_path):
    check(text, seed, tmp_path)
