"""A machine too busy to tell gives no promotion, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from math import inf

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.model import Conditions, Draft, Status
from outpace.tuner import api, confirm, plan
from outpace.tuner.conditions import (
    CLEAR,
    MOST_STOLEN,
    MOST_USED,
    Watch,
    disturbance,
    least_ratio,
)
from outpace.tuner.journal import AlphaLedger


@pytest.fixture(autouse=True)
def calm_machine():
    """Here, what runs beside a test counts."""


@pytest.fixture
def crowd():
    """Twice as many busy processes as there are cores."""
    burn = "while True: pass"
    count = 2 * len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(count)]
    yield others
    for other in others:
        other.kill()
        other.wait()


def spin():
    """Half a second of work that is this process's own."""
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass


def test_other_processes_are_seen(crowd):
    watch = Watch([])
    spin()

    conditions = watch.conditions()

    assert conditions.others > MOST_USED
    assert "other processes used" in (disturbance(conditions) or "")


def test_the_processes_that_are_timed_are_no_others(crowd):
    everyone, strangers = Watch([]), Watch([other.pid for other in crowd])
    spin()

    assert strangers.conditions().others < everyone.conditions().others


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (Conditions(idle=0.5), None),
        (Conditions(others=MOST_USED, stolen=MOST_STOLEN), None),
        (Conditions(others=0.3, idle=0.6), None),  # there is room for both
        (Conditions(others=0.5, idle=0.1), "used 50% of the cores and 10% were idle"),
        (Conditions(stolen=0.2), "hypervisor gave 20%"),
        (Conditions(throttled=True), "throttled"),
    ],
)
def test_what_counts_as_a_disturbance(conditions, says):
    found = disturbance(conditions)

    assert found is None if says is None else says in (found or "")


@pytest.mark.parametrize(
    ("conditions", "least"),
    [
        (Conditions(idle=0.5), 1.02),
        (Conditions(others=0.4, idle=0.5), 1.02),
        (Conditions(others=0.2, idle=0.0), CLEAR),
        (Conditions(throttled=True), CLEAR),
        (Conditions(others=0.3, idle=0.2), inf),
        (Conditions(others=0.5), inf),
    ],
)
def test_on_an_overrun_machine_no_ratio_is_a_win(conditions, least):
    assert least_ratio(conditions, 1.02) == least


@outpace.optimize(workloads={"only": {"n": 20_000}}, inputs={"u": outpace.Uniform(-1, 1)})
def chain(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    out = u.copy()
    for _ in range(30):
        out = np.sqrt(out * out + 1.0) - 0.5 * u
    return out


COPY = """import numpy as np


def kernel(u, out):
    out[:] = u
    for _ in range(30):
        out[:] = np.sqrt(out * out + 1.0) - 0.5 * u
"""


class Disturbed(Watch):
    """As if every process pair had been disturbed."""

    def conditions(self):
        return Conditions(throttled=True)


def test_a_copy_on_a_disturbed_machine_is_inconclusive(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.2)
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(confirm, "Watch", Disturbed)
    monkeypatch.setattr(confirm, "CLEAR", 100.0)  # however much slower it seems beside others

    result = api.judge(chain, Draft("numba", COPY), promoted=tmp_path / "promoted", screened=False)

    assert result.verdict is Status.INCONCLUSIVE, [t.reason for t in result.trials]
    assert "too busy to tell" in result.trials[-1].reason
    assert "throttled" in result.trials[-1].reason
    assert result.promotion is None
