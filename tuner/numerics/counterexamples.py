"""What drafts of a reference were wrong on, kept for every later draft of it.

The counterexamples of one reference lie in the state directory apart from the journals, so that
neither another drafter nor a fresh campaign forgets them.
"""

from __future__ import annotations

from outpace import environment
from outpace.codegen.inputs import Case, is_small, misfit
from outpace.codegen.reference import Reference
from outpace.model import Counterexample
from outpace.tuner.recordlog import Record, RecordLog

REPLAYED = 8
"""Counterexamples that a draft is run on before the drawn cases, the newest ones."""


class CounterexampleFound(Record, frozen=True):
    """A draft failed on a drawn case."""

    counterexample: Counterexample


class Counterexamples:
    """The counterexamples of one reference, from all campaigns on this machine.

    Args:
        reference: Found by the hash of its source.
    """

    def __init__(self, reference: Reference) -> None:
        self.path = environment.state_dir() / "counterexamples" / reference.source_hash
        self._reference = reference

    def keep(self, found: Counterexample) -> None:
        """Store a counterexample of a small size, unless it is known.

        Raises:
            StorageError: It could not be stored.
        """
        case = Case.of_counterexample(found)
        if is_small(self._reference.contract, case.sizes) and case not in self._known():
            with self._log() as log:
                log.append(CounterexampleFound(counterexample=found))

    def replayed(self) -> tuple[Case, ...]:
        """The newest cases that the contract still allows, at most `REPLAYED`.

        Raises:
            StorageError: They cannot be read.
        """
        usable = [case for case in reversed(self._known()) if not misfit(self._reference, case)]
        return tuple(usable[:REPLAYED])

    def _known(self) -> list[Case]:
        """All of them, the oldest first."""
        found = (r for r in self._log().read().records if isinstance(r, CounterexampleFound))
        return [Case.of_counterexample(record.counterexample) for record in found]

    def _log(self) -> RecordLog:
        return RecordLog(self.path, (CounterexampleFound,))
