"""Message arguments, `array`, `[array, count, datatype]` and the like, as memory with a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from outpace.tuner.simcomm.datatypes import BYTE, NAMED, Datatype, of_dtype, same_elements

Elements = npt.NDArray[Any]
"""Elements of one base type, packed: what a message holds."""


class _Constant:
    """A value of MPI that is only compared with."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"MPI.{self.name}"


IN_PLACE = _Constant("IN_PLACE")
BOTTOM = _Constant("BOTTOM")


@dataclass(frozen=True, slots=True)
class Buffer:
    """Items of a datatype in memory.

    Attributes:
        memory: All bytes that were given, as a flat array of uint8.
        start: Byte offset of the first item.
        count: Number of items.
        datatype: Of each.
    """

    memory: npt.NDArray[np.uint8]
    start: int
    count: int
    datatype: Datatype

    @property
    def length(self) -> int:
        """Number of elements of the base type."""
        return self.count * len(self.datatype.offsets)

    @property
    def addresses(self) -> tuple[int, int]:
        """Of the first byte of the memory, and after its last."""
        first: int = self.memory.__array_interface__["data"][0]
        return first, first + self.memory.size

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.count * self.datatype.size

    def pack(self) -> Elements:
        """A copy of the elements."""
        if self.datatype.is_contiguous:
            stop = self.start + self.nbytes
            return self.memory[self.start : stop].copy().view(self.datatype.base)
        return self.memory[self._bytes()].view(self.datatype.base).reshape(-1)

    def unpack(self, elements: Elements) -> None:
        """Put elements, at most as many as there is room for, where the layout says."""
        data = np.ascontiguousarray(elements).view(np.uint8).reshape(-1)
        if self.datatype.is_contiguous:
            self.memory[self.start : self.start + data.size] = data
        elif data.size:
            where = self._bytes()[: len(elements)]
            self.memory[where] = data.reshape(where.shape)

    def holds(self, elements: Elements) -> bool:
        """Whether the memory still has these very bytes."""
        return self.pack().tobytes() == elements.tobytes()

    def overlaps(self, other: Buffer) -> bool:
        """Whether the two share a byte."""
        if not (self.nbytes and other.nbytes):
            return False
        if not np.may_share_memory(self._span(), other._span()):
            return False
        if self.datatype.is_contiguous and other.datatype.is_contiguous:
            return True
        mine, theirs = self._byte_addresses(), other._byte_addresses()
        return bool(np.intersect1d(mine, theirs).size)

    def fits(self) -> bool:
        """Whether every item lies within the memory that was given."""
        if not self.nbytes:
            return True
        low, size = self.datatype.true_extent
        last = self.start + low + (self.count - 1) * self.datatype.extent + size
        return self.start + low >= 0 and last <= self.memory.size

    def _bytes(self) -> npt.NDArray[np.int64]:
        """Index of every byte, one row per element."""
        items = self.start + self.datatype.extent * np.arange(self.count)
        firsts = (items[:, None] + self.datatype.offsets).reshape(-1, 1)
        return firsts + np.arange(self.datatype.base.itemsize)

    def _span(self) -> npt.NDArray[np.uint8]:
        low, size = self.datatype.true_extent
        first = self.start + low
        return self.memory[first : first + (self.count - 1) * self.datatype.extent + size]

    def _byte_addresses(self) -> npt.NDArray[np.int64]:
        return self.addresses[0] + self._bytes().reshape(-1)


def simple(message: Any, *, writable: bool, blocks: int = 1) -> Buffer:
    """The buffer of a message with one count.

    Args:
        message: An object with a buffer, or a list of it with count, displacement and datatype.
        writable: Whether it is received into.
        blocks: Equal parts of which the count that is not given is one.

    Raises:
        TypeError: It is no message.
        ValueError: A count does not follow from it.
        KeyError: Its elements have no MPI datatype.
    """
    memory, count, displacement, datatype = _simple_parts(message, writable)
    start = displacement * datatype.extent
    if count is None:
        items = _items(memory.size - start, datatype)
        if items % blocks:
            raise ValueError(
                f"message: cannot infer count, number of entries {items} is not a multiple of "
                f"required number of blocks {blocks}"
            )
        count = items // blocks
    if count < 0 or displacement < 0:
        raise ValueError(f"message: negative count {count} or displacement {displacement}")
    return Buffer(memory, start, count, datatype)


def split(message: Any, blocks: int, *, writable: bool) -> list[Buffer]:
    """The equal blocks of a message for or from so many ranks; raises as `simple`."""
    whole = simple(message, writable=writable, blocks=blocks)
    step = whole.count * whole.datatype.extent
    return [
        Buffer(whole.memory, whole.start + i * step, whole.count, whole.datatype)
        for i in range(blocks)
    ]


