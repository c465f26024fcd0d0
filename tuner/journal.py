"""What a campaign did, and what false-promotion probability a reference has spent.

A campaign is the search for a faster form of one reference on one target with one drafter. Its
journal lives in the XDG state directory and is resumed by whoever runs the same campaign again.
The `AlphaLedger` is kept per reference and apart from the journals, so that neither starting a
campaign afresh nor another drafter gives a reference its error budget back.
"""

from __future__ import annotations

import math
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from outpace import environment
from outpace.codec import content_hash
from outpace.errors import StorageError
from outpace.kernels.durable import sync_folder
from outpace.model import Grade, Trial, Variant
from outpace.tuner.recordlog import (
    Reading,
    Record,
    RecordLog,
    cannot_write,
    create_file,
    encode_line,
    record_files,
    write_synced,
)

if TYPE_CHECKING:
    from pathlib import Path


class CampaignStarted(Record, frozen=True):
    """A run of a campaign began.

    Attributes:
        reference: Name of the reference, for example `climate.py:hdiff`.
        source_hash: Hash of its source.
        target: Key of the target.
        drafter: Name of the drafter.
        version: Version of outpace.
    """

    reference: str
    source_hash: str
    target: str
    drafter: str
    version: str


class TrialRecord(Record, frozen=True):
    """A trial ended; the variant is kept whole, so that the trial can be repeated."""

    trial: Trial
    variant: Variant


class Screened(Record, frozen=True):
    """A variant passed its checks and was timed; a run that goes on need not do it again.

    Attributes:
        variant: What was screened.
        grade: Isolation under which it was checked.
        ratios: Screened speedup over the reference by workload name.
        dropped: Workloads at which another variant was clearly faster, and the number of timed
            calls after which that was so.
        reference: Seconds of one call of the reference by workload name.
    """

    variant: Variant
    grade: Grade
    ratios: dict[str, float]
    dropped: dict[str, int] = {}
    reference: dict[str, float] = {}


class AlphaSpent(Record, frozen=True):
    """A part of a reference's error budget was used.

    Attributes:
        source_hash: Hash of the reference's source.
        amount: Probability of a false promotion that was risked.
        purpose: What it was risked on, for a person.
    """

    source_hash: str
    amount: float
    purpose: str


class Promoted(Record, frozen=True):
    """A promotion was written.

    Attributes:
        path: Its folder.
        key: Hash of its key.
    """

    path: str
    key: str


class CampaignEnded(Record, frozen=True):
    """A run of a campaign came to its end; `summary` is one sentence for a person."""

    summary: str


CAMPAIGN_RECORDS = (CampaignStarted, TrialRecord, Screened, AlphaSpent, Promoted, CampaignEnded)


def campaign_id(reference_name: str, source_hash: str, target_key: str, drafter: str) -> str:
    """Name of a campaign: equal inputs give the same one everywhere.

    It opens with the function's name, so that people find their way among the folders.
    """
    function = re.split(r"[:/]", reference_name)[-1]
    slug = re.sub(r"[^A-Za-z0-9_.-]", "_", function).strip(".")[:40]
    return f"{slug}-{content_hash([reference_name, source_hash, target_key, drafter])}"


