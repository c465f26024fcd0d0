"""How a campaign, a verdict and a check end on the screen."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from outpace import environment
from outpace.cli import style
from outpace.model import Evidence, Promotion, RankEvidence, Status, Trial

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from outpace.codegen.inputs import Case
    from outpace.codegen.llm.budget import Spent
    from outpace.tuner.api import CheckResult, Result
    from outpace.tuner.worth import Side, Worth

_LISTED = 5


def show_campaign(
    console: Console, result: Result, override: Path | None, told: AbstractSet[str] = frozenset()
) -> None:
    """The end of `tune`: the promotion, or why there is none.

    Args:
        console: Where to print.
        result: What the campaign found.
        override: Folder of promotions that was asked for instead of the usual one, or None.
        told: Notes that were printed already.
    """
    if result.promotion is None or result.path is None:
        console.print(Text(why_nothing(result)), soft_wrap=True)
        _print_losers(console, result.trials)
    else:
        _print_promotions(console, result, override)
    if result.spent is not None:
        console.print(Text(_cost(result, result.spent)), soft_wrap=True)
    if result.worth is not None:
        console.print(Text(what_the_loop_bought(result.worth)), soft_wrap=True)
    _print_notes(console, [note for note in result.notes if note not in told])


def show_verdict(
    console: Console,
    result: Result,
    override: Path | None,
    told: AbstractSet[str] = frozenset(),
    command: str = "",
) -> None:
    """The end of `judge`: the verdict and what it rests on; arguments as `show_campaign`.

    `command` judges the same draft again; with a case it runs it on that alone.
    """
    from outpace.kernels.gpu.roofline import described  # noqa: PLC0415

    verdict = style.status(result.verdict) if result.verdict is not None else Text("no verdict")
    console.print(Text.assemble(f"{result.reference}: ", verdict), soft_wrap=True)
    for trial in result.trials:
        console.print(_trial_line(trial), soft_wrap=True)
        if trial.roofline is not None:
            console.print(Text(f"    {described(trial.roofline)}", style="dim"), soft_wrap=True)
        _print_again(console, trial, command)
    _print_promotions(console, result, override)
    _print_notes(console, [note for note in result.notes if note not in told])


def show_rerun(console: Console, reference: str, case: Case, trial: Trial | None) -> None:
    """The end of `judge --case`."""
    console.print(Text(f"{reference} on {case.text}:"), soft_wrap=True)
    line = Text("  accepted", style="green") if trial is None else _trial_line(trial)
    console.print(line, soft_wrap=True)


def show_checks(console: Console, results: Sequence[CheckResult]) -> None:
    """The end of `check`: one row for each promotion."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("reference", "status", "speedup", "why", "promotion"):
        table.add_column(name, overflow="fold")
    for r in results:
        speed = "" if r.speedup is None else style.interval(r.speedup)
        table.add_row(
            Text(r.reference),
            style.status(r.status),
            Text(speed),
            Text(r.reason),
            Text(style.path(r.path)),
        )
    console.print(table)


def _print_promotions(console: Console, result: Result, override: Path | None) -> None:
    """A panel for each, the one for the last workload at the end; none after a dry run."""
    for other in result.others:
        console.print(promotion_panel(result.reference, other.promotion, other.path, override))
    if result.promotion is not None and result.path is not None:
        console.print(promotion_panel(result.reference, result.promotion, result.path, override))


def promotion_panel(
    reference: str, promotion: Promotion, path: Path, override: Path | None
) -> RenderableType:
    """What was promoted, how much faster it is, where it lies and what to do with it."""
    on_ranks = promotion.variant.draft.language == "mpi"
    table = Table(box=None, pad_edge=False, header_style="bold")
    others = ("over best serial", "over best threaded") if on_ranks else ("over plain Numba",)
    for name in ("workload", "over NumPy", "interval", *others):
        table.add_column(name, justify="left" if name == "workload" else "right")
    for e in promotion.evidence:
        table.add_row(
            Text(e.workload.name),
            Text(style.ratio(e.speedup.median), style="bold green"),
            Text(
                f"{e.speedup.confidence:.0%} in "
                f"[{style.ratio(e.speedup.low)}, {style.ratio(e.speedup.high)}]"
            ),
            *(Text("" if other is None else style.ratio(other)) for other in _over_others(e)),
        )
    language = promotion.variant.draft.language
    title = Text(f"{style.named(promotion)} ({language}) for {reference}", style="bold")
    written = Text(f"written to {style.path(path)}", overflow="fold")
    lines: list[RenderableType] = [
        title,
        Text(""),
        table,
        *_rooflines(promotion.evidence),
        Text(""),
        written,
        Text(_next_step(path, override, promotion)),
    ]
    grade = Text(f"isolation grade {promotion.grade.value}")
    return Panel(
        Group(*lines), title="promoted", subtitle=grade, border_style="green", expand=False
    )


def _rooflines(evidence: Sequence[Evidence]) -> list[RenderableType]:
    """Where kernels on a GPU stand, a line for each workload."""
    from outpace.kernels.gpu.roofline import described  # noqa: PLC0415

    return [
        Text(f"{e.workload.name}: {described(e.roofline)}", style="dim")
        for e in evidence
        if e.roofline is not None
    ]


def _over_others(evidence: Evidence) -> tuple[float | None, ...]:
    """Speedups over what is compared besides NumPy, as the panel's columns have them."""
    if isinstance(evidence, RankEvidence):
        others = (evidence.over_serial, evidence.over_threaded)
        return tuple(None if other is None else other.median for other in others)
    return (evidence.over_numba,)


