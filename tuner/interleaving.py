"""One batch of calls, run once by every contender in random order: the unit of every comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outpace.kernels.target import current_target
from outpace.tuner.contenders import Runner
from outpace.tuner.placement import wake_cores
from outpace.tuner.process import Call


def run_interleaved(
    contenders: Sequence[Runner],
    calls: Sequence[Call],
    limit: float,
    rng: np.random.Generator,
    *,
    returning: int = 1,
    in_place: bool = False,
) -> tuple[list[float], list[int]]:
    """Time a batch on every contender, one after another; the others are stopped meanwhile.

    Args:
        contenders: Their processes.
        calls: The batch.
        limit: Seconds that the batch may take.
        rng: Draws the order.
        returning: How many contenders, counted from the first, return new arrays as references
            do; their results are copied out after the clock has stopped.
        in_place: Give the values to the buffers of the last batch instead of new ones.

    Returns:
        Seconds of one call for each contender, and the order in which they ran.

    Raises:
        Failure: One of them did not answer as it should.
    """
    order = [int(which) for which in rng.permutation(len(contenders))]
    seconds = [0.0] * len(contenders)
    for which in order:
        if in_place:
            contenders[which].refill(calls)
        else:
            contenders[which].prepare(calls)
        wake_cores(current_target().cores)
        seconds[which] = contenders[which].run(limit) / len(calls)
        if which < returning:
            contenders[which].publish()
    return seconds, order
