"""A machine, a reference, and results that every test of the command line shares."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from outpace.cli.app import app
from outpace.kernels.target import current_target
from outpace.model import (
    Argument,
    Contract,
    Draft,
    Evidence,
    Grade,
    Output,
    Promotion,
    PromotionKey,
    Provenance,
    Speedup,
    Status,
    Target,
    Trial,
    Variant,
    Workload,
)
from outpace.tuner import api

REFERENCE = """
import numpy as np
import outpace
from jaxtyping import Float64

{noise}

@outpace.optimize(
    workloads={{"small": {{"n": 64}}, "large": {{"n": 4096}}}},
    inputs={{"u": outpace.Uniform(-1, 1)}},
)
def scale(u: Float64[np.ndarray, "n"], factor: float) -> Float64[np.ndarray, "n"]:
    return u * factor

def undecorated(u):
    return u
"""

KERNEL = "def kernel(u, factor, out):\n    out[:] = u * factor\n"


@pytest.fixture(autouse=True)
def clean_machine(tmp_path, monkeypatch):
    """A current folder, state, cache and data of its own, and none of the caller's variables."""
    for name in ("STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "OUTPACE_DISABLE", "OUTPACE_PROMOTED"):
        monkeypatch.delenv(name, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def write_reference(tmp_path):
    """Writes a module of a name of its own, so that no test imports another's."""

    def write(noise: str = "") -> str:
        path = Path(f"module_{abs(hash(tmp_path))}.py")
        path.write_text(REFERENCE.format(noise=noise))
        return f"{path}:scale"

    return write


@pytest.fixture
def reference(write_reference):
    return write_reference()


@pytest.fixture
def draft_file():
    path = Path("draft.py")
    path.write_text(KERNEL)
    return str(path)


@pytest.fixture
def outpace():
    """Runs the program in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def outpace_json(outpace):
    """Runs the program with --json; the exit code and the object on stdout."""

    def run(*arguments):
        done = outpace(*arguments, "--json")
        return done.exit_code, json.loads(done.stdout)

    return run


@dataclass
class FakeApi:
    """Stands for the tuner: gives back `result` or raises it, after sending `events`."""

    result: Any = None
    events: list[Any] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def tune(self, reference, **options):
        return self._answer(reference=reference, **options)

    def judge(self, reference, draft, **options):
        return self._answer(reference=reference, draft=draft, **options)

    def check(self, paths, **options):
        return self._answer(paths=paths, **options)

    def _answer(self, **call):
        self.calls.append(call)
        for event in self.events:
            call["observer"].notice(event)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def fake_api(monkeypatch):
    fake = FakeApi()
    for name in ("tune", "judge", "check"):
        monkeypatch.setattr(api, name, getattr(fake, name))
    return fake


@dataclass
class Maker:
    """Makes values of the model with little typing."""

    target: Target

    def draft(self, idea="loops") -> Draft:
        return Draft("numba", KERNEL + f"# {idea}\n", provenance=Provenance("test", idea=idea))

    def trial(
        self, status, *, idea="loops", speedup=None, workload="large", reason="", **fields
    ) -> Trial:
        return Trial(
            draft=self.draft(idea).hash,
            language="numba",
            params={},
            workload=workload,
            status=Status(status),
            reason=reason,
            stage="confirm",
            speedup=None if speedup is None else Speedup(speedup, speedup * 0.9, speedup * 1.1),
            label=idea,
            **fields,
        )

    def promotion(self, **changes) -> Promotion:
        key = changes.pop("key", None) or PromotionKey(
            "source", ("float64",), "C", changes.get("target", self.target).key
        )
        fields = {
            "reference": "module:scale",
            "key": key,
            "variant": Variant(self.draft()),
            "evidence": (self.evidence("small", 4.0), self.evidence("large", 12.34, 3.0)),
            "target": self.target,
            "grade": Grade.B,
            "contract": CONTRACT,
            "created": "2020-01-01T00:00:00+00:00",
        }
        return Promotion(**{**fields, **changes})

    def evidence(self, name, median, over_numba=None) -> Evidence:
        speedup = Speedup(median, median * 0.9, median * 1.1)
        workload = Workload(name, {"n": 64})
        return Evidence(workload, speedup, (), "high-precision", {}, 0.01, over_numba=over_numba)

    def result(self, *trials, promotion=None, path=None, verdict=None, notes=()) -> api.Result:
        return api.Result(
            "module:scale", self.target, tuple(trials), verdict, promotion, path, tuple(notes)
        )


CONTRACT = Contract(
    (Argument("u", "float64", ("n",)), Argument("factor", "float64")),
    (Output("out", "float64", ("n",)),),
    ("n",),
    (Workload("small", {"n": 64}), Workload("large", {"n": 4096})),
)


@pytest.fixture
def make():
    return Maker(current_target())
