"""Several steps of a whole-matrix update at once are what they are one by one."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import numpy as np
import pytest
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
    a: {kind}[np.ndarray, "n n"], b: Float64[np.ndarray, "n n"], c: Float64[np.ndarray, "m"]
) -> {kind}[np.ndarray, "n n"]:
    n = a.shape[0]
    x = a.copy()
    for k in range({bounds}):
"""
UPDATES = {
    "shortest paths": ("Int32", "n", "x[:] = np.minimum(x, np.add.outer(x[:, k], x[k, :]))"),
    "from a later step": ("Float64", "1, n - 1", "x[:] = x - 0.001 * np.outer(x[:, k], x[k, :])"),
    "from the third step": (
        "Float64", "2, n", "x[:] = np.maximum(x, np.subtract.outer(x[:, k], x[k, :]))",
    ),
    "the pivot itself": (
        "Float64", "n", "x[:] = x - np.outer(x[:, k], x[k, :]) / (4.0 + abs(x[k, k]))",
    ),
    "another matrix": ("Float64", "n", "x[:] = x * b[k, :] + 0.5 * x[:, k:k+1] - b * x[k, k]"),
    "rows alone": ("Float64", "n", "x[:] = np.where(b > 0, x, 0.5 * x[k, :])"),
}  # fmt: skip
OTHERS = {
    "a row beside": ("Float64", "1, n", "x[:] = x + np.outer(x[:, k], x[k - 1, :])"),
    "transposed": ("Float64", "n", "x[:] = x.T + np.outer(x[:, k], x[k, :])"),
    "a part": ("Float64", "1, n", "x[1:] = x[1:] + np.outer(x[1:, k], x[k, :])"),
    "a sum": ("Float64", "n", "x[:] = x + 0.125 * np.sum(x[k, :])"),
}


def reference(update: tuple[str, str, str], folder: Path) -> Reference:
    kind, bounds, line = update
    return reference_of(
        HEAD.format(kind=kind, bounds=bounds) + f"        {line}\n    return x\n", folder
    )


def pivoted(given: Reference) -> Program | None:
    """The form with several steps at once, if there is one."""
    return dict(c_forms(lift(given), reorder=True)).get("pivots")


def check(given: Reference, kernel, sizes) -> None:
    rng = np.random.default_rng(len(sizes))
    dtype = given.contract.arguments[0].dtype
    for n in sizes:
        a = rng.integers(-9, 30, (n, n)).astype(dtype)  # negative cycles among them
        b = rng.integers(-4, 5, (n, n)) / 8
        c = np.zeros(1)
        try:
            expected = given.fn(a, b, c)
        except IndexError:
            continue
        got = np.full_like(expected, 77)
        kernel(a, b, c, got)
        if dtype.startswith("int"):
            np.testing.assert_array_equal(got, expected)
        else:
            scale = np.max(np.abs(expected), initial=1.0)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("name", UPDATES)
def test_several_steps_mean_what_single_ones_mean(name, tmp_path):
    given = reference(UPDATES[name], tmp_path)
    form = pivoted(given)
    assert form is not None
    check(given, lambda *values: ir_interpreter.run(form, *values), (*range(10), 17))


@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
@pytest.mark.parametrize("name", ["shortest paths", "from a later step", "the pivot itself"])
def test_several_steps_in_c_mean_what_single_ones_mean(name, tmp_path):
    given = reference(UPDATES[name], tmp_path)
    form = pivoted(given)
    assert form is not None
    source = c_source(form, given.contract, COptions(fastmath=False))
    check(given, compiled(given, source, tmp_path), (*range(10), 16, 17, 25))


@pytest.mark.parametrize("name", OTHERS)
def test_updates_that_need_more_than_pivots_stay_as_they_are(name, tmp_path):
    assert pivoted(reference(OTHERS[name], tmp_path)) is None
