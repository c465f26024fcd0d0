"""Where a scalar of a program is declared in C: as close to its use as its values allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Assign, Define, If, Loop, Nest, Statement, While
from outpace.errors import NotLifted

Body = tuple[Statement, ...]


@dataclass(frozen=True)
class Homes:
    """Declarations in one block.

    Attributes:
        first: Names that are declared at its beginning, without a value.
        inline: Names declared by the assignment at that place in the block.
        within: Names that are declared inside the statement at that place.
    """

    first: tuple[str, ...]
    inline: dict[int, str]
    within: dict[int, frozenset[str]]


def homes(body: Body, names: Iterable[str]) -> Homes:
    """Where these names are declared, which belong to this block."""
    first: list[str] = []
    inline: dict[int, str] = {}
    within: dict[int, frozenset[str]] = {}
    for name in sorted(names):
        places = [k for k, s in enumerate(body) if mentions(s, name)]
        start = body[places[0]]
        if _makes(start, name):
            inline[places[0]] = name
        elif len(places) == 1 and _is_fresh_inside(start, name):
            within[places[0]] = within.get(places[0], frozenset()) | {name}
        else:
            first.append(name)
    return Homes(tuple(first), inline, within)


def is_fresh(name: str, body: Body) -> bool:
    """Whether a block assigns a scalar before anything in it reads it."""
    parts = [s for s in body if mentions(s, name)]
    return _makes(parts[0], name) or (len(parts) == 1 and _is_fresh_inside(parts[0], name))


def assigned_in(body: Iterable[Statement]) -> dict[str, str]:
    """Dtypes of the scalars that belong to this scope: assigned in it, not in a nest within.

    Raises:
        NotLifted: One has two dtypes.
    """
    found: dict[str, str] = {}
    for s in _same_scope(body):
        if isinstance(s, Assign | Define):
            dtype = s.value.dtype if isinstance(s, Assign) else "int64"
            if found.setdefault(s.name, dtype) != dtype:
                raise NotLifted(f"{s.name} is {found[s.name]} and {dtype} in C")
    return found


def times_assigned(body: Iterable[Statement]) -> Counter[str]:
    """How often each scalar of this scope is assigned."""
    return Counter(s.name for s in _same_scope(body) if isinstance(s, Assign | Define))


def mentions(s: Statement, name: str) -> bool:
    """Whether a statement reads or assigns a scalar."""
    return name in walk.scalars_read([s]) | walk.scalars_written([s])


def mentioned(names: frozenset[str], body: Body) -> frozenset[str]:
    """Those of the names that a block reads or assigns."""
    return names & (walk.scalars_read(body) | walk.scalars_written(body))


def _same_scope(body: Iterable[Statement]) -> Iterable[Statement]:
    for s in body:
        yield s
        if not isinstance(s, Nest):
            for block in walk.blocks(s):
                yield from _same_scope(block)


def _makes(s: Statement, name: str) -> bool:
    """Whether this is an assignment to the name that does not read it."""
    return isinstance(s, Assign | Define) and s.name == name and name not in walk.names_in(s.value)


def _is_fresh_inside(s: Statement, name: str) -> bool:
    """Whether every block that mentions the name assigns it before anything else does."""
    if not isinstance(s, Loop | While | If):
        return False
    if any(name in walk.names_in(e) for e in walk.own_expressions(s)):
        return False
    blocks = [b for b in walk.blocks(s) if any(mentions(part, name) for part in b)]
    if len(blocks) != 1:
        return False
    return is_fresh(name, blocks[0])
