"""What a tuner may choose in a draft in C: macros, and the values that are worth trying."""

from __future__ import annotations

from outpace.model import Scalar

PARALLEL = "PARALLEL"
"""Whether threads are used."""
TIME = "TIME"
"""Steps of a time loop that go through the rows together."""
LINES = "LINES"
"""Lines of a row that they take at a time, where a row has more than one."""
ACCUMULATOR = "ACCUMULATOR"
"""Type in which sums of short floats are kept; NumPy's pairwise sums lie between the two."""
ROWS = "ROWS"
"""Rows of a tile of sums that is kept in registers."""
COLUMNS = "COLUMNS"
"""Columns of such a tile."""
STRIP = "STRIP"
"""Points that go through sequential loops side by side, far from each other in memory."""
SHORT_STRIP = "SHORT_STRIP"
"""The same where only what waits for other steps is done side by side."""
LONG_STRIP = "LONG_STRIP"
"""The same for points that are neighbours in memory."""
REGISTER_STRIP = "REGISTER_STRIP"
"""The same for points that need nothing but registers."""

CHOICES: dict[str, tuple[Scalar, ...]] = {
    PARALLEL: (1, 0),
    TIME: (16, 4, 1, 64),
    LINES: (4096, 32),
    ACCUMULATOR: ("float", "double"),
    ROWS: (4, 8, 2),
    COLUMNS: (16, 8),
    STRIP: (4, 64),
    SHORT_STRIP: (8, 16),
    LONG_STRIP: (64, 16, 256),
    REGISTER_STRIP: (16, 8),
}
"""Values by macro, the default first."""
CONDITIONS = {LINES: f"{TIME} > 1"}
"""Where a macro makes a difference, if not everywhere: few steps need few lines in the cache."""
