"""A finalist is called as it will be served, in a process that looks like a user's."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.kernels.serve import returns_of
from outpace.model import Draft, Status, Variant
from outpace.tuner.confirm import Confirmation
from outpace.tuner.contenders import Contender
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.plan import make_plan
from outpace.tuner.process import Call, Worker, bytes_of
from outpace.tuner.rehearsal import rehearsed

TELLTALES = """
import os
import sys
from pathlib import Path


def kernel(u, total, k, doubled, largest):
    names, frame = [], sys._getframe(1)
    while frame is not None:
        names.append(frame.f_code.co_filename)
        frame = frame.f_back
    assert names == ["<outpace dispatcher>", "<string>"], names
    assert not [name for name in sys.modules if "tuner" in name or "rehearsal" in name]
    assert not hasattr(sys.modules["outpace"], "tuner")
    assert "outpace.kernels.serve" in sys.modules
    assert sys.argv == ["main.py"]
    line, variables = (Path(f"/proc/self/{f}").read_bytes() for f in ("cmdline", "environ"))
    assert line.strip(b"\\0").endswith(b"main.py") and b"outpace" not in line, line
    assert b"OUTPACE_RUN" not in variables and "OUTPACE_RUN" not in os.environ
    assert all(a.flags.owndata and a.base is None for a in (u, total, doubled, largest))
    doubled[:] = 2 * u
    largest[0] = k * u.max(initial=0.0)
    total += u.sum()
"""
UNSEEN_FAILURE = """
import sys


def kernel(u, out):
    if "outpace.tuner.worker" not in sys.modules:
        raise RuntimeError("served")
    out[:] = 2 * u
"""


def several(
    u: Float64[np.ndarray, "n"], total: Float64[np.ndarray, "1"], k: int
) -> tuple[Float64[np.ndarray, "n"], float]:
    total += u.sum()
    return 2 * u, float(k * u.max(initial=0.0))


def twice(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return 2 * u


def contender(folder, source):
    (folder / "draft.py").write_text(source)
    return Contender(Variant(Draft("numba", source)), folder, {})


def test_the_caller_is_given_results_in_a_process_without_a_sign_of_the_judge(tmp_path):
    reference = outpace.reference(
        several, workloads={"w": {"n": 64, "k": 3}}, mutates=("total",)
    ).reference
    draft = contender(tmp_path, TELLTALES)

    with Worker(
        reference.contract,
        draft.folder,
        bytes_of(reference.contract, {"n": 64, "k": 3}),
        variant=draft.variant,
        rehearsed=returns_of(reference),
    ) as worker:
        for n, k in ((64, 3), (0, 1), (5, 7), (64, 3)):
            u = np.arange(float(n))
            worker.prepare([Call({"n": n, "k": k}, {"u": u, "total": np.ones(1), "k": k})])
            worker.run(30.0)
            total, doubled, largest = worker.results()
            np.testing.assert_array_equal(doubled, 2 * u)
            assert (total[0], largest[0]) == (1 + u.sum(), k * u.max(initial=0.0))


@pytest.fixture(scope="module")
def checked():
    reference = outpace.reference(twice, workloads={"w": {"n": 64}, "v": {"n": 32}}).reference
    found = check_reference(reference, 1, cases=8)
    rng = np.random.default_rng(1)
    workloads = reference.contract.workloads
    return found, [make_plan(reference, found.oracle, workload, rng) for workload in workloads]


def test_a_draft_that_fails_only_where_it_is_served_is_no_longer_faster(checked, tmp_path):
    reference, plans = checked
    workload, other = (plan.workload for plan in plans)
    slow = Confirmation(other, Status.NOT_FASTER, "slow")

    failed, kept = rehearsed(
        reference,
        plans,
        contender(tmp_path, UNSEEN_FAILURE),
        [Confirmation(workload, Status.FASTER, "fast"), slow],
    )

    assert (failed.status, failed.workload, failed.speedup) == (Status.CRASHED, workload, None)
    assert failed.reason.startswith("when called as it will be served: ")
    assert "RuntimeError: served" in failed.details
    assert kept is slow


def test_what_is_nowhere_faster_is_not_rehearsed(checked, tmp_path):
    reference, plans = checked
    slow = Confirmation(plans[0].workload, Status.INCONCLUSIVE, "slow")

    assert rehearsed(reference, plans, Contender(None, tmp_path / "gone", {}), [slow]) == [slow]
