"""Where each scalar of a program lives: in the launch plan, in every kernel, or in device memory.

- An integer that the plan can compute is an expression there and an argument of kernels.
- A scalar that is cheap to compute from such and from arguments, elements of arrays among them, is
  computed in each kernel.
- Any other one is a cell: an array of one element that kernels read, and one thread writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from outpace.codegen.nests import walk
from outpace.codegen.nests.c.scopes import assigned_in
from outpace.codegen.nests.cuda.host import integer_text
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Cast,
    Constant,
    Define,
    Expression,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Scalar,
    Statement,
    Variable,
)
from outpace.errors import NotLifted
from outpace.model import Contract

_COSTLY = frozenset(
    {
        Op.POWER, Op.EXP, Op.LOG, Op.LOG2, Op.LOG10, Op.LOG1P, Op.EXPM1, Op.SIN, Op.COS, Op.TAN,
        Op.ARCSIN, Op.ARCCOS, Op.ARCTAN, Op.ARCTAN2, Op.HYPOT, Op.SINH, Op.COSH, Op.TANH,
    }
)  # fmt: skip
"""Of these a kernel computes one for a scalar at most; otherwise one thread does, for all."""


class Scalars:
    """Scalars outside nests, as they become known from the first statement on.

    Attributes:
        known: Integers of the launch plan: its expression for each.
        values: Scalars that kernels compute.
        cells: Dtypes of scalars in memory.
        parameters: Scalar arguments: the name in the contract and the dtype.
        lets: Names of the plan for integers.
    """

    def __init__(
        self, program: Program, contract: Contract, taken: Iterable[str], fixed: Iterable[str]
    ) -> None:
        """Take note of the arguments.

        Args:
            program: With names that CUDA takes.
            contract: Of the reference.
            taken: Names that the plan uses already.
            fixed: Arrays whose elements never change.
        """
        self._fixed = frozenset(fixed)
        self.values: dict[str, Expression] = {}
        self.cells: dict[str, str] = {}
        self.lets: dict[str, str] = {}
        self.parameters = {
            p.name: (part.name, p.dtype)
            for p, part in zip(program.parameters, contract.parts, strict=True)
            if isinstance(p, Scalar)
        }
        self._taken = {*taken, *(name for name, _ in self.parameters.values())}
        self.known = _sizes(program, contract)
        self.known |= {
            name: own
            for name, (own, dtype) in self.parameters.items()
            if np.dtype(dtype).kind in "iu"
        }
        self._outer = assigned_in(program.body)
        self._depth = 0
        self._assigned = Counter(
            s.name for s in walk.statements(program.body) if isinstance(s, Assign | Define | Loop)
        )
        self._mentions = _mentions(program.body)
        changed = [name for name in self.parameters if name in self._assigned]
        if changed:
            raise NotLifted(f"the argument {changed[0]}, which is given another value, in CUDA")

    @contextmanager
    def block(self, index: str | None = None) -> Iterator[str]:
        """Inside a loop or branch of the plan; what becomes known there is forgotten after it.

        Args:
            index: The name of the loop's index in the program.

        Yields:
            Its name in the plan.
        """
        known, values = dict(self.known), dict(self.values)
        self._depth += 1
        name = "" if index is None else self.fresh(index)
        if index is not None:
            if self._assigned[index] > 1:
                self._check_index(index)
            self.known[index] = name
        yield name
        self._taken.discard(name)
        self._depth -= 1
        self.known, self.values = known, values

    def fresh(self, name: str) -> str:
        """A name that the plan does not use yet."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def settle(self, s: Statement) -> bool:
        """Whether an assignment needs no kernel, as the plan or every kernel computes it."""
        if not isinstance(s, Assign | Define) or self._assigned[s.name] > 1:
            return False
        text = integer_text(s.value, self.known)
        if text is not None:
            if self._depth == 0:
                let = self.fresh(s.name)
                self.lets[let] = text
                text = let
            self.known[s.name] = text
            return True
        costly = [e for e in walk.expressions(s.value) if isinstance(e, Apply) and e.op in _COSTLY]
        if isinstance(s, Assign) and len(costly) <= 1 and self._is_simple(s.value):
            self.values[s.name] = s.value
            return True
        return False

    def assigned_cells(self, group: tuple[Statement, ...]) -> dict[str, str]:
        """Scalars that these statements assign and others use, with their dtypes."""
        here = _mentions(group)
        names = [n for n in assigned_in(group) if self._mentions[n] > here[n] or n in self.cells]
        return {name: self._outer[name] for name in sorted(names)}

    def is_outer(self, name: str) -> bool:
        """Whether a scalar is assigned outside nests."""
        return name in self._outer

    def _is_simple(self, e: Expression) -> bool:
        match e:
            case Constant():
                return True
            case Position(value=value):
                return all(name in self.known for name in value.names)
            case Variable(name=name):
                return name in self.known or name in self.values or name in self.parameters
            case Cast() | Apply():
                operands = e.operands if isinstance(e, Apply) else (e.operand,)
                return all(map(self._is_simple, operands))
            case Load(array=array, indices=indices):
                return array in self._fixed and all(map(self._is_simple, indices))
            case _:
                return False

    def _check_index(self, index: str) -> None:
        if index in self._outer:
            raise NotLifted(f"{index}, the index of a loop that is assigned as well, in CUDA")


def _sizes(program: Program, contract: Contract) -> dict[str, str]:
    """The contract's name of each dim."""
    found: dict[str, str] = {}
    for size in program.sizes:
        dims = [d for d in contract.dims if d.rstrip("_") == size.name.rstrip("_")]
        found[size.name] = next(d for d in dims if d not in found.values())
    return found


def _mentions(body: Iterable[Statement]) -> Counter[str]:
    """In how many statements each scalar occurs."""
    found: Counter[str] = Counter()
    for s in walk.statements(body):
        names = {n for e in walk.own_expressions(s) for n in walk.names_in(e)}
        if isinstance(s, Nest):
            names |= {n for r in s.ranges for n in r.extent.names}
        if isinstance(s, Assign | Define):
            names.add(s.name)
        found.update(names)
    return found
