"""What a report is made from: journals of campaigns, the promotions they name, stored runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outpace import environment
from outpace.codegen.reference import Reference
from outpace.errors import OutpaceError, UsageError
from outpace.kernels import promotions as store
from outpace.kernels.promotions import StoredPromotion
from outpace.model import Variant
from outpace.tuner.journal import (
    CAMPAIGN_RECORDS,
    CampaignEnded,
    CampaignStarted,
    Promoted,
    Screened,
    TrialRecord,
    campaign_id,
)
from outpace.tuner.past import campaign_folders
from outpace.tuner.recordlog import Record, RecordLog, record_files
from outpace.tuner.report.history import Series, series_of_files, series_of_runs

_CHECK = "check"
"""Drafter under whose name `outpace check` keeps its journal."""


@dataclass(frozen=True)
class Run:
    """One run of a campaign, or one check: the file of a journal.

    Attributes:
        started: How it began.
        records: Everything it stored, in order.
    """

    started: CampaignStarted
    records: tuple[Record, ...]

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """What was judged."""
        return tuple(r for r in self.records if isinstance(r, TrialRecord))


@dataclass(frozen=True)
class PastRuns:
    """All runs of one campaign.

    Attributes:
        id: Name of its folder.
        runs: In order of time, at least one.
    """

    id: str
    runs: tuple[Run, ...]

    @property
    def started(self) -> CampaignStarted:
        """How the first run began."""
        return self.runs[0].started

    @property
    def records(self) -> tuple[Record, ...]:
        """Those of all runs, one run after the other."""
        return tuple(record for run in self.runs for record in run.records)

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Those of all runs."""
        return tuple(trial for run in self.runs for trial in run.trials)

    @property
    def summaries(self) -> tuple[str, ...]:
        """What runs said at their end; a run that was cut short said nothing."""
        return tuple(r.summary for r in self.records if isinstance(r, CampaignEnded))

    @property
    def timed(self) -> tuple[tuple[Variant, dict[str, float]], ...]:
        """Variants that passed their checks, as they were screened, with speedups by workload."""
        found: dict[str, tuple[Variant, dict[str, float]]] = {}
        for record in self.records:
            if isinstance(record, Screened):
                found.setdefault(record.variant.hash, (record.variant, {}))[1].update(record.ratios)
            elif isinstance(record, TrialRecord) and record.trial.stage == "screen":
                trial = record.trial
                if trial.speedup is not None:
                    entry = found.setdefault(record.variant.hash, (record.variant, {}))
                    entry[1].setdefault(trial.workload, trial.speedup.median)
        return tuple(found.values())


@dataclass(frozen=True)
class ReferenceReport:
    """Everything about one reference.

    Attributes:
        name: `module:qualname`.
        promotions: As they lie on disk.
        campaigns: In order of time, checks apart.
        series: Over all runs and checks.
    """

    name: str
    promotions: tuple[StoredPromotion, ...]
    campaigns: tuple[PastRuns, ...]
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Report:
    """What one page tells.

    Attributes:
        references: By name.
        benchmarks: Series from files of pytest-benchmark.
        notes: Sentences on what was passed over.
    """

    references: tuple[ReferenceReport, ...]
    benchmarks: tuple[Series, ...]
    notes: tuple[str, ...]


def gather(
    journals: Sequence[Path] = (),
    references: Sequence[Reference] = (),
    benchmarks: Sequence[Path] = (),
) -> Report:
    """Read what a report tells.

    Args:
        journals: Folders of campaigns, journals, or folders of campaigns; empty for those of this
            machine, unless files of benchmarks are all that is given.
        references: Only campaigns of these count, and their promotions are looked for too.
        benchmarks: JSON files of pytest-benchmark.

    Raises:
        UsageError: A path does not exist, a file is something else, or there is nothing to tell.
        StorageError: A file cannot be read.
    """
    for path in (*journals, *benchmarks):
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
    reading = _Reading({reference.name for reference in references})
    for reference in references:
        found, ignored = store.search(reference)
        reading.add(found)
        reading.notes += ignored
    if journals or references or not benchmarks:
        reading.read(journals or [environment.state_dir() / "campaigns"])
    series = series_of_files(benchmarks)
    if not (reading.names or series):
        raise UsageError(_nothing(references, benchmarks))
    reports = tuple(reading.report(name) for name in sorted(reading.names))
    return Report(reports, series, tuple(dict.fromkeys(reading.notes)))


