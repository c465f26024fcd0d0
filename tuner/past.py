"""Campaigns as they lie on disk: what was judged, and what models were asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from outpace.codegen.llm.exchange import Exchange, Reply
from outpace.codegen.parse import LONGEST, Refusal, parse_reply
from outpace.errors import StorageError
from outpace.model import Draft, Provenance
from outpace.tuner.drafting import REPLAY, exchanges_in
from outpace.tuner.exchanges import FOLDER, ExchangeRecord
from outpace.tuner.journal import (
    CAMPAIGN_RECORDS,
    CampaignStarted,
    Screened,
    TrialRecord,
    campaign_id,
)
from outpace.tuner.recordlog import Reading, RecordLog, record_files

_CARRIED = "trials"
"""Where a folder that goes from machine to machine keeps its journals."""


@dataclass(frozen=True)
class PastCampaign:
    """What one campaign's folder holds.

    Attributes:
        started: How its first run began.
        trials: Of all runs, in time order.
        screened: Variants that were right and timed, likewise.
        exchanges: With a model, those that brought nothing among them.
        repeated: Exchanges of another campaign that it has repeated, if they are still there.
        hosts: Names of the machines that wrote it.
        skipped: Lines that were damaged, or written by a newer outpace.
    """

    started: CampaignStarted
    trials: tuple[TrialRecord, ...]
    screened: tuple[Screened, ...]
    exchanges: tuple[Exchange, ...]
    repeated: tuple[Exchange, ...]
    hosts: frozenset[str]
    skipped: int

    @property
    def id(self) -> str:
        """The campaign's name, whatever its folder is called now."""
        told = self.started
        return campaign_id(told.reference, told.source_hash, told.target, told.drafter)


def read_campaign(path: Path) -> PastCampaign | None:
    """The campaign in a folder, or in one file of its journal; None where there is none.

    Raises:
        StorageError: It is there and cannot be read.
    """
    reading = RecordLog(path, CAMPAIGN_RECORDS).read()
    started = next((r for r in reading.records if isinstance(r, CampaignStarted)), None)
    if started is None:
        return None
    folder = _exchanges_of(path)
    asked = RecordLog(folder, (ExchangeRecord,)).read()
    files = (*record_files(path), *record_files(folder))
    return PastCampaign(
        started,
        tuple(r for r in reading.records if isinstance(r, TrialRecord)),
        tuple(r for r in reading.records if isinstance(r, Screened)),
        _exchanges(asked),
        _repeated(started.drafter),
        frozenset(file.stem.rsplit("-", 2)[0] for file in files),
        sum(r.damaged + r.newer for r in (reading, asked)),
    )


def campaign_folders(path: Path) -> list[Path]:
    """The path itself where it is a campaign's folder or journal, else the campaigns in it.

    Raises:
        StorageError: A folder cannot be listed.
    """
    if path.is_file() or record_files(path) or not path.is_dir():
        return [path]
    inside = path / _CARRIED if (path / _CARRIED).is_dir() else path
    return [inner for inner in sorted(inside.iterdir()) if inner.is_dir() and record_files(inner)]


def _exchanges_of(journal: Path) -> Path:
    """Beside the records, or beside all journals of a folder that was carried about."""
    folder = journal.parent if journal.is_file() else journal
    return folder.parents[1] / FOLDER if folder.parent.name == _CARRIED else folder / FOLDER


def _exchanges(reading: Reading) -> tuple[Exchange, ...]:
    return tuple(r.exchange for r in reading.records if isinstance(r, ExchangeRecord))


def _repeated(drafter: str) -> tuple[Exchange, ...]:
    """What a drafter of that name repeats; nothing where it is gone or cannot be read."""
    for name in drafter.split("+"):
        if name.startswith(REPLAY):
            folder = exchanges_in(Path(name.removeprefix(REPLAY)))
            with contextlib.suppress(StorageError):
                return _exchanges(RecordLog(folder, (ExchangeRecord,)).read())
    return ()


def replies_as_judged(
    exchange: Exchange, languages: Sequence[str] = ()
) -> list[tuple[Draft, Reply]]:
    """Each reply with the draft that was read from it; the whole text where it held none.

    Args:
        exchange: With a model.
        languages: Those that were asked for; empty for all of the campaign.
    """
    wanted = tuple(languages) or exchange.rounds.languages
    found = []
    for reply in exchange.replies:
        draft = parse_reply(reply.text, reply.finish_reason, wanted, Provenance("model"))
        if isinstance(draft, Refusal):
            draft = Draft(wanted[0], reply.text[:LONGEST])
        found.append((draft, reply))
    return found
