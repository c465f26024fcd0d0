"""What programs for ranks must beat on the same cores: the best serial and the best threaded form.

Promotions that stand take part; beside them the built-in drafter's drafts in C and Numba are
explored for a while, apart with one thread and with several. Where none with one thread is right,
as for a product or a transform, the reference on one core stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Self

import msgspec

from outpace.codegen.drafters import drafter_named
from outpace.codegen.drafters.base import DraftingTask
from outpace.codegen.mpi.local import is_parallel
from outpace.codegen.nests.c.parameters import PARALLEL
from outpace.codegen.reference import Reference
from outpace.kernels.languages import languages_here
from outpace.model import Contract, Draft, Provenance, Variant
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.contenders import Against, Batches, Contender, Runner
from outpace.tuner.evaluate import Evaluation
from outpace.tuner.events import Message
from outpace.tuner.placement import on_one_core
from outpace.tuner.plan import reference_worker
from outpace.tuner.process import capacity_for

DRAFTER = "builtin, against ranks"
"""Name of the campaign that looks for baselines."""
EXPLORED = Budget(drafts=24)
"""What is spent on it, half of it on variants with one thread."""
_DRAFTS = 8
"""Most drafts of each kind: the rest of the budget is for their parameters."""
_LANGUAGES = ("c", "numba")


@dataclass(frozen=True)
class Baselines:
    """The fastest variants with one thread and with several.

    Attributes:
        at: By workload name; the serial one is the reference on one core if no variant was right.
        serial: The best serial variant over all workloads, or None.
    """

    at: Mapping[str, Mapping[Against, Contender]]
    serial: Variant | None


class OnOneCore(Contender):
    """A variant in a process that has one core, for the threads of a BLAS that it calls too."""

    def start(self, contract: Contract, batches: Batches) -> Runner:
        """As of a contender."""
        with on_one_core():
            return super().start(contract, batches)


@dataclass(frozen=True)
class ReferenceOnOneCore(Contender):
    """The reference in such a process."""

    reference: Reference

    @classmethod
    def of(cls, reference: Reference, seconds: dict[str, float]) -> Self:
        """With its rough times by workload name."""
        told = Provenance("user", "the reference on one core")
        closure = reference.closure
        draft = Draft("python", closure.functions[closure.name], provenance=told)
        return cls(Variant(draft), Path(), seconds, reference)

    def start(self, contract: Contract, batches: Batches) -> Runner:
        """As of a contender."""
        with on_one_core():
            return reference_worker(self.reference, capacity_for(contract, batches))


def is_threaded(variant: Variant) -> bool:
    """Whether a built-in variant in C or Numba runs on several threads."""
    return bool(variant.params.get(PARALLEL)) or _is_parallel(variant.draft)


def _is_parallel(draft: Draft) -> bool:
    return draft.language == "numba" and is_parallel(draft.source)


def find_baselines(campaign: Campaign) -> Baselines:
    """Explore serial, then threaded variants of a prepared campaign; builds stay with it."""
    languages = tuple(name for name in _LANGUAGES if name in languages_here())
    task = DraftingTask(campaign.reference, campaign.target, languages)
    drafts = drafter_named(DRAFTER.partition(",")[0]).propose(task).drafts
    campaign.observer.notice(Message("looking for the best serial and the best threaded variant"))
    campaign.evaluate(campaign.incumbents)
    for threaded, share in ((False, 0.5), (True, 1.0)):
        alike = [one for draft in drafts for one in _with_threads(draft, threaded=threaded)]
        campaign.search_anew()
        campaign.explore(alike[:_DRAFTS], share)
    at = {plan.workload.name: _fastest(campaign, plan.workload.name) for plan in campaign.plans}
    found = campaign.evaluator.evaluations.values()
    serial = min((e for e in found if not is_threaded(e.variant)), key=over_all, default=None)
    return Baselines(at, None if serial is None else serial.variant)


def _fastest(campaign: Campaign, workload: str) -> dict[Against, Contender]:
    """The fastest variant of each kind at a workload, built."""
    found: dict[Against, Contender] = {}
    by_time = sorted(campaign.evaluator.evaluations.values(), key=lambda one: one.seconds[workload])
    for one in by_time:
        kind = Against.THREADED if is_threaded(one.variant) else Against.SERIAL
        # What an earlier run has screened is built again when it is needed.
        if kind not in found and campaign.evaluator.rebuild(one) is None:
            built = one.contender
            if kind is Against.SERIAL:
                built = OnOneCore(built.variant, built.folder, built.seconds)
            found[kind] = built
    on_all_cores = {plan.workload.name: plan.reference_seconds for plan in campaign.plans}
    return {Against.SERIAL: ReferenceOnOneCore.of(campaign.reference, on_all_cores), **found}


def _with_threads(draft: Draft, *, threaded: bool) -> list[Draft]:
    """The draft with threads or without, if it can be had so."""
    choices = next((p.values for p in draft.parameters if p.name == PARALLEL), None)
    if choices is None:
        return [draft] if _is_parallel(draft) is threaded else []
    kept = tuple(value for value in choices if bool(value) is threaded)
    parameters = tuple(
        msgspec.structs.replace(p, values=kept) if p.name == PARALLEL else p
        for p in draft.parameters
    )
    return [msgspec.structs.replace(draft, parameters=parameters)] if kept else []


def over_all(evaluation: Evaluation) -> float:
    """The sum of the logarithms of its times at all workloads."""
    return sum(map(log, evaluation.seconds.values()))
