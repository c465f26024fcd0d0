"""Promotions for tests of serving: kernels in plain Python that nothing compiles."""

import importlib.util
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from outpace.kernels import builds, promotions, target
from outpace.model import Draft, Evidence, Grade, Promotion, Speedup, Variant

_numbers = itertools.count()


class PlainPython:
    """Loads `kernel` from Python source without compiling anything."""

    name = "numba"
    suffix = ".py"
    comment = "#"

    def __init__(self):
        self.loads = 0

    def load_promoted(self, variant, contract):
        del contract
        self.loads += 1
        namespace = {}
        exec(variant.draft.source, namespace)
        return namespace["kernel"]


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.delenv("OUTPACE_PROMOTED", raising=False)
    monkeypatch.delenv("OUTPACE_BUILDS", raising=False)
    monkeypatch.delenv("OUTPACE_DISABLE", raising=False)


@pytest.fixture
def module(tmp_path):
    """Makes a module file in a folder of its own and imports it."""
    made = []

    def make(text, folder=None):
        name = f"served_{next(_numbers)}"
        path = (folder or tmp_path / "project") / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{_PRELUDE}\n{text}")
        spec = importlib.util.spec_from_file_location(name, path)
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found
        made.append(name)
        spec.loader.exec_module(found)
        return found

    yield make
    for name in made:
        del sys.modules[name]


_PRELUDE = """
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
import outpace
"""


@dataclass
class Maker:
    """Makes promotions of a decorated function; `compiled` ends the part of the stand-in."""

    language: PlainPython
    compiled: Callable[[], None]

    def make(self, fn, source, *, workloads=None, median=8.1, **changes) -> Promotion:
        reference = fn.reference
        contract = reference.contract
        chosen = [w for w in contract.workloads if workloads is None or w.name in workloads]
        here = changes.pop("target", target.hardware())
        fields = {
            "reference": reference.name,
            "key": promotions.key_for(reference, here, chosen),
            "variant": Variant(Draft("numba", source, flags=changes.pop("flags", {}))),
            "evidence": tuple(
                Evidence(w, Speedup(median, 7.9, 8.3), (), "native", {}, 0.01) for w in chosen
            ),
            "target": here,
            "grade": Grade.A,
            "contract": contract,
        }
        return Promotion(**{**fields, **changes})

    def write(self, fn, source, **changes) -> Path:
        return promotions.write(self.make(fn, source, **changes), fn.reference)


@pytest.fixture
def promote(monkeypatch):
    """Makes promotions, and has kernels loaded by the stand-in."""
    language, real = PlainPython(), builds.load_promoted
    monkeypatch.setattr(builds, "load_promoted", language.load_promoted)
    return Maker(language, lambda: monkeypatch.setattr(builds, "load_promoted", real))
