"""Comprehensions: written out over tuples, collected into arrays otherwise."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Constant, Loop, Position
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.indexing import subscript
from outpace.codegen.nests.lifting.scopes import full_range
from outpace.codegen.nests.lifting.values import Lifted, Value, position
from outpace.errors import NotLifted

LONGEST = 32
"""Elements up to which a comprehension is written out."""
Comprehension = ast.ListComp | ast.GeneratorExp


class Comprehensions(ABC):
    """Lifts comprehensions for a class that lifts the expressions in them.

    Attributes:
        environment: What names stand for here.
    """

    _builder: Builder
    environment: dict[str, Lifted]

    @abstractmethod
    def lift(self, node: ast.expr) -> Lifted:
        """Any expression."""

    @abstractmethod
    def value(self, node: ast.expr) -> Value:
        """An expression that must be a number or an array."""

    def _written_out(self, node: Comprehension) -> tuple[Lifted, ...]:
        """The elements of a comprehension over what is known while lifting.

        Raises:
            NotLifted: Something is not known, or there are too many elements.
        """
        outside = self.environment
        self.environment = dict(outside)
        try:
            return tuple(self._elements(node.elt, node.generators))
        finally:
            self.environment = outside

    def _elements(
        self, element: ast.expr, generators: Sequence[ast.comprehension]
    ) -> Iterator[Lifted]:
        if not generators:
            yield self.lift(element)
            return
        first, *rest = generators
        for item in self._known_items(first.iter):
            self._bind(first.target, item)
            if all(self._holds(test) for test in first.ifs):
                yield from self._elements(element, rest)

    def _known_items(self, node: ast.expr) -> tuple[Lifted, ...]:
        match node:
            case ast.Call(func=ast.Name(id="range"), args=ends, keywords=[]):
                bounds = full_range([self._builder.size(self.value(e).scalar) for e in ends])
                if any(b.terms for b in bounds):
                    raise NotLifted("a comprehension over a range that is not known before it runs")
                numbers = range(*(b.constant for b in bounds))
                items: Lifted = tuple(position(affine.constant(k)) for k in numbers[: LONGEST + 1])
            case _:
                items = self.lift(node)
        if not isinstance(items, tuple) or len(items) > LONGEST:
            raise NotLifted("a comprehension over anything but a short tuple or range")
        return items

    def _bind(self, target: ast.expr, item: Lifted) -> None:
        match target:
            case ast.Name(id=name):
                self.environment[name] = item
            case ast.Tuple(elts=parts) if isinstance(item, tuple) and len(item) == len(parts):
                for part, one in zip(parts, item, strict=True):
                    self._bind(part, one)
            case _:
                raise NotLifted(f"a comprehension that binds `{ast.unparse(target)}`")

    def _holds(self, test: ast.expr) -> bool:
        known = self.value(test)
        if known.is_array or not isinstance(known.scalar, Constant):
            raise NotLifted("a comprehension with a condition that is not known before it runs")
        return bool(known.scalar.value)

    def _collected(self, node: Comprehension) -> Value:
        """An array of the elements of a comprehension over a range or an array.

        Raises:
            NotLifted: It has conditions or several loops, or its elements differ in shape.
        """
        generator = node.generators[0]
        if len(node.generators) > 1 or generator.ifs:
            raise NotLifted("a comprehension with conditions or several loops")
        outside = self.environment
        self.environment = dict(outside)
        try:
            return self._gathered(node.elt, generator)
        finally:
            self.environment = outside

    def _gathered(self, element: ast.expr, generator: ast.comprehension) -> Value:
        builder = self._builder
        hint = builder.hint
        index = builder.fresh("k")
        at = position(affine.symbol(index))
        match generator.iter:
            case ast.Call(func=ast.Name(id="range"), args=ends, keywords=[]):
                start, stop, step = full_range([builder.size(self.value(e).scalar) for e in ends])
                if step != affine.ONE:
                    raise NotLifted("a comprehension over a range with a step")
                count = builder.extent(affine.minus(stop, start))
                item = position(affine.plus(affine.symbol(index), start))
            case _:
                source = self.value(generator.iter)
                if not source.shape:
                    raise NotLifted("a comprehension over a number")
                count = builder.extent(source.shape[0])
                item = subscript(builder, source, [at])
        builder.bounds.add_loop(index, affine.ZERO, affine.minus(count, affine.ONE))
        with builder.block() as block:
            self._bind(generator.target, item)
            one = self.value(element)
            target = builder.allocate(hint, one.dtype, (count, *one.shape))
            if one.weak or len(one.possible) > 1 or not builder.lasts(target):
                raise NotLifted("a comprehension of Python numbers, or of arrays of many shapes")
            builder.fill(subscript(builder, target, [at]), one)
        zero, step_ = Constant(0, "int64"), Constant(1, "int64")
        builder.emit(Loop(index, zero, Position(count), step_, tuple(block)))
        return target
