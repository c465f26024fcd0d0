"""OUTPACE_VERIFY: a promotion that goes wrong in production is found, demoted and recorded."""

import os
import warnings

import numpy as np
import pytest

from outpace.errors import UsageError
from outpace.kernels import sampling
from outpace.kernels.promotions import PromotionWarning
from outpace.tuner.production import demotions

SCALED = """
@outpace.optimize(workloads={"w": dict(n=8)}, mutates=("total",))
def scaled(u: Float64[np.ndarray, "n"], total: Float64[np.ndarray, "n"], factor: float
           ) -> Float64[np.ndarray, "n"]:
    total += u
    return factor * u
"""
RIGHT = "def kernel(u, total, factor, out):\n    total += u\n    out[:] = factor * u\n"
WRONG = "def kernel(u, total, factor, out):\n    total += u\n    out[:] = 2 * u\n"


@pytest.fixture(autouse=True)
def checks(monkeypatch, tmp_path):
    """All calls are checked; the helper is waited for."""
    monkeypatch.setenv("OUTPACE_VERIFY", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    sampling.sampler.cache_clear()
    made = sampling.sampler()
    yield made
    helper = made._helper
    if helper is not None:
        helper.kill()
        helper.wait()
    sampling.sampler.cache_clear()


def call(fn, checks, factor):
    u, total = np.arange(8.0), np.ones(8)
    result = fn(u, total, factor)
    checks._queue.join()
    np.testing.assert_array_equal(total, np.ones(8) + u)
    return result


def test_right_calls_change_nothing(module, promote, checks):
    fn = module(SCALED).scaled
    promote.write(fn, RIGHT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for factor in (2.0, 3.0, np.nan):
            np.testing.assert_array_equal(call(fn, checks, factor), factor * np.arange(8.0))
    assert fn.explain(np.arange(8.0), np.ones(8), 2.0).promotion is not None
    assert demotions(fn.reference.source_hash) == []


def test_a_wrong_call_demotes_and_is_recorded(module, promote, checks):
    fn = module(SCALED).scaled
    path = promote.write(fn, WRONG)
    call(fn, checks, 2.0)  # as it happens, this one is right
    assert fn.explain(np.arange(8.0), np.ones(8), 2.0).promotion == path
    with pytest.warns(PromotionWarning, match="this process serves it no more"):
        call(fn, checks, 3.0)
    np.testing.assert_array_equal(call(fn, checks, 3.0), 3 * np.arange(8.0))
    explained = fn.explain(np.arange(8.0), np.ones(8), 3.0)
    assert explained.promotion is None
    assert "is served no more: " in explained.reason
    assert "n=8" in explained.reason
    (record,) = demotions(fn.reference.source_hash)
    assert record.promotion == path.name
    assert record.sizes == {"n": 8}
    with np.load(record.arguments) as kept:
        np.testing.assert_array_equal(kept["u"], np.arange(8.0))
        np.testing.assert_array_equal(kept["total"], np.ones(8))
        assert kept["factor"] == 3.0


def test_a_call_never_waits_for_checks(module, promote, checks, monkeypatch):
    fn = module(SCALED).scaled
    promote.write(fn, RIGHT)
    monkeypatch.setattr(sampling.threading.Thread, "start", lambda _: None)
    for _ in range(10 * sampling.WAITING):
        fn(np.arange(8.0), np.ones(8), 2.0)
    assert checks._queue.full()


def test_a_helper_that_fails_ends_the_checks_and_nothing_else(module, promote, checks, monkeypatch):
    monkeypatch.setattr(sampling, "_HELPER", ("false",))
    fn = module(SCALED).scaled
    path = promote.write(fn, WRONG)
    with pytest.warns(PromotionWarning, match="checks nothing more, because its helper failed"):
        call(fn, checks, 3.0)
    assert checks.share == 0
    np.testing.assert_array_equal(call(fn, checks, 3.0), 2 * np.arange(8.0))
    assert fn.explain(np.arange(8.0), np.ones(8), 3.0).promotion == path


def test_the_share_is_that_of_the_calls(module, promote, monkeypatch):
    monkeypatch.setattr(sampling.threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(sampling, "WAITING", 10_000)
    monkeypatch.setenv("OUTPACE_VERIFY", "0.25")
    sampling.sampler.cache_clear()
    fn = module(SCALED).scaled
    promote.write(fn, RIGHT)
    for _ in range(2000):
        fn(np.arange(8.0), np.ones(8), 2.0)
    assert 350 < sampling.sampler()._queue.qsize() < 650  # 9 standard deviations


@pytest.mark.parametrize("text", ["all", "2", "-0.1", "nan"])
def test_what_is_no_share_is_one_clear_error(monkeypatch, text):
    monkeypatch.setenv("OUTPACE_VERIFY", text)
    sampling.sampler.cache_clear()
    with pytest.raises(UsageError, match=rf"OUTPACE_VERIFY={text} is no share of calls"):
        sampling.sampler()


def test_a_forked_child_checks_by_itself(checks):
    checks._thread = checks._helper = object()
    child = os.fork()
    if child == 0:
        fresh = checks._thread is None and checks._helper is None
        os._exit(0 if fresh else 1)
    assert os.waitpid(child, 0)[1] == 0
    checks._thread = checks._helper = None
