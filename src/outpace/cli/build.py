"""`outpace build`: compile the promotions for this machine before they are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond, warn
from outpace.cli.exits import ExitCode
from outpace.cli.listing import read_promotions
from outpace.cli.options import JsonOption, PathsArgument
from outpace.errors import EnvironmentError_, OutpaceError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.kernels.promotions import StoredPromotion


def build(
    paths: PathsArgument = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the builds, which OUTPACE_BUILDS names where they are loaded; "
            "by default the user's cache.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compile the promotions under some paths for this machine.

    Processes that start afterwards compile nothing, and need no compiler.
    """

    def work() -> Answer:
        found, damaged = read_promotions(paths or [Path()])
        for path, reason in damaged:
            warn(reason if str(path) in reason else f"{path}: {reason}")
        built, elsewhere, failed = _build_all(found, into)
        payload = {
            "schema": "outpace.build/1",
            "built": [
                {"promotion": str(stored.path), "build": str(folder)} for stored, folder in built
            ],
            "elsewhere": [str(stored.path) for stored in elsewhere],
            "failed": [{"promotion": str(s.path), "error": why} for s, why in failed],
            "damaged": [{"path": str(path), "error": reason} for path, reason in damaged],
        }
        if failed and not built:
            stored, why = failed[0]
            raise EnvironmentError_(f"promotion {stored.path} cannot be built: {why}")
        for stored, why in failed:
            warn(f"promotion {stored.path} cannot be built: {why}")
        status = ExitCode.ENVIRONMENT if failed or damaged else ExitCode.OK
        return Answer(payload, lambda console: _show(console, built, elsewhere), status)

    respond(work, as_json=as_json)


def _build_all(
    found: list[StoredPromotion], into: Path | None
) -> tuple[
    list[tuple[StoredPromotion, Path]], list[StoredPromotion], list[tuple[StoredPromotion, str]]
]:
    """What was built and where, what is for other machines, and what failed and why."""
    from outpace.kernels import builds, target  # noqa: PLC0415
    from outpace.kernels.languages.base import BuildError, InvalidDraft  # noqa: PLC0415

    built, elsewhere, failed = [], [], []
    for stored in found:
        promotion = stored.promotion
        if promotion.key.target != target.hardware().key:
            elsewhere.append(stored)
            continue
        try:
            folder = builds.build(promotion.variant, promotion.contract, into)
        except (OutpaceError, BuildError, InvalidDraft) as error:
            failed.append((stored, str(error)))
        else:
            built.append((stored, folder))
    return built, elsewhere, failed


def _show(
    console: Console,
    built: list[tuple[StoredPromotion, Path]],
    elsewhere: list[StoredPromotion],
) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    for stored, folder in built:
        promotion = stored.promotion
        line = f"{promotion.reference}  {promotion.variant.label}  {style.path(folder)}"
        console.print(Text(line), soft_wrap=True)
    if elsewhere:
        count = style.plural(len(elsewhere), "promotion")
        console.print(f"{count} for other machines: run `outpace build` there", soft_wrap=True)
    if not built and not elsewhere:
        console.print("no promotions found; `outpace tune` makes one")