class Journal:
    """Append-only record of one campaign, shared by all its runs.

    Use it as a context manager. Nothing is made on disk before the first `append`.

    Args:
        path: The campaign's folder; it may have been copied from another machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = RecordLog(path, CAMPAIGN_RECORDS)

    @classmethod
    def open(cls, campaign_id: str, fresh: bool = False, folder: Path | None = None) -> Self:
        """The journal of a campaign.

        Args:
            campaign_id: As the function `campaign_id` gives it.
            fresh: Start anew; earlier records are moved to a dated folder beside it, not deleted.
            folder: Where journals are kept; None for those of this machine.

        Raises:
            StorageError: The earlier records cannot be moved.
        """
        path = (folder or environment.state_dir() / "campaigns") / campaign_id
        if fresh:
            _set_aside(path)
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def append(self, record: Record) -> None:
        """Store a record; when this returns, it survives a crash of the process and the machine.

        Raises:
            StorageError: It could not be stored; everything stored before is intact.
        """
        self._log.append(record)

    def read(self) -> Reading:
        """The records of all runs with counts of the lines that were skipped; see `records`."""
        return self._log.read()

    def records(self) -> list[Record]:
        """The records of all runs in time order.

        Raises:
            StorageError: A file of the journal cannot be read.
        """
        return self.read().records

    def trials(self) -> list[TrialRecord]:
        """The trials of all runs in time order; raises StorageError as `records` does."""
        return [record for record in self.records() if isinstance(record, TrialRecord)]

    def unfinished(self) -> list[Screened]:
        """What was screened since a run last came to its end; raises as `records` does."""
        screened: list[Screened] = []
        for record in self.records():
            if isinstance(record, CampaignEnded):
                screened = []
            elif isinstance(record, Screened):
                screened.append(record)
        return screened


class AlphaLedger:
    """The error budget of one reference over all tunes of it that were ever made here.

    The k-th tune may risk a share `6 / (pi k)^2` of the total; the shares of all tunes sum to 1, so
    that the probability that any of them promotes falsely stays below the total (a Bonferroni
    bound over a convergent series). Each tune claims its place k by making a file, which exactly
    one of several concurrent tunes can do. The place is claimed before anything is measured: a
    tune that is killed has spent its share.

    Args:
        source_hash: Hash of the reference's source.
    """

    def __init__(self, source_hash: str) -> None:
        self.path = environment.state_dir() / "alpha" / source_hash
        self._source_hash = source_hash
        self._place: int | None = None

    def tunes(self) -> int:
        """How many earlier tunes took a share.

        Raises:
            StorageError: The ledger cannot be read.
        """
        if self._place is not None:
            return self._place - 1
        return max((int(path.stem) for path in self._files()), default=0)

    def next_alpha(self, total: float = 0.01) -> float:
        """The false-promotion probability that this tune may spend on everything it confirms.

        Claims this tune's place, so ask only once there is something to confirm. Asked again, the
        same ledger object gives the same answer.

        Args:
            total: Probability allowed over all tunes of the reference, in (0, 1).

        Raises:
            StorageError: The place could not be claimed; nothing may be confirmed.
        """
        if not 0 < total < 1:
            raise ValueError(f"total must be a probability between 0 and 1, not {total}")
        return total * 6 / (math.pi * self._claimed()) ** 2

    def spend(self, amount: float, purpose: str) -> None:
        """Record that a part of this tune's share is about to be risked.

        Call it before the measurement whose error it bounds.

        Args:
            amount: Probability of a false promotion, in (0, 1).
            purpose: What it is risked on, for a person.

        Raises:
            StorageError: It could not be recorded; the measurement must not be made.
        """
        if not 0 < amount < 1:
            raise ValueError(f"amount must be a probability between 0 and 1, not {amount}")
        path = self._file(self._claimed())
        line = encode_line(
            AlphaSpent(source_hash=self._source_hash, amount=amount, purpose=purpose)
        )
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                write_synced(fd, line)
            finally:
                os.close(fd)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def spent(self) -> list[AlphaSpent]:
        """Everything that was spent, by time; raises StorageError if it cannot be read."""
        records = RecordLog(self.path, (AlphaSpent,)).read().records
        return [record for record in records if isinstance(record, AlphaSpent)]

    def _claimed(self) -> int:
        place = self.tunes() + 1
        while self._place is None:
            try:
                os.close(create_file(self._file(place)))
            except FileExistsError:
                place += 1
            except OSError as error:
                raise cannot_write(self.path, error) from error
            else:
                self._place = place
        return self._place

    def _file(self, place: int) -> Path:
        return self.path / f"{place:06d}.jsonl"

    def _files(self) -> list[Path]:
        return [path for path in record_files(self.path) if path.stem.isdecimal()]


def _set_aside(folder: Path) -> None:
    """Rename a campaign's folder to one that says when; nothing if there is none."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        folder.rename(folder.with_name(f"{folder.name}.{stamp}"))
        sync_folder(folder.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"could not move the earlier records of this campaign aside: {error}. "
            f"Make {folder.parent} writable, or run without --fresh; nothing is lost."
        ) from error
