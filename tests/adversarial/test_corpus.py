"""Every hostile draft goes through the real judge and gets the verdict its first line states."""

from __future__ import annotations

from pathlib import Path

import pytest

from outpace.codegen.reference import load_reference
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft
from outpace.model import Draft, Status
from outpace.tuner import api, evaluate, plan

HERE = Path(__file__).parent
DRAFTS = sorted((HERE / "drafts").glob("*.py"))


def expected_verdict(path: Path) -> str:
    """The verdict in the header line `# expect: <status>`."""
    mark, _, status = path.read_text().splitlines()[0].partition(": ")
    assert mark == "# expect"
    return status


@pytest.mark.parametrize("path", DRAFTS, ids=lambda path: path.stem)
def test_verdict(path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "CALL_LIMIT", 2.0)
    monkeypatch.setattr(evaluate, "BUILD_LIMIT", 5.0)
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    reference = load_reference(f"{HERE / 'reference.py'}:smooth")

    result = api.judge(
        reference, read_draft(path, language_named("numba")), promoted=tmp_path / "promoted"
    )

    assert result.verdict is not None
    assert result.verdict.value == expected_verdict(path), [t.reason for t in result.trials]
    assert result.promotion is None
    assert not list(tmp_path.rglob("promotion.json"))


WHOLE_BATCH = """import sys
import numpy as np


def _chain(u):
    out = u.copy()
    for _ in range(12):
        out = np.sqrt(out * out + 1.0) - 0.5 * u
    return out


def kernel(u, out):
    batch = sys._getframe(1).f_locals["batch"]
    if len(batch) == 1:
        out[...] = _chain(u)
    elif u is batch[0][0]:
        results = _chain(np.stack([arguments[0] for arguments in batch]))
        for arguments, result in zip(batch, results):
            arguments[1][...] = result
"""


def test_calls_of_a_batch_worked_on_together(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    reference = load_reference(f"{HERE / 'reference.py'}:chain")

    result = api.judge(reference, Draft("numba", WHOLE_BATCH), dry_run=True, screened=False)

    assert result.verdict is Status.NOT_FASTER, [t.reason for t in result.trials]
    assert "a call made alone" in result.trials[-1].reason
