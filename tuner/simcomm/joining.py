"""Collectives: the ranks of a communicator meet, agree, exchange, and go on.

Every collective waits for all ranks, as MPI allows each of them to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np

from outpace.tuner.simcomm.buffers import Buffer, Elements, expects
from outpace.tuner.simcomm.context import Context
from outpace.tuner.simcomm.engine import Options
from outpace.tuner.simcomm.faults import (
    Call,
    CollectiveMismatch,
    DatatypeMismatch,
    Truncation,
)
from outpace.tuner.simcomm.matching import Matching
from outpace.tuner.simcomm.messages import Operation, size_of
from outpace.tuner.simcomm.requests import Prequest, Request

Arguments = ParamSpec("Arguments")


class Pattern(Enum):
    """How a collective's virtual time depends on ranks and bytes.

    The usual estimates with latency a and time b per byte, for n bytes at the busiest rank.
    """

    TREE = auto()
    """One value along a binary tree: ceil(log2 p) (a + n b)."""
    TWICE = auto()
    """One value, scattered and gathered again: 2 ceil(log2 p) a + 2 n b (p - 1) / p."""
    SPREAD = auto()
    """A piece per rank by recursive halving: ceil(log2 p) a + n b."""
    PAIRS = auto()
    """A piece per pair of ranks: (p - 1) a + n b."""
    NEIGHBOURS = auto()
    """A piece per neighbour: a + n b."""

    def seconds(self, ranks: int, size: int, options: Options) -> float:
        """Virtual time among so many ranks, for so many bytes at the busiest one."""
        depth = (ranks - 1).bit_length()
        moving = options.seconds_per_byte * size
        match self:
            case Pattern.TREE:
                return depth * (options.latency + moving)
            case Pattern.TWICE:
                return 2 * (depth * options.latency + moving * (ranks - 1) / ranks)
            case Pattern.SPREAD:
                return depth * options.latency + moving
            case Pattern.PAIRS:
                return (ranks - 1) * options.latency + moving
            case Pattern.NEIGHBOURS:
                return options.latency + moving


@dataclass(frozen=True)
class Exchange:
    """One rank's part in a collective.

    Attributes:
        name: Of the call in its blocking form.
        pattern: For its virtual time.
        give: What the others may need: a payload, one per destination, or None.
        combine: What every rank gets, of what all gave; run once, where the last rank joins.
        take: Put what this rank got into its buffers; what it returns the program gets.
        agree: What every rank must say alike, such as the root.
        reads: Memory that must not be written before it is complete.
        writes: Memory that is received into.
        destinations: Ranks for which the pieces of `give` are; by default all in their order.
        sources: Ranks from which the pieces of what it gets are; by default all.
    """

    name: str
    pattern: Pattern
    give: Any
    combine: Callable[[list[Any]], Sequence[Any]]
    take: Callable[[Any], Any]
    agree: Mapping[str, object] = field(default_factory=dict)
    reads: tuple[Buffer, ...] = ()
    writes: tuple[Buffer, ...] = ()
    destinations: Sequence[int] | None = None
    sources: Sequence[int] | None = None


class Joined(Operation):
    """A collective that a rank has joined.

    Attributes:
        exchange: Its part.
        result: What it got.
    """

    def __init__(self, comm: Matching, call: Call, exchange: Exchange, *, waiting: bool) -> None:
        """Begin to take part.

        Args:
            comm: In which.
            call: With which call.
            exchange: What to give and get.
            waiting: Whether the program waits for the end, and cannot change a buffer before.
        """
        context = comm.context
        super().__init__(context.simulation, context.members[comm.rank], call)
        self.exchange = exchange
        self.member = comm.rank
        self.begun = self.rank.clock
        self.result: Any = None
        self._watched = () if waiting else exchange.reads
        self._sent = [buffer.pack() for buffer in self._watched]

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return self.exchange.reads

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return self.exchange.writes

    def deliver(self) -> Any:
        self.check_unchanged(zip(self._watched, self._sent, strict=True))
        return self.exchange.take(self.result)


class Meeting:
    """One collective of a communicator, while its ranks come together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._joined: dict[int, Joined] = {}
        self._form = ""

    def join(self, joined: Joined, form: str) -> bool:
        """Add a rank; whether it was the last, and all are done now.

        Args:
            joined: Its part.
            form: Of the call; ranks that wait and ranks that do not cannot meet.
        """
        first = next(iter(self._joined.values()), None)
        if first is None:
            self._form = form
        else:
            self._compare(first, joined, form)
        self._joined[joined.member] = joined
        if len(self._joined) < len(self._context.members):
            return False
        self._exchange()
        return True

    def _compare(self, first: Joined, joined: Joined, form: str) -> None:
        ours, theirs = joined.exchange, first.exchange
        if (ours.name, ours.agree, form) == (theirs.name, theirs.agree, self._form):
            return
        reason = f"rank {first.rank.index} is in {first.call}"
        self._context.simulation.fail(CollectiveMismatch(reason, call=joined.call))

    def _exchange(self) -> None:
        members = self._context.members
        parts = [self._joined[member] for member in range(len(members))]
        exchange = parts[0].exchange
        results = exchange.combine([part.exchange.give for part in parts])
        busiest = 0
        for part, result in zip(parts, results, strict=True):
            part.result = result
            sent = _foreign(part.exchange.give, part.exchange.destinations, part.member)
            received = _foreign(result, part.exchange.sources, part.member)
            busiest = max(busiest, sent, received)
            if len(members) > 1:
                part.rank.collectives += 1
                part.rank.bytes_sent += sent
                part.rank.bytes_received += received
        options = self._context.simulation.options
        start = max(part.begun for part in parts)
        end = start + exchange.pattern.seconds(len(members), busiest, options)
        for part in parts:
            part.finish(end)


