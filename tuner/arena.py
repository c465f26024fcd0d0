"""Shared memory between the judge and a draft's process.

An arena is an anonymous memory file, faulted in before it is used, so that no timed call pays for
page faults of buffers. The judge maps it for writing. The draft's process gets the input arena
through a read-only descriptor: its mapping cannot be made writable, and a write into an input ends
in SIGSEGV, although the NumPy arrays over it are flagged writable (a read-only flag would change
the types that Numba compiles for).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from outpace.errors import EnvironmentError_

ALIGNMENT = 64
"""Every buffer starts at a multiple of the cache line."""
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_SHARED, _MAP_POPULATE = 0x01, 0x8000
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
"""Touching the judge's own mapping of a file that was made shorter would kill the judge."""
_SEAL_FUTURE_WRITE = 0x10
_PAGE = mmap.PAGESIZE


@dataclass(frozen=True)
class Placed:
    """Where one array lies in an arena."""

    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def margins(self) -> tuple[Placed, Placed]:
        """The bytes right before and after the array, which belong to no other."""
        before, after = self.offset - ALIGNMENT, self.offset + self.nbytes
        return Placed(before, (ALIGNMENT,), "uint8"), Placed(after, (ALIGNMENT,), "uint8")


class Mapping:
    """A mapping of a descriptor at a raw address, from which arrays are made."""

    def __init__(self, descriptor: int, size: int, *, writable: bool) -> None:
        """Map and fault in `size` bytes; raises EnvironmentError_ when memory is short."""
        self.size = size
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
            ctypes.c_int64,
        ]  # fmt: skip
        self._libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        protection = _PROT_READ | (_PROT_WRITE if writable else 0)
        flags = _MAP_SHARED | _MAP_POPULATE
        address = self._libc.mmap(None, size, protection, flags, descriptor, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise EnvironmentError_(f"cannot map {size} bytes of shared memory")
        self._address: int | None = address

    def array(self, placed: Placed) -> np.ndarray[Any, Any]:
        """An aligned, C-contiguous array flagged writable; valid until `close`."""
        assert self._address is not None
        if placed.offset < 0 or placed.offset + placed.nbytes > self.size:
            raise ValueError("an array outside its arena")
        address = self._address + placed.offset
        buffer: Any = (ctypes.c_char * max(placed.nbytes, 1)).from_address(address)
        return np.ndarray(placed.shape, dtype=placed.dtype, buffer=buffer)

    def close(self) -> None:
        """Unmap; arrays over it must not be used afterwards."""
        if self._address is not None:
            self._libc.munmap(self._address, self.size)
            self._address = None


class Arena:
    """An anonymous memory file, mapped by the judge.

    Attributes:
        descriptor: For the draft's process; read-only if so made.
    """

    def __init__(self, size: int, *, read_only_descriptor: bool) -> None:
        """Allocate and fault in at least `size` bytes; raises EnvironmentError_ when short."""
        self.size = max(_PAGE, -(-size // _PAGE) * _PAGE)
        owner = os.memfd_create("outpace", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(owner, 0, self.size)
            self.mapping = Mapping(owner, self.size, writable=True)
            fcntl.fcntl(owner, fcntl.F_ADD_SEALS, _SEALS)
            if read_only_descriptor:  # also when it is opened again through /proc
                fcntl.fcntl(owner, fcntl.F_ADD_SEALS, _SEAL_FUTURE_WRITE)
            fcntl.fcntl(owner, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)
        except OSError as error:
            os.close(owner)
            raise EnvironmentError_(
                f"cannot allocate {self.size >> 20} MiB of shared memory: {error}; "
                "use a smaller workload"
            ) from error
        if read_only_descriptor:
            self.descriptor = os.open(f"/proc/self/fd/{owner}", os.O_RDONLY | os.O_CLOEXEC)
            os.close(owner)
        else:
            self.descriptor = owner

    def close(self) -> None:
        """Free the memory."""
        self.mapping.close()
        os.close(self.descriptor)


class Layout:
    """Places arrays one after another at random, aligned offsets, a margin around each."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        """Over an arena of `size` bytes."""
        self._size = size
        self._rng = rng
        self._cursor = 0

    @staticmethod
    def room(nbytes: int) -> int:
        """Bytes to reserve for an array of `nbytes` wherever it is placed."""
        return nbytes + _slack(nbytes) + 3 * ALIGNMENT

    def place(self, shape: tuple[int, ...], dtype: str) -> Placed:
        """The next array; ValueError when the arena is full."""
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        pad = ALIGNMENT * int(self._rng.integers(0, _slack(nbytes) // ALIGNMENT + 1))
        placed = Placed(self._cursor + ALIGNMENT + pad, shape, dtype)
        if placed.offset + nbytes + ALIGNMENT > self._size:
            raise ValueError("the arena is too small")
        self._cursor = -(-(placed.offset + max(nbytes, 1)) // ALIGNMENT) * ALIGNMENT
        return placed


def _slack(nbytes: int) -> int:
    """Room for the random offset: up to a page for small arrays, up to 16 for large ones."""
    return 16 * _PAGE if nbytes > (1 << 20) else _PAGE


def poison(array: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    """Fill an output so that an element left unwritten cannot be right: NaN, or a random byte."""
    if array.dtype.kind in "fc":
        array.fill(np.nan)
    else:
        array.reshape(-1).view(np.uint8).fill(int(rng.integers(2, 255)))