def _cost(result: Result, spent: Spent) -> str:
    """One sentence on what drafting by a model has cost."""
    about = "at most " if spent.estimated else ""
    sentence = (
        f"drafting has cost {about}{style.plural(spent.tokens, 'token')} in "
        f"{style.plural(spent.requests, 'request')}, ${spent.cost:.4f}"
    )
    if result.cost_per_promotion is None:
        return f"{sentence}; no kernel was promoted"
    promoted = len(result.others) + 1
    tokens = round(spent.tokens / promoted)
    return f"{sentence}: ${result.cost_per_promotion:.4f} and {tokens} tokens per promoted kernel"


_VERDICTS = {
    "loop": "the rounds have paid",
    "samples": "the rounds have not paid",
    "neither": "screening cannot tell them apart",
}


def what_the_loop_bought(worth: Worth) -> str:
    """One sentence: several rounds against samples of the first prompts at equal tokens."""
    if worth.loop is not None and worth.samples is not None and worth.better is not None:
        tokens = style.plural(min(worth.loop.tokens, worth.samples.tokens), "token")
        return (
            f"what the loop bought: {_side(worth.loop)} in rounds, {_side(worth.samples)} samples "
            f"of the first prompts, for {tokens} each: {_VERDICTS[worth.better]}"
        )
    missing, side = worth.missing, worth.loop or worth.samples
    if missing is None or side is None:
        return "what the loop bought is not known"
    way = "in rounds" if worth.loop is not None else "samples of the first prompts"
    return (
        f"what the loop bought is not known yet: {_side(side)} {way}, for "
        f"{style.plural(side.tokens, 'token')}; a campaign with --rounds {missing.rounds} "
        f"--samples {missing.samples} would tell"
    )


def _side(side: Side) -> str:
    """Its best draft as it was screened, because that is measured alike on both sides."""
    if side.screened is None:
        return f"nothing right among {side.replies}"
    told = f"{style.ratio(side.screened)} screened"
    if side.confirmed is not None:
        told += f", {style.interval(side.confirmed)} confirmed,"
    return f"{told} as the best of {side.replies}"


def why_nothing(result: Result) -> str:
    """One sentence on why nothing was promoted."""
    counts = Counter(trial.status for trial in _deciding(result.trials))
    if not counts:
        return f"nothing was promoted for {result.reference}: no draft was judged"
    tally = ", ".join(f"{n} {status.value}" for status, n in counts.most_common())
    total = style.plural(counts.total(), "variant")
    sentence = f"nothing was promoted for {result.reference}: of {total}, {tally}"
    if Status.INCONCLUSIVE in counts:
        return f"{sentence}; run the same command again to go on with the undecided"
    return sentence


def _deciding(trials: Sequence[Trial]) -> list[Trial]:
    """For each variant the trial that kept it from promotion, or its last."""
    by_variant: dict[tuple[str, str], Trial] = {}
    for trial in trials:
        key = (trial.draft, repr(sorted(trial.params.items())))
        if key not in by_variant or trial.status is not Status.FASTER:
            by_variant[key] = trial
    return list(by_variant.values())


def _print_losers(console: Console, trials: Sequence[Trial]) -> None:
    """The nearest misses first, then what went wrong with others."""
    decided = _deciding(trials)
    timed = [t for t in decided if t.status in (Status.NOT_FASTER, Status.INCONCLUSIVE)]
    timed.sort(key=lambda t: t.speedup.median if t.speedup else 0.0, reverse=True)
    failed = [t for t in decided if t not in timed]
    for trial in (*timed[:_LISTED], *failed[:_LISTED]):
        console.print(_trial_line(trial), soft_wrap=True)
        _print_again(console, trial, "outpace judge REFERENCE DRAFT")


def _trial_line(trial: Trial) -> Text:
    speed = "" if trial.speedup is None else style.interval(trial.speedup)
    name = trial.label or f"{trial.language} {trial.draft[:8]}"
    line = Text.assemble(f"  {name}  ", style.status(trial.status))
    for part in (trial.workload, speed, trial.reason):
        if part:
            line.append(f"  {part}")
    return line


def _print_again(console: Console, trial: Trial, command: str) -> None:
    """How to run a wrong variant again on what it was wrong on; nothing for other trials."""
    from outpace.codegen.inputs import Case  # noqa: PLC0415

    if trial.counterexample is None or trial.language == "mpi":
        return
    options = ["--case", Case.of_counterexample(trial.counterexample).text]
    if trial.params:
        options += ["--params", json.dumps(trial.params)]
    again = Text(f"    to see it again: {command} {shlex.join(options)}", style="dim")
    console.print(again, soft_wrap=True)


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=True)


def _next_step(path: Path, override: Path | None, promotion: Promotion) -> str:
    if promotion.variant.draft.language == "mpi":
        ranks = style.plural(promotion.key.ranks, "rank")
        served = f"`distribute(comm)` runs it on {ranks}, or mpiexec without outpace"
    elif override is not None:
        served = f"it is served where OUTPACE_PROMOTED={style.path(override)} is set"
    else:
        served = "the decorated function runs it from the next start of Python on"
    # In the data folder it is this user's alone: there is nothing to commit.
    task = "review" if path.is_relative_to(environment.data_dir()) else "review and commit"
    return f"next: {task} that folder; {served}"
