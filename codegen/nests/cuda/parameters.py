"""What a tuner may choose in a draft in CUDA: macros, values worth trying, and what must hold."""

from __future__ import annotations

from outpace.model import Scalar

BLOCK = "BLOCK"
"""Threads of a block where a nest has one range."""
BLOCK_X = "BLOCK_X"
"""Threads of a block along the last range of a nest."""
BLOCK_Y = "BLOCK_Y"
"""Threads of a block along the range before it."""
ITEMS = "ITEMS"
"""Iterations of a thread along one range."""
VECTOR = "VECTOR"
"""Neighbouring elements that a thread loads and stores at once, where memory is aligned for it."""
ROW = "ROW"
"""Threads that share one iteration of a nest; whole warps."""
PARTS = "PARTS"
"""Blocks that share one reduction, which a further block completes."""
STAGED = "STAGED"
"""Rounds of a sum whose operands are in shared memory at once; 0 for none, without it."""
TIME = "TIME"
"""Steps of a time loop that a block takes in shared memory; 0 for a launch a step, without it."""
TILES = ("TILE_Z", "TILE_Y", "TILE_X")
"""Cells of a tile along each axis, the last one innermost."""
THREADS = "THREADS"
"""Threads of a block that works on a tile."""
ACCUMULATOR = "ACCUMULATOR"
"""Type in which sums of short floats are kept; NumPy's pairwise sums lie between the two."""

CHOICES: dict[str, tuple[Scalar, ...]] = {
    BLOCK: (256, 128, 512, 1024),
    BLOCK_X: (32, 64, 128, 256, 16, 8),
    BLOCK_Y: (8, 4, 2, 1, 16, 32),
    ITEMS: (1, 2, 4, 8),
    VECTOR: (2, 1, 4),
    ROW: (128, 32, 64, 256, 512),
    PARTS: (256, 64, 1024),
    STAGED: (32, 0, 16, 64, 128),
    TIME: (0, 1, 3, 4, 5, 7),
    "TILE_X": (32, 64, 128, 16),
    "TILE_Y": (16, 32, 8, 64),
    "TILE_Z": (4, 8, 2, 16),
    THREADS: (256, 128, 512, 1024),
    ACCUMULATOR: ("float", "double"),
}
"""Values by macro, the default first."""

WHEN = dict.fromkeys((*TILES, THREADS), f"{TIME} > 0")
"""Where a macro matters, if not everywhere."""
MOST_THREADS = 1024
"""Threads of a block."""


def constraints(chosen: set[str]) -> tuple[str, ...]:
    """What must hold of the values of these macros."""
    if BLOCK_X in chosen:
        return (f"{BLOCK_X} * {BLOCK_Y} <= {MOST_THREADS}", f"{BLOCK_X} * {BLOCK_Y} >= 32")
    return ()
