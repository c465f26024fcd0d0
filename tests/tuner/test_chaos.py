"""Workloads at which no finite precision can tell right from wrong are refused."""

import numpy as np
import pytest
from jaxtyping import Float64

from outpace.codegen.distributions import Uniform
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.tuner.numerics.acceptance import Band, Expected, chaotic, expect
from outpace.tuner.numerics.oracle import Mode, Oracle


def lorenz(x: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    for _ in range(steps):
        x = x + 0.005 * ((np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8)
    return x


def lorenz_at(sizes):
    options = ReferenceOptions(workloads={"w": sizes}, inputs={"x": Uniform(7, 9)})
    return Reference(lorenz, options)


@pytest.mark.parametrize(("steps", "refused"), [(50, False), (3000, True)])
def test_chaotic_workloads_are_refused(steps, refused):
    sizes = {"n": 40, "steps": steps}
    reference = lorenz_at(sizes)
    inputs = draw_inputs(reference, Case(sizes, 0))
    expected = expect(Oracle(reference), inputs, sizes, np.random.default_rng(0))
    reason = chaotic(reference.contract, expected)
    assert (reason is not None) == refused
    if refused:
        assert "tolerance=" in reason


def test_a_workload_without_a_finite_result_is_refused():
    values = np.array([np.nan, np.inf])
    expected = Expected((Band(values, values, np.full(2, 1e-9)),), Mode.HIGH)
    contract = lorenz_at({"n": 2, "steps": 1}).contract
    assert "nowhere finite" in chaotic(contract, expected)
