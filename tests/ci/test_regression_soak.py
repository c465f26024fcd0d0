"""The comparison of two commits with this machine as it is; everything is timed to the end."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from outpace.tuner.ci import regression
from outpace.tuner.ci.rule import Colour

pytestmark = pytest.mark.soak


@pytest.fixture(autouse=True)
def calm_machine():
    """Here, what runs beside a test counts."""


@pytest.mark.timeout(7200)
def test_a_change_of_nothing_is_green_twenty_times(scratch):
    scratch.commit()
    answers = [regression.compare(scratch.folder, "HEAD~").colour for _ in range(20)]
    assert answers == [Colour.GREEN] * 20


@pytest.mark.timeout(900)
def test_a_kernel_that_takes_a_fifth_longer_is_red(scratch):
    base = scratch.git("rev-parse", "HEAD")
    scratch.promote(work=24)
    scratch.commit()
    report = regression.compare(scratch.folder, base)
    assert report.colour is Colour.RED, report.findings


@pytest.mark.timeout(900)
def test_a_busy_machine_is_inconclusive(scratch):
    scratch.commit()
    start = multiprocessing.get_context("spawn").Process
    burners = [start(target=_burn, daemon=True) for _ in os.sched_getaffinity(0)]
    for burner in burners:
        burner.start()
    try:
        report = regression.compare(scratch.folder, "HEAD~")
    finally:
        for burner in burners:
            burner.kill()
    assert report.colour is Colour.INCONCLUSIVE
    assert "too busy" in report.findings[0].reason


def _burn():
    while True:
        pass
