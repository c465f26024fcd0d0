"""What every drafter is given, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from outpace.codegen.llm.budget import Spent
from outpace.codegen.machine import Machine
from outpace.codegen.reference import Reference
from outpace.model import Draft, Target, Trial


@dataclass(frozen=True)
class DraftingTask:
    """A request for drafts.

    Attributes:
        reference: What to draft for.
        target: The machine that the drafts are for.
        languages: Languages in which drafts are wanted.
        trials: What became of earlier drafts; those that were right and timed have one at each
            workload, with the times in its samples.
        round: How many proposals were made before.
        drafts: Earlier drafts of all drafters, in order; trials name them by their hash.
        machine: More about the target.
    """

    reference: Reference
    target: Target
    languages: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    round: int = 0
    drafts: tuple[Draft, ...] = ()
    machine: Machine = field(default_factory=Machine)


@dataclass(frozen=True)
class RefusedDraft:
    """What a drafter brought and nobody need judge, for example a reply that holds no draft.

    Attributes:
        draft: The draft, or one whose source is the text that was no draft.
        reason: One sentence for a person and for the next round.
    """

    draft: Draft
    reason: str


@dataclass(frozen=True)
class Proposal:
    """Drafts, the most promising first.

    Attributes:
        drafts: The drafts.
        notes: What the drafter could not do, for a person: the line and the reason.
        refused: What was refused before it was built; each becomes a trial.
        spent: What the drafter has cost so far, earlier runs of the campaign included; None where
            drafting is free.
    """

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...] = ()
    refused: tuple[RefusedDraft, ...] = ()
    spent: Spent | None = None

    @property
    def is_last(self) -> bool:
        """Whether the drafter has no more ideas."""
        return not self.drafts and not self.refused


class Drafter(Protocol):
    """Writes drafts; must be deterministic for equal tasks unless a model is asked."""

    name: str

    def propose(self, task: DraftingTask) -> Proposal:
        """The drafts of this round."""
        ...


@runtime_checkable
class RecordedDrafter(Drafter, Protocol):
    """A drafter that records what its drafts have cost, and can have rounds again from there."""

    def recall(self, task: DraftingTask) -> Proposal:
        """The drafts of this round as far as they are recorded; costs nothing."""
        ...
