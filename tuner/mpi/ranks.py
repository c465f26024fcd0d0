"""The judge's side of real ranks: one `mpiexec` in which a draft runs at some numbers of ranks."""

from __future__ import annotations

import json
import secrets
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from msgspec.structs import asdict

from outpace.codec import encode
from outpace.errors import EnvironmentError_
from outpace.model import Contract, Grade, Status
from outpace.tuner.arena import Arena
from outpace.tuner.failures import classify
from outpace.tuner.isolation.view import DEVICES, module_path, readable_paths
from outpace.tuner.mpi.channel import Answer, Channel, Closed
from outpace.tuner.mpi.dealing import Deal
from outpace.tuner.mpi.launch import Job, memory_folder
from outpace.tuner.mpi.questions import Question
from outpace.tuner.process import Failure

START_LIMIT = 60.0
"""Seconds until every rank has initialised MPI."""
FIRST_LIMIT = 120.0
"""Seconds to import the draft, and for the first call."""
CALL_LIMIT = 10.0
"""Seconds for any other call: a rank that waits for what never comes is ended then."""
_GRACE = 0.3
"""Seconds in which other ranks may say what went wrong, once one has ended."""
_SPAWN = (
    "import sys; sys.path[:] = {path!r}; from outpace.tuner.mpi.rank import main; main({setup!r})"
)


