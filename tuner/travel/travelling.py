"""Campaigns on two machines: drafts are made where the model is, and judged where the hardware is.

Each call of `draft_round` makes one round of drafts. Once the trials of that round have come back
in the folder, the next call makes the next round, and the model is told what became of the last.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from outpace.codegen.drafters.base import (
    Drafter,
    DraftingTask,
    Proposal,
    RecordedDrafter,
    RefusedDraft,
)
from outpace.codegen.llm.budget import Spent
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.machine import Machine
from outpace.codegen.reference import Reference
from outpace.errors import StorageError, UsageError
from outpace.kernels.languages import language_named
from outpace.kernels.machine import this_machine
from outpace.kernels.target import current_target
from outpace.model import Draft, Trial
from outpace.tuner.api import Result, conclude, open_campaign
from outpace.tuner.campaign import Budget
from outpace.tuner.drafting import Choice, draft_rounds, open_drafters, unasked_model
from outpace.tuner.events import QUIET, Observer
from outpace.tuner.search import DEFAULT
from outpace.tuner.travel.carrying import carry, refuse_changed
from outpace.tuner.travel.folder import (
    AskedModel,
    Campaign,
    CampaignFolder,
    HeldDraft,
    RanOn,
    campaign_in,
)
from outpace.tuner.travel.queueing import RequestWriter, ResultReader


@dataclass(frozen=True)
class BatchFiles:
    """How a model is asked through files; one of them is given.

    Attributes:
        requests: File to write what it is asked to.
        results: File to read its answers from.

    Raises:
        UsageError: Both are given, or neither.
    """

    requests: Path | None = None
    results: Path | None = None

    def __post_init__(self) -> None:
        if (self.requests is None) == (self.results is None):
            raise UsageError(
                "--batch-file writes requests and --batch-results reads the answers to them, which "
                "are made in between; give one of them"
            )


@dataclass(frozen=True)
class Drafted:
    """What a call of `draft_round` did.

    Attributes:
        folder: The campaign folder.
        round: Which round was drafted, from 0.
        drafts: Its drafts.
        refused: What was brought and is not judged.
        notes: Sentences for a person.
        requests: Requests that were written for a model that is asked through files.
        spent: What the model has cost, all rounds together; None without one.
    """

    folder: CampaignFolder
    round: int
    drafts: tuple[HeldDraft, ...]
    refused: tuple[RefusedDraft, ...]
    notes: tuple[str, ...]
    requests: int
    spent: Spent | None


def draft_round(
    reference: Reference, folder: CampaignFolder, choice: Choice, batch: BatchFiles | None = None
) -> Drafted:
    """Draft the round that a campaign folder is due, or the rest of it.

    Args:
        reference: What to draft for.
        folder: Made where it is not there; otherwise of the same reference and drafters.
        choice: Who drafts.
        batch: Asks the drafter `openai` through files; None for its server.

    Raises:
        UsageError: The folder holds a campaign of another reference or other drafters.
        EnvironmentError_: The model does not answer.
        StorageError: The folder cannot be written.
    """
    campaign = _begun(folder, reference, choice)
    past = _Past.of(folder, campaign)
    round_ = past.due_round(campaign) if choice.asks_model else 0
    machine = past.ran_on or RanOn(
        current_target(), this_machine() if choice.asks_model else Machine()
    )
    campaign = structs.replace(campaign, rounds=round_ + 1, target=machine.target)
    folder.write(campaign)
    if choice.model is not None:
        choice = replace(choice, model=replace(choice.model, rounds=round_ + 1))
    queue = _queue(folder, choice, batch)
    notes: list[str] = []
    earlier: list[str] = []
    for drafter in open_drafters(choice, folder.path, queue):
        tasks = [
            past.task(reference, choice, machine, number, earlier) for number in range(round_ + 1)
        ]
        proposal = _propose(drafter, tasks)
        campaign = folder.add(campaign, proposal, round_)
        past = replace(past, held=tuple(folder.drafts(campaign)))
        notes += proposal.notes
        earlier.append(drafter.name)
    return Drafted(
        folder,
        round_,
        tuple(held for held in past.held if held.entry.round == round_),
        tuple(RefusedDraft(r.draft, r.reason) for r in campaign.refused if r.round == round_),
        tuple(notes),
        queue.count if isinstance(queue, RequestWriter) else 0,
        spent_in(folder),
    )


def run_campaign(
    folder: CampaignFolder,
    reference: Reference,
    *,
    workloads: Sequence[str] = (),
    budget: Budget | None = None,
    fresh: bool = False,
    promoted: Path | None = None,
    observer: Observer = QUIET,
    accept_risk: bool = False,
    strategy: str = DEFAULT,
) -> Result:
    """Judge the drafts of a campaign folder as `outpace.tune` would; the trials go into the folder.

    Args:
        folder: Holds the drafts.
        reference: From `outpace.tuner.travel.carrying.reference_of`.
        workloads: Names of the workloads that count; empty for all.
        budget: Minutes and drafts to spend; None for all drafts.
        fresh: Ignore what earlier runs on this machine found.
        promoted: Folder for promotions instead of the one beside the module.
        observer: Receives events.
        accept_risk: Run drafts of a model even below isolation grade B.
        strategy: How to search the parameters of a draft.

    Raises:
        ContractError: The reference cannot be judged.
        UsageError: The folder holds no drafts, or no such workload or strategy.
        StorageError: Folder or promotion cannot be written.
    """
    campaign = campaign_in(folder)
    source = _held(folder, campaign)
    choice = Choice(("campaign",), tuple(dict.fromkeys(d.language for d in source.drafts)))
    with open_campaign(
        reference,
        campaign.identity,
        languages=choice.languages,
        workloads=workloads,
        budget=budget or Budget(),
        fresh=fresh,
        promoted=promoted,
        observer=observer,
        accept_risk=accept_risk,
        strategy=strategy,
        journals=folder.journals,
    ) as running:
        folder.keep_target(RanOn(running.target, this_machine()))
        running.prepare()
        drafting = draft_rounds(running, source, choice)
        running.explore(())
        return replace(conclude(running, drafting.notes), spent=drafting.spent)


def spent_in(folder: CampaignFolder) -> Spent | None:
    """What the exchanges of a folder have cost; None where no model was asked.

    Raises:
        StorageError: They cannot be read.
    """
    exchanges = folder.exchanges.all()
    spent = Spent()
    for exchange in exchanges:
        spent = spent.plus(exchange.usage, exchange.cost)
    return spent if exchanges else None


# --- drafting -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Past:
    """What a folder holds already.

    Attributes:
        held: Its drafts.
        trials: What became of them on the machine that judged them last.
        ran_on: That machine; None before any has.
    """

    held: tuple[HeldDraft, ...]
    trials: tuple[Trial, ...]
    ran_on: RanOn | None

    @classmethod
    def of(cls, folder: CampaignFolder, campaign: Campaign) -> _Past:
        ran_on, trials = folder.feedback()
        return cls(tuple(folder.drafts(campaign)), trials, ran_on)

    def due_round(self, campaign: Campaign) -> int:
        """The last round, or the next one once the last was judged or brought nothing to judge."""
        last = campaign.rounds - 1
        made = {h.draft.hash for h in self.held if h.entry.round == last}
        made |= {entry.draft for entry in campaign.drafts if entry.round == last}
        refused = any(r.round == last for r in campaign.refused)
        is_over = any(trial.draft in made for trial in self.trials) if made else refused
        return last + is_over

    def task(
        self,
        reference: Reference,
        choice: Choice,
        machine: RanOn,
        round_: int,
        earlier: Sequence[str],
    ) -> DraftingTask:
        """The task of a round as it was then: drafts of rounds before, and of drafters before."""
        drafts = tuple(
            held.draft
            for held in self.held
            if held.entry.round < round_
            or (held.entry.round == round_ and held.entry.provenance.drafter in earlier)
        )
        hashes = {draft.hash for draft in drafts}
        trials = tuple(trial for trial in self.trials if trial.draft in hashes)
        return DraftingTask(
            reference,
            machine.target,
            choice.languages,
            trials,
            round_,
            drafts,
            machine.machine,
        )


def _begun(folder: CampaignFolder, reference: Reference, choice: Choice) -> Campaign:
    """The campaign of a folder, which is made where it is not there."""
    campaign = folder.read()
    if campaign is None:
        return _made(folder, reference, choice)
    refuse_changed(reference, campaign.reference, folder.path)
    if (campaign.identity, campaign.languages) != (choice.identity, choice.languages):
        raise UsageError(
            f"{folder.path} holds a campaign with other drafters, languages or options of the "
            f"model ({campaign.drafters}; {', '.join(campaign.languages)}); leave these options "
            "out to go on with it, or draft into another folder"
        )
    if choice.model is not None:
        campaign = structs.replace(campaign, model=_asked(choice.model))
    return campaign


def _made(folder: CampaignFolder, reference: Reference, choice: Choice) -> Campaign:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        origin = carry(reference, folder.path)
    except OSError as error:
        raise StorageError(
            f"the drafts cannot be written to {folder.path}: {error.strerror or error}"
        ) from error
    return Campaign(
        origin,
        current_target(),
        ",".join(choice.names),
        choice.identity,
        choice.languages,
        None if choice.model is None else _asked(choice.model),
        importlib.metadata.version("outpace"),
    )


def _asked(model: ModelOptions) -> AskedModel:
    prices = model.prices
    return AskedModel(
        model.model,
        model.samples,
        model.docstrings,
        model.most_tokens,
        model.most_cost,
        None if prices is None else (prices.prompt, prices.completion),
    )


def _queue(
    folder: CampaignFolder, choice: Choice, batch: BatchFiles | None
) -> RequestWriter | ResultReader | None:
    if batch is None:
        return None
    if choice.model is None or choice.model.engine is not None:
        raise UsageError("batch files are for a model that a server would answer for; add openai")
    model, asker = unasked_model(choice.model, choice.languages, folder.path)
    if batch.requests is not None:
        return RequestWriter(folder, model, asker, choice.model, batch.requests)
    assert batch.results is not None
    return ResultReader(folder, model, asker, batch.results)


def _propose(drafter: Drafter, tasks: Sequence[DraftingTask]) -> Proposal:
    """The drafts of the last task; who drafts in lineages remembers those before."""
    if isinstance(drafter, RecordedDrafter):
        for task in tasks[:-1]:
            drafter.recall(task)
    return drafter.propose(tasks[-1])


# --- judging ------------------------------------------------------------------------------------


@dataclass
class _HeldDrafts:
    """The drafts of a folder, as a drafter that has all ideas at once."""

    drafts: tuple[Draft, ...]
    refused: tuple[RefusedDraft, ...]
    notes: tuple[str, ...]
    spent: Spent | None
    name: str = "campaign"

    def propose(self, task: DraftingTask) -> Proposal:
        """See `Drafter`."""
        del task  # there is one round
        return Proposal(self.drafts, self.notes, self.refused, self.spent)


def _held(folder: CampaignFolder, campaign: Campaign) -> _HeldDrafts:
    """What of a folder can be judged here; raises UsageError where that is nothing."""
    held = folder.drafts(campaign)
    off = {h.draft.language: language_named(h.draft.language).unavailable() for h in held}
    notes = [
        f"{h.entry.file} was edited since it was drafted; it is judged as your own draft"
        for h in held
        if h.is_edited
    ]
    there = {h.entry.file for h in held}
    notes += [f"{e.file} was removed" for e in campaign.drafts if e.file not in there]
    for language, why in off.items():
        if why is not None:
            notes.append(f"drafts in {language} are left out, because it is off here: {why}")
    drafts = tuple(h.draft for h in held if off[h.draft.language] is None)
    refused = tuple(RefusedDraft(r.draft, r.reason) for r in campaign.refused)
    if not drafts and not refused:
        raise UsageError(
            f"{folder.path} holds no draft that can be judged here"
            f"{''.join(f'; {note}' for note in notes)}; draft some with `outpace draft`"
        )
    return _HeldDrafts(drafts, refused, tuple(notes), spent_in(folder))