def vector(message: Any, blocks: int, *, writable: bool) -> list[Buffer]:
    """The blocks of a message with a count and a displacement each; raises as `simple`."""
    memory, counts, displacements, datatype = _vector_parts(message, writable)
    if counts is None:
        items = _items(memory.size, datatype)
        counts = [items // blocks + (items % blocks > i) for i in range(blocks)]
    counts = _expanded(counts, blocks, "counts")
    if displacements is None:
        displacements = [sum(counts[:i]) for i in range(blocks)]
    elif not isinstance(displacements, Sequence | np.ndarray):
        displacements = [i * displacements for i in range(blocks)]
    displacements = _expanded(displacements, blocks, "displacements")
    return [
        Buffer(memory, displacement * datatype.extent, count, datatype)
        for count, displacement in zip(counts, displacements, strict=True)
    ]


def by_type(message: Any, blocks: int, *, writable: bool) -> list[Buffer]:
    """The blocks of a message with a count, a displacement in bytes and a type each.

    Raises:
        ValueError: It has another form than mpi4py's for these calls.
    """
    counts: Any = [1] * blocks
    displacements: Any = [0] * blocks
    match message:
        case [data, types]:
            pass
        case [data, [counts, displacements], types]:
            pass
        case [data, counts, displacements, types]:
            pass
        case _:
            raise ValueError("message: expecting 2 to 4 items")
    memory = _memory(data, writable)
    rows = zip(
        _expanded(counts, blocks, "counts"),
        _expanded(displacements, blocks, "displacements"),
        (_datatype(entry) for entry in types),
        strict=True,
    )
    return [Buffer(memory, displacement, count, kind) for count, displacement, kind in rows]


def expects(buffer: Buffer, elements: Elements) -> bool:
    """Whether the elements are of the type that a buffer has."""
    return same_elements(elements.dtype, buffer.datatype.base)


def _simple_parts(
    message: Any, writable: bool
) -> tuple[npt.NDArray[np.uint8], int | None, int, Datatype]:
    count: Any = None
    displacement: Any = 0
    kind: Any = None
    data = message
    if isinstance(message, list | tuple):
        match message:
            case [data, Datatype() | str() as kind]:
                pass
            case [data, (list() | tuple()) as pair]:
                count, displacement = pair
            case [data, count]:
                pass
            case [data, (list() | tuple()) as pair, kind]:
                count, displacement = pair
            case [data, count, kind]:
                pass
            case [data, count, displacement, kind]:
                pass
            case _:
                raise ValueError("message: expecting 2 to 4 items")
    memory, datatype = _typed_memory(data, kind, writable)
    whole = None if count is None else int(count)
    return memory, whole, int(displacement or 0), datatype


def _vector_parts(message: Any, writable: bool) -> tuple[npt.NDArray[np.uint8], Any, Any, Datatype]:
    counts: Any = None
    displacements: Any = None
    kind: Any = None
    data = message
    if isinstance(message, list | tuple):
        match message:
            case [data, Datatype() | str() as kind]:
                pass
            case [data, tuple() as pair]:
                counts, displacements = pair
            case [data, counts]:
                pass
            case [data, tuple() as pair, kind]:
                counts, displacements = pair
            case [data, counts, kind]:
                pass
            case [data, counts, displacements, kind]:
                pass
            case _:
                raise ValueError("message: expecting 2 to 4 items")
    memory, datatype = _typed_memory(data, kind, writable)
    return memory, counts, displacements, datatype


def _typed_memory(data: Any, kind: Any, writable: bool) -> tuple[npt.NDArray[np.uint8], Datatype]:
    if data is None or data is BOTTOM:
        return np.empty(0, dtype=np.uint8), BYTE if kind is None else _datatype(kind)
    memory = _memory(data, writable)
    return memory, _inferred(data) if kind is None else _datatype(kind)


def _memory(data: Any, writable: bool) -> npt.NDArray[np.uint8]:
    """The bytes of an object with a buffer, without a copy."""
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError("message: expecting buffer or list/tuple") from None
    if not view.contiguous:
        raise ValueError("ndarray is not contiguous")
    if writable and view.readonly:
        raise BufferError("Object is not writable.")
    array = data if isinstance(data, np.ndarray) else np.asarray(view)
    if not array.size:
        return np.empty(0, dtype=np.uint8)
    return array.reshape(-1, order="A").view(np.uint8)


def _inferred(data: Any) -> Datatype:
    code = memoryview(data).format or "B"
    if code == "B":  # what a buffer without a format has, and mpi4py's choice for uint8 too
        return BYTE
    return of_dtype(data.dtype if isinstance(data, np.ndarray) else np.dtype(code))


def _datatype(kind: Any) -> Datatype:
    if isinstance(kind, Datatype):
        return kind
    return NAMED[kind] if kind in NAMED else of_dtype(np.dtype(kind))


def _items(size: int, datatype: Datatype) -> int:
    """How many items of a type a number of bytes holds."""
    if size == 0:
        return 0
    if datatype.extent <= 0 or size % datatype.extent:
        raise ValueError(
            f"message: cannot infer count, buffer length {size} is not a multiple of datatype "
            f"extent {datatype.extent}"
        )
    return size // datatype.extent


def _expanded(values: Any, blocks: int, what: str) -> list[int]:
    """One number per block, of one number for all or a sequence."""
    if not isinstance(values, Sequence | np.ndarray):
        return [int(values)] * blocks
    numbers = [int(value) for value in values]
    if len(numbers) != blocks:
        raise ValueError(f"message: expecting {blocks} {what}, got {len(numbers)}")
    return numbers
