"""References too slow for the full rule at their workloads: it is applied at smaller sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Complex128, Float32, Float64

import outpace
from outpace.codegen.domain import allows
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import ContractError
from outpace.model import Draft, Status
from outpace.tuner import api, plan
from outpace.tuner.journal import AlphaLedger
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.numerics.smaller import calibrate_smaller, smaller_sizes


def march(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Diffusion: rounding errors of many steps add up."""
    a = u.copy()
    for _ in range(steps):
        a[1:-1] = a[1:-1] + 0.2 * (a[:-2] - 2.0 * a[1:-1] + a[2:])
    return a


def lorenz_96(x: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """Chaotic: errors grow exponentially with the number of steps."""
    for _ in range(steps):
        x = x + 0.01 * ((np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8.0)
    return x


def gate(psi: Complex128[np.ndarray, "n"], q: int) -> Complex128[np.ndarray, "n"]:
    return psi[::-1] * q


def row_sums(a: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n"]:
    return np.sum(a, axis=1)


WHOLE = {"n": 4000, "steps": 64}


@pytest.fixture
def every_reference_is_slow(monkeypatch):
    monkeypatch.setattr(plan, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(plan, "FULL_RULE_SECONDS", 0.0)
    monkeypatch.setattr(plan, "CALIBRATION_BUDGET", 0.2)


def plan_of(fn, sizes):
    reference = Reference(fn, ReferenceOptions(workloads={"w": sizes}))
    (workload,) = reference.contract.workloads
    made = plan.make_plan(reference, Oracle(reference), workload, np.random.default_rng(0))
    return reference.contract, made


@pytest.mark.usefixtures("every_reference_is_slow")
def test_the_envelope_tells_right_from_wrong_at_the_workload():
    contract, made = plan_of(march, WHOLE)
    u = made.calls[0].values["u"]
    fused = u.copy()
    for _ in range(WHOLE["steps"]):  # another order of operations
        fused[1:-1] = 0.6 * fused[1:-1] + (0.2 * fused[:-2] + 0.2 * fused[2:])
    last = march(u, WHOLE["steps"])
    last[-2] *= 1 + 1e-9

    assert made.smaller is not None
    assert made.smaller.case.sizes["n"] < WHOLE["n"]
    assert made.compare(contract, 0, [march(u, WHOLE["steps"])]) is None
    assert made.compare(contract, 0, [fused]) is None
    assert made.compare(contract, 0, [last]) is not None
    assert made.compare(contract, 0, [march(u, WHOLE["steps"] - 1)]) is not None
    single = march(u.astype(np.float32), WHOLE["steps"]).astype(np.float64)
    assert made.compare(contract, 0, [single]) is not None


@pytest.mark.usefixtures("every_reference_is_slow")
def test_another_order_of_a_longer_sum_is_inside_the_envelope():
    contract, made = plan_of(row_sums, {"n": 40, "m": 60_000})
    a = made.calls[0].values["a"]
    blocked = a.reshape(40, 600, 100).sum(axis=2, dtype=np.float32).sum(axis=1, dtype=np.float32)

    assert made.smaller is not None
    assert made.compare(contract, 0, [blocked]) is None
    assert made.compare(contract, 0, [a[:, :-1].sum(axis=1)]) is not None


@pytest.mark.usefixtures("every_reference_is_slow")
def test_what_is_chaotic_at_the_workload_alone_is_refused():
    with pytest.raises(ContractError, match="rounding errors grow"):
        plan_of(lorenz_96, {"n": 40, "steps": 4000})


def test_a_fast_reference_is_calibrated_at_its_workload():
    _, made = plan_of(march, {"n": 100, "steps": 3})

    assert made.smaller is None
    assert len(made.expected) == len(made.calls) == plan.CALIBRATIONS


def test_a_forecast_within_bounds_leaves_the_full_rule_at_the_workload(monkeypatch):
    monkeypatch.setattr(plan, "SLOW_SECONDS", 0.0)

    _, made = plan_of(march, {"n": 100, "steps": 3})

    assert made.smaller is None


@given(n=st.integers(1, 10**6), steps=st.integers(0, 1000))
def test_smaller_sizes_are_in_the_domain_and_less_work(n, steps):
    options = ReferenceOptions(workloads={"w": {"n": n, "steps": steps}}, where="n > steps - 1000")
    reference = Reference(march, options)
    (workload,) = reference.contract.workloads

    ladder = smaller_sizes(reference, workload)
    work = [sizes["n"] * max(1, sizes["steps"]) for sizes in ladder]

    assert work == sorted(work)
    assert all(w < n * max(1, steps) for w in work)
    assert all(allows(reference.contract, sizes) for sizes in ladder)


def test_a_domain_of_powers_of_two_has_smaller_sizes():
    options = ReferenceOptions(workloads={"w": {"n": 4096, "q": 5}}, where="n == 2**k and q < k")
    reference = Reference(gate, options)
    (workload,) = reference.contract.workloads
    found = calibrate_smaller(reference, Oracle(reference), workload, 0.1, np.random.default_rng(0))

    assert found is not None
    assert found.call.sizes["n"] in (2**k for k in range(12))


@outpace.optimize(workloads={"large": {"n": 1000, "steps": 40}})
def marching(u: Float64[np.ndarray, "n"], steps: int) -> Float64[np.ndarray, "n"]:
    """A Python loop, so that compiled code is far faster."""
    a = u.copy()
    for _ in range(steps):
        b = a.copy()
        for i in range(1, a.size - 1):
            b[i] = 0.6 * a[i] + 0.2 * (a[i - 1] + a[i + 1])
        a = b
    return a


COMPILED = """import numba
import numpy as np


@numba.njit
def kernel(u, steps, out):
    a, b = u.copy(), u.copy()
    for _ in range(steps):
        for i in range(1, a.size - 1):
            b[i] = 0.6 * a[i] + 0.2 * (a[i - 1] + a[i + 1])
        a, b = b, a
    out[:] = a
"""
SKIPPED_STEP = COMPILED.replace("range(steps)", "range(min(steps, 39))")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    return tmp_path


@pytest.mark.usefixtures("every_reference_is_slow")
def test_slow_references_are_judged_through_it(home):
    result = api.judge(marching, Draft("numba", COMPILED), promoted=home / "promoted")

    assert result.verdict is Status.FASTER, [t.reason for t in result.trials]
    assert result.promotion is not None
    evidence = result.promotion.evidence
    assert all(one.checks["full rule"] > 0 for one in evidence)


@pytest.mark.usefixtures("every_reference_is_slow")
def test_a_draft_wrong_at_the_workload_alone_is_found_by_the_envelope(home):
    result = api.judge(marching, Draft("numba", SKIPPED_STEP), promoted=home / "promoted")

    assert result.verdict is Status.WRONG
    assert not list(home.rglob("promotion.json"))
