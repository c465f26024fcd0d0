"""A judge that is impatient with what never ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted_drafts import judge_of

from outpace.tuner.mpi import ranks, simulation


@pytest.fixture
def judge(monkeypatch, tmp_path):
    """`judge(planted, **options)`; only what should end by a time limit has a short one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def judged(one, **options):
        if one.status == "timeout":
            monkeypatch.setattr(simulation, "CALL_LIMIT", 2.0)
            monkeypatch.setattr(ranks, "CALL_LIMIT", 2.0)
            monkeypatch.setattr(ranks, "FIRST_LIMIT", 5.0)
        return judge_of(one.reference).judge(one.draft, **options)

    return judged
