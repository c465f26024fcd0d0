"""Building and checking of variants on the drawn cases; two or more may be worked on at a time."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from outpace import environment
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.reference import Reference
from outpace.errors import StorageError
from outpace.kernels.languages import language_named
from outpace.model import Counterexample, Grade, Mismatch, Speedup, Status, Trial, Variant
from outpace.tuner.acceptance import compare
from outpace.tuner.confirm import Contender, describe
from outpace.tuner.process import Call, Failure, Worker, capacity_for
from outpace.tuner.selfcheck import CheckedReference

BUILD_LIMIT = 240.0
"""Seconds for a compiler; Numba has taken 30 for a long parallel function."""
CALL_LIMIT = 20.0
"""Seconds for one call on a small drawn case, compilation of a plain function included."""


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

    @property
    def contender(self) -> Contender:
        """As the confirmation takes it."""
        assert self.build is not None
        return Contender(self.variant, Path(self.build.name), self.seconds)


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
        reason,
        grade,
        stage,
        speedup,
        counterexample=counterexample,
        label=variant.label,
        details=details[:8000],
    )


def build_and_check(
    reference: Reference, checked: CheckedReference, variant: Variant
) -> Evaluation | Trial:
    """Compile a variant and run it on every drawn case; a Trial when that ends it.

    Raises:
        StorageError: There is no room for the build.
    """
    language = language_named(variant.draft.language)
    try:
        build = _write_source(f"draft{language.suffix}", language.bind(variant))
    except SyntaxError as error:
        return trial_of(variant, Status.BUILD_FAILED, f"does not compile: {error}")
    grade = Grade.D
    try:
        with Worker(
            reference.contract,
            Path(build.name),
            capacity_for(reference.contract, [(1, case.sizes) for case in checked.cases]),
            variant=variant,
            start_limit=BUILD_LIMIT,
        ) as worker:
            grade = worker.grade
            for position, case in enumerate(checked.cases):
                mismatch = _check(reference, checked, worker, position)
                if mismatch is not None:
                    return trial_of(
                        variant,
                        Status.WRONG,
                        f"wrong at {_sizes(case)}: {describe(mismatch)}",
                        grade=grade,
                        counterexample=Counterexample(
                            case.sizes, case.seed, case.flavour, mismatch
                        ),
                    )
    except Failure as failure:
        return trial_of(
            variant, failure.status, failure.reason, grade=grade, details=failure.details
        )
    return Evaluation(variant, build, grade)


def _write_source(name: str, source: str) -> TemporaryDirectory[str]:
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
    worker.prepare([Call(case.sizes, draw_inputs(reference, case))])
    may_compile = position == 0 and worker.compiles_late
    worker.run(BUILD_LIMIT if may_compile else CALL_LIMIT)
    return compare(reference.contract, checked.expected[position], worker.results())


def _sizes(case: Case) -> str:
    return ", ".join(f"{name}={size}" for name, size in case.sizes.items())
