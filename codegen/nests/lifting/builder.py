"""Accumulates the statements of a program while a reference is lifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

from outpace.codegen.dims import Affine
from outpace.codegen.nests import affine
from outpace.codegen.nests.bounds import Bounds
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
    Assign,
    Constant,
    Define,
    Expression,
    Load,
    Nest,
    Op,
    Position,
    Range,
    Reduce,
    Reduction,
    Reshape,
    Statement,
    Store,
    Variable,
)
from outpace.codegen.nests.lifting.polynomial import Polynomial, polynomial_of
from outpace.codegen.nests.lifting.values import (
    Value,
    as_affine,
    cast,
    element,
    scalar_value,
    stored,
)
from outpace.codegen.nests.printer import expression_text
from outpace.codegen.nests.walk import expressions
from outpace.errors import NotLifted


class Builder:
    """Statements, names and sizes of the program under construction.

    Attributes:
        bounds: What is known about sizes.
        reproducible: Whether float sums may not be reordered.
        library: Whether large matrix products and the like become library calls.
        line: The line being lifted, for messages.
        hint: What to call an array that is made by the expression being lifted.
        parameters: Sizes that are known before the program starts.
        shapes: Extents of every array.
        writable: Parameters that may be written.
        uncertain: Reshaped arrays that NumPy may or may not have copied, and the arrays of which
            they would else be views.
        in_order: Whether whole arrays made here lie in memory in the order of their indices.
    """

    def __init__(
        self,
        reserved: AbstractSet[str],
        parameters: AbstractSet[str],
        bounds: Bounds,
        *,
        equal: Mapping[str, Polynomial],
        writable: AbstractSet[str],
        reproducible: bool,
        library: bool,
    ) -> None:
        self.parameters = frozenset(parameters)
        self.writable = frozenset(writable)
        self.library = library
        self._equal = dict(equal)
        self.uncertain: dict[str, str] = {}
        self.in_order = True
        self.hint = "array"
        self.bounds = bounds
        self.reproducible = reproducible
        self.line: int | None = None
        self._top: list[Statement] = []
        self._stack: list[list[Statement]] = [self._top]
        self._taken = set(reserved)
        self.shapes: dict[str, tuple[Affine, ...]] = {}
        self._allocated: set[str] = set()
        self._memory: dict[str, str] = {}
        self._sizes: list[dict[str, str]] = [{}]
        self._top_sizes: set[str] = set()

    def emit(self, statement: Statement) -> None:
        """Append to the current block."""
        self._stack[-1].append(statement)

    @contextmanager
    def block(self) -> Iterator[list[Statement]]:
        """Collect statements into a block of their own."""
        body: list[Statement] = []
        self._stack.append(body)
        self._sizes.append({})
        try:
            yield body
        finally:
            self._stack.pop()
            self._sizes.pop()

    @property
    def body(self) -> tuple[Statement, ...]:
        """The whole program so far."""
        return tuple(self._top)

    @property
    def everything(self) -> tuple[Statement, ...]:
        """The program so far, with the blocks that are still open."""
        return tuple(s for block in self._stack for s in block)

    def memory(self, array: str) -> str:
        """The array whose memory an array uses; itself unless it was reshaped."""
        return self._memory.get(array, array)

    def is_constant(self, array: str) -> bool:
        """Whether nothing may write into an array."""
        return self.is_parameter(array) and self.memory(array) not in self.writable

    def is_parameter(self, array: str) -> bool:
        """Whether an array is, or is a view of, a parameter."""
        array = self.memory(array)
        return array in self.shapes and array not in self._allocated

    @property
    def at_top(self) -> bool:
        """Whether the current block is that of the function."""
        return len(self._stack) == 1

    def fresh(self, base: str) -> str:
        """A name that nothing else has."""
        name, number = base, 1
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name

    def size(self, e: Expression, base: str = "n") -> Affine:
        """An integer scalar as an affine expression, by a name of its own if need be."""
        known = as_affine(e) or self._extreme(e)
        if known is not None:
            return known
        equal = polynomial_of(e) if self._equal else None
        for name, polynomial in self._equal.items():
            if polynomial == equal:
                return affine.symbol(name)
        text = expression_text(e)
        for scope in self._sizes:
            if text in scope:
                return affine.symbol(scope[text])
        name = self.fresh(base)
        self.emit(Define(name, cast(e, "int64")))
        self.bounds.add_value(name, e)
        if not any(self._may_change(part) for part in expressions(e)):
            self._sizes[-1][text] = name
        if self.at_top:
            self._top_sizes.add(name)
        return affine.symbol(name)

    def _extreme(self, e: Expression) -> Affine | None:
        """Which of two integers a minimum or maximum is, if that is known."""
        match e:
            case Apply(op=Op.MINIMUM | Op.MAXIMUM as op, operands=(left, right)):
                a, b = as_affine(left), as_affine(right)
            case _:
                return None
        if a is None or b is None:
            return None
        gap = affine.minus(b, a) if op is Op.MINIMUM else affine.minus(a, b)
        if self.bounds.nonnegative(gap):
            return a
        return b if self.bounds.nonnegative(affine.times(gap, -1)) else None

    def _may_change(self, e: Expression) -> bool:
        """Whether the same expression may have another value later."""
        return isinstance(e, Variable) or (isinstance(e, Load) and not self.is_constant(e.array))

    def reshaped(self, value: Value, shape: tuple[Affine, ...]) -> Value:
        """A whole array, or a copy of anything else, under another shape."""
        shown = self._uncertain_view(value)
        if not self.is_whole(value):
            value = self.materialised(value, "flat")
        assert value.storage is not None
        array = Array(self.fresh(f"{value.storage}_view"), value.dtype, shape)
        self.shapes[array.name] = shape
        if value.storage in self._allocated:
            self._allocated.add(array.name)
        if shown is not None:
            self.uncertain[array.name] = shown
        self._memory[array.name] = self.memory(value.storage)
        self.emit(Reshape(array, value.storage))
        return stored(array.name, value.dtype, shape)

    def _uncertain_view(self, value: Value) -> str | None:
        """The array of which another shape of a value may be a view, or may not."""
        if value.storage is None or value.storage in self.uncertain:
            return self.uncertain.get(value.storage or "")
        is_certain = self.is_whole(value) and (self.in_order or self.is_parameter(value.storage))
        return None if is_certain else value.storage

    def extent(self, value: Affine) -> Affine:
        """An extent as a number, in which negative does not stand for 0."""
        if self.bounds.nonnegative(value):
            return value
        clamped = Apply(Op.MAXIMUM, (Position(value), Constant(0, "int64")), "int64")
        name = self.size(clamped)
        self.bounds.add_lower(name.names[0], 0)
        return name

    def allocate(self, base: str, dtype: str, shape: tuple[Affine, ...]) -> Value:
        """A fresh array; made once, at the top, when its extents are known there."""
        array = Array(self.fresh(base), dtype, shape)
        self.shapes[array.name] = shape
        self._allocated.add(array.name)
        names = {n for extent in shape for n in extent.names}
        local = bool(names - self._top_sizes - self.parameters)
        (self.emit if local else self._top.append)(Allocate(array))
        return stored(array.name, dtype, shape)

    def is_whole(self, value: Value) -> bool:
        """Whether a value is all of an array, in its own order."""
        here = tuple(Position(affine.symbol(f"?{k}")) for k in range(len(value.shape)))
        place = value.at(here)
        if value.storage is None or not isinstance(place, Load) or place.indices != here:
            return False
        return self.shapes.get(value.storage) == value.shape

    def lasts(self, value: Value) -> bool:
        """Whether a value is a whole array that is still there after any loop."""
        names = {n for extent in value.shape for n in extent.names}
        return self.is_whole(value) and not names - self._top_sizes - self.parameters

    def indices(self, shape: tuple[Affine, ...], base: str = "i") -> tuple[Range, ...]:
        """One index per axis."""
        return tuple(Range(self.fresh(f"{base}{k}"), extent) for k, extent in enumerate(shape))

    def fill(self, target: Value, value: Value) -> None:
        """`target[...] = value` where the two are known not to overlap, or only point by point."""
        ranges = self.indices(target.shape)
        here = tuple(Position(affine.symbol(r.name)) for r in ranges)
        place = target.at(here)
        assert isinstance(place, Load)
        store = Store(place.array, place.indices, cast(element(value, here), target.dtype))
        self.emit(Nest(ranges, (store,)) if ranges else store)

    def materialised(self, value: Value, base: str) -> Value:
        """The same array in memory of its own."""
        target = self.allocate(base, value.dtype, value.shape)
        self.fill(target, value)
        return target

    def named(self, e: Expression, base: str) -> Expression:
        """A scalar under a name of its own."""
        name = self.fresh(base)
        self.emit(Assign(name, e))
        return Variable(name, e.dtype)

    def reduced(
        self, kind: Reduction, value: Value, axes: tuple[int, ...], dtype: str, *, keepdims: bool
    ) -> Value:
        """A reduction over some axes, in memory of its own.

        Raises:
            NotLifted: It is a float sum and the contract forbids another order.
        """
        if self.reproducible and kind in (Reduction.SUM, Reduction.PROD) and dtype[0] in "fc":
            raise NotLifted("a loop sums in another order than NumPy, and reproducible=True")
        kept = tuple(n for k, n in enumerate(value.shape) if k not in axes)
        inner = self.indices(tuple(value.shape[k] for k in axes), "r")
        places = dict(zip(axes, inner, strict=True))

        def at(indices: tuple[Expression, ...]) -> Expression:
            outer = iter(indices)
            full = tuple(
                Position(affine.symbol(places[k].name)) if k in places else next(outer)
                for k in range(len(value.shape))
            )
            return Reduce(kind, inner, cast(value.at(full), dtype), dtype)

        if not kept:
            result = scalar_value(self.named(at(()), f"{kind.value}_of_{self.hint}"))
        else:
            result = self.materialised(Value(dtype, kept, at), f"{kind.value}_of_{self.hint}")
        return _with_unit_axes(result, axes, len(value.shape)) if keepdims else result


def _with_unit_axes(value: Value, axes: tuple[int, ...], rank: int) -> Value:
    """Put axes of extent 1 back where a reduction removed them."""
    extents = iter(value.shape)
    shape = tuple(affine.ONE if k in axes else next(extents) for k in range(rank))

    def at(indices: tuple[Expression, ...]) -> Expression:
        return value.at(tuple(i for k, i in enumerate(indices) if k not in axes))

    return Value(value.dtype, shape, at)
