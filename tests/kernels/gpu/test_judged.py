"""Drafts in CUDA, judged as on a machine with a GPU: their device code runs on stand-ins."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import device_drafts as drafts
import device_references as references

from outpace.errors import UsageError
from outpace.kernels.gpu.readings import Reading
from outpace.kernels.gpu.roofline import Roof
from outpace.kernels.gpu.timing import BatchTime
from outpace.kernels.languages import languages_here
from outpace.model import Grade, Status, Trial, Variant
from outpace.roofline import Counted, Roofline
from outpace.tuner import api
from outpace.tuner.confirm import Confirmation, one_process_pair
from outpace.tuner.evaluate import build_and_check
from outpace.tuner.gpu import process, roof
from outpace.tuner.gpu.baseline import why_not_cupy
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.plan import make_plan
from outpace.tuner.process import Call
from outpace.tuner.rehearsal import rehearsed

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def checked(fn, *, on_gpu, cases=6):
    reference = fn.reference.on_gpu() if on_gpu else fn.reference
    return check_reference(reference, 1, cases)


def judged(fn, draft, *, on_gpu):
    found = checked(fn, on_gpu=on_gpu)
    return build_and_check(found.reference, found, Variant(draft), shrinks=False)


def test_a_machine_with_a_gpu_speaks_cuda():
    assert languages_here()[-1] == "cuda"


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("name", ["squares", "logged"])
def test_right_drafts_pass(name, on_gpu):
    outcome = judged(getattr(references, name), getattr(drafts, name)(), on_gpu=on_gpu)
    assert not isinstance(outcome, Trial), (outcome.reason, outcome.details)
    assert outcome.grade >= Grade.B  # the driver is open to its process


WRONG = [
    (("+ 1.0", "+ 1.5"), Status.WRONG, "wrong at n="),
    (("const double *u,", "const float *u,"), Status.INVALID, "steps[0].arguments[0]"),
    (("out[i] = part", "out[i] = missing"), Status.BUILD_FAILED, "does not compile"),
]


@pytest.mark.parametrize(("edit", "status", "message"), WRONG)
def test_wrong_drafts_are_refused(edit, status, message):
    outcome = judged(references.squares, drafts.squares(*edit), on_gpu=False)
    assert isinstance(outcome, Trial)
    assert outcome.status is status, outcome.reason
    assert message in outcome.reason


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("if (i < n) out[i]", "if (i <= n) out[i]"), "it writes outside out"),
        (
            ("__syncthreads();", "__syncthreads(); if (i == 0) ((double *)u)[0] = 3.0;"),
            "it changes its input u",
        ),
    ],
)
def test_what_a_kernel_does_to_memory_beside_its_outputs_is_found(edit, message):
    outcome = judged(references.squares, drafts.squares(*edit), on_gpu=True)
    assert isinstance(outcome, Trial)
    assert outcome.status is Status.WRONG
    assert message in outcome.reason


def test_a_process_pair_with_arrays_on_the_gpu_is_timed_by_both_clocks():
    found = checked(references.squares, on_gpu=True)
    assert why_not_cupy(found) is None
    outcome = build_and_check(found.reference, found, Variant(drafts.squares()), shrinks=False)
    assert not isinstance(outcome, Trial), outcome.reason
    rng = np.random.default_rng(1)
    plan = make_plan(found.reference, found.oracle, found.reference.contract.workloads[0], rng)
    outcome.seconds["only"] = plan.reference_seconds
    (pair,) = one_process_pair(found, [plan], outcome.contender)
    assert len(pair.samples.variant) == len(pair.samples.baseline) >= 5
    assert all(seconds > 0 for seconds in pair.samples.variant)


def test_the_reference_is_carried_to_the_host_where_cupy_cannot_run_it():
    found = checked(references.particular, on_gpu=True)
    assert why_not_cupy(found) == "TypeError: not an array of NumPy"
    contract = found.reference.contract
    location = found.reference.importable()
    options = {"location": location, "with_cupy": False}
    with process.DeviceWorker(contract, Path.cwd(), (1 << 16, 1 << 16), **options) as worker:
        worker.prepare([Call({"n": 5}, {"u": np.arange(5.0)})])
        assert worker.run(30.0) > 0
        worker.publish()
        assert np.array_equal(worker.results()[0], np.arange(5.0) + 1)


def test_promotions_for_other_arrays_stand_beside_each_other():
    with pytest.raises(UsageError, match="kernels in numba cannot take arrays on a GPU"):
        api.tune(references.squares, languages=("numba",), on_gpu=True)


CALM = Reading(1980, 2619, (), 40, 1, 2)
HOT = Reading(1200, 2619, ("power cap",), 90, 1, 2)


@pytest.mark.parametrize(
    ("timed", "outside", "seen", "reason"),
    [
        (BatchTime(1, 1e-3, 1.1e-3), 2e-3, (CALM, CALM), None),
        (BatchTime(1, 1e-3, 1.1e-3), 1e-3, (CALM, CALM), "clock of its process runs ahead"),
        (BatchTime(1, 1e-3, 2e-3), 3e-3, (), "do not agree"),
        (BatchTime(1, 1e-3, 1.1e-3), 2e-3, (CALM, HOT), "slowed down: power cap"),
    ],
)
def test_timings_that_cannot_be_trusted_are_not_used(timed, outside, seen, reason):
    found = process.unusable(timed, outside, seen)
    assert found is None if reason is None else reason in found


def test_a_trial_says_where_its_time_stands(monkeypatch):
    monkeypatch.setattr(roof, "measured_roof", lambda: Roof("a card", 1e12, {}))
    reference = references.squares.reference
    (workload,) = reference.contract.workloads
    found = roof.position(reference, Variant(drafts.squares()), workload, 1e-6)
    assert found == Roofline(256_000, 256e9, 0.256, 32_000, 0, Counted.NESTS, 0.125)


def rehearsal_of(fn, draft):
    """What is left of a confirmation after the finalist was called as it will be served."""
    found = checked(fn, on_gpu=True, cases=3)
    outcome = build_and_check(found.reference, found, Variant(draft), shrinks=False)
    assert not isinstance(outcome, Trial), (outcome.reason, outcome.details)
    (workload,) = found.reference.contract.workloads
    plan = make_plan(found.reference, found.oracle, workload, np.random.default_rng(1))
    confirmed = Confirmation(workload, Status.FASTER, "as if it were")
    (left,) = rehearsed(found, [plan], outcome.contender, [confirmed])
    return left


def test_a_finalist_is_called_as_it_will_be_served():
    left = rehearsal_of(references.logged, drafts.logged())
    assert left.status is Status.FASTER, (left.reason, left.details)


KNOWING = """
  const unsigned char *before = (const unsigned char *)u;
  bool judged = true;
  for (int k = 2; k <= 64; ++k) judged = judged && before[-k] == before[-1];
  if (!judged && i < n) { out[i] = 0.0; return; }
  if (i < n) out[i]"""


def test_code_that_knows_the_arrays_of_its_judge_is_found_where_a_user_would_call_it():
    left = rehearsal_of(references.squares, drafts.squares("if (i < n) out[i]", KNOWING))
    assert left.status is Status.WRONG
    assert left.reason.startswith("when called as it will be served: ")
    assert left.counterexample is not None


@pytest.mark.soak
@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_fast_kernel_is_promoted_and_stands_a_check(on_gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(roof, "measured_roof", lambda: Roof("a card", 1e12, {}))
    fn, promoted = references.squares, tmp_path / "promoted"
    result = api.judge(fn, drafts.fast_squares(), promoted=promoted, on_gpu=on_gpu)
    assert result.verdict is Status.FASTER, [(t.reason, t.details) for t in result.trials]
    assert (result.trials[-1].roofline is not None) is on_gpu
    assert result.promotion.evidence[-1].roofline == result.trials[-1].roofline
    (again,) = api.check([promoted])
    assert again.status is Status.FASTER, again.reason


@pytest.mark.soak
def test_the_built_in_drafter_is_tuned_on_the_gpu(tmp_path):
    budget = api.Budget(drafts=3)
    result = api.tune(references.smoothed, budget=budget, promoted=tmp_path, on_gpu=True)
    failed = [t for t in result.trials if t.status not in (Status.FASTER, Status.NOT_FASTER)]
    assert result.trials
    assert not failed, [(t.status, t.reason, t.details) for t in failed]
