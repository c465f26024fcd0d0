"""Drafters by name."""

from __future__ import annotations

from outpace.codegen.drafters.base import Drafter, DraftingTask, Proposal
from outpace.errors import UsageError

KNOWN = ("builtin", "openai", "vllm", "replay:FILE")
"""Names of drafters; those of models belong to a campaign, see `outpace.tuner.drafting`."""


def drafter_named(name: str) -> Drafter:
    """The drafter of that name that needs no campaign.

    Raises:
        UsageError: There is none; the message lists the known ones.
    """
    if name == "builtin":
        from outpace.codegen.drafters.builtin import BuiltinDrafter  # noqa: PLC0415  (on demand)

        return BuiltinDrafter()
    if name in ("openai", "vllm") or name.startswith("replay:"):
        raise UsageError(f"the drafter {name!r} drafts in a campaign; use `outpace tune`")
    raise UsageError(f"there is no drafter {name!r}; known are: {', '.join(KNOWN)}")


__all__ = ["KNOWN", "Drafter", "DraftingTask", "Proposal", "drafter_named"]