def _nothing(references: Sequence[Reference], benchmarks: Sequence[Path]) -> str:
    if benchmarks and not references:
        return "these files hold no benchmark twice on one machine, so there is no history to show"
    what = " or ".join(reference.name for reference in references) or "any reference"
    return f"no campaign and no promotion of {what} was found; `outpace tune FILE.py:fn` makes them"


@dataclass
class _Reading:
    """What was found so far.

    Attributes:
        wanted: Names of references; empty for all.
        notes: Sentences on what was passed over.
    """

    wanted: set[str]
    notes: list[str] = field(default_factory=list)
    _campaigns: list[PastRuns] = field(default_factory=list)
    _checks: list[Run] = field(default_factory=list)
    _promotions: dict[Path, StoredPromotion] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """Of the references that there is something to tell of."""
        stored = {one.promotion.reference for one in self._promotions.values()}
        return {campaign.started.reference for campaign in self._campaigns} | stored

    def read(self, journals: Sequence[Path]) -> None:
        """Take campaigns, the promotions that they name, and the checks of their references."""
        unnamed = []
        for folder in (f for path in journals for f in campaign_folders(path)):
            started, files = self._files(folder)
            if started is None:
                unnamed.append((folder, files))
            elif not self.wanted or started.reference in self.wanted:
                runs = tuple(_run(started, records) for records in files)
                ordered = tuple(sorted(runs, key=lambda run: run.started.time))
                self._campaigns.append(PastRuns(folder.name, ordered))
        for campaign in self._campaigns:
            self._add_promotions_of(campaign)
        for folder, files in unnamed:
            self._add_checks(folder, files)

    def add(self, found: Iterable[StoredPromotion]) -> None:
        """Take promotions, each once."""
        for stored in found:
            self._promotions.setdefault(stored.path.resolve(), stored)

    def report(self, name: str) -> ReferenceReport:
        """Everything about one reference."""
        campaigns = sorted(
            (one for one in self._campaigns if one.started.reference == name),
            key=lambda one: (one.started.time, one.id),
        )
        stored = sorted(
            (one for one in self._promotions.values() if one.promotion.reference == name),
            key=lambda one: (one.promotion.created, one.path),
        )
        checks = [run for run in self._checks if run.started.reference == name]
        runs = [run for campaign in campaigns for run in campaign.runs]
        return ReferenceReport(
            name, tuple(stored), tuple(campaigns), series_of_runs([*runs, *checks])
        )

    def _files(self, folder: Path) -> tuple[CampaignStarted | None, list[tuple[Record, ...]]]:
        """How a campaign began, and the records of each file of its journal that holds any."""
        files = []
        for path in record_files(folder):
            reading = RecordLog(path, CAMPAIGN_RECORDS).read()
            self.notes += [f"{folder.name}: {note}" for note in reading.notes]
            if reading.records:
                files.append(tuple(reading.records))
        begun = [r for records in files for r in records if isinstance(r, CampaignStarted)]
        return min(begun, key=lambda record: record.time, default=None), files

    def _add_promotions_of(self, campaign: PastRuns) -> None:
        paths = {Path(r.path) for r in campaign.records if isinstance(r, Promoted)}
        for path in sorted(paths):
            try:
                self.add([store.read(path)])
            except FileNotFoundError:
                self.notes.append(f"{campaign.id}: the promotion in {path} is no longer there")
            except (OutpaceError, OSError) as error:
                self.notes.append(f"{campaign.id}: a promotion cannot be read: {error}")

    def _add_checks(self, folder: Path, files: Sequence[tuple[Record, ...]]) -> None:
        """A check does not say what it checked, but its folder is named after that."""
        for known in self._known():
            name = campaign_id(known.reference, known.source_hash, known.target, _CHECK)
            if folder.name == name or folder.name.startswith(f"{name}."):
                self._checks += [_run(known, records) for records in files]
                return

    def _known(self) -> list[CampaignStarted]:
        """Every reference on every target that campaigns and promotions are about."""
        promoted = [
            CampaignStarted(
                reference=p.reference,
                source_hash=p.key.source_hash,
                target=p.key.target,
                drafter=_CHECK,
                version="",
            )
            for p in (stored.promotion for stored in self._promotions.values())
        ]
        return [campaign.started for campaign in self._campaigns] + promoted


def _run(known: CampaignStarted, records: tuple[Record, ...]) -> Run:
    """The run in one file; where it does not say how it began, what is known stands for that."""
    own = next((r for r in records if isinstance(r, CampaignStarted)), None)
    started = own or CampaignStarted(
        reference=known.reference,
        source_hash=known.source_hash,
        target=known.target,
        drafter=known.drafter,
        version="",
        time=records[0].time,
    )
    return Run(started, records)
