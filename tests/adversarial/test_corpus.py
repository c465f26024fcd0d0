"""Every hostile draft goes through the real judge and gets the verdict its header states."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from corpus import CLASSES, CORPUS, HERE
from table import TABLE, table

from outpace.codegen.reference import load_reference
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft
from outpace.model import Draft, Parameter, Status
from outpace.tuner import api, campaign, confirm, evaluate, plan
from outpace.tuner.rule import SequentialRule

LEAST = {"numba": 45, "c": 45}
UNDECIDED = {"not-faster": "inconclusive"}
"""What else a verdict may be on a machine that is too busy to tell."""
needs_c = pytest.mark.skipif(
    language_named("c").unavailable() is not None, reason="there is no C compiler"
)


@pytest.fixture(scope="module")
def prepared():
    """A reference by name, checked once for all drafts of it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(campaign, "check_reference", functools.cache(campaign.check_reference))
    patch.setattr(campaign.secrets, "randbits", lambda _: 20)
    plans = {}

    def planned(reference, oracle, workload, rng):
        if reference.name not in plans:
            plans[reference.name] = plan.make_plan(reference, oracle, workload, rng)
        return plans[reference.name]

    patch.setattr(campaign, "make_plan", planned)
    yield functools.cache(lambda name: load_reference(f"{HERE / 'reference.py'}:{name}"))
    patch.undo()


@pytest.fixture
def judge(prepared, tmp_path, monkeypatch):
    """`judge(name, draft)` with a short rule that promotes more readily."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        evaluate, "shrunk", lambda _oracle, _worker, case, mismatch: case.counterexample(mismatch)
    )
    monkeypatch.setattr(plan, "PROCESS_SECONDS", 0.1)
    monkeypatch.setattr(confirm, "PAIRS_ALONE", 12)
    monkeypatch.setattr(confirm.SequentialRule, "for_alpha", lambda _: SequentialRule((3, 4)))
    return functools.partial(_judged, prepared, tmp_path / "promoted")


def _judged(prepared, promoted, name, draft, **options):
    return api.judge(prepared(name), draft, promoted=promoted, **options)


def _marked(hostile):
    marks = [needs_c] if hostile.language == "c" else []
    if "rehearsed" in hostile.held:  # which comes after it was found to be faster
        marks.append(pytest.mark.alone)
    return pytest.param(hostile, id=hostile.path.name, marks=marks)


@pytest.mark.parametrize("hostile", [_marked(draft) for draft in CORPUS])
def test_verdict(hostile, judge, tmp_path, monkeypatch):
    if hostile.expect == Status.TIMEOUT.value:  # others may be slow on a busy machine
        monkeypatch.setattr(evaluate, "BUILD_LIMIT", 6.0)
    draft = read_draft(hostile.path, language_named(hostile.language))

    result = judge(hostile.reference, draft)

    assert result.verdict is not None
    assert result.verdict.value in {hostile.expect, UNDECIDED.get(hostile.expect)}, [
        t.reason for t in result.trials
    ]
    assert result.promotion is None
    assert not list(tmp_path.rglob("promotion.json"))


@pytest.mark.alone
@pytest.mark.parametrize(
    "path", [HERE / "honest" / "loop.py", pytest.param(HERE / "honest" / "loop.c", marks=needs_c)]
)
def test_an_honest_draft_is_promoted(path, judge, tmp_path):
    language = language_named("c" if path.suffix == ".c" else "numba")

    result = judge("smooth", read_draft(path, language))

    assert result.verdict is Status.FASTER, [t.reason for t in result.trials]
    assert len(list(tmp_path.rglob("promotion.json"))) == 1


def test_the_corpus_covers_every_class_in_both_languages():
    for language, least in LEAST.items():
        assert sum(draft.language == language for draft in CORPUS) >= least
    assert {draft.kind for draft in CORPUS} == set(CLASSES)


def test_the_table_is_current():
    assert TABLE.read_text(encoding="utf-8") == table(), f"run python {HERE / 'table.py'}"


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


@pytest.mark.alone
def test_calls_of_a_batch_worked_on_together(judge):
    result = judge("chain", Draft("numba", WHOLE_BATCH), dry_run=True, screened=False)

    assert result.verdict is Status.NOT_FASTER, [t.reason for t in result.trials]
    assert "a call made alone" in result.trials[-1].reason


SECRET = "4f1c9a7e"
STOLEN = """#include <stdint.h>
__asm__(".section .rodata\\nstolen: .incbin \\"{path}\\"\\n.previous");
extern const char stolen[];
void kernel(int64_t n, const double *restrict u, double *restrict out) {{
    for (int64_t i = 0; i < n; i++) out[i] = stolen[i % 8];
}}
"""


@needs_c
@pytest.mark.parametrize("source", ['#include "{path}"\n', STOLEN], ids=["message", "program"])
def test_a_build_cannot_read_what_is_not_its_own(source, judge, tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET} is secret\n")

    result = judge("smooth", Draft("c", source.format(path=path)))

    assert result.verdict is Status.BUILD_FAILED, [t.reason for t in result.trials]
    assert not any(SECRET in trial.reason + trial.details for trial in result.trials)


def test_what_a_draft_says_gives_no_commands_to_a_terminal(judge):
    source = "def kernel(u, out):\n    raise ValueError('\\x1b[2J faster')\n"

    result = judge("smooth", Draft("numba", source))

    assert result.verdict is Status.CRASHED
    assert "\\x1b[2J faster" in result.trials[-1].reason
    assert "\x1b" not in result.trials[-1].reason + result.trials[-1].details


def test_code_that_no_reader_would_see_is_not_judged(judge):
    result = judge("smooth", Draft("numba", "def kernel(u, out):\n    out[:] = u  # \u202e\n"))

    assert result.verdict is Status.INVALID
    assert "U+202E in line 2" in result.trials[-1].reason


def test_source_that_is_nested_too_deeply_to_be_parsed_fails_to_build(judge):
    source = f"x = {'-' * 20_000}1\n\n\ndef kernel(u, out):\n    pass\n"

    result = judge("smooth", Draft("numba", source, (Parameter("TILE", (1,)),)))

    assert result.verdict is Status.BUILD_FAILED, [t.reason for t in result.trials]
