"""The judge's side of real ranks: one `mpiexec` in which a draft runs at every number of ranks."""

from __future__ import annotations

import json
import os
import secrets
import select
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from msgspec.structs import asdict

from outpace.codec import encode
from outpace.errors import EnvironmentError_
from outpace.model import Contract, Grade, Status
from outpace.tuner.arena import Mapping
from outpace.tuner.failures import classify
from outpace.tuner.isolation.view import DEVICES, module_path, readable_paths
from outpace.tuner.mpi.channel import Answer, Channel, Closed
from outpace.tuner.mpi.dealing import Deal
from outpace.tuner.mpi.launch import Job
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
        memory: What each rank shares with the judge.
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
        self._first = True
        self._world = max(ranks)
        self._folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=folder.resolve()))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._channels = [
            Channel.named(self._folder / f"commands-{rank}", self._folder / f"replies-{rank}")
            for rank in range(self._world)
        ]
        self.memory = [_memory(self._folder / f"memory-{r}", room) for r in range(self._world)]
        setup = {
            "folder": str(self._folder),
            "world": self._world,
            "ranks": sorted(ranks),
            "bytes": room,
            "source": str(folder.resolve() / "draft.py"),
            "build": str(folder.resolve() / "build"),
            "contract": encode(contract).decode(),
            "readable": readable_paths(),
            "devices": DEVICES,
        }
        code = _SPAWN.format(path=list(module_path()), setup=json.dumps(setup))
        self._job = Job(self._world, code, self._folder, self._log)
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
        self._job.close()
        for channel in self._channels:
            channel.close()
        for memory in self.memory:
            memory.close()
        self._log.close()

    def ask(self, question: Question, deal: Deal) -> None:
        """Run one call on the first ranks; the others wait for the judge.

        Raises:
            Failure: A rank did not come back, or came back with an error.
        """
        nonces = [secrets.token_hex(8) for _ in range(question.ranks)]
        for rank, nonce in enumerate(nonces):
            self._channels[rank].send(
                {
                    "ranks": question.ranks,
                    "items": deal.items(rank),
                    "sizes": question.case.sizes,
                    "nonce": nonce,
                }
            )
        answers = self._answers(question.ranks, FIRST_LIMIT if self._first else CALL_LIMIT)
        self._first = False
        for rank, (answer, nonce) in enumerate(zip(answers, nonces, strict=True)):
            if answer.nonces != (nonce,):
                raise self._failure(Status.CRASHED, f"rank {rank} answered another question")

    def _load(self, lowest: Grade) -> None:
        try:
            answers = self._answers(self._world, START_LIMIT)
        except Failure as failure:
            raise EnvironmentError_(
                f"{self._world} ranks cannot be started: {failure.reason}; {failure.details}"
            ) from failure
        sizes = {answer.size for answer in answers}
        if sizes != {self._world}:
            raise EnvironmentError_(
                f"mpiexec started {self._world} processes that see {sizes} ranks: it belongs to "
                "another MPI than mpi4py; put the right one on PATH"
            )
        for channel in self._channels:
            channel.hand_over()
        self.grade = max(Grade(answer.grade) for answer in answers)
        if self.grade > lowest:
            raise self._failure(
                Status.BLOCKED,
                f"it was not run: isolation of ranks here is of grade {self.grade}, and drafts of "
                f"a model need {lowest}",
            )
        for channel in self._channels:
            channel.send({"load": True})
        self._answers(self._world, FIRST_LIMIT)

    def _answers(self, count: int, limit: float) -> list[Answer]:
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
                    answer = self._channels[rank].receive()
                except Closed as closed:
                    ended[rank] = closed
                    deadline = min(deadline, time.monotonic() + _GRACE)
                    continue
                if answer is not None and answer.error is not None:
                    status, reason, details = classify(asdict(answer.error))
                    raise self._failure(status, f"rank {rank}: {reason}", details)
                if answer is not None:
                    answers[rank] = answer
            waiting = [r for r in range(count) if r not in answers]
            if waiting and time.monotonic() > deadline:
                raise self._silence(waiting, ended, limit)
            if waiting and self._job.wait(0.0) is not None:
                deadline = min(deadline, time.monotonic() + _GRACE)
            if waiting:
                replies = [self._channels[r].descriptor for r in waiting if r not in ended]
                select.select(replies, [], [], 0.05)
        return [answers[rank] for rank in range(count)]

    def _silence(self, waiting: Sequence[int], ended: dict[int, Closed], limit: float) -> Failure:
        for rank, closed in ended.items():
            return self._failure(Status.CRASHED, f"rank {rank}: {closed}")
        which = ", ".join(map(str, waiting))
        reason = f"no answer from rank{'s' * (len(waiting) > 1)} {which} within {limit:.0f} s"
        return self._failure(Status.TIMEOUT, reason)

    def _failure(self, status: Status, reason: str, details: str = "") -> Failure:
        self._log.seek(0)
        log = self._log.read(4000).decode(errors="replace")
        return Failure(status, reason, details or log, self.grade)


def _memory(path: Path, room: int) -> Mapping:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, room)
        return Mapping(descriptor, room, writable=True)
    finally:
        os.close(descriptor)
