"""Drafts for MPI ranks, as a language; what they compute is judged in tests/tuner/mpi."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float64

import outpace
from outpace.errors import UsageError
from outpace.kernels.languages import LANGUAGES, language_named, languages_here
from outpace.kernels.languages.base import BuildError, InvalidDraft, parse_draft, render_draft
from outpace.kernels.languages.mpi import MPI, takes_sizes
from outpace.model import Provenance, Variant


@outpace.optimize(workloads={"w": {"n": 4}}, split={"n": outpace.Block()})
def double(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    return a + a


HEADER = '# outpace: {"parameters": {"TILE": [8, 16]}, "flags": {"grid": "n"}}\n'
RIGHT = HEADER + "TILE = 1\n\n\ndef run(comm, a, out):\n    out[:] = TILE * a\n"


@pytest.fixture
def load(tmp_path):
    def loaded(text, **params):
        draft = parse_draft(text, MPI, Provenance("user"))
        path = tmp_path / "draft.py"
        path.write_text(MPI.bind(Variant(draft, params)))
        MPI.build(path, double.reference.contract, tmp_path / "cache")
        return MPI.load(path, double.reference.contract, tmp_path / "cache")

    return loaded


def test_it_is_used_only_when_it_is_asked_for():
    assert language_named("mpi") is MPI
    assert "mpi" not in LANGUAGES
    assert "mpi" not in languages_here()
    with pytest.raises(UsageError, match="no language"):
        language_named("mpi2")


def test_a_file_is_read_back_as_written():
    draft = parse_draft(RIGHT, MPI, Provenance("user"))
    assert draft.flags == {"grid": "n"}
    assert parse_draft(render_draft(draft, MPI), MPI, Provenance("user")) == draft


def test_parameters_reach_the_module(load):
    run = load(RIGHT, TILE=16)
    out = np.zeros(3)
    run(None, np.ones(3), out)
    assert out.tolist() == [16.0, 16.0, 16.0]


def test_every_load_is_a_module_of_its_own(load):
    text = "seen = []\n\n\ndef run(comm, a, out):\n    seen.append(1)\n    out[:] = len(seen)\n"
    first, second, out = load(text), load(text), np.zeros(1)
    first(None, out, out)
    second(None, out, out)
    assert out.tolist() == [1.0]


@pytest.mark.parametrize(
    ("signature", "wanted"),
    [("comm, a, out", False), ("comm, a, out, *, sizes", True), ("comm, a, out, sizes=1", False)],
)
def test_global_sizes_are_given_to_those_who_ask(load, signature, wanted):
    assert takes_sizes(load(f"def run({signature}):\n    pass\n")) is wanted


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("x = 1\n", InvalidDraft, "does not define a function named `run`"),
        ("run = 3\n", InvalidDraft, "does not define a function named `run`"),
        ("def run(comm, out):\n    pass\n", InvalidDraft, "cannot be called with run.comm, a, out"),
        ("def run(comm, a, out, *, more):\n    pass\n", InvalidDraft, "missing a required"),
        ("def run(:\n", BuildError, "SyntaxError"),
    ],
)
def test_what_is_no_draft_says_why(load, text, error, says):
    with pytest.raises(error, match=says):
        load(text)


def test_what_numba_compiles_is_kept(load, tmp_path):
    run = load(
        "from numba import njit\n\n\n@njit\ndef kernel(a, out):\n    out[:] = a\n\n\n"
        "def run(comm, a, out):\n    kernel(a, out)\n"
    )
    run(None, np.ones(2), np.zeros(2))
    assert list((tmp_path / "cache" / "numba").iterdir())
