"""Waves that take a few lines of a row at a time do what they would do with all of them."""

from __future__ import annotations

import itertools

import pytest
from test_emit_c import agrees, compiled, source_of
from test_lifting import agrees as agrees_with
from test_lifting import reference_of

from outpace.codegen.inputs import Case
from outpace.kernels.languages.c import C
from outpace.kernels.library import climate

pytestmark = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)
SHAPES = [{"z": 41, "y": 9, "x": 5, "steps": 9}, {"z": 64, "y": 4, "x": 3, "steps": 12}]
CUBES = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    x = a[:, :, None] * b[:, None, :]
    y = x + 1.0
    z = x * x
    for t in range(7):
        x[0] = 0.5 * t
        x[1:] -= 0.5 * (z[1:] - z[:-1])
        y[:, 1:] -= 0.5 * (z[:, 1:] - z[:, :-1])
        z[:-1, :-1] -= 0.7 * (y[:-1, 1:] - y[:-1, :-1] + x[1:, :-1] - x[:-1, :-1])
        z[:, 0] = 0.25 * t
    return x[:, :, 0] + 2.0 * y[:, :, -1] + 3.0 * z[:, 0]
"""


@pytest.mark.parametrize(("time", "lines"), [(1, 1), (2, 4), (3, 3), (16, 7)])
def test_planes_by_parts_agree(time, lines, tmp_path):
    reference = climate.heat_3d.reference
    source = source_of(reference, fastmath=False)
    kernel = compiled(reference, source, tmp_path, {"TIME": time, "LINES": lines})
    for sizes in SHAPES:
        assert agrees(reference, kernel, Case(sizes, 3, "plain"), 0.0)


def test_fields_that_update_each_other_go_by_parts(tmp_path):
    reference = reference_of(CUBES, tmp_path)
    source = source_of(reference, fastmath=False)
    assert "LINES" in [p.name for p in source.parameters]
    for time, lines in itertools.product((1, 3), (1, 4)):
        kernel = compiled(reference, source, tmp_path, {"TIME": time, "LINES": lines})
        for seed, shape in enumerate([(70, 6), (31, 3), (2, 2), (1, 4)]):
            assert agrees_with(reference, kernel, seed, shape)


MOVING = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    x = a.copy()
    for t in range(3):
        x[t] = b[0]
        x[1:-1, 1:-1] = 0.5 * (b[2:, 1:-1] + b[:-2, 1:-1])
    return x
"""


def test_a_row_that_moves_from_step_to_step_is_in_no_wave(tmp_path):
    reference = reference_of(MOVING, tmp_path)
    kernel = compiled(reference, source_of(reference), tmp_path)
    assert agrees_with(reference, kernel, 1, (9, 5))