def _foreign(pieces: Any, peers: Sequence[int] | None, own: int) -> int:
    """Bytes that go to, or come from, other ranks than this."""
    if not isinstance(pieces, list):
        return size_of(pieces) if isinstance(pieces, bytes | np.ndarray) else 0
    owners = range(len(pieces)) if peers is None else peers
    pairs = zip(pieces, owners, strict=True)
    return sum(size_of(piece) for piece, peer in pairs if piece is not None and peer != own)


class Joining(Matching):
    """A communicator whose ranks can meet."""

    def join(self, call: Call, exchange: Exchange, form: str = "") -> Joined:
        """Take part in the next collective of this communicator."""
        context = self.context
        shown = ", ".join(f"{key}={value}" for key, value in exchange.agree.items())
        call = Call(f"{form or exchange.name}({shown})", call.place)
        self._owner.call = call
        for buffer in (*exchange.reads, *exchange.writes):
            self._check_room(buffer)
        joined = Joined(self, call, exchange, waiting=not form)
        joined.register()
        number = context.joined[self._rank]
        context.joined[self._rank] += 1
        meeting = context.meetings.setdefault(number, Meeting(context))
        if meeting.join(joined, form):
            del context.meetings[number]
        self._simulation.discount()
        return joined

    def complete(self, name: str, exchange: Callable[[], Exchange]) -> Any:
        """A collective from beginning to end."""
        call = self.enter(f"{name}()")
        return self._finish(self.join(call, exchange()))

    def fill(self, buffer: Buffer, elements: Elements, source: int | None = None) -> None:
        """Unpack what a rank of this communicator gave; it must be as long as the buffer."""
        origin = "" if source is None else f" of rank {self.context.members[source].index}"
        base = buffer.datatype.base
        simulation = self._simulation
        if not expects(buffer, elements) and len(elements):
            reason = f"{base} are expected, but the data{origin} are {elements.dtype}"
            simulation.fail(DatatypeMismatch(reason))
        if len(elements) != buffer.length:
            kind = Truncation if len(elements) > buffer.length else CollectiveMismatch
            reason = f"room for {buffer.length} elements, but the data{origin} are {len(elements)}"
            simulation.fail(kind(reason))
        buffer.unpack(elements)


def forms(
    plan: Callable[Concatenate[Any, Arguments], Exchange],
) -> tuple[Callable[..., None], Callable[..., Request], Callable[..., Prequest]]:
    """The blocking, the nonblocking and the persistent form of a collective.

    Args:
        plan: Makes a rank's part of the communicator and of the arguments of the call.
    """

    @wraps(plan)
    def blocking(self: Joining, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        self.complete(_name(plan), lambda: plan(self, *args, **kwargs))

    @wraps(plan)
    def nonblocking(self: Joining, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Request:
        form = f"I{_name(plan).lower()}"
        call = self.enter(f"{form}()")
        return Request(self.join(call, plan(self, *args, **kwargs), form))

    @wraps(plan)
    def persistent(self: Joining, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Prequest:
        form = f"{_name(plan)}_init"
        self.enter(f"{form}()")

        def begin(call: Call) -> Joined:
            return self.join(call, plan(self, *args, **kwargs), form)

        return Prequest(begin, f"{form}()")

    return blocking, nonblocking, persistent


def _name(plan: Callable[..., Exchange]) -> str:
    return plan.__name__.capitalize()
