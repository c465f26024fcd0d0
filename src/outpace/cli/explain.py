"""`outpace explain`: a reference as understood, and what is served for it here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.options import JsonOption, PromotedOption, ReferenceArgument
from outpace.cli.settings import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.kernels.promotions import StoredPromotion
    from outpace.model import PromotionKey, Target


def explain(
    reference: ReferenceArgument, promoted: PromotedOption = None, as_json: JsonOption = False
) -> None:
    """Show the contract of a function as understood, and which promotion serves it here."""

    def work() -> Answer:
        from rich.text import Text  # noqa: PLC0415

        from outpace.cli import contracts, payloads  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.kernels import promotions  # noqa: PLC0415
        from outpace.kernels.target import current_target  # noqa: PLC0415
        from outpace.tuner.production import demotions  # noqa: PLC0415

        loaded = load_reference(reference)
        settings = read_settings(loaded.folder)
        here = current_target()
        override = promoted or environment.promoted_override() or settings.promoted
        key = promotions.key_for(loaded, here)
        views = [_view(stored, key, here) for stored in promotions.find(loaded, override)]
        demoted = demotions(loaded.source_hash)
        payload = {
            "schema": "outpace.explain/1",
            "reference": loaded.name,
            "file": None if loaded.file is None else str(loaded.file),
            "source_hash": loaded.source_hash,
            "contract": contracts.contract_payload(loaded.contract),
            "inputs": contracts.described_inputs(loaded),
            "acceptance": contracts.acceptance(loaded.contract),
            "promotions": [view.payload() for view in views],
            "demotions": [payloads.demotion(one) for one in demoted],
        }

        def show(console: Console) -> None:
            contracts.show_contract(console, loaded)
            _show_promotions(console, views)
            for one in demoted:
                text = f"wrong in production at {one.time[:16]}: {one.mismatch}"
                console.print(Text(text, style="red"), soft_wrap=True)

        return Answer(payload, show)

    respond(work, as_json=as_json)


@dataclass(frozen=True)
class _View:
    """A promotion as seen from this machine."""

    stored: StoredPromotion
    obstacles: tuple[str, ...]
    changed_versions: tuple[str, ...]

    def payload(self) -> dict[str, Any]:
        from outpace.cli import payloads  # noqa: PLC0415

        variant = self.stored.promotion.variant
        return {
            "path": str(self.stored.path),
            "variant": variant.label,
            "language": variant.draft.language,
            "ranks": self.stored.promotion.key.ranks,
            "speedup": payloads.speedup(payloads.headline(self.stored.promotion)),
            "workloads": [e.workload.name for e in self.stored.promotion.evidence],
            "rooflines": {
                e.workload.name: payloads.json_values(e.roofline)
                for e in self.stored.promotion.evidence
                if e.roofline is not None
            },
            "served": not self.obstacles,
            "why_not": list(self.obstacles),
            "changed_versions": list(self.changed_versions),
        }


def _view(stored: StoredPromotion, key: PromotionKey, here: Target) -> _View:
    from outpace.cli import matching  # noqa: PLC0415

    disabled = ("OUTPACE_DISABLE is set",) if environment.disabled() else ()
    return _View(
        stored,
        (*disabled, *matching.obstacles(stored.promotion, key, here)),
        matching.version_differences(stored.promotion, here),
    )


def _show_promotions(console: Console, views: Sequence[_View]) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415
    from outpace.kernels.gpu.roofline import described  # noqa: PLC0415

    def line(text: str, text_style: str = "") -> None:
        console.print(Text(text, style=text_style), soft_wrap=True)

    if not views:
        line("no promotions: calls run the reference; `outpace tune` makes one")
    for view in views:
        mark = Text("not served", "yellow") if view.obstacles else Text("served", "green")
        promotion = view.stored.promotion
        console.print(Text.assemble(mark, f"  {style.named(promotion)}"), soft_wrap=True)
        line(f"  in {style.path(view.stored.path)}", "dim")
        for reason in view.obstacles:
            line(f"  because {reason}")
        for e in promotion.evidence:
            speed = style.interval(e.speedup)
            line(f"  {speed} at {e.workload.name} and sizes within 0.5 to 2 times")
            if e.roofline is not None:
                line(f"    {described(e.roofline)}", "dim")
        for change in view.changed_versions:
            line(f"  note: {change}", "dim")
