"""`outpace tune`: draft, judge and promote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.budget import parse_budget, within_minutes
from outpace.cli.exits import of_campaign
from outpace.cli.models import (
    BaseUrlOption,
    CostOption,
    EngineOptionsOption,
    MinutesOption,
    ModelOption,
    NoDocstringsOption,
    PriceOption,
    RoundsOption,
    SamplesOption,
    TokensOption,
    asked_model,
)
from outpace.cli.options import (
    DrafterOption,
    JsonOption,
    LanguagesOption,
    OnGpuOption,
    PromotedOption,
    QuietOption,
    RanksOption,
    ReferenceArgument,
    RiskOption,
    StrategyOption,
    WorkloadsOption,
    parse_ranks,
    split_list,
)
from outpace.cli.settings import Settings, read_settings

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.tuner.api import Budget, Result

RESUMABLE = "interrupted; nothing is lost, the same command goes on where this one stopped"

BudgetOption = Annotated[
    str | None,
    typer.Option(metavar="AMOUNT", help="Minutes (5, 5m, 90s) or drafts (12d) to spend."),
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Start anew instead of resuming the last campaign.")
]


def tune(
    reference: ReferenceArgument,
    *,
    drafter: DrafterOption = None,
    language: LanguagesOption = None,
    workload: WorkloadsOption = None,
    budget: BudgetOption = None,
    fresh: FreshOption = False,
    promoted: PromotedOption = None,
    accept_risk: RiskOption = False,
    strategy: StrategyOption = None,
    ranks: RanksOption = None,
    on_gpu: OnGpuOption = False,
    base_url: BaseUrlOption = None,
    model: ModelOption = None,
    engine_options: EngineOptionsOption = None,
    rounds: RoundsOption = None,
    samples: SamplesOption = None,
    max_tokens_total: TokensOption = None,
    max_cost: CostOption = None,
    max_minutes: MinutesOption = None,
    price: PriceOption = None,
    no_docstrings: NoDocstringsOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draft, check and time faster variants of a function, and promote the best.

    Defaults come from the tool.outpace table of pyproject.toml.

    After Ctrl-C the same command goes on where it stopped.
    """

    def work() -> Answer:
        loaded, settings = _loaded(reference)
        names = drafter or settings.drafter
        spent = _limited(budget_of(budget, settings), max_minutes, settings)
        asked = asked_model(
            *(names, base_url, model),
            engine_options=engine_options,
            rounds=rounds,
            samples=samples,
            most_tokens=max_tokens_total,
            most_cost=max_cost,
            most_minutes=spent.minutes,
            price=price,
            docstrings=not no_docstrings,
            settings=settings,
        )
        return _tuned(
            promoted or environment.promoted_override() or settings.promoted,
            quiet,
            loaded,
            drafter=names,
            languages=split_list(language, "--language") or settings.languages,
            workloads=split_list(workload, "--workload"),
            budget=spent,
            fresh=fresh,
            accept_risk=accept_risk,
            model=asked,
            strategy=strategy,
            ranks=() if ranks is None else parse_ranks(ranks),
            on_gpu=on_gpu,
        )

    respond(work, as_json=as_json, interrupted=RESUMABLE)


def _loaded(reference: str) -> tuple[Reference, Settings]:
    """A reference, and the settings of its project."""
    from outpace.codegen.reference import load_reference  # noqa: PLC0415

    loaded = load_reference(reference)
    return loaded, read_settings(loaded.folder)


def _limited(budget: Budget, minutes: float | None, settings: Settings) -> Budget:
    """The budget within the minutes that the option gives, else the settings."""
    return within_minutes(budget, settings.max_minutes if minutes is None else minutes)


def budget_of(given: str | None, settings: Settings) -> Budget:
    """The budget of `--budget`, else of the settings, else none.

    Raises:
        UsageError: It is not understood.
    """
    from outpace.tuner.api import Budget  # noqa: PLC0415

    text = given if given is not None else settings.budget
    return parse_budget(text) if text is not None else Budget()


def _tuned(
    override: Path | None, quiet: bool, loaded: Reference, *, strategy: str | None, **options: Any
) -> Answer:
    """Tune while the user watches; the options are those of `outpace.tuner.api.tune`."""
    from outpace.tuner import api  # noqa: PLC0415
    from outpace.tuner.search import DEFAULT  # noqa: PLC0415

    work = partial(api.tune, loaded, strategy=strategy or DEFAULT, **options)
    return watched(work, override, quiet)


def watched(work: Callable[..., Result], override: Path | None, quiet: bool) -> Answer:
    """The answer of work on a campaign, during which the user watches.

    Args:
        work: Takes `promoted` and `observer`.
        override: Folder for promotions instead of the usual one.
        quiet: Show no progress.
    """
    from outpace.cli import payloads, summary, watch  # noqa: PLC0415

    with watch.watching(quiet=quiet) as observer:
        result = work(promoted=override, observer=observer)
    return Answer(
        payloads.tuned(result),
        lambda console: summary.show_campaign(console, result, override, observer.told),
        of_campaign(
            promoted=result.promotion is not None,
            statuses=[trial.status for trial in result.trials],
        ),
    )
