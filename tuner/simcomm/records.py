"""What travels between the process that asks for a simulation and the one that runs it."""

from __future__ import annotations

import msgspec


class RunRequest(msgspec.Struct, frozen=True):
    """One run of a program.

    Attributes:
        program: Its file.
        args: Its arguments.
        ranks: How many run it.
        seed: Decides what MPI leaves open.
        eager_bytes: See `Options`.
        seconds: Time limit.
        show_output: Whether to print what ranks print.
    """

    program: str
    args: list[str]
    ranks: int
    seed: int
    eager_bytes: int
    seconds: float
    show_output: bool


class CallRecord(msgspec.Struct, frozen=True):
    """A `Call`, as data.

    Attributes:
        name: As a person would name it.
        file: In which it stands.
        line: At which.
    """

    name: str
    file: str
    line: int


class WaitingRecord(msgspec.Struct, frozen=True):
    """What a rank was doing when the run ended early.

    Attributes:
        rank: In COMM_WORLD.
        ended: Whether it had come to its end.
        call: In which it waited; None where it did not wait.
    """

    rank: int
    ended: bool
    call: CallRecord | None


class FaultRecord(msgspec.Struct, frozen=True):
    """A `Fault`, as data.

    Attributes:
        name: Of its class.
        decides: Whether it shows the program wrong.
        reason: One sentence.
        rank: Where it was found, or None.
        call: In which, or None.
        waiting: What every rank was doing.
    """

    name: str
    decides: bool
    reason: str
    rank: int | None = None
    call: CallRecord | None = None
    waiting: list[WaitingRecord] = []


class RankRecord(msgspec.Struct, frozen=True):
    """A `RankCounts`, as data."""

    calls: int
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int
    collectives: int
    seconds: float


class Reply(msgspec.Struct, frozen=True):
    """How a run ended.

    Attributes:
        fault: What was wrong, or None.
        ranks: What each rank did.
        seconds: Virtual time.
        unusable: Why the program could not be started, or None.
        bug: What went wrong in the simulation itself, or None.
    """

    fault: FaultRecord | None = None
    ranks: list[RankRecord] = []
    seconds: float = 0.0
    unusable: str | None = None
    bug: str | None = None
