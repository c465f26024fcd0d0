"""Which references are held back for testing."""

from __future__ import annotations

from collections.abc import Iterable

from outpace.codec import content_hash


def families(references: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Source hash to the source hash that its family was first seen with.

    A family is one reference with all that became of it: its hash stays when its file is moved, and
    its name stays when it is edited.

    Args:
        references: Source hash and name of each, in the order in which they were seen.
    """
    order: dict[str, int] = {}
    by_source: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for source, name in references:
        order.setdefault(source, len(order))
        met = {by_source.get(source, source), by_name.get(name, source)}
        head = min(met, key=order.__getitem__)
        for known in (by_source, by_name):
            known.update({key: head for key, old in known.items() if old in met})
        by_source[source] = by_name[name] = head
    return by_source


def is_held_back(family: str, share: float) -> bool:
    """Whether a family is for testing; the answer depends on nothing else.

    Args:
        family: Source hash that names it.
        share: Of all families that are to be held back, in [0, 1).
    """
    return int(content_hash(["outpace export", family]), 16) < share * 16**16
