"""Which iterations of a loop touch the same element of an array, and which comes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import Expression, Load, Loop, Store


class When(Enum):
    """The iteration in which an access touches what another one touches in this iteration."""

    NEVER = "none"
    EARLIER = "an earlier one"
    SAME = "the same one"
    LATER = "a later one"
    UNKNOWN = "perhaps any"


def when(here: Sequence[Expression], there: Sequence[Expression], loop: str, step: int) -> When:
    """When the indices `there` are what the indices `here` are now.

    All names but that of the loop have the same values in both.

    Args:
        here: Indices.
        there: Indices in the same array.
        loop: The loop variable.
        step: 1 or -1, by which it changes.
    """
    distances: set[int] = set()
    for left, right in zip(map(walk.affine_of, here), map(walk.affine_of, there), strict=True):
        if left is None or right is None:
            continue
        factor = affine.factor_of(left, loop)
        gap = affine.minus(left, right)  # factor * (iteration there - iteration here)
        if gap.terms:
            continue
        if factor == 0:
            if gap.constant:
                return When.NEVER
        elif gap.constant % factor:
            return When.NEVER
        else:
            distances.add(gap.constant // factor * step)
    if not distances:
        return When.UNKNOWN
    if len(distances) > 1:
        return When.NEVER
    (distance,) = distances
    return When.SAME if distance == 0 else When.EARLIER if distance < 0 else When.LATER


class Accesses:
    """What the statements of a loop load and store, and which of them may be moved out of it.

    Args:
        loop: A loop of stores and assignments.
        aliases: As of `dependence.aliases`.
        step: 1 or -1.
    """

    def __init__(self, loop: Loop, aliases: Mapping[str, str], step: int) -> None:
        self._name = loop.name
        self._step = step
        self._aliases = aliases
        self._stores = [(k, s) for k, s in enumerate(loop.body) if isinstance(s, Store)]
        self._loads = [(k, load) for k, s in enumerate(loop.body) for load in walk.loads([s])]

    def is_old(self, load: Load, place: int, moved: Collection[int]) -> bool:
        """Whether a load finds what was there before the loop, or what is stored before it.

        Args:
            load: Of the statement at `place`.
            place: Of a statement in the loop.
            moved: Places of statements that are carried out before the loop.
        """
        return all(
            met in (When.NEVER, When.LATER)
            or (met is When.SAME and (place <= other or other in moved))
            for other, met in self._stores_met(load)
        )

    def can_be_early(self, store: Store, place: int, moved: Collection[int]) -> bool:
        """Whether a store whose value is known before the loop may be carried out there.

        Whatever reads the element must do so after this store, and with all that is stored since.
        """
        return all(
            met in (When.NEVER, When.LATER) or (met is When.SAME and other >= place)
            for other, met in self._loads_met(store)
        ) and all(
            met is When.NEVER or (met is When.SAME and (other >= place or other in moved))
            for other, met in self._stores_met(store)  # itself too: one element at each iteration
        )

    def can_be_late(self, store: Store, place: int, moved: Collection[int]) -> bool:
        """Whether a store may be carried out after the loop, and finds all that it loads there."""
        return (
            all(
                met in (When.NEVER, When.EARLIER) or (met is When.SAME and other <= place)
                for other, met in self._loads_met(store)
                if other not in moved
            )
            and all(
                met is When.NEVER or (met is When.SAME and (other == place or other in moved))
                for other, met in self._stores_met(store)
            )
            and all(
                met in (When.NEVER, When.EARLIER) or (met is When.SAME and other <= place)
                for load in walk.loads([store])
                for other, met in self._stores_met(load)
            )
        )

    def _stores_met(self, access: Load | Store) -> Iterator[tuple[int, When]]:
        """Places of stores to the same memory, and when they touch the element."""
        return self._met(access, self._stores)

    def _loads_met(self, access: Load | Store) -> Iterator[tuple[int, When]]:
        return self._met(access, self._loads)

    def _met(
        self, access: Load | Store, others: Sequence[tuple[int, Load | Store]]
    ) -> Iterator[tuple[int, When]]:
        memory = self._aliases.get(access.array, access.array)
        for place, other in others:
            if self._aliases.get(other.array, other.array) != memory:
                continue
            if other.array != access.array:
                yield place, When.UNKNOWN
            else:
                yield place, when(access.indices, other.indices, self._name, self._step)
