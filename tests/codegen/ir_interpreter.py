"""Runs a program of loop nests by its definition: slowly, with NumPy scalars, and nothing clever.

Indices out of bounds, negative ones included, are errors, so that a wrong index never goes unseen.
Names in `Position`s are sizes, loop variables and nest indices alike.
"""

from __future__ import annotations

import builtins
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from outpace.codegen.dims import Affine
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Assign,
    Cast,
    Constant,
    Define,
    Expression,
    If,
    Jump,
    Library,
    Load,
    Loop,
    Nest,
    Op,
    Position,
    Program,
    Range,
    Rebind,
    Reduce,
    Reduction,
    Reshape,
    Statement,
    Store,
    Variable,
    While,
)

_COMBINE = {
    Reduction.SUM: np.add,
    Reduction.PROD: np.multiply,
    Reduction.MAX: np.maximum,
    Reduction.MIN: np.minimum,
    Reduction.ANY: np.logical_or,
    Reduction.ALL: np.logical_and,
}
_EMPTY = {Reduction.SUM: 0, Reduction.PROD: 1, Reduction.ANY: False, Reduction.ALL: True}


class _Left(Exception):  # noqa: N818  (control flow)
    def __init__(self, jump: Jump) -> None:
        self.jump = jump


def run(program: Program, *arguments: Any) -> None:
    """Run a program on the arguments of the calling convention, in place."""
    machine = Machine()
    for parameter, value in zip(program.parameters, arguments, strict=True):
        if isinstance(value, np.ndarray):
            machine.arrays[parameter.name] = value
        else:
            machine.scalars[parameter.name] = np.dtype(parameter.dtype).type(value)
    for size in program.sizes:
        rest = machine.arrays[size.array].shape[size.axis] - machine.number(size.offset)
        machine.scalars[size.name] = np.int64(rest // size.factor)
    machine.block(program.body)


class Machine:
    """Arrays and scalars by name."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self.scalars: dict[str, Any] = {}

    def number(self, a: Affine) -> int:
        return a.constant + sum(c * int(self.scalars[n]) for n, c in a.terms)

    # --- Statements -----------------------------------------------------------------------------

    def block(self, body: tuple[Statement, ...]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: Statement) -> None:  # noqa: C901  (a dispatch)
        match s:
            case Store(array=array, indices=indices, value=value):
                where = self.place(array, indices)
                self.arrays[array][where] = self.typed(value, self.arrays[array].dtype.name)
            case Assign(name=name, value=value):
                self.scalars[name] = self.value(value)
            case Define(name=name, value=value):
                self.scalars[name] = np.int64(self.value(value))
            case Allocate(array=array):
                shape = [max(self.number(n), 0) for n in array.shape]
                poison = 113 if array.dtype != "bool" else True
                self.arrays[array.name] = np.full(shape, poison, array.dtype)
            case Reshape(array=array, base=base):
                shape = [max(self.number(n), 0) for n in array.shape]
                self.arrays[array.name] = self.arrays[base].view()
                self.arrays[array.name].shape = shape
            case Rebind(targets=targets, sources=sources):
                found = [self.arrays[n] for n in sources]
                self.arrays.update(zip(targets, found, strict=True))
            case Library(target=target, function=function, operands=operands):
                given = [self.arrays[o.array].copy() for o in operands]
                given = [a.T if o.transposed else a for a, o in zip(given, operands, strict=True)]
                called = functools.reduce(getattr, function.split("."), np)
                self.arrays[target][...] = called(*given)
            case Nest(ranges=ranges, body=body):
                for _ in self.points(ranges):
                    self.block(body)
            case If(condition=condition, body=body, orelse=orelse):
                self.block(body if self.typed(condition, "bool") else orelse)
            case Jump():
                raise _Left(s)
            case _:
                self.loop(s)

    def loop(self, s: Loop | While) -> None:
        if isinstance(s, Loop):
            bounds = [int(self.value(e)) for e in (s.start, s.stop, s.step)]
            turns: Iterator[int] = iter(range(*bounds))
        else:
            turns = itertools.takewhile(
                lambda _: self.typed(s.condition, "bool"), itertools.count()
            )
        for turn in turns:
            if isinstance(s, Loop):
                self.scalars[s.name] = np.int64(turn)
            try:
                self.block(s.body)
            except _Left as left:
                if left.jump is Jump.BREAK:
                    break

    def points(self, ranges: tuple[Range, ...]) -> Iterator[None]:
        """All values of the indices; extents may depend on indices before them."""
        if not ranges:
            yield
            return
        for k in range(self.number(ranges[0].extent)):
            self.scalars[ranges[0].name] = np.int64(k)
            yield from self.points(ranges[1:])

    # --- Expressions ----------------------------------------------------------------------------

    def place(self, array: str, indices: tuple[Expression, ...]) -> tuple[int, ...]:
        found = tuple(int(self.value(i)) for i in indices)
        extents = self.arrays[array].shape
        assert len(found) == len(extents)
        if not all(0 <= i < n for i, n in zip(found, extents, strict=True)):
            raise IndexError(f"{array}{list(found)} of {extents}")
        return found

    def typed(self, e: Expression, dtype: str) -> Any:
        """A value that must already have this dtype."""
        value = self.value(e)
        assert np.dtype(e.dtype) == np.asarray(value).dtype == np.dtype(dtype), (e, dtype)
        return value

    def value(self, e: Expression) -> Any:  # noqa: PLR0911  (a dispatch)
        match e:
            case Constant(value=value, dtype=dtype):
                return np.dtype(dtype).type(value)
            case Position(value=value):
                return np.int64(self.number(value))
            case Variable(name=name, dtype=dtype):
                return np.dtype(dtype).type(self.scalars[name])
            case Load(array=array, indices=indices):
                return self.arrays[array][self.place(array, indices)]
            case Cast(operand=operand, dtype=dtype):
                return np.asarray(self.value(operand)).astype(dtype)[()]
            case Apply():
                return self.applied(e)
            case Reduce():
                return self.reduced(e)

    def applied(self, e: Apply) -> Any:
        kind = np.dtype(e.dtype).type
        if e.op is Op.WHERE:  # the branch that is not taken may be out of bounds
            chosen = e.operands[1] if self.typed(e.operands[0], "bool") else e.operands[2]
            return self.typed(chosen, e.dtype)
        if e.op in (Op.LOGICAL_AND, Op.LOGICAL_OR):  # so may what a first operand excludes
            first = self.typed(e.operands[0], "bool")
            done = bool(first) is (e.op is Op.LOGICAL_OR)
            return first if done else self.typed(e.operands[1], "bool")
        operands = [self.value(o) for o in e.operands]
        if e.op is Op.WRAP:
            index, extent = operands
            return np.int64(index + extent if index < 0 else index)
        if e.op in (Op.SMALLER, Op.LARGER):
            return kind(getattr(builtins, "min" if e.op is Op.SMALLER else "max")(*operands))
        return kind(getattr(np, "exp" if e.op is Op.FAST_EXP else e.op.value)(*operands))

    def reduced(self, e: Reduce) -> Any:
        kind = np.dtype(e.dtype)
        if e.kind in _EMPTY:
            total = kind.type(_EMPTY[e.kind])
        elif kind.kind == "f":
            total = kind.type(-math.inf if e.kind is Reduction.MAX else math.inf)
        else:
            limits = np.iinfo(kind)
            total = kind.type(limits.min if e.kind is Reduction.MAX else limits.max)
        for _ in self.points(e.ranges):
            total = kind.type(_COMBINE[e.kind](total, self.typed(e.body, e.dtype)))
        return total
