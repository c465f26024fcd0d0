"""Which variants of a draft are looked at where nothing is timed, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from outpace.model import Draft, Status, Trial, Variant
from outpace.tuner.space import SearchSpace

VARIANTS = 4
"""Of a draft with parameters as many are run: its defaults, and others drawn at random."""
GOES_ON = (Status.CHECKED, Status.BUILD_FAILED)
"""After these another variant is looked at: not every combination of parameters need build."""


def verdict_of(trials: Sequence[Trial]) -> Status:
    """What is said of a draft after these trials: its first failure, else `checked`.

    Variants that do not build count only if none does.
    """
    statuses = [trial.status for trial in trials]
    failed = [status for status in statuses if status not in GOES_ON]
    if failed:
        return failed[0]
    return Status.CHECKED if Status.CHECKED in statuses else statuses[0]


def few_variants(draft: Draft) -> Iterator[Variant]:
    """The defaults where the constraints allow them, then others, each once."""
    space = SearchSpace(draft.parameters, draft.constraints)
    first = {p.name: p.values[0] for p in draft.parameters}
    points = space.sample(np.random.default_rng(0), 8 * VARIANTS) if draft.parameters else ()
    bound = [space.bind(tuple(int(i) for i in point)) for point in points]
    if not draft.parameters or space.is_valid(space.point_of(first)):
        bound.insert(0, first)
    distinct = {repr(params): params for params in bound}
    for params in list(distinct.values())[:VARIANTS]:
        yield Variant(draft, params)
