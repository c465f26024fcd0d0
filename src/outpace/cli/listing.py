"""`outpace list`: the promotions under some paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outpace.cli.boundary import Answer, respond, warn
from outpace.cli.options import JsonOption, PathsArgument
from outpace.errors import OutpaceError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.kernels.promotions import StoredPromotion
    from outpace.model import Target


def list_promotions(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """List the promotions under some paths, and whether they are for this machine."""

    def work() -> Answer:
        from outpace.kernels.target import current_target  # noqa: PLC0415

        here = current_target()
        found, damaged = read_promotions(paths or [Path()])
        for path, reason in damaged:
            warn(reason if str(path) in reason else f"{path}: {reason}")
        payload = {
            "schema": "outpace.list/1",
            "promotions": [_entry(stored, here) for stored in found],
            "damaged": [{"path": str(path), "error": reason} for path, reason in damaged],
        }
        return Answer(payload, lambda console: _show(console, found, here))

    respond(work, as_json=as_json)


def read_promotions(
    paths: Sequence[Path],
) -> tuple[list[StoredPromotion], list[tuple[Path, str]]]:
    """Promotions under the paths, and those that cannot be read with the reason.

    Raises:
        UsageError: A path does not exist.
    """
    from outpace.kernels import promotions  # noqa: PLC0415

    found, damaged = [], []
    for folder in promotions.folders_under(paths):
        try:
            found.append(promotions.read(folder))
        except (OutpaceError, OSError) as error:
            damaged.append((folder, str(error)))
    return found, damaged


def _entry(stored: StoredPromotion, here: Target) -> dict[str, Any]:
    from outpace.cli import matching, payloads  # noqa: PLC0415

    promotion = stored.promotion
    return {
        "path": str(stored.path),
        "reference": promotion.reference,
        "variant": promotion.variant.label,
        "language": promotion.variant.draft.language,
        "ranks": promotion.key.ranks,
        "speedup": payloads.speedup(payloads.headline(promotion)),
        "target_matches": not matching.target_differences(promotion, here),
        "created": promotion.created,
    }


def _show(console: Console, found: Sequence[StoredPromotion], here: Target) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import matching, payloads, style  # noqa: PLC0415

    if not found:
        console.print("no promotions found; `outpace tune` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("reference", "variant", "speedup", "this machine", "age", "where"):
        table.add_column(name, overflow="fold")
    for stored in found:
        promotion = stored.promotion
        gain = payloads.headline(promotion)
        differences = matching.target_differences(promotion, here)
        table.add_row(
            Text(promotion.reference),
            Text(style.named(promotion)),
            Text("" if gain is None else style.interval(gain)),
            Text("no" if differences else "yes", style="yellow" if differences else "green"),
            style.age(promotion.created),
            Text(style.path(stored.path)),
        )
    console.print(table)
