"""What the hardware takes in one launch, by architecture, and how full a launch fills it.

Numbers from the CUDA C++ Programming Guide, appendix "Compute Capabilities", tables "Technical
Specifications per Compute Capability"; granularities of allocation from the occupancy calculator
(`cuda_occupancy.h` of the CUDA toolkit).
"""

from __future__ import annotations

from dataclasses import dataclass

from outpace.errors import DraftError

MOST_THREADS = 1024
"""Threads of a block, on every architecture here."""
_BLOCK = (1024, 1024, 64)
_GRID = (2**31 - 1, 65535, 65535)
MOST_SHARED = 227 * 1024
"""Bytes of shared memory of a block on the architecture that has the most."""
_REGISTERS = 65536
"""32-bit registers of a multiprocessor, and of a block."""
_WARP = 32
_REGISTER_UNIT = 256
"""Registers are given to warps in these units."""
_PARTITIONS = 4
"""A multiprocessor's warps and registers are split into as many parts."""


@dataclass(frozen=True)
class Architecture:
    """Limits of one compute capability.

    Attributes:
        name: As compilers call it, such as `sm_90`.
        threads: Resident on one multiprocessor.
        blocks: Resident on one multiprocessor.
        shared: Bytes of shared memory of one multiprocessor.
        reserved: Bytes of it that the system takes for itself with every block.
    """

    name: str
    threads: int
    blocks: int
    shared: int
    reserved: int

    @property
    def warps(self) -> int:
        """Resident warps of one multiprocessor."""
        return self.threads // _WARP

    @property
    def shared_per_block(self) -> int:
        """Bytes that one block may have, static and dynamic."""
        return self.shared - self.reserved


def _architecture(capability: int, threads: int, blocks: int, shared_kib: int) -> Architecture:
    """One row of the guide's table."""
    reserved = 1024 if capability >= 80 else 0
    return Architecture(f"sm_{capability}", threads, blocks, shared_kib * 1024, reserved)


_ROWS = (
    (70, 2048, 32, 96),
    (75, 1024, 16, 64),
    (80, 2048, 32, 164),
    (86, 1536, 16, 100),
    (87, 1536, 16, 164),
    (89, 1536, 24, 100),
    (90, 2048, 32, 228),
    (100, 2048, 32, 228),
    (103, 2048, 32, 228),
    (110, 1536, 24, 228),
    (120, 1536, 24, 100),
)
ARCHITECTURES = {row.name: row for row in (_architecture(*numbers) for numbers in _ROWS)}
"""By name."""


@dataclass(frozen=True)
class Occupancy:
    """How many blocks of a launch one multiprocessor holds at once.

    Attributes:
        blocks: Resident blocks.
        share: Resident warps over the most there can be, 0 to 1.
        limit: What keeps more out: `threads`, `blocks`, `registers` or `shared memory`.
    """

    blocks: int
    share: float
    limit: str


def check_launch(
    grid: tuple[int, int, int], block: tuple[int, int, int], shared: int, where: str
) -> None:
    """Check what every architecture refuses; a grid may be 0, which launches nothing.

    Raises:
        DraftError: Something is negative or too large; the message names the place and the limit.
    """
    for name, extents, least, most in (("grid", grid, 0, _GRID), ("block", block, 1, _BLOCK)):
        for axis, (extent, limit) in enumerate(zip(extents, most, strict=True)):
            if not least <= extent <= limit:
                raise DraftError(
                    f"{where}.{name}[{axis}]: {extent} is not between {least} and {limit}"
                )
    threads = block[0] * block[1] * block[2]
    if threads > MOST_THREADS:
        raise DraftError(
            f"{where}.block: {' x '.join(map(str, block))} is {threads} threads; a block has at "
            f"most {MOST_THREADS}"
        )
    if not 0 <= shared <= MOST_SHARED:
        raise DraftError(f"{where}.shared: {shared} bytes are not between 0 and {MOST_SHARED}")


def occupancy(architecture: Architecture, threads: int, registers: int, shared: int) -> Occupancy:
    """How full a launch fills a multiprocessor.

    Args:
        architecture: Whose limits count.
        threads: Of a block, at least 1.
        registers: Of a thread.
        shared: Bytes of a block, static and dynamic.

    Returns:
        The occupancy; 0 blocks where not even one fits, with what it exceeds.
    """
    warps = _ceildiv(threads, _WARP)
    per_warp = _ceildiv(max(registers, 1) * _WARP, _REGISTER_UNIT) * _REGISTER_UNIT
    # Each partition holds whole warps.
    by_registers = _REGISTERS // _PARTITIONS // per_warp * _PARTITIONS // warps
    taken = shared + architecture.reserved
    candidates = {
        "threads": architecture.warps // warps,
        "blocks": architecture.blocks,
        "registers": by_registers,
        "shared memory": architecture.shared // taken if taken else architecture.blocks,
    }
    limit = min(candidates, key=lambda name: candidates[name])
    blocks = candidates[limit]
    return Occupancy(blocks, blocks * warps / architecture.warps, limit)


def _ceildiv(a: int, b: int) -> int:
    return -(-a // b)
