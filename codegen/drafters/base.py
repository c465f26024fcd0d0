"""What every drafter is given, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from outpace.codegen.reference import Reference
from outpace.model import Draft, Target, Trial


@dataclass(frozen=True)
class DraftingTask:
    """A request for drafts.

    Attributes:
        reference: What to draft for.
        target: The machine that the drafts are for.
        languages: Languages in which drafts are wanted.
        trials: What became of earlier drafts.
        round: How many proposals were made before.
    """

    reference: Reference
    target: Target
    languages: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    round: int = 0


@dataclass(frozen=True)
class Proposal:
    """Drafts, the most promising first; without any the drafter has no more ideas.

    Attributes:
        drafts: The drafts.
        notes: What the drafter could not do, for a person: the line and the reason.
    """

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...] = ()


class Drafter(Protocol):
    """Writes drafts; must be deterministic for equal tasks unless a model is asked."""

    name: str

    def propose(self, task: DraftingTask) -> Proposal:
        """The drafts of this round."""
        ...
