"""The JSON objects that scripts rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from outpace.model import Promotion, Speedup, Target, Trial

if TYPE_CHECKING:
    from outpace.codegen.inputs import Case
    from outpace.tuner.api import CheckResult, Result
    from outpace.tuner.mpi.measured import RankTimes
    from outpace.tuner.production import Demoted
    from outpace.tuner.worth import Side, Worth


def tuned(result: Result) -> dict[str, Any]:
    """`outpace.tune/1` of a campaign."""
    return {
        "schema": "outpace.tune/1",
        "reference": result.reference,
        "target": target(result.target),
        "trials": [of_trial(trial) for trial in result.trials],
        "promotion": _promotion(result),
        "on_ranks": [_on_ranks(times) for times in result.measured],
        "spent": _spent(result),
        "loop": _worth(result.worth),
    }


def judged(result: Result) -> dict[str, Any]:
    """`outpace.tune/1` of one judged draft, with its verdict and what else there is to say."""
    verdict = None if result.verdict is None else result.verdict.value
    return {**tuned(result), "verdict": verdict, "notes": list(result.notes)}


def rerun(reference: str, case: Case, trial: Trial | None) -> dict[str, Any]:
    """`outpace.case/1` of a draft that was run on one case; no trial where it was right."""
    return {
        "schema": "outpace.case/1",
        "reference": reference,
        "case": json_values(case),
        "accepted": trial is None,
        "trial": None if trial is None else of_trial(trial),
    }


def checked(results: Sequence[CheckResult]) -> dict[str, Any]:
    """`outpace.check/1`."""
    return {
        "schema": "outpace.check/1",
        "results": [
            {
                "path": str(r.path),
                "reference": r.reference,
                "status": r.status.value,
                "reason": r.reason,
                "speedup": speedup(r.speedup),
            }
            for r in results
        ],
    }


def speedup(value: Speedup | None) -> dict[str, float] | None:
    """Median and interval."""
    return None if value is None else {"median": value.median, "low": value.low, "high": value.high}


def target(value: Target) -> dict[str, Any]:
    """A target without the tag that storage needs."""
    fields: dict[str, Any] = json_values(value)
    return fields


def demotion(record: Demoted) -> dict[str, Any]:
    """A wrong call in production."""
    return {
        "time": record.time,
        "promotion": record.promotion,
        "sizes": record.sizes,
        "mismatch": record.mismatch,
        "arguments": record.arguments,
    }


def json_values(value: Any) -> Any:
    """Plain values of a stored one: without the tags, and with non-finite floats as text."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: json_values(field) for name, field in fields.items()}
    if isinstance(value, Mapping):
        return {name: json_values(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def of_trial(trial: Trial) -> dict[str, Any]:
    """A trial, with the case on which it was wrong."""
    return {
        "draft": trial.draft,
        "language": trial.language,
        "params": trial.params,
        "workload": trial.workload,
        "status": trial.status.value,
        "reason": trial.reason,
        "speedup": speedup(trial.speedup),
        "grade": trial.grade.value,
        "counterexample": _counterexample(trial),
        "tokens": trial.tokens,
        "cost": trial.cost,
        "roofline": json_values(trial.roofline),
    }


def headline(promotion: Promotion) -> Speedup | None:
    """The speedup that stands for a promotion: at its last, most demanding workload."""
    return promotion.evidence[-1].speedup if promotion.evidence else None


def _counterexample(trial: Trial) -> dict[str, Any] | None:
    """The case as `outpace judge --case` takes it, and the element that was wrong there."""
    found = trial.counterexample
    if found is None:
        return None
    plain: dict[str, Any] = json_values(found)
    mismatch = plain.pop("mismatch")
    return {"case": plain, "mismatch": mismatch}


def _on_ranks(times: RankTimes) -> dict[str, Any]:
    """What the confirmation of a program for ranks has measured."""
    return {
        "ranks": times.ranks,
        "workload": times.workload,
        "variant": times.label,
        "status": times.status.value,
        "over_reference": speedup(times.over_reference),
        "over_serial": speedup(times.over_serial),
        "over_threaded": speedup(times.over_threaded),
        "efficiency": times.efficiency,
    }


def _spent(result: Result) -> dict[str, Any] | None:
    """What drafting by a model has cost; None without one."""
    if result.spent is None:
        return None
    return {**asdict(result.spent), "cost_per_promotion": result.cost_per_promotion}


def _worth(worth: Worth | None) -> dict[str, Any] | None:
    """What rounds with a model have bought; None where no model has drafted."""
    if worth is None:
        return None
    missing = None if worth.missing is None else asdict(worth.missing)
    return {
        "loop": _side(worth.loop),
        "samples": _side(worth.samples),
        "better": None if worth.better is None else worth.better.value,
        "missing": missing,
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "replies": side.replies,
        "tokens": side.tokens,
        "idea": side.idea,
        "screened": side.screened,
        "confirmed": speedup(side.confirmed),
    }


def _promotion(result: Result) -> dict[str, Any] | None:
    if result.promotion is None or result.path is None:  # a dry run writes nothing
        return None
    return {
        "path": str(result.path),
        "language": result.promotion.variant.draft.language,
        "ranks": result.promotion.key.ranks,
        "speedup": speedup(headline(result.promotion)),
    }
