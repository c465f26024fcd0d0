"""Sums into bins in one pass mean what masks mean, whatever the edges are."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_emit_c import compiled
from test_lifting import reference_of

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import Reference
from outpace.kernels.languages.c import C

HEAD = """
def f(
    x: Float64[np.ndarray, "n"], v: Float64[np.ndarray, "n"], edges: Float64[np.ndarray, "m+2"]
) -> Float64[np.ndarray, "m"]:
    m = edges.shape[0] - 2
    out = np.zeros(m)
    for i in range(m):
"""
BODIES = {
    "half open": """
        inside = (edges[i] <= x) & (x < edges[i + 1])
        out[i] = np.sum(v[inside])
""",
    "counted, closed": """
        inside = np.logical_and(x <= edges[i + 1], x >= edges[i])
        out[i] = np.sum(inside) + 0.5 * i
""",
    "both open, overlapping": """
        low = edges[i] - 0.125
        inside = (x > low) & (edges[i + 2] > x)
        out[i] = np.sum(np.where(inside, v * x, 0.0)) - np.sum(inside)
""",
}
OTHERS = {
    "the element changes": """
        inside = (edges[i] <= x * i) & (x * i < edges[i + 1])
        out[i] = np.sum(v[inside])
""",
    "what is added changes": """
        inside = (edges[i] <= x) & (x < edges[i + 1])
        out[i] = np.sum(np.where(inside, v * i, 0.0))
""",
    "one bound": "        out[i] = np.sum(v[edges[i] <= x])\n",
    "bounds from the bin before": """
        low = out[i - 1]
        out[i] = np.sum(v[(low <= x) & (x < edges[i])])
""",
}
NUMBERS = st.one_of(
    st.integers(-4, 4).map(lambda k: k / 2),
    st.floats(-3, 3),
    st.sampled_from([np.nan, np.inf, -np.inf, -0.0]),
)


def text_of(body: str) -> str:
    return f"{HEAD}{body}    return out\n"


def forms_of(reference: Reference) -> dict[str, Program]:
    return dict(c_forms(lift(reference), reorder=True))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory):
    """For each body the reference, its one-pass form interpreted, and compiled if that can be."""
    folder: Path = tmp_path_factory.mktemp("binned")
    found = {}
    for name, body in BODIES.items():
        reference = reference_of(text_of(body), folder)
        form = forms_of(reference)["binned"]
        runs = [lambda *a, form=form: ir_interpreter.run(form, *a)]
        if C.unavailable() is None:
            source = c_source(form, reference.contract, COptions(fastmath=False))
            runs.append(compiled(reference, source, folder))
        found[name] = reference, runs
    return found


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    x=st.lists(NUMBERS, max_size=12),
    edges=st.lists(NUMBERS, min_size=2, max_size=9),
    ordered=st.booleans(),
    seed=st.integers(0, 2**20),
)
def test_one_pass_means_what_masks_mean(kernels, name, x, edges, ordered, seed):
    reference, runs = kernels[name]
    elements = np.array(x, dtype=np.float64)
    values = np.random.default_rng(seed).integers(-9, 9, len(x)) / 4  # but for v * x sums are exact
    ends = np.array(sorted(edges) if ordered else edges)
    with np.errstate(all="ignore"):
        expected = reference.fn(elements, values, ends)
        for run in runs:
            got = np.full_like(expected, 77.0)
            run(elements, values, ends, got)
            np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", OTHERS)
def test_other_loops_stay_as_they_are(name, tmp_path):
    reference = reference_of(text_of(OTHERS[name]), tmp_path)
    assert "binned" not in forms_of(reference)


def test_a_sum_whose_order_is_fixed_is_not_moved(tmp_path):
    reference = reference_of(text_of(BODIES["half open"]), tmp_path)
    assert "binned" not in dict(c_forms(lift(reference), reorder=False))
