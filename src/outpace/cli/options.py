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
OnGpuOption = Annotated[
    bool,
    typer.Option(
        "--on-gpu", help="For arrays that are on the GPU already, such as CuPy's, not NumPy's."
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="How to search: surrogate (default), random, exhaustive, optuna, kernel_tuner:NAME.",
    ),
]
RanksOption = Annotated[
    str | None,
    typer.Option(
        "--ranks",
        metavar="N",
        help="Numbers of MPI ranks, for the language mpi: 2, or 1,2, or 1..4.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


_MOST_RANKS = 4096
"""More are a slip of the pen."""


def split_list(values: Sequence[str] | None, option: str) -> tuple[str, ...]:
    """Names given by repeating an option or with commas, in order and without repeats.

    Raises:
        UsageError: A name is empty.
    """
    names = [name.strip() for value in values or () for name in value.split(",")]
    if not all(names):
        raise UsageError(f"{option} was given an empty name; write {option} a,b")
    return tuple(dict.fromkeys(names))


def parse_ranks(text: str) -> tuple[int, ...]:
    """Numbers of ranks such as `2`, `1,2` or `1..4`, in order and without repeats.

    Raises:
        UsageError: Something else is written.
    """
    found: list[int] = []
    for name in split_list([text], "--ranks"):
        first, dots, last = name.partition("..")
        ends = (first, last) if dots else (first, first)
        if not all(
            end.isascii() and end.isdecimal() and 0 < int(end) <= _MOST_RANKS for end in ends
        ):
            raise UsageError(f"--ranks {name} is no number of ranks; write --ranks 1,2 or 1..4")
        found += range(int(ends[0]), int(ends[1]) + 1)
    if not found:
        raise UsageError(f"--ranks {text} is empty; write the smaller number first")
    return tuple(dict.fromkeys(found))


def parse_object(text: str, option: str) -> dict[str, Scalar]:
    """Values by name from one JSON object.

    Raises:
        UsageError: It is something else.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Scalar])
    except msgspec.MsgspecError as error:
        raise UsageError(f"{option} {text!r}: {error}; write {option} '{{\"TILE\": 8}}'") from error
