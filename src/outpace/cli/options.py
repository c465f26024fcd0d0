"""Arguments and options that several commands take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from outpace.errors import UsageError
from outpace.model import Scalar

ReferenceArgument = Annotated[
    str,
    typer.Argument(metavar="REFERENCE", help="FILE.py:function or package.module:function."),
]
PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH", help="Where to look for promotions; default: here."),
]
DrafterOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who writes the drafts: builtin, openai, vllm, replay:FOLDER, or some of them with "
        "commas; default: builtin.",
    ),
]
LanguagesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--language", metavar="NAME", help="Language of the drafts; repeat, or list with commas."
    ),
]
WorkloadsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--workload", metavar="NAME", help="Only this workload; repeat, or list with commas."
    ),
]
PromotedOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of promotions instead of the one beside the module."),
]
RiskOption = Annotated[
    bool,
    typer.Option("--accept-risk", help="Run drafts of a model even below isolation grade B."),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="How to search: surrogate (default), random, exhaustive, optuna, kernel_tuner:NAME.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def split_list(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Names given by repeating an option or with commas, in order and without repeats.

    Raises:
        UsageError: A name is empty.
    """
    names = [name.strip() for value in values or () for name in value.split(",")]
    if not all(names):
        raise UsageError(f"{option} was given an empty name; write {option} a,b")
    return tuple(dict.fromkeys(names))


def parse_object(text: str, option: str) -> dict[str, Scalar]:
    """Values by name from one JSON object.

    Raises:
        UsageError: It is something else.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Scalar])
    except msgspec.MsgspecError as error:
        raise UsageError(f"{option} {text!r}: {error}; write {option} '{{\"TILE\": 8}}'") from error
