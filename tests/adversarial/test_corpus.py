"""Every hostile draft goes through the real judge and gets the verdict its first line states."""

from __future__ import annotations

from pathlib import Path

import pytest

from outpace.codegen.reference import load_reference
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft
from outpace.tuner import api, evaluate

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
    reference = load_reference(f"{HERE / 'reference.py'}:smooth")

    result = api.judge(
        reference, read_draft(path, language_named("numba")), promoted=tmp_path / "promoted"
    )

    assert result.verdict is not None
    assert result.verdict.value == expected_verdict(path), [t.reason for t in result.trials]
    assert result.promotion is None
    assert not list(tmp_path.rglob("promotion.json"))
