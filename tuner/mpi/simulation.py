"""The judge's side of simulated ranks: a confined process that runs a draft, question by question.

What the process compiles of the draft it leaves in the folder `build`, from which the ranks under
`mpiexec` load.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from msgspec.structs import asdict

from outpace import environment
from outpace.codec import encode
from outpace.model import Contract, Grade, Status
from outpace.tuner.arena import Arena
from outpace.tuner.failures import classify
from outpace.tuner.isolation import launch
from outpace.tuner.isolation.child import Child
from outpace.tuner.isolation.view import DEVICES, View, module_path, readable_paths
from outpace.tuner.mpi.channel import Answer, Channel, Closed
from outpace.tuner.mpi.dealing import Deal
from outpace.tuner.mpi.questions import Question
from outpace.tuner.process import Failure

START_LIMIT = 120.0
"""Seconds to start and to import the draft."""
FIRST_LIMIT = 120.0
"""Seconds for the first call, which may compile."""
CALL_LIMIT = 20.0
"""Seconds for any other call."""
_SPAWN = (
    "import sys; sys.path[:] = {path!r}; "
    "from outpace.tuner.mpi.simulated import main; main({setup!r})"
)
_STATUSES = {
    "Deadlock": Status.TIMEOUT,
    "Livelock": Status.TIMEOUT,
    "LimitReached": Status.TIMEOUT,
    "CollectiveMismatch": Status.WRONG,
    "Truncation": Status.WRONG,
    "DatatypeMismatch": Status.WRONG,
    "LeakedRequests": Status.WRONG,
    "UnreceivedMessages": Status.WRONG,
    "BufferModified": Status.WRONG,
    "BufferOverlap": Status.WRONG,
    "InvalidCall": Status.CRASHED,
    "RankFailed": Status.CRASHED,
    "Unsupported": Status.INVALID,
}
"""How a trial ends that the simulation has ended, by the name of the fault."""


@dataclass(frozen=True)
class Work:
    """What every rank did in one call.

    Attributes:
        received: Bytes that each rank received.
        seconds: CPU time that each rank spent.
    """

    received: tuple[int, ...]
    seconds: tuple[float, ...]


class Simulated:
    """A draft on simulated ranks; leaving it as a context manager ends its process.

    Attributes:
        grade: Isolation reached.
    """

    def __init__(
        self, contract: Contract, folder: Path, arenas: Sequence[Arena], lowest: Grade
    ) -> None:
        """Start the process and load the draft.

        Args:
            contract: Of the reference.
            folder: Holds the bound draft.
            arenas: One for each rank.
            lowest: Grade of isolation below which nothing of the draft is run.

        Raises:
            Failure: It could not be loaded, or isolation is too weak.
            EnvironmentError_: The process could not be set up.
        """
        self.grade = Grade.D
        self._first = True
        folder = folder.resolve()
        scratch, build = launch.scratch_in(folder), folder / "build"
        build.mkdir(exist_ok=True, mode=0o700)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._channel = Channel.inherited()
        layers = launch.layers_wanted()
        view = View(readable_paths(), str(folder), str(scratch), str(build), building=True)
        setup = {
            "read": self._channel.theirs[0],
            "write": self._channel.theirs[1],
            "source": str(folder / "draft.py"),
            "contract": encode(contract).decode(),
            "arenas": [[arena.descriptor, arena.size] for arena in arenas],
            "view": dataclasses.asdict(view),
            "devices": DEVICES,
            "layers": dataclasses.asdict(layers),
        }
        code = _SPAWN.format(path=list(module_path()), setup=json.dumps(setup))
        try:
            self._child = Child(
                [sys.executable, "-I", "-c", code],
                variables=_variables(scratch),
                folder=scratch,
                descriptors=[*self._channel.theirs, *(arena.descriptor for arena in arenas)],
                log=self._log,
                view=view if layers.namespaces else None,
            )
        except BaseException:
            self._log.close()
            self._channel.close()
            raise
        self._channel.hand_over()
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
        """End the process."""
        self._child.close(sweep=self.grade is Grade.D)
        self._channel.close()
        self._log.close()

    def ask(self, question: Question, deal: Deal, seed: int) -> Work:
        """Run one call on all ranks.

        Args:
            question: The call.
            deal: Its values, in the ranks' memory.
            seed: Draws the order in which ranks run and messages match.

        Raises:
            Failure: It did not end as it should.
        """
        limit = FIRST_LIMIT if self._first else CALL_LIMIT
        nonce = secrets.token_hex(8)
        message = {
            "ranks": question.ranks,
            "items": [deal.items(rank) for rank in range(question.ranks)],
            "sizes": question.case.sizes,
            "seed": seed,
            "limit": limit,
            "nonce": nonce,
        }
        answer = self._asked(message, limit + 5.0)
        self._first = False
        if answer.fault is not None or answer.error is not None:
            raise self._fault(answer)
        if answer.nonces != (nonce,) * question.ranks:
            reason = _missing(answer.nonces, nonce, question.ranks)
            raise self._failure(Status.CRASHED, reason)
        if not len(answer.received) == len(answer.seconds) == question.ranks:
            raise self._failure(Status.CRASHED, "its answer does not account for every rank")
        return Work(answer.received, answer.seconds)

    def _load(self, lowest: Grade) -> None:
        self.grade = Grade(self._await(START_LIMIT).grade)
        if self.grade > lowest:
            raise self._failure(
                Status.BLOCKED,
                f"it was not run: isolation here is of grade {self.grade}, and drafts of a model "
                f"need {lowest}; `outpace doctor` says what is missing",
            )
        answer = self._asked({"load": True}, START_LIMIT)
        if answer.error is not None:
            status, reason, details = classify(asdict(answer.error))
            raise self._failure(status, f"{reason}{answer.error.place}", details)

    def _asked(self, message: dict[str, Any], limit: float) -> Answer:
        self._channel.send(message)
        return self._await(limit)

    def _await(self, limit: float) -> Answer:
        try:
            return self._channel.await_answer(limit)
        except TimeoutError:
            raise self._failure(Status.TIMEOUT, f"no answer within {limit:.0f} s") from None
        except Closed as closed:
            code = self._child.wait(5.0)
            ended = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
            raise self._failure(Status.CRASHED, f"its process ended ({ended}); {closed}") from None

    def _fault(self, answer: Answer) -> Failure:
        if answer.error is not None:
            status, reason, details = classify(asdict(answer.error))
            where = f"rank {answer.error.rank}"
            return self._failure(status, f"{where}: {reason}{answer.error.place}", details)
        status = _STATUSES.get(answer.fault or "", Status.CRASHED)
        return self._failure(status, answer.text, "\n".join(answer.waiting))

    def _failure(self, status: Status, reason: str, details: str = "") -> Failure:
        self._log.seek(0)
        log = self._log.read(4000).decode(errors="replace")
        return Failure(status, reason, details or log, self.grade)


def _missing(nonces: Sequence[str | None], nonce: str, ranks: int) -> str:
    missing = [r for r in range(ranks) if r >= len(nonces) or nonces[r] != nonce]
    which = ", ".join(map(str, missing))
    return f"rank{'s' * (len(missing) > 1)} {which} ended without coming back from run()"


def _variables(folder: Path) -> dict[str, str]:
    one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return environment.worker_environment(HOME=str(folder), TMPDIR=str(folder), **one)
