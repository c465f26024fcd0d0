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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from outpace.errors import EnvironmentError_

ALIGNMENT = 64
"""Every buffer starts at a multiple of the cache line."""
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_SHARED, _MAP_FIXED, _MAP_POPULATE = 0x01, 0x10, 0x8000
_MAP_RESERVED = 0x02 | 0x20 | 0x4000  # private, anonymous, without a claim on memory
_MADV_COLLAPSE = 25  # Linux 6.1
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
"""Touching the judge's own mapping of a file that was made shorter would kill the judge."""
_SEAL_FUTURE_WRITE = 0x10
_PAGE = mmap.PAGESIZE
_HUGE_PAGE = 2 << 20
LARGE = 4 << 20
"""Bytes from which NumPy asks for huge pages (`numpy/_core/src/multiarray/alloc.c`)."""


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

    @property
    def margin_byte(self) -> int:
        """What the bytes around the array hold: numbers read there are NaN, and spread."""
        return 0xFF if np.dtype(self.dtype).kind in "fc" else 0xA5

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
        self._libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        # Huge pages need addresses to match: the file is mapped into a larger reserved range.
        self._reserved = size + _HUGE_PAGE
        self._start: int | None = self._map(None, self._reserved, 0, _MAP_RESERVED, -1)
        self._address = -(-self._start // _HUGE_PAGE) * _HUGE_PAGE
        protection = _PROT_READ | (_PROT_WRITE if writable else 0)
        flags = _MAP_SHARED | _MAP_FIXED | _MAP_POPULATE
        try:
            self._map(self._address, size, protection, flags, descriptor)
        except EnvironmentError_:
            self.close()
            raise

    def _map(
        self, address: int | None, size: int, protection: int, flags: int, descriptor: int
    ) -> int:
        found = self._libc.mmap(address, size, protection, flags, descriptor, 0)
        if found in (None, ctypes.c_void_p(-1).value):
            raise EnvironmentError_(f"cannot map {size} bytes of shared memory")
        return int(found)

    def collapse(self, begin: int, end: int) -> None:
        """Make huge pages of the ordinary ones between two multiples of their size, if it works."""
        self._libc.madvise(self._address + begin, end - begin, _MADV_COLLAPSE)

    def array(self, placed: Placed) -> np.ndarray[Any, Any]:
        """An aligned, C-contiguous array flagged writable; valid until `close`."""
        assert self._start is not None
        if placed.offset < 0 or placed.offset + placed.nbytes > self.size:
            raise ValueError("an array outside its arena")
        address = self._address + placed.offset
        buffer: Any = (ctypes.c_char * max(placed.nbytes, 1)).from_address(address)
        return np.ndarray(placed.shape, dtype=placed.dtype, buffer=buffer)

    def at(self, wire: Sequence[Any]) -> np.ndarray[Any, Any]:
        """An array by what a message says of it: offset, shape, dtype."""
        return self.array(Placed(wire[0], tuple(wire[1]), wire[2]))

    def close(self) -> None:
        """Unmap; arrays over it must not be used afterwards."""
        if self._start is not None:
            self._libc.munmap(self._start, self._reserved)
            self._start = None


class Arena:
    """A memory file, mapped by the judge.

    Attributes:
        descriptor: For the draft's process; read-only if so made.
    """

    def __init__(
        self, size: int, *, read_only_descriptor: bool = False, path: Path | None = None
    ) -> None:
        """Allocate and fault in at least `size` bytes; raises EnvironmentError_ when short.

        With `path` it is a new file of that name, for a process that inherits no descriptors.
        """
        page = _PAGE if size < LARGE else _HUGE_PAGE
        self.size = max(_PAGE, -(-size // page) * page)
        self._collapsed = 0
        if path is None:
            owner = os.memfd_create("outpace", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            owner = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(owner, 0, self.size)
            self.mapping = Mapping(owner, self.size, writable=True)
            if path is None:
                _seal(owner, for_reading=read_only_descriptor)
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

    def use_huge_pages(self, placed: Placed) -> None:
        """Put a large array, and what lies before it, on huge pages, where NumPy would have them.

        Without them an output in shared memory is slower to write than one in NumPy's own. Smaller
        arrays stay on ordinary pages as NumPy's do, unless a larger one came before them.
        """
        end = min(-(-(placed.offset + placed.nbytes) // _HUGE_PAGE) * _HUGE_PAGE, self.size)
        if placed.nbytes >= LARGE and end > self._collapsed and _numpy_has_huge_pages():
            self.mapping.collapse(self._collapsed, end)
            self._collapsed = end

    def close(self) -> None:
        """Free the memory."""
        self.mapping.close()
        os.close(self.descriptor)


def _seal(owner: int, *, for_reading: bool) -> None:
    """Fix the size of a memory file; `for_reading` lets nobody map it for writing from now on."""
    fcntl.fcntl(owner, fcntl.F_ADD_SEALS, _SEALS)
    if for_reading:  # also when it is opened again through /proc
        fcntl.fcntl(owner, fcntl.F_ADD_SEALS, _SEAL_FUTURE_WRITE)
    fcntl.fcntl(owner, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)


@lru_cache(maxsize=1)
def _numpy_has_huge_pages() -> bool:
    """Whether the kernel gives private memory huge pages when asked, as NumPy does."""
    try:
        setting = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return False
    return "[never]" not in setting


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

    def place(self, shape: tuple[int, ...], dtype: str, *, anywhere: bool = False) -> Placed:
        """The next array; at a cache line, or `anywhere` an element could be aligned.

        Raises:
            ValueError: The arena is full.
        """
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        step = np.dtype(dtype).alignment if anywhere else ALIGNMENT
        pad = step * int(self._rng.integers(0, _slack(nbytes) // step + 1))
        placed = Placed(self._cursor + ALIGNMENT + pad, shape, dtype)
        if placed.offset + nbytes + ALIGNMENT > self._size:
            raise ValueError("the arena is too small")
        self._cursor = -(-(placed.offset + nbytes + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
        return placed


def _slack(nbytes: int) -> int:
    """Room for the random offset: up to a page for small arrays, up to 16 for large ones."""
    return 16 * _PAGE if nbytes > (1 << 20) else _PAGE


def poison(array: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    """Fill an output so that what is left unwritten is wrong: NaN, a number, or a random byte."""
    if array.dtype.kind in "fc":
        # Where NaN is the right result, only a number shows that it was not written.
        array.fill(np.nan if rng.random() < 0.5 else rng.uniform(-1e3, 1e3))
    else:
        array.reshape(-1).view(np.uint8).fill(int(rng.integers(2, 255)))
