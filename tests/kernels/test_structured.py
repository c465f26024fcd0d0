"""Functions that take structures: promotions get the fields, the reference gets the structure."""

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from outpace.codegen.inputs import Case, draw_inputs
from outpace.errors import ContractError
from outpace.kernels import promotions
from outpace.kernels.eject import eject
from outpace.model import Draft, Provenance, Status
from outpace.tuner import api, plan
from outpace.tuner.ci import trees
from outpace.tuner.journal import AlphaLedger
from outpace.tuner.process import Call, bytes_of

STATES = """
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

@dataclass
class State:
    u: Float64[np.ndarray, "n"]
    v: Float64[np.ndarray, "n"]
    dt: float

class Pair(NamedTuple):
    u: Float64[np.ndarray, "n"]
    v: Float64[np.ndarray, "n"]
    dt: float

class Entries(TypedDict):
    u: Float64[np.ndarray, "n"]
    v: Float64[np.ndarray, "n"]
    dt: float

def decorated(fn):
    return outpace.optimize(workloads={"w": dict(n=8, steps=2)}, mutates=("state.v",))(fn)
"""
BODIES = """
@decorated
def attributes(state: STATE, steps: int = 2) -> Float64[np.ndarray, "n"]:
    assert type(state.u) is type(state.v) is np.ndarray
    state.v[...] += state.dt * steps
    return state.u + state.v

@decorated
def entries(state: Entries, steps: int = 2) -> Float64[np.ndarray, "n"]:
    assert type(state["u"]) is type(state["v"]) is np.ndarray
    state["v"][...] += state["dt"] * steps
    return state["u"] + state["v"]
"""
# Kernels answer something that the reference never would, so that results tell who ran.
KERNEL = (
    "def kernel(state_u, state_v, state_dt, steps, out):\n    state_v[:] = -2\n    out[:] = -1\n"
)


@pytest.fixture(params=["State", "Pair", "Entries"])
def project(request, module):
    """A module; `step` is its function, and `made` makes its structure."""
    found = module(STATES + BODIES.replace("STATE", request.param))
    found.step = found.entries if request.param == "Entries" else found.attributes
    kind = getattr(found, request.param)

    def made(dtype="f8", dt=0.5, n=8):
        return kind(u=np.arange(n, dtype=dtype), v=np.ones(n), dt=dt)

    found.made = made
    return found


@pytest.fixture
def promoted(project, promote):
    """The same, with a promotion."""
    promote.write(project.step, KERNEL)
    return project


def written(state):
    return state["v"] if isinstance(state, dict) else state.v


# --- With a promotion ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda f, s: f(s, 2),
        lambda f, s: f(s),
        lambda f, s: f(state=s, steps=2),
        lambda f, s: f(s, np.int64(2)),
        lambda f, s: f(s, 2, out=np.empty(8)),
        lambda f, s: f(steps=2, state=s, out=np.empty(8)),
    ],
    ids=["positional", "default", "keywords", "numpy", "out", "out by keywords"],
)
def test_the_kernel_gets_the_fields(promoted, call):
    state = promoted.made()
    assert (call(promoted.step, state) == -1).all()
    assert (written(state) == -2).all()
    assert promoted.step.explain(state, 2).promotion is not None
    assert promoted.step.explain(state=state).promotion is not None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": "f4"}, "state_u has dtype float32, the annotation says float64"),
        ({"dt": np.float32(0.5)}, "state_dt is a float32"),
        ({"n": 80}, "size n=80 is outside"),
    ],
)
def test_what_was_not_confirmed_goes_to_the_reference_as_it_is(promoted, changes, reason):
    state = promoted.made(**changes)
    result = promoted.step(state, 2)
    np.testing.assert_array_equal(result, np.arange(len(result)) + 2)
    assert (written(state) == 2).all()
    explanation = promoted.step.explain(state, 2)
    assert explanation.promotion is None
    assert reason in str(explanation)


def test_another_object_with_the_fields_will_do(promoted):
    class Other(dict):
        u, v, dt = np.zeros(8), np.zeros(8), 0.5

    other = Other(u=np.zeros(8), v=np.zeros(8), dt=0.5)
    assert (promoted.step(other, 2) == -1).all()


@pytest.mark.parametrize("with_promotion", [True, False])
def test_a_wrong_call_raises_what_the_function_would(project, promote, with_promotion):
    if with_promotion:
        promote.write(project.step, KERNEL)
    kinds = (AttributeError, TypeError)
    with pytest.raises(kinds, match=r"'int' object (has no attribute 'u'|is not subscriptable)"):
        project.step(3, 2)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'state'"):
        project.step()
    with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were given"):
        project.step(project.made(), 2, 3)
    with pytest.raises(TypeError, match="state is a int, which cannot be taken for a "):
        project.step.explain(3, 2)


def test_fields_that_share_memory_go_to_the_reference(promoted):
    state = promoted.made()
    shared = {"u": written(state), "v": written(state), "dt": 0.5}
    state = shared if isinstance(state, dict) else type(state)(**shared)
    np.testing.assert_array_equal(promoted.step(state, 2), np.full(8, 4.0))
    assert "state_u and state_v overlap" in str(promoted.step.explain(state, 2))


def test_out_cannot_take_another_shape(promoted):
    with pytest.raises(ContractError, match=r"out= \(out\) has shape \(3,\)"):
        promoted.step(promoted.made(), 2, out=np.empty(3))


# --- Without ------------------------------------------------------------------------------------


