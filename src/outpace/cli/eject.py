"""`outpace eject`: promoted kernels as a package that needs no outpace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption, PromotedOption, ReferenceArgument
from outpace.cli.settings import read_settings
from outpace.errors import UsageError

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.kernels.promotions import StoredPromotion


def eject(
    reference: ReferenceArgument,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the package; by default NAME_ejected."),
    ] = None,
    promoted: PromotedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the promotions for this machine as a Python package that needs no outpace.

    It holds the kernels with their parameters bound, how they are built, their evidence, and the
    reference, which runs wherever a kernel was not confirmed.
    """

    def work() -> Answer:
        from outpace.cli import style  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.kernels.eject import eject as write_package  # noqa: PLC0415

        loaded = load_reference(reference)
        folder = out or Path(f"{loaded.fn.__name__}_ejected")
        files = write_package(loaded, _for_this_machine(loaded, promoted), folder)
        payload = {
            "schema": "outpace.eject/1",
            "reference": loaded.name,
            "package": str(folder),
            "files": [path.name for path in files],
        }
        use = f"from {folder.name} import {loaded.fn.__name__}"
        return Answer(
            payload,
            lambda console: console.print(
                f"written to {style.path(folder)}; use it by `{use}`", soft_wrap=True, markup=False
            ),
        )

    respond(work, as_json=as_json)


def _for_this_machine(reference: Reference, promoted: Path | None) -> list[StoredPromotion]:
    """The promotions that would be served here.

    Raises:
        UsageError: There is none.
    """
    from outpace import environment  # noqa: PLC0415
    from outpace.kernels import promotions, target  # noqa: PLC0415

    override = promoted or environment.promoted_override()
    override = override or read_settings(reference.folder).promoted
    found = [
        stored
        for stored in promotions.find(reference, override)
        if stored.promotion.key.target == target.hardware().key
        and stored.promotion.key.source_hash == reference.source_hash
    ]
    if not found:
        raise UsageError(
            f"{reference.name} has no promotion for this source and machine; `outpace tune` makes "
            "one, `outpace list` shows what there is"
        )
    return found
