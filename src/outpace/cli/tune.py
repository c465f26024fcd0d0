"""`outpace tune`: draft, judge and promote."""

from typing import Annotated

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.budget import parse_budget, within_minutes
from outpace.cli.exits import of_campaign
from outpace.cli.models import (
    BaseUrlOption,
    CostOption,
    MinutesOption,
    ModelOption,
    NoDocstringsOption,
    PriceOption,
    RoundsOption,
    SamplesOption,
    TokensOption,
    model_options,
)
from outpace.cli.options import (
    DrafterOption,
    JsonOption,
    LanguagesOption,
    PromotedOption,
    QuietOption,
    ReferenceArgument,
    RiskOption,
    WorkloadsOption,
    split_list,
)
from outpace.cli.settings import read_settings
from outpace.errors import UsageError

RESUMABLE = "interrupted; nothing is lost, the same command goes on where this one stopped"


def tune(
    reference: ReferenceArgument,
    *,
    drafter: DrafterOption = None,
    language: LanguagesOption = None,
    workload: WorkloadsOption = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="Minutes (5, 5m, 90s) or drafts (12d) to spend."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew instead of resuming the last campaign.")
    ] = False,
    promoted: PromotedOption = None,
    accept_risk: RiskOption = False,
    base_url: BaseUrlOption = None,
    model: ModelOption = None,
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
        from outpace.cli import payloads, summary, watch  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.tuner import api  # noqa: PLC0415

        languages, workloads = (
            split_list(language, "--language"),
            split_list(workload, "--workload"),
        )
        spent = parse_budget(budget) if budget is not None else None
        loaded = load_reference(reference)
        settings = read_settings(loaded.folder)
        if spent is None:
            spent = parse_budget(settings.budget) if settings.budget else api.Budget()
        spent = within_minutes(spent, max_minutes)
        names = drafter or settings.drafter
        asked = None
        if api.MODEL in names.split(","):
            asked = model_options(
                base_url,
                model,
                rounds=rounds,
                samples=samples,
                most_tokens=max_tokens_total,
                most_cost=max_cost,
                most_minutes=spent.minutes,
                price=price,
                docstrings=not no_docstrings,
            )
        elif model is not None:
            raise UsageError("--model needs --drafter openai, or builtin,openai")
        override = promoted or environment.promoted_override() or settings.promoted
        with watch.watching(quiet=quiet) as observer:
            result = api.tune(
                loaded,
                drafter=names,
                languages=languages or settings.languages,
                workloads=workloads,
                budget=spent,
                fresh=fresh,
                promoted=override,
                observer=observer,
                accept_risk=accept_risk,
                model=asked,
            )
        return Answer(
            payloads.tuned(result),
            lambda console: summary.show_campaign(console, result, override, observer.told),
            of_campaign(
                promoted=result.promotion is not None,
                statuses=[trial.status for trial in result.trials],
            ),
        )

    respond(work, as_json=as_json, interrupted=RESUMABLE)
