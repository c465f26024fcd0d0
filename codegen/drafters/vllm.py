"""The drafter that runs vLLM itself, and only while it drafts."""

from __future__ import annotations

from outpace.codegen.drafters.base import DraftingTask, Proposal
from outpace.codegen.drafters.openai import ModelDrafter
from outpace.codegen.llm.asking import Asker
from outpace.codegen.llm.engine import Engine
from outpace.codegen.llm.probe import Abilities


class EngineDrafter:
    """Drafts of a model whose engine is gone when a call returns, so that it disturbs no timing.

    Args:
        drafter: Asks the model.
        asker: Through which it asks.
        engine: What `asker` asks.
    """

    def __init__(self, drafter: ModelDrafter, asker: Asker, engine: Engine) -> None:
        self.name = drafter.name
        self._drafter = drafter
        self._asker = asker
        self._engine = engine

    def probe(self) -> Abilities:
        """See `ModelDrafter.probe`."""
        try:
            return self._drafter.probe()
        finally:
            self._asker.context = self._engine.context
            self._engine.rest()

    def recall(self, task: DraftingTask) -> Proposal:
        """See `ModelDrafter.recall`."""
        return self._drafter.recall(task)

    def propose(self, task: DraftingTask) -> Proposal:
        """See `ModelDrafter.propose`."""
        try:
            return self._drafter.propose(task)
        finally:
            self._engine.rest()
