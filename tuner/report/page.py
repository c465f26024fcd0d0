"""A report as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outpace.codegen import feedback
from outpace.codegen.dims import sizes_text
from outpace.codegen.inputs import Case
from outpace.codegen.machine import Machine
from outpace.codegen.visible import shown
from outpace.kernels.gpu.roofline import described
from outpace.kernels.promotions import ON_GPU, StoredPromotion
from outpace.model import Counterexample, Promotion, Status
from outpace.tuner.report import figures
from outpace.tuner.report.changes import ALPHA, SHORTEST
from outpace.tuner.report.data import PastRuns, ReferenceReport, Report
from outpace.tuner.report.history import Quantity, Series
from outpace.tuner.report.roofline import Position, positions
from outpace.tuner.report.scaling import Scaled, scaling

if TYPE_CHECKING:
    from jinja2 import Environment

_PARTS = Path(__file__).parent / "parts"


def render(report: Report, target: str = "", machine: Machine | None = None) -> str:
    """The page; equal reports on equal machines give equal text.

    Args:
        report: What to tell.
        target: Key of the target that `machine` is.
        machine: This one, for the roof of promotions that were made on it; None to leave it out.
    """
    from markupsafe import Markup  # noqa: PLC0415

    views = _Views(report, target, machine)
    script = (_PARTS / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text: str = (
        _environment()
        .get_template("page.html")
        .render(
            references=[views.reference(one) for one in report.references],
            benchmarks=[views.series(one) for one in report.benchmarks],
            notes=report.notes,
            statuses=tuple(Status),
            version=importlib.metadata.version("outpace"),
            policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
            style=Markup((_PARTS / "style.css").read_text(encoding="utf-8")),  # noqa: S704
            script=Markup(script),  # noqa: S704
            alpha=ALPHA,
            shortest=SHORTEST,
        )
    )
    return text


# --- what the template shows --------------------------------------------------------------------


@dataclass(frozen=True)
class _PromotionView:
    stored: StoredPromotion
    positions: tuple[Position, ...]
    is_here: bool
    speedups: Any
    roofline: Any

    @property
    def promotion(self) -> Promotion:
        return self.stored.promotion

    @property
    def told(self) -> tuple[str, ...]:
        """What bounds the kernel at each workload, where that is known."""
        return tuple(f"{p.workload}: {p.sentence}" for p in self.positions if p.sentence) + tuple(
            f"{e.workload.name}: {described(e.roofline)}"
            for e in self.promotion.evidence
            if e.roofline is not None
        )


@dataclass(frozen=True)
class _CampaignView:
    campaign: PastRuns
    counts: tuple[tuple[Status, int], ...]
    convergence: Any


@dataclass(frozen=True)
class _SeriesView:
    series: Series
    machine: str
    figure: Any

    def value(self, number: float) -> str:
        """A value with its unit."""
        return _ratio(number) if self.series.quantity is Quantity.SPEEDUP else _seconds(number)


@dataclass(frozen=True)
class _ReferenceView:
    name: str
    promotions: tuple[_PromotionView, ...]
    campaigns: tuple[_CampaignView, ...]
    series: tuple[_SeriesView, ...]
    scaling: tuple[Scaled, ...]


class _Views:
    """Makes what the template shows, with figures whose ids differ."""

    def __init__(self, report: Report, target: str, machine: Machine | None) -> None:
        self._target = target
        self._machine = machine
        self._names: Iterator[str] = (f"f{number}" for number in count(1))
        self._machines = {
            promotion.target.key: f"{promotion.target.cpu}, {promotion.target.cores} cores"
            for one in report.references
            for promotion in (stored.promotion for stored in one.promotions)
        }

    def reference(self, one: ReferenceReport) -> _ReferenceView:
        return _ReferenceView(
            one.name,
            tuple(self._promotion(stored) for stored in one.promotions),
            tuple(self._campaign(campaign) for campaign in one.campaigns),
            tuple(self.series(series) for series in one.series),
            scaling(stored.promotion for stored in one.promotions),
        )

    def series(self, series: Series) -> _SeriesView:
        figure = _figure(figures.history(series, next(self._names)))
        return _SeriesView(series, self._machines.get(series.machine, series.machine), figure)

    def _promotion(self, stored: StoredPromotion) -> _PromotionView:
        promotion = stored.promotion
        is_here = self._machine is not None and promotion.target.key == self._target
        # The bandwidth of the host's memory says nothing about a GPU's.
        bounds = is_here and promotion.key.layout != ON_GPU
        found = positions(promotion, self._machine if bounds else None)
        roofed = [position for position in found if position.roof is not None]
        return _PromotionView(
            stored,
            found,
            is_here,
            _figure(figures.speedups(promotion.evidence, next(self._names)))
            if promotion.evidence
            else None,
            _figure(figures.roofline(roofed, next(self._names))) if roofed else None,
        )

    def _campaign(self, campaign: PastRuns) -> _CampaignView:
        tally = Counter(record.trial.status for record in campaign.trials)
        counts = tuple((status, tally[status]) for status in Status if tally[status])
        timed = campaign.timed
        # A single point is in the table of trials.
        figure = figures.convergence(timed, next(self._names)) if len(timed) > 1 else None
        return _CampaignView(campaign, counts, None if figure is None else _figure(figure))


def _figure(svg: str) -> Any:
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(svg)  # noqa: S704  (escaped where it was drawn)


# --- how it shows it ----------------------------------------------------------------------------


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(_PARTS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters.update(
        ratio=_ratio,
        seconds=_seconds,
        bytes=feedback.size,
        minute=_minute,
        sizes=sizes_text,
        case=_case,
    )
    return environment


def _visible(value: Any) -> Any:
    """Characters that a reader would not see, as escapes; markup of ours as it is."""
    return shown(value) if type(value) is str else value


def _ratio(value: float) -> str:
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def _seconds(value: float) -> str:
    return feedback.duration(value)


def _minute(time: str) -> str:
    """An ISO 8601 time to the minute."""
    return time[:16].replace("T", " ")


def _case(found: Counterexample) -> str:
    """As `outpace judge` takes it to run a draft on it again."""
    return f"--case {shlex.quote(Case.of_counterexample(found).text)}"
