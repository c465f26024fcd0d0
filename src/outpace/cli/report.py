"""`outpace report`: one HTML page about campaigns, promotions and stored runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption
from outpace.errors import EnvironmentError_, StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.tuner.report.data import ReferenceReport, Report
    from outpace.tuner.report.history import Series

_LIBRARIES = ("jinja2", "matplotlib")


def report(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUBJECT",
            help="FILE.py:function, a campaign's folder or journal, a folder of campaigns, or a "
            "JSON file of pytest-benchmark; default: all campaigns on this machine.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    as_json: JsonOption = False,
) -> None:
    """Write one HTML page: promotions, rooflines, campaigns, trials, and changes over time."""

    def work() -> Answer:
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.kernels.machine import this_machine  # noqa: PLC0415
        from outpace.kernels.target import current_target  # noqa: PLC0415
        from outpace.tuner.report import data, page  # noqa: PLC0415

        _refuse_missing()
        given = _sorted_out(subjects or [])
        gathered = data.gather(
            given.journals, [load_reference(spec) for spec in given.references], given.benchmarks
        )
        _write(out, page.render(gathered, current_target().key, this_machine()))
        return Answer(_payload(gathered, out), lambda console: _show(console, gathered, out))

    respond(work, as_json=as_json)


@dataclass(frozen=True)
class _Subjects:
    """What the arguments name."""

    references: tuple[str, ...]
    journals: tuple[Path, ...]
    benchmarks: tuple[Path, ...]


def _sorted_out(subjects: Sequence[str]) -> _Subjects:
    """Paths stand for themselves; what has a colon and is no path names a reference."""
    references = [s for s in subjects if ":" in s and not Path(s).exists()]
    paths = [Path(s) for s in subjects if s not in references]
    benchmarks = [path for path in paths if path.suffix == ".json"]
    journals = [path for path in paths if path.suffix != ".json"]
    return _Subjects(tuple(references), tuple(journals), tuple(benchmarks))


def _refuse_missing() -> None:
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise EnvironmentError_(
            f"a report needs {' and '.join(missing)}; install them with "
            "`pip install 'outpace[report]'`"
        )


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"could not write {out}: {error.strerror or error}; give another file with --out"
        ) from error


def _payload(gathered: Report, out: Path) -> dict[str, Any]:
    return {
        "schema": "outpace.report/1",
        "path": str(out),
        "references": [_reference(one) for one in gathered.references],
        "benchmarks": [_series(one) for one in gathered.benchmarks],
        "notes": list(gathered.notes),
    }


def _reference(one: ReferenceReport) -> dict[str, Any]:
    trials = Counter(r.trial.status.value for past in one.campaigns for r in past.trials)
    return {
        "name": one.name,
        "promotions": [str(stored.path) for stored in one.promotions],
        "campaigns": [past.id for past in one.campaigns],
        "trials": dict(sorted(trials.items())),
        "history": [_series(series) for series in one.series],
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "machine": series.machine,
        "quantity": series.quantity.value,
        "runs": len(series.points),
        "changes": [
            {
                "run": change.index + 1,
                "time": series.points[change.index].time,
                "before": change.before,
                "after": change.after,
                "p_value": change.p_value,
            }
            for change in series.changes
        ],
    }


def _show(console: Console, gathered: Report, out: Path) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    found = gathered.references
    trials = sum(len(past.trials) for one in found for past in one.campaigns)
    promoted = sum(len(one.promotions) for one in found)
    lines = [
        (
            f"written {style.path(out)}: {style.plural(len(found), 'reference')}, "
            f"{style.plural(promoted, 'promotion')}, {style.plural(trials, 'trial')}"
        ),
        *(f"note: {note}" for note in gathered.notes),
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
