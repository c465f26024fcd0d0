"""The judge's side of a process whose calls take arrays on a GPU.

As for any draft the judge draws the values, poisons the outputs, stops the process while it does
so, and verifies what comes back. The clocks are the process's own, which runs no host code of a
draft: events on the stream, and the host's clock around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any

from outpace.codec import encode
from outpace.codegen.abi import output_shapes
from outpace.codegen.reference import Reference
from outpace.errors import EnvironmentError_
from outpace.kernels.dispatcher import Returns
from outpace.kernels.gpu.readings import Card, Reading, readings
from outpace.kernels.gpu.timing import BatchTime
from outpace.model import Contract, Residence, Status
from outpace.tuner.process import Worker

_ATTEMPTS = 4
"""Requests of which one must be timed without throttling and with clocks that agree."""


class DeviceWorker(Worker):
    """As `Worker`, for arrays on the GPU.

    Attributes:
        readings: Of the card, before and after the last request that was timed; empty where its
            library is absent.
    """

    def __init__(
        self,
        contract: Contract,
        *given: Any,
        with_cupy: bool = True,
        timed: bool = True,
        served: Returns | None = None,
        **more: Any,
    ) -> None:
        """Start the process.

        Args:
            contract: Of the reference.
            given: As of `Worker`.
            with_cupy: Run the reference under CuPy, else on the host with its arrays carried there
                and back.
            timed: Whether times matter; where several such processes run at once they cannot.
            served: Form of the reference's return value, where the draft is to be called as it
                will be served; else None.
            more: As of `Worker`.

        Raises:
            Failure, EnvironmentError_: As `Worker`.
        """
        self._with_cupy = with_cupy
        self._attempts = _ATTEMPTS if timed else 0
        self._served = served
        self.readings: tuple[Reading, ...] = ()
        super().__init__(contract, *given, **more)

    def _arenas(self) -> dict[str, Any]:
        return super()._arenas() | {
            "residence": Residence.DEVICE.value,
            "with_cupy": self._with_cupy,
            "contract": encode(self.contract).decode(),
            "served": None if self._served is None else asdict(self._served),
            "gpu": (),
        }

    def run(self, limit: float) -> float:
        """Time the prepared batch; the process is stopped again when this returns.

        A request during which the card was throttled, or in which the clocks disagree, is made
        again: its outputs have not been looked at, and come to nothing. The code is loaded anew
        for that, so that what its variables hold does not help it.

        Returns:
            Seconds of the batch by the slower of the two clocks.

        Raises:
            Failure: It crashed, raised, wrote where it may not, or took longer than `limit`
                seconds; or no request could be timed.
        """
        why: str | None = None
        for attempt in range(1, max(1, self._attempts) + 1):
            if attempt > 1:
                self._ask({"do": "reload"}, limit)
            self._ask({"do": "upload"}, limit)
            with _watched() as seen:
                outside = super().run(limit)
            told = self._ask({"do": "timed"}, limit)
            timed = BatchTime(len(self._placed), float(told["events"]), float(told["wall"]))
            self.readings = tuple(seen)
            why = unusable(timed, outside, self.readings) if self._attempts else None
            if why is None:
                self._download(limit)
                return timed.seconds * timed.calls
        raise self._failure(Status.INCONCLUSIVE, f"it cannot be timed: {why}; try again later")

    def _download(self, limit: float) -> None:
        """Results come to the host, where the judge compares them."""
        if self._is_reference:
            return
        offence = self._ask({"do": "download"}, limit)["offence"]
        if offence is not None:
            raise self._failure(Status.WRONG, str(offence))

    def allocation_seconds(self, sizes: Mapping[str, int], limit: float = 60.0) -> float:
        """What taking the returned outputs from CuPy's pool costs a caller."""
        shapes = output_shapes(self.contract, sizes)
        arrays = [
            [list(shape), output.dtype]
            for shape, output in zip(shapes, self.contract.outputs, strict=True)
        ]
        return float(self._ask({"do": "allocate there", "arrays": arrays}, limit)["seconds"])


def unusable(timed: BatchTime, outside: float, seen: Sequence[Reading]) -> str | None:
    """Why a timing is not to be used, or None."""
    if timed.wall > outside:
        return "the clock of its process runs ahead of the judge's"
    if not timed.agrees:
        return (
            f"{1e6 * timed.events:.0f} us by events and {1e6 * timed.wall:.0f} us by the host's "
            "clock do not agree"
        )
    throttled = {reason for reading in seen for reason in reading.throttled}
    return f"the GPU is slowed down: {', '.join(sorted(throttled))}" if throttled else None


@contextmanager
def _watched() -> Iterator[list[Reading]]:
    """Readings of the card before and after; none where it cannot be asked."""
    card, seen = _card(), list[Reading]()
    seen += [card.read()] if card is not None else []
    yield seen
    seen += [card.read()] if card is not None else []


@lru_cache(maxsize=1)
def _card() -> Card | None:
    """The card, open for as long as this process lives; None where it cannot be asked."""
    try:
        card = ExitStack().enter_context(readings())
        card.read()
    except EnvironmentError_:
        return None
    return card


def worker_of(reference: Reference) -> Callable[..., Worker]:
    """What runs variants of a reference untimed: where its arrays lie decides."""
    device = reference.residence is Residence.DEVICE
    return partial(DeviceWorker, timed=False) if device else Worker
