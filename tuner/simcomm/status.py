"""What is known about a message that was received."""

from __future__ import annotations

from outpace.tuner.simcomm.datatypes import BYTE, Datatype
from outpace.tuner.simcomm.unsupported import Partial

PROC_NULL = -1001
ANY_SOURCE = -1002
ANY_TAG = -1003
"""Not as any library has them: a rank of -1 that a program has computed is none of these."""
UNDEFINED = -32766


class Status(Partial):
    """Source, tag and length of a message.

    Attributes:
        source: Rank that sent it.
        tag: With which it was sent.
        nbytes: Length in bytes.
        error: Always success; what fails ends the simulation.
        cancelled: Whether the operation was cancelled.
    """

    def __init__(self) -> None:
        self.source = ANY_SOURCE
        self.tag = ANY_TAG
        self.nbytes = 0
        self.error = 0
        self.cancelled = False

    @property
    def count(self) -> int:
        return self.nbytes

    def Get_source(self) -> int:
        return self.source

    def Get_tag(self) -> int:
        return self.tag

    def Get_error(self) -> int:
        return self.error

    def Get_count(self, datatype: Datatype = BYTE) -> int:
        size = datatype.size
        if not size:
            return 0
        return UNDEFINED if self.nbytes % size else self.nbytes // size

    def Get_elements(self, datatype: Datatype) -> int:
        return self.nbytes // datatype.base.itemsize

    def Is_cancelled(self) -> bool:
        return self.cancelled

    def fill(self, source: int, tag: int, nbytes: int) -> None:
        """Describe a message."""
        self.source, self.tag, self.nbytes = source, tag, nbytes

    def copy_from(self, other: Status) -> None:
        """Describe what another describes."""
        self.fill(other.source, other.tag, other.nbytes)
        self.cancelled = other.cancelled
