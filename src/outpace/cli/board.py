"""What is known of a running campaign, event by event; nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass, field

from outpace.model import Status, Trial
from outpace.tuner.events import Ended, Event, Moved, Planned, Progress, Timed


@dataclass
class Row:
    """One variant.

    Attributes:
        label: Its name for people.
        language: Its language.
        stage: Where it is, or empty once it has ended.
        detail: More about the stage.
        ratios: Speedup over the reference by workload: screened, then confirmed.
        trials: Ended trials by workload.
    """

    label: str
    language: str = ""
    stage: str = "waiting"
    detail: str = ""
    ratios: dict[str, float] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)

    @property
    def outcome(self) -> Trial | None:
        """The trial that decides: the last one that is not faster, else the last."""
        trials = list(self.trials.values())
        losses = [t for t in trials if t.status is not Status.FASTER]
        return next(reversed(losses or trials), None)

    @property
    def best(self) -> float:
        """The highest ratio seen; 0 before any."""
        return max(self.ratios.values(), default=0.0)


class Board:
    """The rows of a campaign in the order in which they were planned.

    Attributes:
        rows: By variant hash.
        workloads: Names in order of first timing.
        progress: How far the present long step is; empty when there is none.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.workloads: list[str] = []
        self.progress = ""

    def notice(self, event: Event) -> None:
        """Take an event in."""
        match event:
            case Planned(label=label, variant=variant, language=language):
                self.rows[variant] = Row(label, language)
            case Moved(variant=variant, stage=stage, detail=detail):
                row = self._row(variant)
                row.stage, row.detail = stage, detail
            case Timed(variant=variant, workload=workload, ratio=ratio):
                self._time(self._row(variant), workload, ratio)
            case Ended(variant=variant, trial=trial):
                self._end(self._row(variant), trial)
            case Progress(done=done, total=total, what=what):
                self.progress = f"{what} {done}/{total}" if done < total else ""
            case _:
                pass  # messages are printed, not kept

    def label(self, variant: str) -> str:
        """Name of a variant for people."""
        return self._row(variant).label

    def shown(self, limit: int) -> list[Row]:
        """At most `limit` rows, those that say most, in the order of planning."""
        rows = list(self.rows.values())
        if len(rows) <= limit:
            return rows
        keep = sorted(rows, key=_interest, reverse=True)[: max(limit, 1)]
        return [row for row in rows if any(row is kept for kept in keep)]

    def _row(self, variant: str) -> Row:
        return self.rows.setdefault(variant, Row(variant[:8]))

    def _time(self, row: Row, workload: str, ratio: float) -> None:
        row.ratios[workload] = ratio
        if workload not in self.workloads:
            self.workloads.append(workload)

    def _end(self, row: Row, trial: Trial) -> None:
        row.stage = row.detail = ""
        row.language = row.language or trial.language
        row.trials[trial.workload] = trial
        if trial.speedup is not None:
            self._time(row, trial.workload, trial.speedup.median)


def _interest(row: Row) -> tuple[bool, float, bool]:
    """Rows at work first, then the fastest, then those that ended."""
    return (row.stage not in ("", "waiting"), row.best, row.stage == "")
