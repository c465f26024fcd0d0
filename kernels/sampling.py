"""OUTPACE_VERIFY: a share of the calls of promoted kernels is checked, off the hot path.

Arguments and results of a sampled call are copied, and handed through a bounded queue to a helper
process that runs the reference (`outpace.tuner.production`). What does not fit into the queue is
dropped: the caller never waits for more than the copies. Those of arrays on a GPU are made there,
and a thread fetches them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import pickle
import queue
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from outpace import environment
from outpace.codegen.abi import Role, slots
from outpace.codegen.reference import Reference
from outpace.kernels.forking import GUARD
from outpace.kernels.languages.base import Kernel
from outpace.kernels.promotions import PromotionWarning, StoredPromotion

WAITING = 2
"""Sampled calls that may wait for the helper."""
PATIENCE = 10.0
"""Seconds that a process which ends waits for checks that are under way."""
Demote = Callable[[str], None]
"""Told how a result was wrong."""
Fetch = Callable[[], list[Any]]
"""Gives copies that were made before, on the host."""
Keep = Callable[[Sequence[Any]], Fetch | None]
"""Copies what a call is given or has given; None where that cannot be done."""

_HELPER = (sys.executable, "-m", "outpace.tuner.production")


@dataclass(frozen=True)
class Sample:
    """One call as the helper gets it.

    Attributes:
        location: File of the reference.
        qualname: Its name there.
        promotion: Hash of the promotion's key.
        variant: Hash of the variant.
        values: What the call was given, by argument name.
        results: Mutated arguments, then returned outputs.
    """

    location: str
    qualname: str
    promotion: str
    variant: str
    values: dict[str, Any]
    results: list[np.ndarray[Any, Any]]


class Sampler:
    """Checks a share of the calls of this process.

    Attributes:
        share: Of the calls; 0 checks none.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._random = random.Random()  # noqa: S311  (chooses calls, hides nothing)
        GUARD.watch(self)
        self.forget()

    def forget(self) -> None:
        """Start anew, as in a forked child: the thread is gone, and the helper is its parent's."""
        self._queue: queue.Queue[tuple[Callable[[], Sample], Demote]] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._helper: subprocess.Popen[bytes] | None = None

    def sampled(
        self,
        reference: Reference,
        stored: StoredPromotion,
        kernel: Kernel,
        demote: Demote,
        keep: Keep | None = None,
    ) -> Kernel:
        """The kernel, a share of whose calls is checked.

        Args:
            reference: That it is checked against.
            stored: Its promotion.
            kernel: Of the promotion.
            demote: Told of a wrong call.
            keep: Copies arguments and results where they are; None for arrays of the host.
        """
        if self.share == 0:
            return kernel
        location = reference.location
        if location is None:
            _warn(
                f"OUTPACE_VERIFY cannot check {reference.name}: no other process can import it; "
                "move it from the script into a module"
            )
            return kernel
        parts = slots(reference.contract)
        given = [i for i, slot in enumerate(parts) if slot.role is not Role.OUTPUT]
        written = [i for i, s in enumerate(parts) if s.role in (Role.INOUT, Role.OUTPUT)]
        promotion, copies = stored.promotion, keep or _keep_on_host

        def call(*arguments: Any) -> None:
            if self._random.random() >= self.share or self._queue.full():
                kernel(*arguments)
                return
            values = copies([arguments[i] for i in given])
            kernel(*arguments)
            results = copies([arguments[i] for i in written])
            if values is not None and results is not None:
                self._offer(partial(sample, values, results), demote)

        def sample(values: Fetch, results: Fetch) -> Sample:
            named = dict(zip((parts[i].name for i in given), values(), strict=True))
            return Sample(*location, promotion.key.hash, promotion.variant.hash, named, results())

        return call

    def _offer(self, sample: Callable[[], Sample], demote: Demote) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait((sample, demote))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._check, name="outpace", daemon=True)
                self._thread.start()
                atexit.register(self._finish)

    def _check(self) -> None:
        """Hand samples to the helper one after another, and act on its answers."""
        while True:
            sample, demote = self._queue.get()
            try:
                answer = self._ask(sample())
            except (OSError, ValueError, EOFError) as error:
                self._give_up(f"its helper failed: {error}")
            except RuntimeError as error:  # what CuPy raises
                self._give_up(f"arrays cannot be fetched from the GPU: {error}")
            else:
                if answer is not None:
                    demote(answer)
            finally:
                self._queue.task_done()

    def _give_up(self, why: str) -> None:
        _warn(f"OUTPACE_VERIFY checks nothing more, because {why}")
        self.share = 0.0

    def _ask(self, sample: Sample) -> str | None:
        """How the results are wrong, or None where they are not known to be."""
        if self._helper is None:
            self._helper = subprocess.Popen(
                _HELPER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment.helper_environment(),
            )
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        pickle.dump(sample, self._helper.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._helper.stdin.flush()
        line = self._helper.stdout.readline()
        if not line:
            raise EOFError(f"it ended with status {self._helper.wait()}")
        return json.loads(line)["wrong"]  # type: ignore[no-any-return]

    def _finish(self) -> None:
        """At the end of the process, wait a little for checks, and end the helper."""
        waiting = threading.Thread(target=self._queue.join, daemon=True)
        waiting.start()
        waiting.join(PATIENCE)
        if self._helper is not None:
            self._helper.kill()
            self._helper.wait()


@lru_cache(maxsize=1)
def sampler() -> Sampler:
    """That of this process.

    Raises:
        UsageError: OUTPACE_VERIFY is no share.
    """
    return Sampler(environment.verified_share())


def _keep_on_host(values: Sequence[Any]) -> Fetch:
    kept = [value.copy() if isinstance(value, np.ndarray) else value for value in values]
    return lambda: kept


def _warn(message: str) -> None:
    warnings.warn(message, PromotionWarning, stacklevel=2)
