"""Several drafters as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from outpace.codegen.drafters.base import Drafter, DraftingTask, Proposal


class TogetherDrafter:
    """Asks drafters one after another, each until it has no more ideas.

    Later ones see how the drafts of earlier ones did.

    Args:
        drafters: At least one.
    """

    def __init__(self, drafters: Sequence[Drafter]) -> None:
        self.name = ",".join(drafter.name for drafter in drafters)
        self._drafters = list(drafters)
        self._begin = 0

    def propose(self, task: DraftingTask) -> Proposal:
        """The drafts of whoever has ideas; see `Drafter`."""
        notes: tuple[str, ...] = ()
        while True:
            proposal = self._drafters[0].propose(replace(task, round=task.round - self._begin))
            notes += proposal.notes
            if not proposal.is_last or len(self._drafters) == 1:
                return replace(proposal, notes=notes)
            self._drafters.pop(0)
            self._begin = task.round
