"""Whether an int argument counts time steps: some steps, then others, are all of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from outpace.codegen.domain import allows
from outpace.codegen.splitting import carried
from outpace.model import Contract
from outpace.tuner.numerics.acceptance import Band, compare, expect
from outpace.tuner.numerics.probing import Array, Problem, attempt, with_steps

_PAIRS = ((1, 2), (2, 1), (1, 1), (2, 2), (2, 4), (4, 2))
"""Numbers of steps that follow each other, those first that tell most."""
_LONGEST = 8
"""Steps of a random number of them: what happens in every fifth step shows too."""


@dataclass
class SteppingTest:
    """Composes calls, and learns which argument each output becomes.

    Attributes:
        contract: What is declared.
        ways: Ways of carrying on that have not failed, the likeliest first.
        ran: How many compositions were compared.
    """

    contract: Contract
    ways: tuple[dict[str, str], ...] = ()
    ran: int = 0

    def __post_init__(self) -> None:
        self.ways = carried(self.contract)

    def violation(self, problem: Problem, rng: np.random.Generator) -> str | None:
        """The sentence about a composition that fails however outputs are carried on."""
        steps = self.contract.steps
        if steps is None or problem.steps != 1:
            return None
        if not self.ways:
            return (
                f"steps={steps!r} counts time steps, but no output has the dtype and dims of an "
                "argument that it could be in the next step; leave steps= out"
            )
        longer = (int(rng.integers(1, _LONGEST + 1)), int(rng.integers(1, _LONGEST + 1)))
        short = next((pair for pair in _PAIRS if self._allows(problem, *pair, sum(pair))), None)
        pairs = [] if short is None else [short]
        pairs += [longer] if self._allows(problem, *longer, sum(longer)) else []
        found = (self._compare(problem, first, second, rng) for first, second in pairs)
        return next((one for one in found if one is not None), None)

    def _allows(self, problem: Problem, *counts: int) -> bool:
        sizes = (with_steps(self.contract, problem.sizes, count) for count in counts)
        return all(allows(self.contract, one) for one in sizes)

    def _compare(
        self, problem: Problem, first: int, second: int, rng: np.random.Generator
    ) -> str | None:
        mid = _after(problem, first, {})
        sizes = with_steps(self.contract, problem.sizes, first + second)
        inputs = {**problem.inputs, **_count(self.contract, first + second)}
        whole = attempt(problem.oracle, inputs, sizes)
        if mid is None or whole is None:
            return None
        expected = expect(problem.oracle, inputs, sizes, rng)
        names = [part.name for part in self.contract.results]
        kept, failure = [], ""
        for way in self.ways:
            state = dict(zip(names, mid, strict=True))
            again = {way.get(n, n): v for n, v in state.items() if n in way or self._in_place(n)}
            end = _after(problem, second, again)
            if end is None:
                failure = failure or f"the reference raises when {first} steps go on"
                continue
            bands, got = [], []
            for name, band, value in zip(names, expected.bands, end, strict=True):
                is_carried = name in way or self._in_place(name)
                got.append(value)
                exact = Band(value, value, np.broadcast_to(0.0, value.shape))
                bands.append(band if is_carried else exact)
            mismatch = compare(self.contract, replace(expected, bands=tuple(bands)), got)
            if mismatch is None:
                kept.append(way)
                continue
            at = ", ".join(map(str, mismatch.index))
            failure = failure or (
                f"{mismatch.output}[{at}] is {mismatch.got} then, and {mismatch.expected} after "
                f"{first + second} at once"
            )
        self.ran += 1
        if kept:
            self.ways = tuple(kept)
            return None
        return (
            f"{self.contract.steps!r} does not count time steps: {second} more after {first} are "
            f"not {first + second} (at {problem.text}): {failure}; name another argument in "
            "steps=, or leave it out and declare the halo of a whole call"
        )

    def _in_place(self, name: str) -> bool:
        return any(argument.name == name for argument in self.contract.mutated)


def _after(problem: Problem, steps: int, changes: Mapping[str, Array]) -> list[Array] | None:
    sizes = with_steps(problem.contract, problem.sizes, steps)
    inputs = {**problem.inputs, **changes, **_count(problem.contract, steps)}
    return attempt(problem.oracle, inputs, sizes)


def _count(contract: Contract, steps: int) -> dict[str, int]:
    return {} if contract.steps is None else {contract.steps: steps}
