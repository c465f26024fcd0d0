"""Blocks whose threads share one iteration wait for each other where they meet in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_kernels import simulated
from test_emit_cuda import drafts_of
from test_lifting import agrees, reference_of

from outpace.codegen.cuda import split_plan
from outpace.codegen.cuda.prototype import launches
from outpace.model import Draft
from outpace.tuner.simgpu.building import unavailable

needs_simulation = pytest.mark.skipif(
    unavailable() is not None, reason=f"no simulated GPU: {unavailable()}"
)
HEAD = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    n, m = a.shape
    out = a.copy()
    t = b.copy()
"""
TESTED = """
    for i in range(n):
        if out[i, 0] > 0.0:
            out[i, 0] = -1.0
            for j in range(1, m):
                out[i, j] = b[i, j]
"""
TESTED_AND_LEFT = """
    for i in range(n):
        if out[i, 0] > 0.0:
            for j in range(1, m):
                out[i, j] = b[i, j]
        out[i, 0] = -1.0
"""
PASSED_OVER = """
    for i in range(n):
        for j in range(m):
            t[i, j] = b[i, j] * b[i, j] + a[i, j]
        if a[i, 0] > 0.0:
            for j in range(m):
                out[i, j] = b[i, j] - 1.0
        s = 0.0
        for j in range(m):
            s += t[i, m - 1 - j] * a[i, j]
        t[i, 0] = s
        out[i, 0] += t[i, m - 1] + s
"""
BODIES = {"tested": TESTED, "tested and left": TESTED_AND_LEFT, "passed over": PASSED_OVER}
SHAPES = ((9, 70), (3, 131), (1, 2), (0, 5))


def by_rows(text: str, folder: Path) -> tuple[Draft, ...]:
    """Drafts in which a block has an iteration to itself."""
    found = []
    for draft in drafts_of(reference_of(text, folder)):
        plan, _ = split_plan(draft.source)
        if any(s.kernel.startswith("rows") for _, s in launches(plan.steps, "steps")):
            found.append(draft)
    return tuple(found)


@needs_simulation
@pytest.mark.parametrize("name", BODIES)
def test_threads_of_a_row_never_race(name, tmp_path):
    text = f"{HEAD}{BODIES[name]}    return out\n"
    reference = reference_of(text, tmp_path)
    drafts = by_rows(text, tmp_path)
    assert drafts
    with simulated(reference, drafts[0], tmp_path) as kernel:
        for seed, shape in enumerate(SHAPES):
            assert agrees(reference, kernel, seed, shape)
