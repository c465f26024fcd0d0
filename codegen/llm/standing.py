"""How drafts have done so far, gathered from the trials of their variants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean, median

from outpace.model import Draft, Scalar, Status, Trial

UNDECIDED = (Status.FASTER, Status.NOT_FASTER, Status.INCONCLUSIVE)
"""How trials of right variants end."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call of the best variant of a draft at a workload, and of the reference."""

    seconds: float
    reference: float

    @property
    def speedup(self) -> float:
        """Over the reference."""
        return self.reference / self.seconds


@dataclass(frozen=True)
class Standing:
    """What became of one draft.

    Attributes:
        draft: The draft.
        timings: Of its fastest variant that was right everywhere, by workload name; empty if none
            was.
        params: Parameters of that variant.
        failures: Trials of variants that failed, in order.
    """

    draft: Draft
    timings: dict[str, Timing]
    params: dict[str, Scalar]
    failures: tuple[Trial, ...]

    @property
    def speedup(self) -> float | None:
        """Geometric mean over the workloads; None where no variant was right and timed."""
        if not self.timings:
            return None
        return exp(fmean(log(timing.speedup) for timing in self.timings.values()))


def standings(drafts: Iterable[Draft], trials: Sequence[Trial]) -> list[Standing]:
    """The standing of each draft, in the order of the drafts."""
    by_draft: dict[str, list[Trial]] = {}
    for trial in trials:
        by_draft.setdefault(trial.draft, []).append(trial)
    return [_standing(draft, by_draft.get(draft.hash, [])) for draft in drafts]


def ranked(found: Iterable[Standing]) -> list[Standing]:
    """Those that were right and timed, the fastest first."""
    timed = [one for one in found if one.speedup is not None]
    return sorted(timed, key=lambda one: -(one.speedup or 0.0))


def _standing(draft: Draft, trials: Sequence[Trial]) -> Standing:
    by_variant: dict[str, list[Trial]] = {}
    for trial in trials:
        by_variant.setdefault(repr(sorted(trial.params.items())), []).append(trial)
    candidates = []
    for group in by_variant.values():
        # What failed once, be it in the confirmation, is not verified however fast it was.
        if all(trial.status in UNDECIDED for trial in group):
            timings = {t.workload: _timing(t) for t in group if t.samples}
            candidates.append(Standing(draft, timings, group[0].params, ()))
    best = next(iter(ranked(candidates)), Standing(draft, {}, {}, ()))
    failures = tuple(trial for trial in trials if trial.status not in UNDECIDED)
    return Standing(draft, best.timings, best.params, failures)


def _timing(trial: Trial) -> Timing:
    variant = median(s for pair in trial.samples for s in pair.variant)
    reference = median(s for pair in trial.samples for s in pair.baseline)
    return Timing(variant, reference)
