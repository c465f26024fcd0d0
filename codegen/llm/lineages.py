"""Several lines of drafts side by side, so that one good idea does not crowd out the others.

Each lineage refines its own fastest draft. One that has stopped improving, or has brought nothing
right for as long, starts anew in another direction; what all lineages have found is in its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from outpace.codegen.llm.standing import Standing, ranked

MOST = 4
"""Lineages at most; more would leave each too few rounds to get anywhere."""
_A_LINEAGE = 2
"""Drafts a round that a lineage should have."""
PATIENCE = 2
"""Rounds without improvement after which a lineage starts anew."""
_IMPROVED = 1.02


@dataclass(frozen=True)
class Start:
    """Where the next drafts of a lineage set out.

    Attributes:
        parent: The draft to improve, or None for a first one.
        direction: For a first one.
    """

    parent: Standing | None
    direction: str


@dataclass
class _Lineage:
    members: list[str] = field(default_factory=list)
    best: float = 0.0
    stale: int = 0
    starts: int = 0


class Lineages:
    """The lineages of one drafting.

    Args:
        samples: Drafts that are asked for in a round.
        directions: Where first drafts may set out.
    """

    def __init__(self, samples: int, directions: Sequence[str]) -> None:
        self._lineages = [_Lineage() for _ in range(min(MOST, -(-samples // _A_LINEAGE)))]
        self._samples = samples
        self._directions = directions

    @property
    def shares(self) -> list[int]:
        """Drafts that each lineage is asked for in a round; they sum to all."""
        each, more = divmod(self._samples, len(self._lineages))
        return [each + (position < more) for position in range(len(self._lineages))]

    def add(self, lineage: int, draft: str) -> None:
        """A draft, by its hash, came from this lineage."""
        self._lineages[lineage].members.append(draft)

    def next(self, lineage: int, standings: Sequence[Standing]) -> Start:
        """Where a lineage sets out in a new round; ask once a round.

        Args:
            lineage: Its number.
            standings: Of all drafts.
        """
        one = self._lineages[lineage]
        members = [s for s in standings if s.draft.hash in one.members]
        parent = next(iter(ranked(members)), members[-1] if members else None)
        reached = (parent.speedup if parent is not None else None) or 0.0
        if one.starts and reached > _IMPROVED * one.best:
            one.best, one.stale = reached, 0
        else:
            one.stale += 1
        if one.starts == 0 or one.stale >= PATIENCE:
            return self._restarted(lineage)
        return Start(parent, self._direction(lineage))

    def _restarted(self, lineage: int) -> Start:
        self._lineages[lineage] = _Lineage(starts=self._lineages[lineage].starts + 1)
        return Start(None, self._direction(lineage))

    def _direction(self, lineage: int) -> str:
        """The lineage's own at first, and one that none has had when it starts anew."""
        position = lineage + (self._lineages[lineage].starts - 1) * len(self._lineages)
        return self._directions[position % len(self._directions)]
