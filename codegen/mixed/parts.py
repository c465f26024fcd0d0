"""Split the body of a reference into parts that are lifted and statements that stay Python."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import UnionType

from outpace.codegen.mixed import flow, sharing
from outpace.codegen.mixed.guessing import guessed
from outpace.codegen.mixed.lifting import Given, Part, lift_part
from outpace.codegen.mixed.observing import Sights
from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Apply, Library, Loop, Nest, Program, Reduce, Statement, While
from outpace.errors import NotLifted


@dataclass(frozen=True)
class Stays:
    """A statement that stays as it is, and why where that is of interest."""

    statement: ast.stmt
    reason: str | None


@dataclass(frozen=True)
class Around:
    """A loop or branch that stays, around what is split."""

    statement: ast.For | ast.While | ast.If
    body: tuple[Piece, ...]
    orelse: tuple[Piece, ...]


Piece = Part | Stays | Around


def split(given: Given, sights: Sights) -> tuple[Piece, ...]:
    """The body of a function in order.

    Args:
        given: The function and what is known of it.
        sights: What names held before each statement.
    """
    function = given.function
    lazily = [n for n in ast.walk(function) if isinstance(n, ast.Lambda | ast.GeneratorExp)]
    splitter = _Splitter(given, sights, flow.loaded(*lazily))
    arguments = frozenset(a.name for a in given.contract.arguments)
    return splitter.block(function.body, _Place(arguments, frozenset(), top=True))


@dataclass(frozen=True)
class _Place:
    """Where a block is.

    Attributes:
        bound: Names that surely have a value before it.
        live: Names that may be read after it.
        top: Whether it is the body of the function.
    """

    bound: flow.Names
    live: flow.Names
    top: bool = False


class _Splitter:
    """Splits blocks.

    Args:
        given: The function and what is known of it.
        sights: What names held before each statement.
        lazily: Names that may be read at any time.
    """

    def __init__(self, given: Given, sights: Sights, lazily: flow.Names) -> None:
        self._given = given
        self._sights = sights
        self._lazily = lazily
        self._variables = flow.local_names(given.function)
        self._may_write = sharing.maybe_written(given.function, given.closure)

    def block(self, block: flow.Block, place: _Place) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        begin, known = 0, place.bound
        while begin < len(block):
            part, reason = self._longest(block, begin, replace(place, bound=known))
            end = begin + (len(part.statements) if part is not None else 1)
            taken = block[begin:end]
            if part is not None and _is_worth(part.program):
                pieces.append(part)
            elif part is not None:
                pieces += [Stays(s, None) for s in taken]
            else:
                after = self._live_after(block[end:], place.live)
                pieces.append(self._alone(block[begin], _Place(known, after), reason))
            known = (known | flow.surely_bound(taken)) - flow.deleted(*taken)
            begin = end
        return tuple(pieces)

    def _live_after(self, rest: flow.Block, live: flow.Names) -> flow.Names:
        return self._lazily | flow.exposed(rest) | (live - flow.surely_bound(rest))

    def _longest(
        self, block: flow.Block, begin: int, place: _Place
    ) -> tuple[Part | None, str | None]:
        """The longest part that begins at a statement, or why there is none."""
        end, reason = len(block), None
        while end > begin:
            run = block[begin:end]
            live = self._live_after(block[end:], place.live)
            try:
                return self._part(run, replace(place, live=live)), None
            except NotLifted as error:
                reason, line = error.reason, error.line or run[-1].lineno
                end = begin + max(sum(s.lineno <= line for s in run) - 1, 0)
        return None, reason

    def _alone(self, s: ast.stmt, place: _Place, reason: str | None) -> Piece:
        """A statement that stays, with parts inside if there are any."""
        if isinstance(s, ast.For | ast.While | ast.If):
            bound, live = place.bound, place.live
            targets = flow.bound(s.target) if isinstance(s, ast.For) else frozenset()
            if not isinstance(s, ast.If):  # the body may be followed by itself
                header = s.test if isinstance(s, ast.While) else s.target
                live |= flow.loaded(header) | flow.exposed(s.body, targets)
                live |= flow.exposed(s.orelse)
                bound -= flow.deleted(s)
            body = self.block(s.body, _Place(bound | targets, live))
            orelse = self.block(s.orelse, _Place(bound, place.live))
            if any(not isinstance(piece, Stays) for piece in (*body, *orelse)):
                return Around(s, body, orelse)
        return Stays(s, reason)

    # --- Parts ----------------------------------------------------------------------------------

    def _part(self, run: flow.Block, place: _Place) -> Part:
        """Lift some statements.

        Raises:
            NotLifted: They cannot be lifted together.
        """
        returned = place.top and isinstance(run[-1], ast.Return)
        inside = run[:-1] if returned else run
        for s in inside:
            if flow.returns(s) or flow.jumps([s]):
                raise NotLifted("it may leave the loop or the function", s.lineno)
        given, known = self._given, self._given.known
        sights = self._sights.get((run[0].lineno, run[0].col_offset), [])
        guess = guessed(self._inputs(run, place, frozenset()), sights, known)
        arrays = {a.name for a in guess.arrays}
        results = self._results(run, place, arrays) if not returned else frozenset()
        guess = guessed(self._inputs(run, place, results), sights, known)
        part = lift_part(given, run, guess, sorted(results), returns=returned)
        visible = {a.name for a in guess.arrays} | {r.name for r in part.results if not r.scalar}
        sharing.refuse_copies(given.function, given.closure, run, visible, self._may_write)
        return part

    def _inputs(self, run: flow.Block, place: _Place, results: flow.Names) -> flow.Names:
        """Names whose values from before are needed."""
        needed = flow.exposed(run) | (results - flow.surely_bound(run))
        needed &= self._variables
        missing = sorted(needed - place.bound)
        if missing:
            raise NotLifted(f"{missing[0]} may have no value")
        return needed

    def _results(self, run: flow.Block, place: _Place, arrays: set[str]) -> flow.Names:
        """Names that get a value which is needed later; arrays only updated keep theirs."""
        again = flow.rebound(*run)
        given = frozenset(n for n in flow.bound(*run) if n in again or n not in arrays)
        return given & place.live


def _is_worth(program: Program) -> bool:
    """Whether there is more than scalars and copies."""
    found = list(walk.statements(program.body))
    if any(isinstance(s, Loop | While | Library) for s in found):
        return True
    nests = [nest for nest in found if isinstance(nest, Nest)]
    inside = [s for nest in nests for s in walk.statements(nest.body)]
    return _holds(inside, Apply | Reduce) or _holds(found, Reduce)


def _holds(statements: Iterable[Statement], kind: type | UnionType) -> bool:
    """Whether an expression of this kind occurs in statements themselves."""
    return any(
        isinstance(part, kind)
        for s in statements
        for e in walk.own_expressions(s)
        for part in walk.expressions(e)
    )
