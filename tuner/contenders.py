"""Who takes part in a comparison of times: what each runs, and how its processes are started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from outpace.model import Contract, Grade, Variant
from outpace.tuner.process import Call, Worker, capacity_for

Batches = Sequence[tuple[int, Mapping[str, int]]]
"""Numbers of calls that are made together, and their sizes."""


class Against(StrEnum):
    """What a finalist must beat besides the reference."""

    INCUMBENT = "the incumbent"
    SERIAL = "the best serial variant"
    THREADED = "the best threaded variant"


class Runner(Protocol):
    """Processes that run one variant under the judge's clock; the methods are those of `Worker`."""

    grade: Grade

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    @property
    def allocates(self) -> bool:
        """Whether its calls make their outputs; others are charged with their allocation."""
        ...

    @property
    def everyone(self) -> tuple[int, ...]:
        """Numbers of all its processes, as the judge sees them."""
        ...

    def prepare(
        self, calls: Sequence[Call], limit: float = 30.0, *, anywhere: bool = False
    ) -> None:
        """Place the buffers of a batch anew and fill them."""
        ...

    def refill(self, calls: Sequence[Call]) -> None:
        """Give the batch other values of the same sizes in the buffers that it has."""
        ...

    def run(self, limit: float) -> float:
        """Run the prepared batch once; seconds until nothing of it runs any more."""
        ...

    def results(self, item: int = 0) -> list[np.ndarray[Any, Any]]:
        """What one call of the batch left."""
        ...

    def publish(self, limit: float = 60.0) -> None:
        """Let what returned new arrays copy them out."""
        ...


@dataclass(frozen=True)
class Contender:
    """A variant with the folder that holds its build, and its rough time by workload name."""

    variant: Variant
    folder: Path
    seconds: dict[str, float]

    def start(self, contract: Contract, batches: Batches) -> Runner:
        """Fresh processes that run it.

        Args:
            contract: Of the reference.
            batches: What they will be asked for at most.

        Raises:
            Failure: It did not load.
            EnvironmentError_: The processes could not be set up.
        """
        return Worker(contract, self.folder, capacity_for(contract, batches), variant=self.variant)
