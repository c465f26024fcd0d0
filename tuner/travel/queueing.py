"""A model that is asked through files: one run writes requests, a later one reads the replies."""

from __future__ import annotations

import os
from pathlib import Path

from outpace.codegen.drafters.base import DraftingTask, Proposal
from outpace.codegen.drafters.openai import ModelDrafter
from outpace.codegen.llm.asking import Asker, Stopped
from outpace.codegen.llm.batch import BatchRequest, read_results
from outpace.codegen.llm.options import ModelOptions
from outpace.errors import StorageError, UsageError
from outpace.tuner.travel.folder import CampaignFolder


class RequestWriter:
    """In the place of a drafter: writes what the model is to be asked in a round.

    Args:
        folder: Keeps the requests until they are answered.
        model: Knows what to ask.
        asker: Keeps the budget.
        options: Which model, and how it is asked.
        path: File of requests to write.

    Attributes:
        count: Requests that were written.
    """

    def __init__(
        self,
        folder: CampaignFolder,
        model: ModelDrafter,
        asker: Asker,
        options: ModelOptions,
        path: Path,
    ) -> None:
        self.name = model.name
        self.count = 0
        self._folder = folder
        self._model = model
        self._asker = asker
        self._options = options
        self._path = path

    def recall(self, task: DraftingTask) -> Proposal:
        """See `ModelDrafter.recall`."""
        return self._model.recall(task)

    def propose(self, task: DraftingTask) -> Proposal:
        """No drafts; the requests of this round that have no answer yet are in the file.

        Raises:
            UsageError: All of them are answered.
            StorageError: They cannot be written.
        """
        notes: list[str] = []
        requests = self._folder.requests(task.round) or self._made(task, notes)
        answered = {exchange.place for exchange in self._folder.exchanges.all()}
        waiting = [request for request in requests if request.place not in answered]
        if requests and not waiting:
            raise UsageError(
                f"every request of this round is answered; judge the drafts with "
                f"`outpace run {self._folder.path}`, then write the requests of the next"
            )
        self._write(waiting)
        self.count = len(waiting)
        return Proposal((), tuple(notes))

    def _made(self, task: DraftingTask, notes: list[str]) -> tuple[BatchRequest, ...]:
        """The requests of a new round, as many as the budget allows."""
        requests = []
        try:
            for question in self._model.questions(task):
                tokens = self._asker.reserve(question.prompt)
                requests.append(BatchRequest(question.place, question.prompt, tokens))
        except Stopped as stopped:
            notes.append(f"only {len(requests)} requests were written: {stopped}")
        if requests:
            self._folder.keep_requests(task.round, requests)
        return tuple(requests)

    def _write(self, requests: list[BatchRequest]) -> None:
        lines = [request.line(self._options) + b"\n" for request in requests]
        staged = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(b"".join(lines))
            staged.replace(self._path)
        except OSError as error:
            raise StorageError(
                f"the requests cannot be written to {self._path}: {error.strerror or error}"
            ) from error


class ResultReader:
    """In the place of a drafter: the drafts in the answers to a round's requests.

    Args:
        folder: Keeps the requests.
        model: Makes drafts of replies.
        asker: Records them.
        path: File of answers.
    """

    def __init__(
        self, folder: CampaignFolder, model: ModelDrafter, asker: Asker, path: Path
    ) -> None:
        self.name = model.name
        self._folder = folder
        self._model = model
        self._asker = asker
        self._path = path

    def recall(self, task: DraftingTask) -> Proposal:
        """See `ModelDrafter.recall`."""
        return self._model.recall(task)

    def propose(self, task: DraftingTask) -> Proposal:
        """The drafts in all answers of this round, those that were read before among them.

        Raises:
            UsageError: The round has no requests, or the file cannot be read.
            StorageError: An exchange cannot be recorded.
        """
        requests = self._folder.requests(task.round)
        if not requests:
            raise UsageError(
                f"{self._folder.path} has no requests in round {task.round + 1} that could be "
                "answered; write them with --batch-file FILE first"
            )
        results = read_results(self._path, requests)
        answered = {exchange.place for exchange in self._folder.exchanges.all()}
        for request in requests:
            place, prompt, name = request.place, request.prompt, request.custom_id
            if place in answered:
                continue
            if name in results.completions:
                self._asker.keep(place, prompt, results.completions[name])
            elif name in results.failures:
                self._asker.keep_failure(place, prompt, results.failures[name])
        proposal = self._model.recall(task)
        return Proposal(
            proposal.drafts, (*results.notes, *proposal.notes), proposal.refused, proposal.spent
        )
