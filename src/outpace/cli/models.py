"""Options that say which model drafts and what it may spend, and what its server can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from outpace import environment
from outpace.cli.probes import Finding
from outpace.cli.settings import Settings
from outpace.errors import EnvironmentError_, UsageError

if TYPE_CHECKING:
    from outpace.codegen.llm.options import EngineOptions, ModelOptions, Prices

_PANEL = "Drafting by a model"
T = TypeVar("T")

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
    typer.Option(
        metavar="NAME",
        help="Model for --drafter openai; for vllm the model's folder.",
        rich_help_panel=_PANEL,
    ),
]
EngineOptionsOption = Annotated[
    Path | None,
    typer.Option(
        "--engine-options",
        metavar="FILE",
        help="JSON object with more arguments of vllm.LLM for --drafter vllm, such as "
        "max_model_len or tensor_parallel_size.",
        rich_help_panel=_PANEL,
    ),
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
    settings: Settings = Settings(),
    engine: EngineOptions | None = None,
) -> ModelOptions:
    """What these options say; those that were not given come from the settings.

    The address comes from the option, else from OPENAI_BASE_URL, else from the settings; an engine
    has none. Minutes are the caller's to limit, who limits the evaluation by them too.

    Raises:
        UsageError: Model or address is missing, or a value is out of range.
    """
    from outpace.codegen.llm.options import ModelOptions  # noqa: PLC0415

    name = _either(model, settings.model)
    address = base_url or environment.model_url() or settings.base_url
    if engine is not None:
        name, address = engine.folder.resolve().name, None
    elif name is None or address is None:
        raise UsageError(
            "asking a model needs its name and its server; write --model NAME and "
            "--base-url http://localhost:8000/v1, set OPENAI_BASE_URL, or give model and base-url "
            "in [tool.outpace] of pyproject.toml"
        )
    told = _either(price, settings.price)
    counts = {
        "rounds": _either(rounds, settings.rounds),
        "samples": _either(samples, settings.samples),
    }
    return ModelOptions(
        address,
        name,
        docstrings=docstrings,
        most_tokens=_either(most_tokens, settings.max_tokens_total),
        most_cost=_either(most_cost, settings.max_cost),
        most_minutes=most_minutes,
        engine=engine,
        prices=None if told is None else _prices(told),
        **{key: value for key, value in counts.items() if value is not None},
    )


def asked_model(
    drafters: str,
    base_url: str | None,
    model: str | None,
    *,
    engine_options: Path | None = None,
    settings: Settings = Settings(),
    **options: Any,
) -> ModelOptions | None:
    """As `model_options`, and None where no model drafts, whatever the settings name.

    Raises:
        UsageError: As there, or a model is named that would not be asked.
    """
    from outpace.tuner.drafting import ENGINE, MODEL  # noqa: PLC0415

    names = [name.strip() for name in drafters.split(",")]
    if ENGINE in names:
        if base_url is not None:
            raise UsageError("the drafter vllm asks no server; leave --base-url out, or ask openai")
        engine = _engine(_either(model, settings.model), engine_options)
        return model_options(None, model, settings=settings, engine=engine, **options)
    if engine_options is not None:
        raise UsageError("--engine-options needs --drafter vllm, or builtin,vllm")
    if MODEL in names:
        return model_options(base_url, model, settings=settings, **options)
    if model is not None:
        raise UsageError("--model needs --drafter openai, vllm, or builtin with one of them")
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
        Finding("model", ok=True, value=f"{options.label} answers"),
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


def _engine(folder: str | None, file: Path | None) -> EngineOptions:
    """The engine that loads this folder, with the arguments in this file."""
    from outpace.codegen.llm.options import EngineOptions  # noqa: PLC0415

    if folder is None:
        raise UsageError("the drafter vllm needs a model; write --model FOLDER")
    if file is None:
        return EngineOptions(Path(folder))
    try:
        arguments = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise UsageError(
            f"--engine-options {file} holds no JSON object of arguments of vllm.LLM: {error}"
        ) from error
    return EngineOptions(Path(folder), arguments)


def _either(given: T | None, default: T | None) -> T | None:
    """What was given, even if it is 0, which is then refused."""
    return default if given is None else given


def _prices(text: str) -> Prices:
    from outpace.codegen.llm.options import Prices  # noqa: PLC0415

    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--price {text!r} is not understood; write --price 0.15,0.60") from None
    return Prices(prompt, completion)
