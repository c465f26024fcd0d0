"""Building and checking of variants on the drawn cases; two or more may be worked on at a time."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from msgspec.structs import replace

from outpace import environment
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.codegen.visible import hidden_character, shown
from outpace.errors import StorageError
from outpace.kernels.languages import language_named
from outpace.model import Counterexample, Draft, Grade, Mismatch, Speedup, Status, Trial, Variant
from outpace.tuner.confirm import describe, describe_sizes
from outpace.tuner.contenders import Contender
from outpace.tuner.gpu.contender import contender_of
from outpace.tuner.gpu.process import worker_of
from outpace.tuner.numerics.acceptance import compare
from outpace.tuner.numerics.selfcheck import CheckedReference
from outpace.tuner.numerics.shrinking import shrunk
from outpace.tuner.process import Call, Failure, Worker, capacity_for

BUILD_LIMIT = 240.0
"""Seconds for a compiler; Numba has taken 30 for a long parallel function."""
CALL_LIMIT = 20.0
"""Seconds for one call on a small drawn case, compilation of a plain function included."""

_OWN_DRAFTERS = ("builtin", "user")


@dataclass
class Evaluation:
    """A variant that compiled and was right on every drawn case."""

    variant: Variant
    build: TemporaryDirectory[str] | None
    """Holds the bound source and what was compiled from it, and goes when this object goes; None
    for a variant that an interrupted run screened, until it is built again."""
    grade: Grade
    seconds: dict[str, float] = field(default_factory=dict)
    """Screened time of one call by workload name, allocation of outputs included."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Workloads at which it was clearly slower than another, and after how many timed calls."""
    kind: type[Contender] = Contender
    """What it competes as."""

    @property
    def contender(self) -> Contender:
        """As the confirmation takes it."""
        assert self.build is not None
        return self.kind(self.variant, Path(self.build.name), self.seconds)


def trial_of(
    variant: Variant,
    status: Status,
    reason: str,
    *,
    workload: str = "",
    stage: str = "check",
    grade: Grade = Grade.D,
    speedup: Speedup | None = None,
    counterexample: Counterexample | None = None,
    details: str = "",
) -> Trial:
    """A trial of this variant."""
    return Trial(
        variant.draft.hash,
        variant.draft.language,
        variant.params,
        workload,
        status,
        shown(reason),
        grade,
        stage,
        speedup,
        counterexample=counterexample,
        label=shown(variant.label),
        details=shown(details[:8000]),
        tokens=variant.draft.provenance.tokens,
        cost=variant.draft.provenance.cost,
    )


def lowest_grade(draft: Draft, *, accept_risk: bool) -> Grade:
    """The grade of isolation below which a draft is not run.

    What the user or the built-in drafter wrote runs at any, what a model wrote does not.
    """
    if accept_risk or draft.provenance.drafter in _OWN_DRAFTERS:
        return Grade.D
    return Grade.B


def build_and_check(
    reference: Reference,
    checked: CheckedReference,
    variant: Variant,
    *,
    accept_risk: bool = False,
    shrinks: bool = True,
) -> Evaluation | Trial:
    """Compile a variant and run it on every drawn case; a Trial when that ends it.

    Args:
        reference: What it is a variant of.
        checked: The same, with the cases.
        variant: The variant.
        accept_risk: Run what a model wrote even where isolation is weak.
        shrinks: Look for a simpler case than the one on which it was wrong.

    Raises:
        StorageError: There is no room for the build.
    """
    if (hidden := hidden_character(variant.draft.source)) is not None:
        return trial_of(
            variant, Status.INVALID, f"it holds a character that is not shown: {hidden}"
        )
    language = language_named(variant.draft.language)
    try:
        build = write_source(f"draft{language.suffix}", language.bind(variant))
    except SyntaxError as error:
        return trial_of(variant, Status.BUILD_FAILED, f"does not compile: {error}")
    start = partial(
        worker_of(reference),
        reference.contract,
        Path(build.name),
        capacity_for(reference.contract, [(1, case.sizes) for case in checked.cases]),
        variant=variant,
        lowest=lowest_grade(variant.draft, accept_risk=accept_risk),
        start_limit=BUILD_LIMIT,
    )
    running: Case | None = None
    try:
        with start(building=True) as builder:
            if builder.compiles_late:
                _run_all(reference, checked, builder)
        with start() as worker:
            grade = worker.grade
            for position, case in enumerate(checked.cases):
                running = case if position else None  # what fails at once fails anywhere
                mismatch = _check(reference, checked, worker, position)
                if mismatch is not None:
                    found = case.counterexample(mismatch)
                    if shrinks:
                        found = shrunk(checked.oracle, worker, case, mismatch)
                    return _wrong(variant, found, grade)
    except Failure as failure:
        at = "" if running is None else f" (at {describe_sizes(running)})"
        return trial_of(
            variant,
            failure.status,
            failure.reason + at,
            grade=failure.grade,
            counterexample=None if running is None else running.counterexample(None),
            details=failure.details,
        )
    return Evaluation(variant, build, grade, kind=contender_of(reference))


def _wrong(variant: Variant, found: Counterexample, grade: Grade) -> Trial:
    assert found.mismatch is not None
    sizes = describe_sizes(Case.of_counterexample(found))
    reason = f"wrong at {sizes}: {describe(found.mismatch)}"
    return trial_of(variant, Status.WRONG, reason, grade=grade, counterexample=found)


def _run_all(reference: Reference, checked: CheckedReference, builder: Worker) -> None:
    """Let a draft that compiles when it is called do so where it can keep what it compiles.

    Its values are drawn for this alone: what it keeps must not hold the answers of the check. On
    some of them the reference itself might raise, so that a crash is left for the check to find.
    """
    try:
        for position, case in enumerate(checked.cases):
            fresh = replace(case, seed=secrets.randbits(62))
            _run_case(reference, builder, fresh, may_compile=position == 0)
    except Failure as failure:
        if failure.status is not Status.CRASHED:
            raise


def write_source(name: str, source: str) -> TemporaryDirectory[str]:
    """A new folder with this file: what an earlier run of a draft left must never be read."""
    parent = environment.cache_dir() / "judged"
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        build = TemporaryDirectory(prefix=f"{os.getpid()}-", dir=parent, ignore_cleanup_errors=True)
        (Path(build.name) / name).write_text(source, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"builds cannot be written to {parent}: {error.strerror or error}; free space or "
            "make it writable (XDG_CACHE_HOME moves it), then run the same command again"
        ) from error
    return build


def discard_abandoned_builds() -> None:
    """Remove what runs that were killed have left in the cache folder."""
    for folder in (environment.cache_dir() / "judged").glob("*-*"):
        owner = folder.name.partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _check(
    reference: Reference, checked: CheckedReference, worker: Worker, position: int
) -> Mismatch | None:
    case = checked.cases[position]
    _run_case(reference, worker, case, may_compile=position == 0 and worker.compiles_late)
    return compare(reference.contract, checked.expected[position], worker.results())


def _run_case(reference: Reference, worker: Worker, case: Case, *, may_compile: bool) -> None:
    worker.prepare([Call(case.sizes, draw_inputs(reference, case))], anywhere=True)
    worker.run(BUILD_LIMIT if may_compile else CALL_LIMIT)
