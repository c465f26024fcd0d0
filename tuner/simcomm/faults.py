"""What can be wrong with a program that passes messages, as exceptions with a place.

Fault                     the simulation ended early; carries rank, call, file and line
├── Deadlock              every rank waits for another
├── Livelock              every rank that runs polls, and nothing can come of it
├── CollectiveMismatch    two ranks disagree about a collective
├── Truncation            a message is longer than the buffer for it
├── DatatypeMismatch      a message holds other elements than the receiver expects
├── LeakedRequests        operations were begun and never completed
├── UnreceivedMessages    messages were sent and never received
├── BufferModified        a buffer was changed while an operation still used it
├── BufferOverlap         two pending operations use the same memory
├── InvalidCall           an argument that MPI forbids
├── RankFailed            the program raised an exception, exited or aborted on a rank
├── Unsupported           a call that the simulation does not know; decides nothing
└── LimitReached          too many calls or too long; decides nothing
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Call:
    """An MPI call as a person would name it, such as `Send(dest=1, tag=0)`, and where it is."""

    name: str
    place: Place

    def __str__(self) -> str:
        return f"{self.name} at {self.place}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a rank was doing when the simulation ended.

    Attributes:
        rank: In COMM_WORLD.
        call: Which it waited in, or None where it had ended or was running.
        ended: Whether it had come to the end of the program.
    """

    rank: int
    call: Call | None
    ended: bool

    def __str__(self) -> str:
        if self.call is not None:
            return f"rank {self.rank} waits in {self.call}"
        return f"rank {self.rank} {'has ended' if self.ended else 'runs'}"


class Fault(Exception):  # noqa: N818  (an outcome of the checked program, not an error of ours)
    """The simulation ended early.

    Attributes:
        reason: One sentence without the place.
        rank: In COMM_WORLD, where it was found; None where it concerns several alike.
        call: The call in which it was found, or None where it was found at the end.
        waiting: What every rank was doing.
    """

    decides = True
    """Whether it shows the program wrong; otherwise nothing is known about it."""

    def __init__(
        self,
        reason: str,
        *,
        rank: int | None = None,
        call: Call | None = None,
        waiting: tuple[Waiting, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rank = rank
        self.call = call
        self.waiting = waiting

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    def __str__(self) -> str:
        parts = [self.name]
        if self.rank is not None:
            parts.append(f"on rank {self.rank}")
        if self.call is not None:
            parts.append(f"in {self.call}")
        return f"{' '.join(parts)}: {self.reason}"


class Deadlock(Fault):
    """Every rank waits for another, or for one that has ended."""


class Livelock(Fault):
    """Every rank that runs polls, and nothing can come of it."""


class CollectiveMismatch(Fault):
    """Two ranks disagree about a collective: which one, its root, its operation, its counts."""


class Truncation(Fault):
    """A message is longer than the buffer that was given for it."""


class DatatypeMismatch(Fault):
    """A message holds elements of another type than the receiver expects."""


class LeakedRequests(Fault):
    """Operations were begun and never completed by Wait or Test."""


class UnreceivedMessages(Fault):
    """Messages were sent and nobody received them."""


class BufferModified(Fault):
    """The program changed a buffer from which an operation was still sending."""


class BufferOverlap(Fault):
    """An operation receives into memory that another pending one uses."""


class InvalidCall(Fault):
    """An argument that MPI forbids, such as a rank outside the communicator."""


class RankFailed(Fault):
    """The program raised an exception on a rank, exited with an error there, or aborted.

    Attributes:
        details: The exception's stack, as Python prints it; empty where there was none.
    """

    details = ""


class Unsupported(Fault):
    """The program uses a part of MPI that the simulation does not know."""

    decides = False


class LimitReached(Fault):
    """The simulation made too many calls or took too long."""

    decides = False


class Stopped(BaseException):
    """Unwinds a rank after a fault; not an `Exception`, so that programs do not catch it."""
