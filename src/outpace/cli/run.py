"""`outpace run`: judge the drafts of a campaign folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.options import (
    JsonOption,
    PromotedOption,
    QuietOption,
    RiskOption,
    StrategyOption,
    WorkloadsOption,
    split_list,
)
from outpace.cli.settings import read_settings
from outpace.cli.tune import RESUMABLE, BudgetOption, FreshOption, budget_of, watched

if TYPE_CHECKING:
    from rich.console import Console


def run(
    campaign: Annotated[
        Path, typer.Argument(metavar="CAMPAIGN", help="Folder that `outpace draft --out` wrote.")
    ],
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="REFERENCE",
            help="FILE.py:function or package.module:function; default: the file that the drafts "
            "were made for, else its copy in the folder.",
        ),
    ] = None,
    *,
    workload: WorkloadsOption = None,
    budget: BudgetOption = None,
    fresh: FreshOption = False,
    promoted: PromotedOption = None,
    accept_risk: RiskOption = False,
    strategy: StrategyOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge the drafts of a campaign folder, and promote the best, as tune would.

    The folder may come from another machine. Its reference is run as it is: take folders from
    people whose code you would run.

    Trials go into the folder; taken back, they are what the next round of drafts learns from.
    """

    def work() -> Answer:
        from outpace.tuner.search import DEFAULT  # noqa: PLC0415
        from outpace.tuner.travel import travelling  # noqa: PLC0415
        from outpace.tuner.travel.carrying import reference_of  # noqa: PLC0415
        from outpace.tuner.travel.folder import CampaignFolder, campaign_in  # noqa: PLC0415

        folder = CampaignFolder(campaign)
        held = campaign_in(folder)
        loaded = reference_of(campaign, held.reference, reference)
        settings = read_settings(loaded.folder)
        judge = partial(
            travelling.run_campaign,
            folder,
            loaded,
            workloads=split_list(workload, "--workload"),
            budget=budget_of(budget, settings),
            fresh=fresh,
            accept_risk=accept_risk,
            strategy=strategy or DEFAULT,
        )
        override = promoted or environment.promoted_override() or settings.promoted
        answer = watched(judge, override, quiet)

        def show(console: Console) -> None:
            answer.show(console)
            if held.model is not None:
                _show_next(console, campaign)

        return Answer(answer.payload, show, answer.exit_code)

    respond(work, as_json=as_json, interrupted=RESUMABLE)


def _show_next(console: Console, campaign: Path) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    text = (
        f"the trials are in {style.path(campaign)}: take it back to the model, and draft the next "
        "round with outpace draft REFERENCE --out on it"
    )
    console.print(Text(text, style="dim"), soft_wrap=True)
