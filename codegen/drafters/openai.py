"""The drafter that asks a language model, and the one that repeats what a model replied before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from outpace.codec import content_hash
from outpace.codegen.drafters.base import DraftingTask, Proposal, RefusedDraft
from outpace.codegen.guard import refusal
from outpace.codegen.llm.asking import Asker, Stopped
from outpace.codegen.llm.batch import Question
from outpace.codegen.llm.constraint import Constraint, reply_constraint
from outpace.codegen.llm.exchange import ChatMessage, Exchange, Rounds
from outpace.codegen.llm.languages import directions
from outpace.codegen.llm.lineages import Lineages, Start
from outpace.codegen.llm.normal import normal_hash
from outpace.codegen.llm.probe import Abilities, probe
from outpace.codegen.llm.standing import Standing, standings
from outpace.codegen.parse import LONGEST, Refusal, parse_reply
from outpace.codegen.prompt import PromptRequest, build_prompt
from outpace.model import Draft, Provenance

_REFUSED_TOLD = 6
"""Reasons why replies were refused that stay in the prompts."""


@dataclass
class _Found:
    """What a round has brought so far."""

    drafts: list[Draft] = field(default_factory=list)
    refused: list[RefusedDraft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class ModelDrafter:
    """Drafts of a language model, in rounds and lineages.

    Args:
        name: `openai`, or `replay` where only recorded exchanges are used.
        asker: Asks the model.
        rounds: How drafting is divided.
        model: Name of the model.
        docstrings: Whether docstrings and comments of the reference are shown to it.
    """

    def __init__(
        self, name: str, asker: Asker, rounds: Rounds, model: str, *, docstrings: bool = True
    ) -> None:
        self.name = name
        self._asker = asker
        self._rounds = rounds
        self._model = model
        self._docstrings = docstrings
        self._lineages = Lineages(rounds.samples, directions(rounds.languages))
        self._constraint: Constraint | None = None
        self._seen: dict[str, str] = {}
        self._reasons: list[str] = []
        self._is_over = False

    def probe(self) -> Abilities:
        """Find out what the server can do, before the first round.

        Raises:
            Stopped: It does not answer.
        """
        found = probe(self._asker)
        if found.enforcement is not None:
            self._constraint = reply_constraint(found.enforcement, self._rounds.languages)
        return found

    def propose(self, task: DraftingTask) -> Proposal:
        """The drafts of this round, from all lineages; none when all rounds or the budget are over.

        Raises:
            UsageError: A language has no prompt.
            ContractError: The reference's annotations are missing or wrong.
            StorageError: An exchange could not be recorded.
        """
        return self._round(task, asks=True)

    def recall(self, task: DraftingTask) -> Proposal:
        """As `propose`, from the record alone: nobody is asked, and what is missing is left out."""
        return self._round(task, asks=False)

    def questions(self, task: DraftingTask) -> list[Question]:
        """What `propose` would still ask in this round, one for each reply, for others to ask.

        This takes the place of `propose` in the round.

        Raises:
            UsageError: A language has no prompt.
            ContractError: The reference's annotations are missing or wrong.
        """
        current = self._current(task)
        questions = []
        for lineage, share in enumerate(self._lineages.shares):
            _, prompt = self._set_out(task, lineage, current)
            within = f"{task.round}/{lineage}"
            recorded = self._asker.recorded(within)
            first, wanted = _next_part(recorded), share - sum(len(e.replies) for e in recorded)
            questions += [Question(f"{within}/{first + i}", prompt) for i in range(wanted)]
        return questions

    def _round(self, task: DraftingTask, *, asks: bool) -> Proposal:
        found = _Found()
        if not self._is_over and task.round < self._rounds.count:
            current = self._current(task)
            try:
                for lineage, share in enumerate(self._lineages.shares):
                    self._extend(task, lineage, share if asks else 0, current, found)
            except Stopped as stopped:
                self._is_over = True
                found.notes.append(f"drafting by {self._model} ended: {stopped}")
        self._reasons += [refused.reason for refused in found.refused]
        return Proposal(
            tuple(found.drafts), tuple(found.notes), tuple(found.refused), self._asker.spent
        )

    def _current(self, task: DraftingTask) -> list[Standing]:
        """How earlier drafts stand, which no new one may repeat."""
        self._seen.update((normal_hash(d), d.provenance.idea) for d in task.drafts)
        return standings(task.drafts, task.trials)

    def _extend(
        self,
        task: DraftingTask,
        lineage: int,
        wanted: int,
        current: list[Standing],
        found: _Found,
    ) -> None:
        """Take the drafts of one lineage that are recorded, and ask for what is wanted beyond."""
        start, prompt = self._set_out(task, lineage, current)
        within = f"{task.round}/{lineage}"
        recorded = self._asker.recorded(within)
        for exchange in recorded:
            self._take(task, lineage, exchange, start, found)
            wanted -= len(exchange.replies)
        part = _next_part(recorded)
        while wanted > 0:
            exchange = self._asker.ask(
                f"{within}/{part}", prompt, wanted, constraint=self._constraint
            )
            self._take(task, lineage, exchange, start, found)
            wanted -= len(exchange.replies)
            part += 1

    def _set_out(
        self, task: DraftingTask, lineage: int, current: list[Standing]
    ) -> tuple[Start, tuple[ChatMessage, ...]]:
        """Where a lineage sets out in this round, and the prompt that says so; ask once a round."""
        start = self._lineages.next(lineage, current)
        prompt = build_prompt(
            PromptRequest(
                task.reference,
                task.target,
                task.machine,
                self._rounds.languages,
                tuple(current),
                tuple(self._reasons[-_REFUSED_TOLD:]),
                start.parent,
                start.direction,
                self._docstrings,
            )
        )
        return start, prompt

    def _take(
        self,
        task: DraftingTask,
        lineage: int,
        exchange: Exchange,
        start: Start,
        found: _Found,
    ) -> None:
        for position, reply in enumerate(exchange.replies):
            provenance = self._provenance(exchange, position, start)
            draft = parse_reply(reply.text, reply.finish_reason, self._rounds.languages, provenance)
            reason = draft if isinstance(draft, Refusal) else self._unwanted(task, draft)
            if isinstance(draft, Refusal):
                text = reply.text[:LONGEST]
                draft = Draft(self._rounds.languages[0], text, provenance=provenance)
            if reason is not None:
                found.refused.append(RefusedDraft(draft, reason.reason))
                continue
            self._seen[normal_hash(draft)] = draft.provenance.idea
            self._lineages.add(lineage, draft.hash)
            found.drafts.append(draft)

    def _unwanted(self, task: DraftingTask, draft: Draft) -> Refusal | None:
        """Why a draft is not judged: it is the same as another, or no kernel."""
        earlier = self._seen.get(normal_hash(draft))
        if earlier is not None:
            return Refusal(f"it is the same as the earlier draft {earlier!r}")
        return refusal(draft, task.reference.contract)

    def _provenance(self, exchange: Exchange, position: int, start: Start) -> Provenance:
        """Of one reply; the shares of all replies sum to what the request has cost."""
        replies = len(exchange.replies)
        tokens, rest = divmod(exchange.usage.total, replies)
        return Provenance(
            self.name,
            idea=f"reply {exchange.place}.{position}",
            model=exchange.model,
            prompt_hash=content_hash(exchange.prompt),
            parent=start.parent.draft.hash if start.parent is not None else None,
            tokens=tokens + (position < rest),
            cost=exchange.cost / replies,
        )


def _next_part(recorded: Sequence[Exchange]) -> int:
    """Number of the next request within a round and lineage."""
    return int(recorded[-1].place.rpartition("/")[2]) + 1 if recorded else 0
