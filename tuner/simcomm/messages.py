"""Sends and receives, and where they wait for each other."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from outpace.tuner.simcomm.buffers import Buffer, Elements, expects
from outpace.tuner.simcomm.engine import Rank, Simulation
from outpace.tuner.simcomm.faults import (
    BufferModified,
    BufferOverlap,
    Call,
    DatatypeMismatch,
    Fault,
    Truncation,
)
from outpace.tuner.simcomm.status import ANY_SOURCE, ANY_TAG, Status

Payload = Elements | bytes
"""Packed elements, or a pickled object."""


def size_of(payload: Payload) -> int:
    """Bytes of a message."""
    return len(payload) if isinstance(payload, bytes) else payload.nbytes


class Operation:
    """Something that a rank has begun and that ends later.

    Attributes:
        simulation: To which it belongs.
        rank: Which began it.
        call: With which call.
        done: Whether it may be completed.
        time: Virtual time from which on it is done.
        status: Of what it received.
        span: First address of its memory and the one after the last, while it is pending.
    """

    span = (0, 0)

    def __init__(self, simulation: Simulation, rank: Rank, call: Call) -> None:
        self.simulation = simulation
        self.rank = rank
        self.call = call
        self.done = False
        self.time = 0.0
        self.status = Status()

    @property
    def described(self) -> str:
        """Rank and call, for messages."""
        return f"rank {self.rank.index}, {self.call}"

    @property
    def is_lost(self) -> bool:
        """Whether it waits for a rank that has ended to receive from it."""
        return False

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Memory from which it sends, which must not be written meanwhile."""
        return ()

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Memory into which it receives."""
        return ()

    def register(self) -> None:
        """Count as pending from now on.

        It must not write what a pending operation uses, nor read what one writes.
        """
        self.span = low, high = _span(self.reads, self.writes)
        if _overlap(self.writes, self.reads):
            self._refuse_overlap("its own send buffer")
        for other in self.rank.operations.values():
            first, end = other.span  # compared at first, since each is compared with all others
            if first < high and low < end and self._clashes(other):
                self._refuse_overlap(f"the buffer of {other.call}")
        self.rank.operations[id(self)] = self

    def _clashes(self, other: Operation) -> bool:
        mine, theirs = self.writes, other.writes
        return _overlap(mine, theirs) or _overlap(mine, other.reads) or _overlap(self.reads, theirs)

    def _refuse_overlap(self, which: str) -> NoReturn:
        self.simulation.fail(BufferOverlap(f"its buffer overlaps {which}"))

    def finish(self, time: float) -> None:
        """Mark as done at a virtual time, and wake its rank."""
        self.done = True
        self.time = time
        self.simulation.wake(self.rank)

    def forget(self) -> None:
        """Count as completed without looking at the result."""
        self.rank.operations.pop(id(self), None)

    def settle(self) -> Any:
        """Complete in the thread of its rank; what was received as an object, or None."""
        self.forget()
        self.rank.clock = max(self.rank.clock, self.time)
        value = self.deliver()
        self.simulation.discount()
        return value

    def deliver(self) -> Any:
        """Put what was received where it belongs."""
        return None

    def check_unchanged(self, sent: Iterable[tuple[Buffer, Elements]]) -> None:
        """Fail where the program has changed a buffer since it was sent from."""
        if not all(buffer.holds(elements) for buffer, elements in sent):
            reason = f"the buffer of {self.call} was changed before the operation had completed"
            self.simulation.fail(BufferModified(reason))


class Outgoing(Operation):
    """A message on its way.

    Attributes:
        payload: A copy made when it was begun.
        source: Rank in the communicator.
        box: Where it is to be received.
        is_found: Whether a matched probe has found it, so that no other receive gets it.
    """

    def __init__(
        self,
        simulation: Simulation,
        rank: Rank,
        call: Call,
        box: Mailbox,
        *,
        payload: Payload,
        source: int,
        tag: int,
        buffer: Buffer | None,
    ) -> None:
        super().__init__(simulation, rank, call)
        self.payload = payload
        self.source = source
        self.tag = tag
        self.box = box
        self.begun = rank.clock
        self.is_found = False
        self._buffer = buffer

    @property
    def size(self) -> int:
        """In bytes."""
        return size_of(self.payload)

    @property
    def is_lost(self) -> bool:
        return not self.done and self.box.owner.ended

    @property
    def reads(self) -> tuple[Buffer, ...]:
        return () if self._buffer is None else (self._buffer,)

    def deliver(self) -> None:
        if self._buffer is not None and not isinstance(self.payload, bytes):
            self.check_unchanged([(self._buffer, self.payload)])


class Incoming(Operation):
    """A receive that waits for its message, or has it.

    Attributes:
        source: Rank in the communicator, or ANY_SOURCE.
        tag: Or ANY_TAG.
        buffer: For the elements; None to receive an object.
        message: What was matched with it, or None.
    """

    def __init__(
        self,
        simulation: Simulation,
        rank: Rank,
        call: Call,
        box: Mailbox,
        *,
        source: int,
        tag: int,
        buffer: Buffer | None = None,
    ) -> None:
        super().__init__(simulation, rank, call)
        self.source = source
        self.tag = tag
        self.buffer = buffer
        self.begun = rank.clock
        self.message: Outgoing | None = None
        self.box = box

    @property
    def writes(self) -> tuple[Buffer, ...]:
        return () if self.buffer is None else (self.buffer,)

    def accepts(self, send: Outgoing) -> bool:
        """Whether the message has the wanted source and tag."""
        return self.source in (ANY_SOURCE, send.source) and self.tag in (ANY_TAG, send.tag)

    def withdraw(self) -> None:
        """Wait for no message any more."""
        self.box.receives.remove(self)
        self.status.cancelled = True
        self.finish(self.begun)

    def deliver(self) -> Any:
        """Unpack into the buffer, or make the object anew."""
        if self.message is None:
            return None
        payload = self.message.payload
        if self.buffer is None:
            data = payload if isinstance(payload, bytes) else payload.tobytes()
            return pickle.loads(data)  # noqa: S301  (the program's own object)
        if isinstance(payload, bytes):
            payload = _as_bytes(payload)
        self.buffer.unpack(payload)
        return None


@dataclass(eq=False)
class Mailbox:
    """Messages to one rank of one communicator, and its receives, each in the order begun.

    Attributes:
        owner: Who receives.
    """

    simulation: Simulation
    owner: Rank
    sends: list[Outgoing] = field(default_factory=list)
    receives: list[Incoming] = field(default_factory=list)

    def post_send(self, send: Outgoing) -> None:
        """Give a message to the first receive that accepts it, or keep it."""
        for position, receive in enumerate(self.receives):
            if receive.accepts(send):
                del self.receives[position]
                self._join(send, receive)
                return
        self.sends.append(send)
        self.simulation.wake(self.owner)  # it may be probing

    def post_receive(self, receive: Incoming) -> None:
        """Find a message for a receive, or keep it."""
        send = self.find(receive)
        if send is None:
            self.receives.append(receive)
        else:
            self.take(send, receive)

    def take(self, send: Outgoing, receive: Incoming) -> None:
        """Receive this very message."""
        self.sends.remove(send)
        self._join(send, receive)

    def find(self, wanted: Incoming) -> Outgoing | None:
        """The message that a receive would get now: per source the first, among sources any."""
        firsts: dict[int, Outgoing] = {}
        for send in self._accepted(wanted):
            if wanted.source != ANY_SOURCE:
                return send
            firsts.setdefault(send.source, send)
        return self.simulation.random.choice(list(firsts.values())) if firsts else None

    def _accepted(self, wanted: Incoming) -> Iterator[Outgoing]:
        return (send for send in self.sends if wanted.accepts(send) and not send.is_found)

    def _join(self, send: Outgoing, receive: Incoming) -> None:
        self._check(send, receive)
        size = size_of(send.payload)
        transfer = self.simulation.transfer_time(size)
        if send.done:  # eager: it has left already
            arrival = max(receive.begun, send.begun + transfer)
        else:
            arrival = max(receive.begun, send.begun) + transfer
            send.finish(arrival)
        receive.message = send
        receive.status.fill(send.source, send.tag, size)
        self.owner.messages_received += 1
        self.owner.bytes_received += size
        receive.finish(arrival)

    def _check(self, send: Outgoing, receive: Incoming) -> None:
        """Fail where the message does not fit the receive."""
        payload, buffer = send.payload, receive.buffer
        sent = f"in {send.call} of rank {send.rank.index}"
        if buffer is None:
            if not isinstance(payload, bytes) and payload.itemsize != 1:
                reason = f"an object is expected, but elements of {payload.dtype} were sent {sent}"
                self._fail(DatatypeMismatch, reason, receive)
            return
        elements = _as_bytes(payload) if isinstance(payload, bytes) else payload
        if not expects(buffer, elements):
            what = "an object was" if isinstance(payload, bytes) else f"{payload.dtype} were"
            reason = f"{buffer.datatype.base} are expected, but {what} sent {sent}"
            self._fail(DatatypeMismatch, reason, receive)
        if len(elements) > buffer.length:
            reason = f"room for {buffer.length} elements, but {len(elements)} were sent {sent}"
            self._fail(Truncation, reason, receive)

    def _fail(self, kind: type[Fault], reason: str, receive: Incoming) -> None:
        self.simulation.fail(kind(reason, rank=receive.rank.index, call=receive.call))


def _span(*messages: Sequence[Buffer]) -> tuple[int, int]:
    """The addresses within which the memory of messages lies, each of blocks of one memory."""
    spans = [buffers[0].addresses for buffers in messages if buffers]
    return min((low for low, _ in spans), default=0), max((high for _, high in spans), default=0)


def _overlap(ours: Sequence[Buffer], theirs: Sequence[Buffer]) -> bool:
    """Whether two messages, each of blocks of one memory, share a byte."""
    if not (ours and theirs) or not np.may_share_memory(ours[0].memory, theirs[0].memory):
        return False
    return any(mine.overlaps(other) for mine in ours for other in theirs)


def _as_bytes(payload: bytes) -> Elements:
    return np.frombuffer(payload, dtype="V1")
