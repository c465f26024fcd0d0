"""Which variants of which drafts to try next: one search for each draft, and turns among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from outpace.errors import DraftError
from outpace.model import Draft, Status, Variant
from outpace.tuner.search import DEFAULT, Failed, Measured, Record, Strategy, make_strategy
from outpace.tuner.space import Point, SearchSpace

EXHAUSTED = 16
"""Spaces of up to this many points are tried whole."""
UNBUDGETED = 48
"""Variants of one draft that are tried at most where no budget says how many."""
SLOWEST = 8.0
"""A draft that is slower than the best by more, or has not worked yet, gets as few turns."""

HOPELESS = 4
"""A draft of which so many variants were wrong and none was right is not tried further."""

Outcome = Measured | Failed


@dataclass
class _Search:
    """The search through the variants of one draft."""

    draft: Draft
    space: SearchSpace
    strategy: Strategy
    asked: int = 0
    first: Point | None = None
    best: float = inf
    wrong: int = 0
    is_over: bool = False

    def ask(self) -> Variant | None:
        """The next variant, the defaults before all; None, and over, when there is none."""
        defaults = (0,) * len(self.space.parameters)
        if not self.asked and self.space.is_valid(defaults):
            self.first = defaults
            points = [defaults]
        else:
            points = self.strategy.ask(1)
            if points == [self.first]:  # on its way, but the strategy was not told yet
                points = self.strategy.ask(1)
        self.is_over = not points
        if self.is_over:
            return None
        self.asked += 1
        return Variant(self.draft, self.space.bind(points[0]))

    def tell(self, variant: Variant, outcome: Outcome) -> None:
        self.strategy.tell(self.space.point_of(variant.params), outcome)
        if isinstance(outcome, Measured):
            self.best = min(self.best, outcome.seconds)
        elif outcome.status is Status.WRONG:
            self.wrong += 1

    @property
    def is_hopeless(self) -> bool:
        """Whether its parameters do not seem to be what makes it wrong."""
        return self.wrong >= HOPELESS and self.best == inf


class Exploration:
    """Takes drafts, gives variants to try and is told how they did.

    Args:
        most: Variants to try of one draft at most; None for no limit.
        strategy: How to search, by name; the default tries small spaces whole.
    """

    def __init__(self, most: int | None = None, strategy: str = DEFAULT) -> None:
        self._most = most
        self._strategy = strategy
        self._searches: dict[str, _Search] = {}

    def add(
        self,
        draft: Draft,
        known: Iterable[tuple[Variant, Outcome]] = (),
        elsewhere: Sequence[Record] = (),
    ) -> None:
        """Begin to search a draft's variants; one that was added before goes on as it is.

        Args:
            draft: Its parameters and constraints span the space.
            known: What earlier runs found out about its variants.
            elsewhere: What like variants took on other targets, at other sizes, of other drafts.

        Raises:
            DraftError: Its parameters or constraints are malformed, or no combination is valid.
        """
        if draft.hash in self._searches:
            return
        space = _space_of(draft)
        is_small = space.size is not None and space.size <= EXHAUSTED
        name = "exhaustive" if is_small and self._strategy == DEFAULT else self._strategy
        search = _Search(draft, space, make_strategy(name, space, _seed_of(draft), elsewhere))
        for variant, outcome in known:
            search.tell(variant, outcome)
            search.asked += 1
        self._searches[draft.hash] = search

    def ask(self, count: int) -> list[Variant]:
        """Up to `count` variants to try; none when every search is over.

        Drafts that have not been tried come first. After that, one that is twice as slow as the
        best gets half as many turns.
        """
        asked: list[Variant] = []
        while len(asked) < count and (open_ := self._open()):
            variant = min(open_, key=self._turn).ask()
            asked += [variant] if variant is not None else []
        return asked

    def tell(self, variant: Variant, outcome: Outcome) -> None:
        """How a variant did that was asked for; seconds may be relative to anything fixed."""
        self._searches[variant.draft.hash].tell(variant, outcome)

    def _open(self) -> list[_Search]:
        return [
            search
            for search in self._searches.values()
            if not (search.is_over or search.is_hopeless)
            and (self._most is None or search.asked < self._most)
        ]

    def _turn(self, search: _Search) -> float:
        """Searches take turns by this number, the smallest first."""
        best = min(other.best for other in self._searches.values())
        slower = search.best / best if search.best < inf else SLOWEST if best < inf else 1.0
        return search.asked * min(slower, SLOWEST)


def _space_of(draft: Draft) -> SearchSpace:
    space = SearchSpace(draft.parameters, draft.constraints)
    if space.size == 0:
        raise DraftError("no combination of the parameters' values satisfies the constraints")
    return space


def _seed_of(draft: Draft) -> int:
    """The same search for the same draft, in every run of its campaign."""
    return int(draft.hash, 16) % 2**32