class Ranks:
    """A draft on the ranks of one `mpiexec`; leaving it as a context manager ends them all.

    Attributes:
        grade: Isolation reached by the weakest rank.
        arenas: What each rank shares with the judge.
        channels: To each rank.
        job: The `mpiexec`.
        pids: Of each rank, as the judge sees it.
    """

    def __init__(
        self, contract: Contract, folder: Path, ranks: Sequence[int], room: int, lowest: Grade
    ) -> None:
        """Start the ranks and load the draft.

        Args:
            contract: Of the reference.
            folder: Holds the bound draft, and what was compiled of it in its folder `build`.
            ranks: Numbers of ranks that will be asked for.
            room: Bytes of memory for each rank.
            lowest: Grade of isolation below which nothing of the draft is run.

        Raises:
            Failure: It could not be loaded, or isolation is too weak.
            EnvironmentError_: Ranks could not be started.
        """
        self.grade = Grade.D
        self.pids: tuple[int, ...] = ()
        self._first = True
        self._world = max(ranks)
        self._folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=folder.resolve()))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self.channels = [
            Channel.named(self._folder / f"commands-{rank}", self._folder / f"replies-{rank}")
            for rank in range(self._world)
        ]
        self._files = memory_folder(self._folder, self._world * room)
        self.arenas = [Arena(room, path=self._files / str(r)) for r in range(self._world)]
        setup = {
            "folder": str(self._folder),
            "world": self._world,
            "ranks": sorted(ranks),
            "bytes": self.arenas[0].size,
            "source": str(folder.resolve() / "draft.py"),
            "build": str(folder.resolve() / "build"),
            "contract": encode(contract).decode(),
            "readable": readable_paths(),
            "devices": DEVICES,
        }
        code = _SPAWN.format(path=list(module_path()), setup=json.dumps(setup))
        self.job = Job(self._world, code, self._folder, self._log, self._files)
        try:
            self._load(lowest)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End every rank, whatever it does."""
        self.job.close()
        for channel in self.channels:
            channel.close()
        for arena in self.arenas:
            arena.close()
        shutil.rmtree(self._files, ignore_errors=True)
        self._log.close()

    def ask(self, question: Question, deal: Deal) -> None:
        """Run one call on the first ranks; the others wait for the judge.

        Raises:
            Failure: A rank did not come back, or came back with an error.
        """
        self.send_batch(question.ranks, [deal.items], question.case.sizes)
        self.answers(question.ranks, CALL_LIMIT)
        self.let_run(question.ranks, CALL_LIMIT)

    def send_batch(
        self,
        ranks: int,
        batch: Sequence[Callable[[int], list[list[Any]]]],
        sizes: Mapping[str, int],
    ) -> None:
        """Let the first ranks prepare a batch of calls, to which each of them answers.

        Args:
            ranks: How many take part.
            batch: For each call, where a rank finds its parameters; see `Blocks.items`.
            sizes: Of every call.
        """
        for rank in range(ranks):
            found = [items(rank) for items in batch]
            self.channels[rank].send({"ranks": ranks, "batch": found, "sizes": dict(sizes)})

    def let_run(self, ranks: int, limit: float) -> None:
        """Let the first ranks run the batch that they have prepared, and wait until all have.

        Raises:
            Failure: A rank did not come back in time, or came back with an error.
        """
        nonces = [secrets.token_hex(8) for _ in range(ranks)]
        for rank, nonce in enumerate(nonces):
            self.channels[rank].send({"nonce": nonce})
        answers = self.answers(ranks, max(limit, FIRST_LIMIT) if self._first else limit)
        self._first = False
        for rank, (answer, nonce) in enumerate(zip(answers, nonces, strict=True)):
            if answer.nonces != (nonce,):
                raise self.failure(Status.CRASHED, f"rank {rank} answered another question")

    def _load(self, lowest: Grade) -> None:
        try:
            answers = self.answers(self._world, START_LIMIT)
        except Failure as failure:
            raise EnvironmentError_(
                f"{self._world} ranks cannot be started: {failure.reason}; {failure.details}"
            ) from failure
        # The memory is mapped, and goes with the last process that has it.
        shutil.rmtree(self._files, ignore_errors=True)
        sizes = {answer.size for answer in answers}
        if sizes != {self._world}:
            raise EnvironmentError_(
                f"mpiexec started {self._world} processes that see {sizes} ranks: it belongs to "
                "another MPI than mpi4py; put the right one on PATH"
            )
        for channel in self.channels:
            channel.hand_over()
        self.pids = self._numbers([answer.pid for answer in answers])
        self.grade = max(Grade(answer.grade) for answer in answers)
        if self.grade > lowest:
            raise self.failure(
                Status.BLOCKED,
                f"it was not run: isolation of ranks here is of grade {self.grade}, and drafts of "
                f"a model need {lowest}",
            )
        for channel in self.channels:
            channel.send({"load": True})
        self.answers(self._world, FIRST_LIMIT)

    def _numbers(self, own: Sequence[int]) -> tuple[int, ...]:
        """The processes of ranks as the judge sees them, by the numbers that they see.

        The numbers are asked for before anything of the draft is there.
        """
        seen = self.job.processes()
        if any(number not in seen for number in own):
            raise EnvironmentError_("processes of ranks cannot be found among those of mpiexec")
        return tuple(seen[number] for number in own)

    def answers(self, count: int, limit: float) -> list[Answer]:
        """One answer from each of the first ranks.

        Raises:
            Failure: One of them has none.
        """
        deadline = time.monotonic() + limit
        answers: dict[int, Answer] = {}
        ended: dict[int, Closed] = {}
        while len(answers) < count:
            for rank in set(range(count)) - set(answers) - set(ended):
                try:
                    answer = self.channels[rank].receive()
                except Closed as closed:
                    ended[rank] = closed
                    deadline = min(deadline, time.monotonic() + _GRACE)
                    continue
                if answer is not None and answer.error is not None:
                    status, reason, details = classify(asdict(answer.error))
                    reason = f"rank {rank}: {reason}{answer.error.place}"
                    raise self.failure(status, reason, details)
                if answer is not None:
                    answers[rank] = answer
            waiting = [r for r in range(count) if r not in answers]
            if waiting and time.monotonic() > deadline:
                raise self._silence(waiting, ended, limit)
            if waiting and self.job.wait(0.0) is not None:
                deadline = min(deadline, time.monotonic() + _GRACE)
            if waiting:
                replies = [self.channels[r].descriptor for r in waiting if r not in ended]
                select.select(replies, [], [], 0.05)
        return [answers[rank] for rank in range(count)]

    def _silence(self, waiting: Sequence[int], ended: dict[int, Closed], limit: float) -> Failure:
        for rank, closed in ended.items():
            return self.failure(Status.CRASHED, f"rank {rank}: {closed}")
        which = ", ".join(map(str, waiting))
        reason = f"no answer from rank{'s' * (len(waiting) > 1)} {which} within {limit:.0f} s"
        return self.failure(Status.TIMEOUT, reason)

    def failure(self, status: Status, reason: str, details: str = "") -> Failure:
        """What ends a trial, with what the ranks have printed where nothing else is known."""
        self._log.seek(0)
        log = self._log.read(4000).decode(errors="replace")
        return Failure(status, reason, details or log, self.grade)