def test_the_reference_gets_the_very_structure(module):
    text = """
@decorated
def same(state: State, steps: int) -> Float64[np.ndarray, "n"]:
    seen.append(state)
    state.v = state.v + 1
    return state.u
seen = []
"""
    found = module(STATES + text)
    state = found.State(np.zeros(8), np.zeros(8), 0.5)
    for _ in range(2):
        found.same(state, 2)
        found.same(state=state, steps=2)
    assert all(one is state for one in found.seen)
    assert (state.v == 4).all(), "what cannot be promoted does what it did before"


def test_switched_off_nothing_is_taken_apart(monkeypatch, promoted):
    monkeypatch.setenv("OUTPACE_DISABLE", "1")
    promoted.step.reload()
    state = promoted.made()
    np.testing.assert_array_equal(promoted.step(state, 2), np.arange(8) + 2)
    np.testing.assert_array_equal(promoted.step(state, steps=2), np.arange(8) + 3)
    assert "OUTPACE_DISABLE" in str(promoted.step.explain(state, 2))


class Tensor:
    """As torch's: no NumPy array, but gives its memory through DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


@pytest.mark.parametrize("with_promotion", [True, False])
def test_fields_of_other_libraries_are_taken_without_a_copy(project, promote, with_promotion):
    if with_promotion:
        promote.write(project.step, KERNEL)
    v = np.ones(8)
    fields = {"u": Tensor(np.arange(8.0)), "v": Tensor(v), "dt": 0.5}
    state = fields
    if not isinstance(project.made(), dict):
        state = type(project.made())(**fields)
    for call in (lambda: project.step(state, 2), lambda: project.step(state, steps=2)):
        v[:] = 1
        assert (call() == (-1 if with_promotion else np.arange(8) + 2)).all()
        assert (v == (-2 if with_promotion else 2)).all()


def test_the_decorated_function_is_the_one_that_was_written(project):
    assert project.step.__wrapped__ is project.step.reference.written
    assert pickle.loads(pickle.dumps(project.step)) is project.step


def test_an_ejected_function_takes_the_fields(promoted, tmp_path):
    reference = promoted.step.reference
    eject(reference, promotions.find(reference), tmp_path / "ejected_step")
    path = tmp_path / "ejected_step" / "__init__.py"
    spec = importlib.util.spec_from_file_location("ejected_step", path)
    package = importlib.util.module_from_spec(spec)
    sys.modules["ejected_step"] = package
    try:
        spec.loader.exec_module(package)
        step = getattr(package, promoted.step.__name__)
        assert (step(np.zeros(8), np.zeros(8), 0.5) == -1).all()
        assert (step(np.zeros(80), np.zeros(80), 0.5) == 1).all()
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "ejected_step"]:
            del sys.modules[name]


# --- Judged -------------------------------------------------------------------------------------

WAVE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Wave:
    u: Float64[np.ndarray, "n"]
    v: Float64[np.ndarray, "n"]
    dt: float

def pulled(wave, i):
    return wave.dt * (wave.u[i - 1] - wave.u[i])

@outpace.optimize(workloads={"only": {"n": 2_000}}, mutates=("wave.v",))
def march(wave: Wave) -> float:
    total = 0.0
    for i in range(1, wave.u.size):
        wave.v[i] += pulled(wave, i)
        total = 0.5 * total + wave.v[i]
    return total
"""
MARCH = """import numba


@numba.njit
def kernel(wave_u, wave_v, wave_dt, out):
    total = 0.0
    for i in range(1, wave_u.size):
        wave_v[i] += wave_dt * (wave_u[i - 1] - wave_u[i])
        total = 0.5 * total + wave_v[i]
    out[0] = total
"""


def test_the_process_of_the_reference_runs_it_with_structures(module):
    reference = module(WAVE).march.reference
    calls = [Case.of_workload(reference.contract.workloads[0], seed) for seed in range(3)]
    inputs = [draw_inputs(reference, case) for case in calls]
    sizes = calls[0].sizes
    with plan.reference_worker(reference, bytes_of(reference.contract, sizes)) as worker:
        for case, values in zip(calls, inputs, strict=True):
            worker.prepare([Call(case.sizes, values)])
            worker.run(60.0)
            worker.publish()
            v, out = worker.results()
            own = {n: np.copy(a) if n == "wave_v" else a for n, a in values.items()}
            assert out[0] == reference.fn(**own)
            np.testing.assert_array_equal(v, own["wave_v"])


def test_a_change_is_timed_through_the_decorated_function(promoted):
    reference = promoted.step.reference
    values = draw_inputs(reference, Case({"n": 8, "steps": 2}, 0))
    call = trees.bound(reference, values)
    assert (promoted.step(*call.args, **call.kwargs) == -1).all()
    assert (values["state_v"] == -2).all()
    file = Path(reference.file)
    run = trees.decorated(
        sys.path, str(file.parent), file.name, promoted.step.__name__, slowed=True
    )
    assert (run.written(*run.gathered(list(values.values()))) == -1).all()


def test_a_right_draft_is_judged_promoted_and_served(module, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(plan, "AUDIT_SECONDS", 0.05)
    monkeypatch.setattr(AlphaLedger, "next_alpha", lambda _: 0.4)
    found = module(WAVE)
    march = found.march
    result = api.judge(march, Draft("numba", MARCH, provenance=Provenance("user")))
    assert result.verdict is Status.FASTER, result.trials[-1].reason
    march.reload()
    u = np.random.default_rng(0).normal(size=2_000)
    first, second = (found.Wave(u, np.zeros_like(u), 0.1) for _ in range(2))
    assert march.explain(first).promotion is not None
    np.testing.assert_allclose(march(first), march.reference.written(second), rtol=1e-9)
    np.testing.assert_allclose(first.v, second.v, rtol=1e-9, atol=1e-15)
