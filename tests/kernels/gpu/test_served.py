"""Calls with arrays on a GPU: what serves them, on a stand-in for CuPy."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import device_drafts as drafts
import device_references as references

from outpace.errors import ContractError
from outpace.kernels import promotions, sampling, target
from outpace.kernels.gpu.serving import is_on_gpu
from outpace.kernels.promotions import PromotionWarning
from outpace.model import Evidence, Grade, Promotion, Speedup, Variant
from outpace.tuner.production import demotions


@pytest.fixture
def cupy(gpu, tmp_path, monkeypatch):
    del gpu
    monkeypatch.setenv("OUTPACE_PROMOTED", str(tmp_path / "promoted"))
    import cupy

    return cupy


@pytest.fixture
def served(cupy):
    """The function after a promotion for arrays on the GPU."""
    del cupy

    def make(fn, draft):
        reference, here = fn.reference.on_gpu(), target.hardware()
        workloads = reference.contract.workloads
        speedup = Speedup(8.0, 7.0, 9.0)
        evidence = tuple(Evidence(w, speedup, (), "native", {}, 0.01) for w in workloads)
        promotion = Promotion(
            *(reference.name, promotions.key_for(reference, here, workloads), Variant(draft)),
            *(evidence, here, Grade.B, reference.contract),
        )
        promotions.write(promotion, reference)
        fn.reload()
        return fn

    yield make
    for fn in (references.squares, references.logged):
        fn.reload()


def test_arrays_on_the_gpu_are_served_and_those_of_numpy_are_not(served, cupy):
    fn = served(references.squares, drafts.squares())
    u = cupy.asarray(np.arange(12_000.0))
    assert "by hand, 8.0x" in str(fn.explain(u))
    result = fn(u)
    assert type(result) is cupy.ndarray
    assert np.array_equal(result.get(), np.arange(12_000.0) ** 2 + 1)
    explained = fn.explain(np.arange(12_000.0))
    assert explained.promotion is None
    assert "are for arrays on a GPU" in explained.reason
    assert np.array_equal(fn(np.arange(3.0)), [1.0, 2.0, 5.0])


def test_results_go_where_the_caller_wants_them(served, cupy):
    fn = served(references.squares, drafts.squares())
    u, out = cupy.asarray(np.ones(16_000)), cupy.empty(16_000)
    assert fn(u, out=out) is out
    assert np.array_equal(out.get(), np.full(16_000, 2.0))
    with pytest.raises(ContractError, match=r"out has shape \(5,\), the result has \(16000,\)"):
        fn(u, out=cupy.empty(5))
    with pytest.raises(ContractError, match="out= needs a promotion for this call"):
        fn(cupy.asarray(np.ones(3)), out=cupy.empty(3))


def test_arrays_of_other_libraries_are_taken_as_they_are(served, cupy):
    class Tensor:
        def __init__(self, array):
            self.array = array
            self.__cuda_array_interface__ = array.__array_interface__

    fn = served(references.squares, drafts.squares())
    assert np.array_equal(fn(Tensor(np.ones(16_000))).get(), np.full(16_000, 2.0))
    assert is_on_gpu(Tensor(np.ones(2)))
    assert not is_on_gpu(np.ones(2))
    assert is_on_gpu(cupy.empty(2))


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        (100_000, "float64", "outside 0.5 to 2 times"),
        (16_000, "float32", "u has dtype float32"),
        ((4, 4000), "float64", "u has 2 dims"),
    ],
)
def test_other_arrays_are_left_to_the_reference(served, cupy, shape, dtype, reason):
    fn = served(references.squares, drafts.squares())
    explained = fn.explain(cupy.asarray(np.ones(shape, dtype)))
    assert explained.promotion is None
    assert reason in explained.reason


def test_arguments_change_in_place_unless_they_overlap(served, cupy):
    fn = served(references.logged, drafts.logged())
    u, log = cupy.asarray(np.ones(4000)), cupy.asarray(np.zeros(4000))
    assert fn(u, log) == 4000.0
    assert np.array_equal(log.get(), np.ones(4000))
    assert fn(u, u) == 16_000.0  # the reference, which sees what it has written
    assert "share memory that is written" in fn.explain(u, u).reason


def test_promotions_for_other_arrays_have_other_keys(gpu):
    del gpu
    reference, here = references.squares.reference, target.hardware()
    host, device = (promotions.key_for(r, here) for r in (reference, reference.on_gpu()))
    assert (host.layout, device.layout) == ("C", "C on a GPU")
    assert host.hash != device.hash


# --- Checked in production ------------------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch, tmp_path):
    """All calls are checked; the helper is waited for."""
    monkeypatch.setenv("OUTPACE_VERIFY", "1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    sampling.sampler.cache_clear()
    made = sampling.sampler()
    yield made
    if made._helper is not None:
        made._helper.kill()
        made._helper.wait()
    sampling.sampler.cache_clear()


def called(fn, u, checks):
    """A call whose check is waited for."""
    result = fn(u)
    checks._queue.join()
    return result


def test_right_calls_with_arrays_on_the_gpu_pass_their_check(served, cupy, checks):
    fn = served(references.logged, drafts.logged())
    u, log = cupy.asarray(np.ones(4000)), cupy.asarray(np.zeros(4000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fn(u, log) == 4000.0
        log[...] = 7.0  # the caller goes on before the check is done
        checks._queue.join()
    assert checks._helper is not None
    assert fn.explain(u, log).promotion is not None
    assert demotions(fn.reference.source_hash) == []


def test_a_wrong_call_with_arrays_on_the_gpu_demotes(served, cupy, checks):
    # Right at the small sizes of its check: it forgets what lies beyond 100 blocks.
    fn = served(references.squares, drafts.squares("if (i < n)", "if (i < n && i < 12800)"))
    small, large = (cupy.asarray(np.arange(float(n))) for n in (9_000, 16_000))
    called(fn, small, checks)
    assert fn.explain(small).promotion is not None
    with pytest.warns(PromotionWarning, match="this process serves it no more"):
        called(fn, large, checks)
    result = fn(large)
    assert np.array_equal(result.get(), np.arange(16_000.0) ** 2 + 1)
    explained = fn.explain(large)
    assert explained.promotion is None
    assert "is served no more: " in explained.reason
    (record,) = demotions(fn.reference.source_hash)
    assert record.sizes == {"n": 16_000}
    with np.load(record.arguments) as kept:
        assert np.array_equal(kept["u"], np.arange(16_000.0))


def test_a_call_is_not_sampled_where_copies_cannot_be_made(served, cupy, checks, monkeypatch):
    def full(_):
        raise cupy.cuda.memory.OutOfMemoryError

    fn = served(references.squares, drafts.squares())
    u = cupy.asarray(np.ones(16_000))
    with monkeypatch.context() as patch:
        patch.setattr(cupy.ndarray, "copy", full)
        result = fn(u)
    assert np.array_equal(result.get(), np.full(16_000, 2.0))
    assert checks._queue.empty()
    assert checks._helper is None


def test_copies_that_cannot_be_fetched_end_the_checks_and_nothing_else(
    served, cupy, checks, monkeypatch
):
    def lost(_):
        raise RuntimeError("an illegal memory access was encountered")

    fn = served(references.squares, drafts.squares())
    u = cupy.asarray(np.ones(16_000))
    monkeypatch.setattr(type(cupy.cuda.Event()), "synchronize", lost)
    with pytest.warns(PromotionWarning, match="cannot be fetched from the GPU: an illegal"):
        result = called(fn, u, checks)
    assert np.array_equal(result.get(), np.full(16_000, 2.0))
    assert checks.share == 0
    assert fn.explain(u).promotion is not None
