"""The campaign behind a desk: it judges drafts that are handed in, with the evaluator of `tune`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from outpace.codegen.drafters.base import DraftingTask
from outpace.codegen.drafters.builtin import BuiltinDrafter
from outpace.codegen.llm.languages import section
from outpace.codegen.llm.standing import standings
from outpace.codegen.reference import Reference
from outpace.model import Draft
from outpace.tuner.agents.desk import DRAFTER
from outpace.tuner.agents.verdicts import Known
from outpace.tuner.api import (
    Result,
    conclude,
    open_campaign,
    refuse_unavailable,
    workloads_of,
)
from outpace.tuner.campaign import Budget, Campaign
from outpace.tuner.events import Message, Observer
from outpace.tuner.exploration import UNBUDGETED
from outpace.tuner.journal import Screened, TrialRecord


@dataclass(frozen=True)
class Terms:
    """On which terms drafts of one reference are judged.

    Attributes:
        languages: Languages in which drafts are taken.
        workloads: Names of the workloads that count; empty for all.
        drafts: Drafts that may be handed in; None for no limit.
        minutes: After which no draft is judged, counted from when the first task is taken.
        fresh: Ignore what earlier runs found.
        promoted: Folder for promotions instead of the one beside the module.
        accept_risk: Run what is handed in even below isolation grade B.
        builtin: Judge the drafts of the built-in drafter first, so that there is one to beat.
    """

    languages: tuple[str, ...]
    workloads: tuple[str, ...] = ()
    drafts: int | None = None
    minutes: float | None = None
    fresh: bool = False
    promoted: Path | None = None
    accept_risk: bool = False
    builtin: bool = True


class CampaignAssessor:
    """Judges drafts of one reference in a campaign; see `outpace.tuner.agents.desk.Assessor`.

    Use it as a context manager: leaving it closes the journal. A later run goes on from there with
    the drafts that were judged.

    Args:
        reference: Whose drafts.
        terms: On which terms.

    Raises:
        UsageError: No such workload, or a language is off or no prompt can be written for it.
    """

    def __init__(self, reference: Reference, terms: Terms) -> None:
        workloads_of(reference, terms.workloads)
        for language in terms.languages:
            section(language)
            refuse_unavailable(language)
        self.reference = reference
        self.languages = terms.languages
        self.most_drafts = terms.drafts
        self._terms = terms
        self._stack = ExitStack()
        self._drafts: list[Draft] = []
        self._campaign: Campaign | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def prepare(self, observer: Observer) -> None:
        """Check the reference; judge promotions, drafts of an earlier run and built-in ones.

        Raises:
            ContractError: The reference cannot be judged.
            StorageError: Journal or promotion cannot be written.
        """
        terms = self._terms
        campaign = self._stack.enter_context(
            open_campaign(
                self.reference,
                DRAFTER,
                languages=terms.languages,
                workloads=terms.workloads,
                budget=Budget(minutes=terms.minutes, per_draft=UNBUDGETED),
                fresh=terms.fresh,
                promoted=terms.promoted,
                observer=observer,
                accept_risk=terms.accept_risk,
            )
        )
        campaign.prepare()
        earlier = _handed_in_before(campaign)
        self._campaign = campaign
        incumbents = campaign.incumbents
        campaign.evaluate(incumbents)
        self._explore([*(self._built_in(campaign) if terms.builtin else ()), *earlier])
        self._add([variant.draft for variant in incumbents])

    def judge(self, draft: Draft) -> None:
        """See `outpace.tuner.agents.desk.Assessor`."""
        self._explore([draft])

    def refuse(self, draft: Draft, reason: str) -> None:
        """See `outpace.tuner.agents.desk.Assessor`."""
        self._opened.evaluator.refuse(draft, reason)

    def known(self) -> Known:
        """See `outpace.tuner.agents.desk.Assessor`."""
        campaign = self._opened
        trials = tuple(campaign.trials)
        # What was confirmed comes last, and takes the place of what was screened.
        found = standings(self._drafts, (*campaign.evaluator.timed(), *trials))
        return Known(tuple(found), trials, campaign.is_spent)

    def conclude(self) -> Result:
        """See `outpace.tuner.agents.desk.Assessor`."""
        return conclude(self._opened)

    @property
    def _opened(self) -> Campaign:
        assert self._campaign is not None
        return self._campaign

    def _explore(self, drafts: list[Draft]) -> None:
        self._opened.explore(drafts)
        self._add(drafts)

    def _add(self, drafts: list[Draft]) -> None:
        known = {draft.hash for draft in self._drafts}
        self._drafts += [draft for draft in drafts if draft.hash not in known]

    def _built_in(self, campaign: Campaign) -> tuple[Draft, ...]:
        task = DraftingTask(self.reference, campaign.target, self.languages)
        proposal = BuiltinDrafter().propose(task)
        for note in proposal.notes:
            campaign.observer.notice(Message(note))
        return proposal.drafts


def _handed_in_before(campaign: Campaign) -> list[Draft]:
    """Drafts that earlier runs of the campaign have judged, in order."""
    found: dict[str, Draft] = {}
    for record in campaign.journal.records():
        if isinstance(record, TrialRecord) and record.trial.stage == "draft":
            continue  # it was refused as it was read
        if isinstance(record, TrialRecord | Screened):
            draft = record.variant.draft
            if draft.provenance.drafter == DRAFTER:
                found.setdefault(draft.hash, draft)
    return list(found.values())
