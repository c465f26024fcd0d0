"""`outpace list`: the promotions under some paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outpace.cli.boundary import Answer, respond, warn
from outpace.cli.options import JsonOption, PathsArgument
from outpace.errors import OutpaceError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.kernels.promotions import StoredPromotion
    from outpace.model import Target

_PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}


def list_promotions(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """List the promotions under some paths, and whether they are for this machine."""

    def work() -> Answer:
        from outpace.kernels.target import current_target  # noqa: PLC0415

        here = current_target()
        found, damaged = read_promotions(paths or [Path()])
        for path, reason in damaged:
            warn(f"{path}: {reason}")
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
    for folder in promotion_folders(paths):
        try:
            found.append(promotions.read(folder))
        except (OutpaceError, OSError) as error:
            damaged.append((folder, str(error)))
    return found, damaged


def promotion_folders(paths: Iterable[Path]) -> list[Path]:
    """Folders under the paths that hold a promotion, sorted, each once.

    Raises:
        UsageError: A path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
        found.update(_walk(path.resolve() if path.is_dir() else path.resolve().parent))
    return sorted(found)


def _walk(start: Path) -> Iterator[Path]:
    from outpace.kernels.promotions import RECORD  # noqa: PLC0415

    for folder, names, files in os.walk(start):
        names[:] = [n for n in names if not n.startswith(".") and n not in _PASSED_OVER]
        if RECORD in files:
            yield Path(folder)


def _entry(stored: StoredPromotion, here: Target) -> dict[str, Any]:
    from outpace.cli import matching, payloads  # noqa: PLC0415

    promotion = stored.promotion
    return {
        "path": str(stored.path),
        "reference": promotion.reference,
        "variant": promotion.variant.label,
        "language": promotion.variant.draft.language,
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
            Text(promotion.variant.label),
            Text("" if gain is None else style.interval(gain)),
            Text("no" if differences else "yes", style="yellow" if differences else "green"),
            style.age(promotion.created),
            Text(style.path(stored.path)),
        )
    console.print(table)
