"""What a tuner may choose in a draft in C: macros, and the values that are worth trying."""

from __future__ import annotations

from outpace.model import Scalar

PARALLEL = "PARALLEL"
"""Whether threads are used."""
TIME = "TIME"
"""Steps of a time loop that go through the rows together."""
ACCUMULATOR = "ACCUMULATOR"
"""Type in which sums of short floats are kept; NumPy's pairwise sums lie between the two."""
ROWS = "ROWS"
"""Rows of a tile of sums that is kept in registers."""
COLUMNS = "COLUMNS"
"""Columns of such a tile."""

CHOICES: dict[str, tuple[Scalar, ...]] = {
    PARALLEL: (1, 0),
    TIME: (4, 1, 16, 64),
    ACCUMULATOR: ("double", "float"),
    ROWS: (4, 2),
    COLUMNS: (16, 8),
}
"""Values by macro, the default first."""
