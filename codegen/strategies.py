"""A hypothesis strategy of test cases, for property tests of drafts and of the judge itself.

The judge draws its own cases (`draw_cases`): they must cover every extent and flavour in a few
dozen, which hypothesis does not promise, and hypothesis reseeds the global random generators while
it runs. What it adds is a search: with `hypothesis.target` for inputs on which errors are largest,
and for the smallest failing case. Importing this module imports hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st

from outpace.codegen.domain import allows
from outpace.codegen.inputs import (
    MAX_ELEMENTS,
    Case,
    flavours_of,
    independent_sizes,
    is_small,
)
from outpace.codegen.reference import Reference

_CHOICES = 200
"""Combinations wanted of sizes that `where` couples."""
_LIMITS = (4, 9, 17, 65, MAX_ELEMENTS)
"""Bounds of all sizes of a case, one of which is drawn first."""


def cases(reference: Reference) -> st.SearchStrategy[Case]:
    """Cases of small sizes in the domain of a reference; they shrink to small sizes, plain values.

    Descriptors are drawn, never elements: an array is what its seed makes of it. Arrays are
    C-contiguous and apart from each other, as every draft gets them; callers whose arrays are not
    are served by the reference.

    Args:
        reference: From whose contract sizes and flavours are drawn.
    """
    groups = independent_sizes(reference, _CHOICES, np.random.default_rng(0), wide=True)
    contract = reference.contract
    # Most combinations of large sizes are too large: a common limit comes first.
    sizes = st.sampled_from(_LIMITS).flatmap(lambda limit: st.tuples(*_within(groups, limit)))
    allowed = sizes.map(_merged).filter(lambda s: allows(contract, s) and is_small(contract, s))
    seeds = st.integers(0, 2**62 - 1)
    return st.builds(Case, allowed, seeds, st.sampled_from(flavours_of(reference)))


def _within(
    groups: Sequence[Sequence[dict[str, int]]], limit: int
) -> Iterator[st.SearchStrategy[dict[str, int]]]:
    """For each group its choices of sizes up to a limit, the smallest first; else the smallest."""
    for group in groups:
        ordered = sorted(group, key=lambda sizes: sum(map(abs, sizes.values())))
        fitting = [sizes for sizes in ordered if max(map(abs, sizes.values())) <= limit]
        yield st.sampled_from(fitting or ordered[:1]) if ordered else st.nothing()


def _merged(dealt: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: size for part in dealt for name, size in part.items()}
