"""References that no plan fits yet: scans, wavefronts, histograms, sparse matrices, 3-D transforms.

Some are told by a function that they call. Others show in their loops: one that runs along a dim
which is cut, and reads what an earlier iteration has written, cannot start on all ranks at once;
one that takes indices along such a dim from data may need any cell.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from outpace.codegen.mpi.layout import grid_dims
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.dependence import aliases
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Assign,
    Constant,
    Expression,
    Load,
    Loop,
    Position,
    Program,
    Reshape,
    Statement,
    Store,
)
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import Reference
from outpace.codegen.source import SourceClosure
from outpace.errors import ContractError, NotLifted
from outpace.model import Contract
from outpace.split import Block

_CALLS = {
    "cumsum": "a scan",
    "cumprod": "a scan",
    "accumulate": "a scan",
    "bincount": "a histogram",
    "histogram": "a histogram",
    "histogram2d": "a histogram",
    "csr_matrix": "sparse matrices",
    "csr_array": "sparse matrices",
    "coo_matrix": "sparse matrices",
    "coo_array": "sparse matrices",
    "fftn": "a transform of more than two axes",
    "ifftn": "a transform of more than two axes",
    "rfftn": "a transform of more than two axes",
}
"""Functions that tell a pattern for which there are no plans."""


def refuse_calls(contract: Contract, closure: SourceClosure) -> None:
    """Refuse a reference that calls a function for which there are no plans.

    Raises:
        ContractError: It does; the message names the function, its line and the dims.
    """
    for name, text in closure.functions.items():
        for node in ast.walk(ast.parse(text)):
            called = node.attr if isinstance(node, ast.Attribute) else None
            called = node.id if isinstance(node, ast.Name) else called
            if called in _CALLS:
                assert isinstance(node, ast.expr)
                raise ContractError(
                    f"there are no plans for {_CALLS[called]} along {_listed(grid_dims(contract))} "
                    f"yet; {called} is used in line {node.lineno} of {name}"
                )


def refuse_chains(reference: Reference) -> None:
    """Refuse a reference whose loops along a dim that is cut into blocks depend on one another.

    What cannot be lifted to loops is let through: its annotation is proved by trial.

    Raises:
        ContractError: There is such a loop, or an index along the dim is taken from data; the
            message names the dim and, of a loop, its line.
    """
    contract = reference.contract
    dims = {dim for dim in grid_dims(contract) if isinstance(contract.split[dim], Block)}
    try:
        program = lift(reference)
    except NotLifted:
        return
    loops = _Loops(program, dims)
    for loop in walk.statements(program.body):
        if isinstance(loop, Loop) and (dim := loops.chained_along(loop)) is not None:
            raise ContractError(
                f"there are no plans for a wavefront or a scan along {dim} yet: the loop over "
                f"{_written(loop.name)}{_line_of(reference.closure, loop.name)} reads what earlier "
                "iterations of it have written"
            )
    if (dim := loops.gathered_along()) is not None:
        raise ContractError(
            f"there are no plans for sparse matrices, gathers or histograms along {dim} yet: "
            "indices along it are taken from data"
        )


class _Loops:
    """What the loops of a program do along the dims that are cut."""

    def __init__(self, program: Program, dims: set[str]) -> None:
        self._program = program
        arrays = [p for p in program.parameters if isinstance(p, Array)]
        made = (s for s in walk.statements(program.body) if isinstance(s, Allocate | Reshape))
        self._memory = aliases(program.body)
        self._cut = {
            array.name: [_only(dims & {_written(name) for name in e.names}) for e in array.shape]
            for array in (*arrays, *(s.array for s in made))
        }

    def chained_along(self, loop: Loop) -> str | None:
        """The dim along which iterations of a loop need those before them, or None."""
        carried = _carried(loop)
        for store in walk.stores(loop.body):
            for axis, dim in self._axes(store):
                at = store.indices[axis]
                if not isinstance(at, Position) or loop.name not in at.value.names:
                    continue
                read = (e for e in walk.loads(loop.body) if self._same(e.array, store.array))
                if any(_is_earlier(loop, e.indices[axis], at) for e in read):
                    return dim
                if carried & walk.names_in(store.value):
                    return dim
        return None

    def gathered_along(self) -> str | None:
        """The dim along which an index is taken from data, or None."""
        body = self._program.body
        loaded = _with_all_computed_from(
            {s.name for s in _assigns(body) if _loads(s.value)}, _assigns(body)
        )
        places: list[Load | Store] = [*walk.loads(body), *walk.stores(body)]
        for place in places:
            for axis, dim in self._axes(place):
                index = place.indices[axis]
                if _loads(index) or walk.names_in(index) & loaded:
                    return dim
        return None

    def _axes(self, place: Load | Store) -> Iterator[tuple[int, str]]:
        """Axes of an array that are cut."""
        for axis, dim in enumerate(self._cut[place.array]):
            if dim is not None:
                yield axis, dim

    def _same(self, one: str, other: str) -> bool:
        return self._memory.get(one, one) == self._memory.get(other, other)


def _is_earlier(loop: Loop, read: Expression, written: Position) -> bool:
    """Whether what is read may be what an earlier iteration has written."""
    if not isinstance(read, Position):
        return True
    by = affine.minus(read.value, written.value)
    if by.names:
        return True
    step = _step(loop)
    return by.constant % step == 0 and (by.constant > 0 if step < 0 else by.constant < 0)


def _step(loop: Loop) -> int:
    """The step of a loop, 1 where it is not known."""
    match loop.step:
        case Position(value=value) if not value.names and value.constant:
            return value.constant
        case Constant(value=constant) if constant:
            return int(constant.real)
        case _:
            return 1


def _carried(loop: Loop) -> set[str]:
    """Scalars that an iteration takes over from the one before, and what is computed from them."""
    assigned = {s.name for s in _assigns(loop.body)}
    carried: set[str] = set()
    seen: set[str] = set()
    for s in walk.statements(loop.body):
        read = {name for e in walk.own_expressions(s) for name in walk.names_in(e)}
        carried |= read & assigned - seen
        if isinstance(s, Assign):
            seen.add(s.name)
    return _with_all_computed_from(carried, _assigns(loop.body))


def _assigns(body: Iterable[Statement]) -> list[Assign]:
    return [s for s in walk.statements(body) if isinstance(s, Assign)]


def _with_all_computed_from(names: set[str], assigns: Sequence[Assign]) -> set[str]:
    """The scalars, and those that are computed from them."""
    while more := {s.name for s in assigns if walk.names_in(s.value) & names} - names:
        names = names | more
    return names


def _loads(e: Expression) -> bool:
    return any(isinstance(part, Load) for part in walk.expressions(e))


def _only(names: Iterable[str]) -> str | None:
    return next(iter(sorted(names)), None)


def _written(name: str) -> str:
    """A name of a program as it stands in the reference."""
    return re.sub(r"(_\d+|_+)$", "", name) or name


def _line_of(closure: SourceClosure, name: str) -> str:
    """Where a loop stands, if it stands there as a loop."""
    for function, text in closure.functions.items():
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.For(target=ast.Name(id=target), lineno=line) if target == _written(name):
                    return f" (line {line} of {function})"
    return ""


def _listed(dims: tuple[str, ...]) -> str:
    return " and ".join(dims)
