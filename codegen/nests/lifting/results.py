"""Deliver what a reference returns into the output parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import (
    Allocate,
    Array,
    Expression,
    Library,
    Load,
    Position,
    Rebind,
    Reshape,
    Scalar,
    Statement,
    Store,
)
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.values import Lifted, Selection, Value, cast, stored
from outpace.codegen.nests.printer import expression_text
from outpace.errors import NotLifted
from outpace.model import Output

Body = tuple[Statement, ...]


def deliver(
    builder: Builder,
    parameters: Sequence[Array | Scalar],
    outputs: Sequence[Output],
    returned: Lifted,
) -> Body:
    """The finished body, in which every output parameter is written.

    A local array that is returned as it is becomes the output itself; anything else is copied.

    Raises:
        NotLifted: The returned shape or dtype is not known to be the annotated one.
    """
    arrays = {p.name: p for p in parameters if isinstance(p, Array)}
    if not outputs:
        return builder.body
    values = returned if isinstance(returned, tuple) else (returned,)
    if len(values) != len(outputs):
        raise NotLifted(f"it returns {len(values)} values, annotated are {len(outputs)}")
    taken: dict[str, str] = {}
    for output, value in zip(outputs, values, strict=True):
        if isinstance(value, Selection):
            raise NotLifted("a boolean mask selects a number of elements that depends on the data")
        if not isinstance(value, Value):
            raise NotLifted(f"the returned {output.name} is neither a number nor an array")
        if output.scalar:
            if value.is_array:
                raise NotLifted("it returns an array, annotated is a scalar")
            element = cast(value.scalar, output.dtype)
            builder.emit(Store(output.name, (Position(affine.ZERO),), element))
            continue
        target = arrays[output.name]
        _check(target, value)
        local = _movable(builder, value, taken)
        if local is not None:
            taken[local] = output.name
        else:
            builder.fill(stored(target.name, target.dtype, target.shape), value)
    body = builder.body
    for local, name in taken.items():
        body = _moved(body, local, arrays[name])
    return body


def _check(target: Array, value: Value) -> None:
    if value.shape != target.shape or value.dtype != target.dtype:
        shape = ", ".join(expression_text(Position(n)) for n in value.shape)
        expected = ", ".join(expression_text(Position(n)) for n in target.shape)
        raise NotLifted(
            f"it returns {value.dtype}[{shape}], which is not known to be the annotated "
            f"{target.dtype}[{expected}]"
        )


def _movable(builder: Builder, value: Value, taken: dict[str, str]) -> str | None:
    """The local array that a value is all of, if it can live in an output parameter."""
    if not builder.is_whole(value) or value.storage is None:
        return None
    body = builder.body
    local = value.storage
    for s in walk.statements(body):
        if isinstance(s, Reshape) and s.array.name == local:
            local = s.base
    allocated = [s for s in body if isinstance(s, Allocate) and s.array.name == local]
    rebound = any(isinstance(s, Rebind) and local in s.targets for s in walk.statements(body))
    return None if not allocated or rebound or local in taken else local


def _moved(body: Body, local: str, output: Array) -> Body:
    """The body with a local array in the memory of an output parameter."""
    shape = next(s.array.shape for s in body if isinstance(s, Allocate) and s.array.name == local)
    if shape != output.shape:
        array = Array(local, output.dtype, shape)
        return tuple(
            Reshape(array, output.name) if isinstance(s, Allocate) and s.array.name == local else s
            for s in body
        )
    kept = tuple(s for s in body if not (isinstance(s, Allocate) and s.array.name == local))
    return renamed(kept, local, output.name)


def renamed(body: Body, old: str, new: str) -> Body:
    """The body with one array under another name."""

    def change(e: Expression) -> Expression:
        return replace(e, array=new) if isinstance(e, Load) and e.array == old else e

    def one(s: Statement) -> Statement:
        if isinstance(s, Store) and s.array == old:
            return replace(s, array=new)
        if isinstance(s, Reshape) and s.base == old:
            return replace(s, base=new)
        if isinstance(s, Library):
            operands = tuple(replace(o, array=new) if o.array == old else o for o in s.operands)
            return replace(s, target=new if s.target == old else s.target, operands=operands)
        return walk.with_blocks(s, lambda inner: tuple(one(part) for part in inner))

    return tuple(one(s) for s in walk.with_expressions(body, change))
