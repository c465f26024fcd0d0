"""What stands in a cubin, the ELF file of a compiled draft in CUDA."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod

_SECTION = struct.Struct("<IIQQQQIIQQ")
"""A section header of ELF64: name, type, flags, address, offset, size, ..."""
_INFO = ".nv.info."
"""How the names of sections about one kernel begin."""
_ATTRIBUTE = struct.Struct("<BBH")
"""An attribute of a kernel: format, which, size of the value or the value itself."""
_SIZED = 0x04
_MAX_THREADS = 0x05
"""`EIATTR_MAX_THREADS` to `cuobjdump -elf`: what `__launch_bounds__` promises, by axis."""


def launch_bounds(cubin: bytes) -> dict[str, int]:
    """Threads of a block by `__launch_bounds__`, by the kernel's name, where it is declared.

    Args:
        cubin: As NVRTC makes it.
    """
    found = {}
    for name, content in _sections(cubin):
        for which, value in _attributes(content) if name.startswith(_INFO) else ():
            if which == _MAX_THREADS:
                found[name.removeprefix(_INFO)] = prod(struct.unpack("<III", value))
    return found


def _sections(cubin: bytes) -> Iterator[tuple[str, bytes]]:
    (start,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names_at = struct.unpack_from("<HHH", cubin, 0x3A)
    headers = [_SECTION.unpack_from(cubin, start + i * size) for i in range(count)]
    names = cubin[headers[names_at][4] :]
    for header in headers:
        at, offset, length = header[0], header[4], header[5]
        name = names[at : names.index(b"\0", at)].decode()
        yield name, cubin[offset : offset + length]


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes that have a value of their own size."""
    at = 0
    while at + _ATTRIBUTE.size <= len(content):
        kind, which, size = _ATTRIBUTE.unpack_from(content, at)
        at += _ATTRIBUTE.size
        if kind == _SIZED:
            yield which, content[at : at + size]
            at += size
