"""Where a time stands under what a GPU reaches; `outpace.kernels.gpu.roofline` measures that."""

from __future__ import annotations

from enum import StrEnum

from outpace.codec import Value


class Bound(StrEnum):
    """What no kernel can be faster than: the bytes it must move, or the arithmetic it must do."""

    MEMORY = "memory"
    ARITHMETIC = "arithmetic"


class Counted(StrEnum):
    """Who says how many operations there are: the nests of the reference, or the draft itself."""

    NESTS = "nests"
    DECLARED = "declared"


class Roofline(Value, frozen=True):
    """How a time compares with what memory and arithmetic allow.

    Attributes:
        moved: Bytes that every kernel must move: inputs read once, outputs written once.
        rate: These bytes a second.
        share: That rate in parts of the measured bandwidth of a copy.
        operations: `+ - * /` on floats, a multiply-add counted as two; None where not known.
        functions: Calls of functions such as `exp`, which are not among them; None likewise.
        counted: Who says so; None where nobody does.
        intensity: Operations a byte; None where either is not known, or nothing is moved.
        bound: What limits; None where operations, or the rate of their dtype, are not known.
        fraction: The least time that this bound allows, in parts of the measured one; likewise.
        declared_moved: Bytes that the draft says it moves; None where it does not.
        declared_operations: Operations that it says it does; None likewise.
        remark: Where what it says is far from what is known; else empty.
    """

    moved: int
    rate: float
    share: float
    operations: int | None = None
    functions: int | None = None
    counted: Counted | None = None
    intensity: float | None = None
    bound: Bound | None = None
    fraction: float | None = None
    declared_moved: int | None = None
    declared_operations: int | None = None
    remark: str = ""
