"""Options that say which model drafts and what it may spend, and what its server can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace import environment
from outpace.cli.probes import Finding
from outpace.errors import EnvironmentError_, UsageError

if TYPE_CHECKING:
    from outpace.codegen.llm.options import ModelOptions, Prices

_PANEL = "Drafting by a model"

BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="OpenAI-compatible server, such as http://localhost:8000/v1; the key comes from "
        "OPENAI_API_KEY.",
        rich_help_panel=_PANEL,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Model for --drafter openai.", rich_help_panel=_PANEL),
]
RoundsOption = Annotated[
    int | None, typer.Option(help="Times the model is asked; default: 4.", rich_help_panel=_PANEL)
]
SamplesOption = Annotated[
    int | None,
    typer.Option(help="Drafts asked for in each round; default: 8.", rich_help_panel=_PANEL),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-tokens-total",
        metavar="N",
        help="Tokens that the campaign may spend.",
        rich_help_panel=_PANEL,
    ),
]
CostOption = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="USD",
        help="Dollars that the campaign may spend.",
        rich_help_panel=_PANEL,
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        metavar="N",
        help="Minutes for drafting and evaluation together.",
        rich_help_panel=_PANEL,
    ),
]
PriceOption = Annotated[
    str | None,
    typer.Option(
        "--price",
        metavar="IN,OUT",
        help="Dollars for a million tokens read and written.",
        rich_help_panel=_PANEL,
    ),
]
NoDocstringsOption = Annotated[
    bool,
    typer.Option(
        "--no-docstrings",
        help="Do not show docstrings and comments of the reference to the model.",
        rich_help_panel=_PANEL,
    ),
]


def model_options(
    base_url: str | None,
    model: str | None,
    *,
    rounds: int | None = None,
    samples: int | None = None,
    most_tokens: int | None = None,
    most_cost: float | None = None,
    most_minutes: float | None = None,
    price: str | None = None,
    docstrings: bool = True,
) -> ModelOptions:
    """What these options say, with defaults for those that were not given.

    Raises:
        UsageError: Model or address is missing, or a value is out of range.
    """
    from outpace.codegen.llm.options import ModelOptions  # noqa: PLC0415

    address = base_url or environment.model_url()
    if model is None or address is None:
        raise UsageError(
            "asking a model needs its name and its server; write --model NAME and "
            "--base-url http://localhost:8000/v1, or set OPENAI_BASE_URL"
        )
    given = {"rounds": rounds, "samples": samples}
    return ModelOptions(
        address,
        model,
        docstrings=docstrings,
        most_tokens=most_tokens,
        most_cost=most_cost,
        most_minutes=most_minutes,
        prices=None if price is None else _prices(price),
        **{name: value for name, value in given.items() if value is not None},
    )


def asked_model(
    drafters: str, base_url: str | None, model: str | None, **options: Any
) -> ModelOptions | None:
    """As `model_options`, and None where no model drafts.

    Raises:
        UsageError: As there, or a model is named that would not be asked.
    """
    from outpace.tuner.drafting import MODEL  # noqa: PLC0415

    if MODEL in drafters.split(","):
        return model_options(base_url, model, **options)
    if model is not None:
        raise UsageError("--model needs --drafter openai, or builtin,openai")
    return None


def model_findings(options: ModelOptions) -> list[Finding]:
    """What a model's server was seen to do, for the doctor; it is asked at most three times."""
    from outpace.tuner.drafting import examine_model  # noqa: PLC0415

    try:
        found = examine_model(options)
    except EnvironmentError_ as error:
        return [Finding("model", ok=False, value=options.model, hint=str(error), essential=True)]
    form = found.abilities.enforcement
    context = f"{found.context} tokens" if found.context is not None else "not told"
    return [
        Finding("model", ok=True, value=f"{options.model} at {options.base_url} answers"),
        Finding(
            "model: form of replies",
            ok=form is not None,
            value=f"enforced through {form.value}" if form is not None else "not enforced",
            hint="" if form is not None else "a reply that breaks it is refused, and paid for",
        ),
        Finding(
            "model: replies at once",
            ok=found.abilities.several,
            value="as many as asked" if found.abilities.several else "one, whatever is asked",
            hint="" if found.abilities.several else "the prompt is paid for with every reply",
        ),
        Finding(
            "model: usage",
            ok=found.abilities.usage,
            value="reported" if found.abilities.usage else "not reported",
            hint="" if found.abilities.usage else "tokens are estimated, rather too many",
        ),
        Finding("model: context", ok=True, value=context),
    ]


def _prices(text: str) -> Prices:
    from outpace.codegen.llm.options import Prices  # noqa: PLC0415

    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--price {text!r} is not understood; write --price 0.15,0.60") from None
    return Prices(prompt, completion)
