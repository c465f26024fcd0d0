"""Drafts for Pythran: what is refused anywhere, and what is compiled where it is installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from jaxtyping import Float64

from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import UsageError
from outpace.kernels.languages import language_named, languages_here
from outpace.kernels.languages.base import BuildError, InvalidDraft, parse_draft
from outpace.kernels.languages.pythran import PYTHRAN
from outpace.model import Draft, Parameter, Provenance, Target, Variant
from outpace.tuner.api import refuse_unavailable

SCALE = 2.0
installed = pytest.mark.skipif(PYTHRAN.unavailable() is not None, reason=str(PYTHRAN.unavailable()))


def scaled(x: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """Is called by the reference."""
    return SCALE * x


def smoothed(
    u: Float64[np.ndarray, "n m"], steps: int, weight: float
) -> tuple[Float64[np.ndarray, "n m"], float]:
    """Two results, a loop and a helper."""
    v = u.copy()
    for _ in range(steps):
        v[1:-1, :] = weight * (v[:-2, :] + v[2:, :])
    return v, np.sum(scaled(v))


REFERENCE = Reference(smoothed, ReferenceOptions({"w": {"n": 8, "m": 8, "steps": 2}}))
CONTRACT = REFERENCE.contract


def drafted():
    task = DraftingTask(REFERENCE, Target("x86_64", "some cpu", 2), ("pythran",))
    return drafter_named("builtin").propose(task).drafts


def built(draft: Draft, params: dict[str, int], folder):
    path = folder / "draft.py"
    path.write_text(PYTHRAN.bind(Variant(draft, params)))
    PYTHRAN.build(path, CONTRACT, folder / "cache")
    return PYTHRAN.load(path, CONTRACT, folder / "cache")


def test_it_is_a_language_of_its_own_that_models_are_not_asked_for():
    assert language_named("pythran") is PYTHRAN
    assert "pythran" not in languages_here()
    assert ("pythran" in languages_here(optional=True)) == (PYTHRAN.unavailable() is None)


def test_where_it_is_not_installed_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert PYTHRAN.unavailable() == "pythran is not installed; pip install 'outpace[pythran]'"
    with pytest.raises(UsageError, match=r"language pythran is off: .*outpace\[pythran\]"):
        refuse_unavailable("pythran")


def test_drafts_are_the_reference_in_plain_python():
    parallel, single = drafted()
    assert parallel.source == single.source
    assert "numba" not in single.source
    assert "def scaled(x):" in single.source
    assert "def kernel(u, steps, weight, out0, out1):" in single.source
    assert (parallel.flags, single.flags) == (
        {"-DUSE_XSIMD": True, "-fopenmp": True},
        {"-DUSE_XSIMD": True},
    )


def test_bound_source_keeps_flags_and_sets_parameters():
    source = "TILE = 4\n\n\ndef kernel(u, out):\n    out[:] = u * TILE\n"
    draft = Draft("pythran", source, (Parameter("TILE", (8, 16)),), (), {"-fopenmp": True})
    bound = parse_draft(PYTHRAN.bind(Variant(draft, {"TILE": 16})), PYTHRAN, Provenance("user"))
    assert bound.flags == draft.flags
    names: dict[str, object] = {}
    exec(bound.source, names)
    assert names["TILE"] == 16


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("def other(u):\n    pass\n", InvalidDraft, "does not define a function `kernel"),
        ("def kernel(u, out):\n    pass\n", InvalidDraft, r"kernel\(u, out\) cannot be called"),
        ("def kernel(:\n", BuildError, "SyntaxError"),
        ('# outpace: {"flags": {"-ffast-math": true}}\n', InvalidDraft, "flag '-ffast-math'"),
    ],
)
def test_what_is_refused_before_it_is_compiled(tmp_path, source, error, message):
    path = tmp_path / "draft.py"
    path.write_text(source)
    with pytest.raises(error, match=message):
        PYTHRAN.build(path, CONTRACT, tmp_path / "cache")


@installed
@pytest.mark.timeout(300)
def test_a_draft_compiles_and_means_what_the_reference_means(tmp_path):
    draft = drafted()[1]
    kernel = built(draft, {}, tmp_path)
    rng = np.random.default_rng(1)
    for shape in ((6, 5), (1, 3), (0, 4)):
        u = rng.standard_normal(shape)
        u.flags.writeable = False
        out, total = np.full(shape, np.nan), np.full(1, np.nan)
        kernel(u, 3, 0.4, out, total)
        want, whole = smoothed(u, 3, 0.4)
        np.testing.assert_allclose(out, want, rtol=1e-12)
        np.testing.assert_allclose(total, whole, rtol=1e-12)


@installed
@pytest.mark.timeout(300)
def test_what_pythran_does_not_know_is_said_in_its_words(tmp_path):
    body = "    import scipy.linalg\n    out0[:] = scipy.linalg.expm(u)\n    out1[0] = 0.0\n"
    source = f"def kernel(u, steps, weight, out0, out1):\n{body}"
    with pytest.raises(BuildError, match="scipy"):
        built(Draft("pythran", source), {}, tmp_path)
