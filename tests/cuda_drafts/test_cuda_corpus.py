"""Every planted draft gets the verdict its header states, without a GPU."""

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cuda_corpus import CORPUS, HERE

from outpace.codegen.reference import load_reference
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft
from outpace.model import Status, Variant
from outpace.tuner.numerics.selfcheck import check_reference
from outpace.tuner.simgpu.building import unavailable
from outpace.tuner.simgpu.check import CASE_LIMIT, check_cuda

pytestmark = pytest.mark.skipif(unavailable() is not None, reason="there is no C++ compiler")
LEAST = 30
"""Drafts that every run of the tests checks."""
PLANTED = [
    pytest.param(planted, id=planted.path.stem, marks=[pytest.mark.soak] * planted.is_long)
    for planted in CORPUS
]


@pytest.fixture(scope="module")
def checked():
    """A reference by name, checked once for all drafts of it."""

    @functools.cache
    def of(name):
        return check_reference(load_reference(f"{HERE / 'cuda_references.py'}:{name}"), 1, cases=12)

    return of


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_draft_gets_its_verdict(planted, checked):
    draft = read_draft(planted.path, language_named("cuda"))
    variant = Variant(draft, {p.name: p.values[0] for p in draft.parameters})
    limit = 2.0 if planted.expect == "timeout" else CASE_LIMIT
    trial = check_cuda(checked(planted.reference), variant, limit=limit)
    assert trial.status == planted.expect, trial.reason
    assert planted.says in trial.reason


def test_the_corpus_holds_right_and_wrong_drafts_of_every_kind():
    daily = [planted for planted in CORPUS if not planted.is_long]
    assert len(daily) >= LEAST
    found = {planted.expect for planted in daily}
    wanted = {"CHECKED", "WRONG", "CRASHED", "TIMEOUT", "INVALID", "BUILD_FAILED", "OVER_LIMIT"}
    assert {Status[name] for name in (*wanted, "INCONCLUSIVE")} == found
