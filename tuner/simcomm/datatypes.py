"""MPI's datatypes: named ones, and patterns of bytes derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from outpace.tuner.simcomm.unsupported import Partial, refuse

Offsets = npt.NDArray[np.int64]


class Datatype(Partial):
    """Elements of one base type at given byte offsets, repeated every `extent` bytes.

    Attributes:
        name: As MPI has it; of a derived type, how it was made.
        base: The NumPy dtype of its elements.
        offsets: Byte offset of each element, in the order in which they are sent.
        extent: Bytes from one item to the next.
        lb: Lower bound in bytes.
        true_extent: Offset of its first byte of data, and bytes from there to behind the last.
        is_contiguous: Whether items lie one behind the other without gaps.
        committed: Whether it may be used in communication.
    """

    def __init__(
        self, name: str, base: npt.DTypeLike, offsets: npt.ArrayLike, extent: int, lb: int = 0
    ) -> None:
        self.name = name
        self.base: np.dtype[Any] = np.dtype(base)
        self.offsets: Offsets = np.asarray(offsets, dtype=np.int64).reshape(-1)
        self.extent = int(extent)
        self.lb = lb
        self.committed = False
        size = self.base.itemsize
        low = int(self.offsets.min()) if len(self.offsets) else 0
        high = int(self.offsets.max()) + size if len(self.offsets) else 0
        self.true_extent = (low, high - low)
        self.is_contiguous = self.extent == size * len(self.offsets) and bool(
            (self.offsets == size * np.arange(len(self.offsets))).all()
        )

    def __repr__(self) -> str:
        return f"MPI.{self.name}"

    @property
    def size(self) -> int:
        """Bytes of data in one item."""
        return self.base.itemsize * len(self.offsets)

    @property
    def is_named(self) -> bool:
        return self.name in NAMED

    is_predefined = is_named

    @property
    def typechar(self) -> str:
        return self.base.char

    def Get_size(self) -> int:
        return self.size

    def Get_extent(self) -> tuple[int, int]:
        return self.lb, self.extent

    def Get_true_extent(self) -> tuple[int, int]:
        return self.true_extent

    def Get_name(self) -> str:
        return f"MPI_{self.name}"

    def Commit(self) -> Self:
        self.committed = True
        return self

    def Free(self) -> None:
        self.committed = False

    def Dup(self) -> Datatype:
        copy = Datatype(f"{self.name} (copy)", self.base, self.offsets, self.extent, self.lb)
        copy.committed = self.committed
        return copy

    def tocode(self) -> str:
        return self.base.char

    @classmethod
    def fromcode(cls, code: str) -> Datatype:
        return of_dtype(np.dtype(code))

    # --- Derived types --------------------------------------------------------------------------

    def Create_contiguous(self, count: int) -> Datatype:
        return self._at(f"contiguous({count})", self.extent * np.arange(count))

    def Create_vector(self, count: int, blocklength: int, stride: int) -> Datatype:
        return self.Create_hvector(count, blocklength, stride * self.extent)

    def Create_hvector(self, count: int, blocklength: int, stride: int) -> Datatype:
        starts = stride * np.arange(count)
        return self._blocks(f"vector({count}, {blocklength})", starts, [blocklength] * count)

    def Create_indexed(self, blocklengths: Sequence[int], displacements: Sequence[int]) -> Datatype:
        return self.Create_hindexed(blocklengths, [d * self.extent for d in displacements])

    def Create_hindexed(
        self, blocklengths: Sequence[int], displacements: Sequence[int]
    ) -> Datatype:
        return self._blocks(f"indexed({len(blocklengths)})", displacements, blocklengths)

    def Create_indexed_block(self, blocklength: int, displacements: Sequence[int]) -> Datatype:
        return self.Create_indexed([blocklength] * len(displacements), displacements)

    def Create_hindexed_block(self, blocklength: int, displacements: Sequence[int]) -> Datatype:
        return self.Create_hindexed([blocklength] * len(displacements), displacements)

    def Create_subarray(
        self, sizes: Sequence[int], subsizes: Sequence[int], starts: Sequence[int], order: int = 0
    ) -> Datatype:
        if not len(sizes) == len(subsizes) == len(starts):
            raise ValueError("subarray: sizes, subsizes and starts must be of one length")
        if any(s < 0 or s + n > full for full, n, s in zip(sizes, subsizes, starts, strict=True)):
            raise ValueError(f"subarray: {list(subsizes)} at {list(starts)} leaves {list(sizes)}")
        axes = list(zip(sizes, subsizes, starts, strict=True))
        stride = self.extent
        origins = np.zeros(1, dtype=np.int64)
        for size, subsize, start in axes if order == ORDER_F else reversed(axes):
            steps = stride * (start + np.arange(subsize))
            origins = (steps[:, None] + origins).reshape(-1)
            stride *= size
        return self._at(f"subarray({list(subsizes)} of {list(sizes)})", origins, stride)

    def Create_resized(self, lb: int, extent: int) -> Datatype:
        return Datatype(f"{self.name} resized to {extent}", self.base, self.offsets, extent, lb)

    @classmethod
    def Create_struct(
        cls, blocklengths: Sequence[int], displacements: Sequence[int], datatypes: Any
    ) -> Datatype:
        """Only of one type of elements."""
        types: list[Datatype] = list(datatypes)
        if len({(t.base, t.extent, t.is_contiguous) for t in types}) != 1:
            refuse("Datatype.Create_struct of different types")
        return types[0].Create_hindexed(blocklengths, displacements)

    def _blocks(self, what: str, starts: Iterable[int], lengths: Iterable[int]) -> Datatype:
        pairs = zip(starts, lengths, strict=True)
        origins = [start + self.extent * np.arange(length) for start, length in pairs]
        return self._at(what, np.concatenate([np.empty(0, dtype=np.int64), *origins]))

    def _at(self, what: str, origins: Offsets, extent: int | None = None) -> Datatype:
        """A type that has one item of this one at each origin."""
        offsets = (np.asarray(origins, dtype=np.int64)[:, None] + self.offsets).reshape(-1)
        if extent is not None:
            return Datatype(f"{what} of {self.name}", self.base, offsets, extent)
        low = int(np.min(origins)) if len(origins) else 0
        high = int(np.max(origins)) + self.extent if len(origins) else 0
        lb = low + self.lb if len(origins) else 0
        return Datatype(f"{what} of {self.name}", self.base, offsets, high - low, lb)


ORDER_C = 0
ORDER_F = 1

_PAIR = {"FLOAT_INT": "f", "DOUBLE_INT": "d", "LONG_INT": "l", "TWOINT": "i", "SHORT_INT": "h"}
_CODES = {
    "CHAR": "S1",
    "SIGNED_CHAR": "b",
    "UNSIGNED_CHAR": "B",
    "WCHAR": "i",
    "BYTE": "V1",
    "PACKED": "V1",
    "SHORT": "h",
    "UNSIGNED_SHORT": "H",
    "INT": "i",
    "UNSIGNED": "I",
    "LONG": "l",
    "UNSIGNED_LONG": "L",
    "LONG_LONG": "q",
    "UNSIGNED_LONG_LONG": "Q",
    "INT8_T": "i1",
    "INT16_T": "i2",
    "INT32_T": "i4",
    "INT64_T": "i8",
    "INTEGER": "i",
    "UINT8_T": "u1",
    "UINT16_T": "u2",
    "UINT32_T": "u4",
    "UINT64_T": "u8",
    "COUNT": "i8",
    "AINT": "i8",
    "OFFSET": "i8",
    "FLOAT": "f",
    "DOUBLE": "d",
    "LONG_DOUBLE": "g",
    "REAL": "f",
    "DOUBLE_PRECISION": "d",
    "REAL4": "f4",
    "REAL8": "f8",
    "C_COMPLEX": "F",
    "COMPLEX": "F",
    "C_FLOAT_COMPLEX": "F",
    "C_DOUBLE_COMPLEX": "D",
    "C_LONG_DOUBLE_COMPLEX": "G",
    "DOUBLE_COMPLEX": "D",
    "COMPLEX8": "c8",
    "COMPLEX16": "c16",
    "C_BOOL": "?",
    "BOOL": "?",
    "CXX_BOOL": "?",
    "CXX_FLOAT_COMPLEX": "F",
    "CXX_DOUBLE_COMPLEX": "D",
}
_ALIASES = {
    "UNSIGNED_INT": "UNSIGNED",
    "SINT8_T": "INT8_T",
    "SINT16_T": "INT16_T",
    "SINT32_T": "INT32_T",
    "SINT64_T": "INT64_T",
    "INT_INT": "TWOINT",
    "F_INT": "INTEGER",
    "F_FLOAT": "REAL",
    "F_DOUBLE": "DOUBLE_PRECISION",
    "F_COMPLEX": "COMPLEX",
    "F_DOUBLE_COMPLEX": "DOUBLE_COMPLEX",
    "INTEGER4": "INT32_T",
    "INTEGER8": "INT64_T",
}


def _named() -> dict[str, Datatype]:
    bases = {name: np.dtype(code) for name, code in _CODES.items()}
    for name, code in _PAIR.items():
        bases[name] = np.dtype([("value", code), ("index", "i4")], align=True)
    types = {n: Datatype(n, base, [0], base.itemsize) for n, base in bases.items()}
    for datatype in types.values():
        datatype.committed = True
    return types | {alias: types[name] for alias, name in _ALIASES.items()}


NAMED = _named()
"""Every named datatype by its name in `mpi4py.MPI`; of pairs, the index is a C int."""
BYTE = NAMED["BYTE"]

_BY_CODE = {
    NAMED[name].base.str: NAMED[name]
    for name in (
        *("CHAR", "INT8_T", "INT16_T", "INT32_T", "INT64_T", "UINT8_T", "UINT16_T", "UINT32_T"),
        *("UINT64_T", "FLOAT", "DOUBLE", "LONG_DOUBLE", "C_FLOAT_COMPLEX", "C_DOUBLE_COMPLEX"),
        *("C_LONG_DOUBLE_COMPLEX", "C_BOOL"),
    )
}


def of_dtype(dtype: np.dtype[Any]) -> Datatype:
    """The datatype of an array's elements; raises KeyError as mpi4py does."""
    try:
        return _BY_CODE[dtype.str]
    except KeyError:
        raise KeyError(f"cannot map {dtype.char!r} to MPI datatype") from None


def same_elements(sent: np.dtype[Any], expected: np.dtype[Any]) -> bool:
    """Whether elements of one type may be received as the other: alike, or bytes as bytes."""
    if sent.kind == expected.kind or (sent.itemsize == 1 and "V" in sent.kind + expected.kind):
        return sent.itemsize == expected.itemsize
    return False
