"""The record of what models were asked and what they replied, in a campaign's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outpace.codegen.llm.exchange import Exchange
from outpace.tuner.recordlog import Record, RecordLog

FOLDER = "exchanges"
"""Within the folder of a campaign's journal."""


class ExchangeRecord(Record, frozen=True):
    """An exchange with a model; no key is part of it."""

    exchange: Exchange


class RecordedExchanges:
    """Exchanges on disk; `keep` returns when they have been synced.

    Args:
        path: A folder of records, or one file of them.

    Raises:
        StorageError: It is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._log = RecordLog(path, (ExchangeRecord,))
        records = self._log.read().records
        self._kept = [r.exchange for r in records if isinstance(r, ExchangeRecord)]

    def find(self, place: str) -> Exchange | None:
        """See `outpace.codegen.llm.exchange.Exchanges`."""
        return next((e for e in self._kept if e.place == place and e.replies), None)

    def keep(self, exchange: Exchange) -> None:
        """See `outpace.codegen.llm.exchange.Exchanges`."""
        self._log.append(ExchangeRecord(exchange=exchange))
        self._kept.append(exchange)

    def all(self) -> Sequence[Exchange]:
        """See `outpace.codegen.llm.exchange.Exchanges`."""
        return tuple(self._kept)
