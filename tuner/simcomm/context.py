"""What all ranks of a communicator share, and what each rank's handle of it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from outpace.tuner.simcomm.engine import Rank, Simulation
from outpace.tuner.simcomm.faults import Call, InvalidCall
from outpace.tuner.simcomm.messages import Mailbox
from outpace.tuner.simcomm.status import PROC_NULL
from outpace.tuner.simcomm.unsupported import Partial

if TYPE_CHECKING:
    from outpace.tuner.simcomm.joining import Meeting
    from outpace.tuner.simcomm.topologies import Edges

TAG_UB = 2**22 - 1
"""Largest tag; MPI promises 32767, and implementations allow millions."""


@dataclass(eq=False)
class Context:
    """One communicator, of all its ranks.

    Attributes:
        members: Its ranks in their order.
        number: Tells it from others.
        meetings: Collectives that not everybody has joined, by their place in the order.
        joined: How many collectives each member has joined.
        edges: Of each member, its neighbours; None without a topology.
    """

    simulation: Simulation
    members: list[Rank]
    edges: list[Edges] | None = None
    number: int = 0
    meetings: dict[int, Meeting] = field(default_factory=dict)
    joined: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.number = self.simulation.new_context()
        self.joined = [0] * len(self.members)

    def mailbox(self, member: int) -> Mailbox:
        """Where a member receives."""
        boxes = self.simulation.mailboxes
        key = (self.number, member)
        if key not in boxes:
            boxes[key] = Mailbox(self.simulation, self.members[member])
        return boxes[key]


class Handle(Partial):
    """A communicator as one of its ranks sees it.

    Attributes:
        context: What it shares with the others.
        name: Given by the program.
    """

    def __init__(self, context: Context, rank: int) -> None:
        self.context = context
        self.name = ""
        self._rank = rank
        self._owner = context.members[rank]
        self._simulation = context.simulation
        self._freed = False

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def size(self) -> int:
        return len(self.context.members)

    def Get_rank(self) -> int:
        return self._rank

    def Get_size(self) -> int:
        return len(self.context.members)

    def enter(self, name: str) -> Call:
        """Begin a call on this communicator; see `Simulation.enter`."""
        call = self._simulation.enter(name)
        if self._freed:
            self.reject("the communicator has been freed")
        return call

    def reject(self, reason: str) -> NoReturn:
        """Fail with `InvalidCall`."""
        self._simulation.fail(InvalidCall(reason))

    def check_peer(self, what: str, rank: int) -> None:
        """Fail where a rank is neither of this communicator nor PROC_NULL."""
        if rank != PROC_NULL and not 0 <= rank < self.size:
            self.reject(f"{what} {rank} is no rank of a communicator of {self.size}")
