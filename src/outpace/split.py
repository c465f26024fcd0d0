"""How the dims of a reference may be cut over the ranks of a job."""

from __future__ import annotations

from enum import StrEnum

from outpace.codec import Value


class Boundary(StrEnum):
    """What lies beyond the ends of a dim."""

    FIXED = "fixed"
    PERIODIC = "periodic"


class Block(Value, frozen=True):
    """A dim that may be cut into contiguous blocks.

    Attributes:
        halo: How many neighbouring cells one step reads on the low and on the high side.
        minimum: Smallest extent of a block.
        boundary: Whether cells at one end read those of the other end.
    """

    halo: int | tuple[int, int] = 0
    minimum: int = 1
    boundary: Boundary = Boundary.FIXED


class Replicated(Value, frozen=True):
    """A dim that every rank holds whole."""


class Ring(Value, frozen=True):
    """A dim that may be cut into blocks of which every rank reads all, one after another.

    Attributes:
        minimum: Smallest extent of a block.
    """

    minimum: int = 1


class Pencil(Value, frozen=True):
    """A dim that may be cut as long as every other pencil dim is whole, as in transforms by axes.

    Attributes:
        minimum: Smallest extent of a block.
    """

    minimum: int = 1


Split = Block | Replicated | Ring | Pencil
"""How a dim may be cut over ranks."""


class Combination(StrEnum):
    """How the results of blocks make the result of the whole."""

    SUM = "sum"
    PRODUCT = "prod"
    MINIMUM = "min"
    MAXIMUM = "max"


class Reduced(Value, frozen=True):
    """An output that is a reduction over the dims that are cut.

    Attributes:
        operation: How the results of blocks are combined.
        reassociable: Whether they may be combined in any order.
    """

    operation: Combination = Combination.SUM
    reassociable: bool = True
