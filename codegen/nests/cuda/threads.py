"""Statements as one thread executes them, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.loops import loop_head
from outpace.codegen.nests.c.scopes import assigned_in, homes, mentioned, times_assigned
from outpace.codegen.nests.cuda.expressions import DeviceExpressions, cuda_type
from outpace.codegen.nests.cuda.reductions import Accumulator, accumulator
from outpace.codegen.nests.ir import (
    Apply,
    Assign,
    Cast,
    Define,
    Expression,
    If,
    Jump,
    Load,
    Loop,
    Nest,
    Range,
    Reduce,
    Statement,
    Store,
    Variable,
    While,
)
from outpace.errors import NotLifted

Body = tuple[Statement, ...]
TAB = "    "


class Thread:
    """Writes statements of one thread.

    Args:
        expressions: Writes expressions.
        prefix: Begins the names of accumulators.
        choices: Collects the macros that are used.
    """

    def __init__(self, expressions: DeviceExpressions, prefix: str, choices: set[str]) -> None:
        self.expressions = expressions
        self.choices = choices
        self._prefix = prefix
        self._count = 0
        self._constants: set[str] = set()

    def scope(self, body: Body, given: frozenset[str] = frozenset()) -> list[str]:
        """A block with scalars of its own, except for those that are declared already."""
        types = assigned_in(body)
        counts = times_assigned(body)
        outer, self._constants = self._constants, {n for n in types if counts[n] == 1}
        lines = self._block(body, frozenset(types) - given, types)
        self._constants = outer
        return lines

    def accumulator(self, reduce: Reduce) -> Accumulator:
        """A new variable for a reduction."""
        name = f"{self._prefix}{self._count}"
        self._count += 1
        return accumulator(name, reduce, self.expressions.functions, self.choices)

    def reductions(
        self, e: Expression, write: Callable[[Reduce], tuple[list[str], Variable]] | None = None
    ) -> tuple[list[str], Expression]:
        """Loops that compute the reductions in an expression, and the expression without them."""
        lines: list[str] = []

        def outermost(part: Expression) -> Expression:
            if isinstance(part, Reduce):
                before, variable = (write or self._reduction)(part)
                lines.extend(before)
                return variable
            return _with_parts(part, outermost)

        return lines, outermost(e)

    # --- Statements -------------------------------------------------------------------------------

    def _block(self, body: Body, names: frozenset[str], types: dict[str, str]) -> list[str]:
        """A block that declares these names."""
        found = homes(body, names)
        lines = [f"{cuda_type(types[name])} {name};" for name in found.first]
        for k, s in enumerate(body):
            written = self._statement(s, found.within.get(k, frozenset()), types)
            if k in found.inline:
                name = found.inline[k]
                const = "const " if name in self._constants else ""
                written[-1] = f"{const}{cuda_type(types[name])} {written[-1]}"
            lines += written
        return lines

    def _statement(  # noqa: PLR0911  (a dispatch)
        self, s: Statement, inside: frozenset[str], types: dict[str, str]
    ) -> list[str]:
        text = self.expressions.text
        match s:
            case Store(array=array, indices=indices, value=value):
                before, value = self.reductions(value)
                return [*before, f"{self.expressions.access(array, indices)} = {text(value)};"]
            case Assign(name=name, value=value) | Define(name=name, value=value):
                before, value = self.reductions(value)
                return [*before, f"{name} = {text(value)};"]
            case Nest(ranges=ranges, body=body):
                return nested([range_head(r) for r in ranges], self.scope(body))
            case Jump():
                return [f"{s.value};"]
            case Loop():
                return nested([self.loop_head(s)], self._block(s.body, inside, types))
            case While(condition=condition):
                if any(isinstance(e, Reduce) for e in walk.expressions(condition)):
                    raise NotLifted("a loop that ends by a reduction, in CUDA")
                return nested([f"while ({text(condition)})"], self._block(s.body, inside, types))
            case If():
                return self._branch(s, inside, types)
            case _:
                raise NotLifted(f"{type(s).__name__.lower()} inside a kernel in CUDA")

    def _branch(self, s: If, inside: frozenset[str], types: dict[str, str]) -> list[str]:
        lines, condition = self.reductions(s.condition)
        lines.append(f"if ({self.expressions.text(condition)}) {{")
        lines += indented(self._block(s.body, mentioned(inside, s.body), types))
        if s.orelse:
            lines.append("} else {")
            lines += indented(self._block(s.orelse, mentioned(inside, s.orelse), types))
        return [*lines, "}"]

    def loop_head(self, s: Loop) -> str:
        """The head of a sequential loop.

        Raises:
            NotLifted: Its end may change while it runs.
        """
        return loop_head(s, self.expressions.text, "CUDA")

    def _reduction(self, r: Reduce) -> tuple[list[str], Variable]:
        """A reduction by this thread alone."""
        kept = self.accumulator(r)
        before, value = self.reductions(r.body)
        lines = [f"{kept.kind} {kept.name} = {self.expressions.text(kept.start)};"]
        step = kept.step(self.expressions.text(value))
        lines += nested([range_head(inner) for inner in r.ranges], [*before, step])
        end, name = kept.end()
        return [*lines, *end], Variable(name, r.dtype)


def nested(heads: list[str], body: list[str]) -> list[str]:
    """A body inside loops with these heads; what stands above a head is a line before it."""
    for head in reversed(heads):
        *above, last = head.split("\n")
        body = [*above, f"{last} {{", *indented(body), "}"]
    return body


def indented(lines: list[str]) -> list[str]:
    """The lines, one level further in."""
    return [TAB + line for line in lines]


def range_head(r: Range, start: str = "0", step: str = "") -> str:
    """The head of a loop over a range, or over the part of it from `start` by `step`."""
    extent = affine.text(r.extent).replace("*", " * ")
    forward = f"{r.name} += {step}" if step else f"{r.name}++"
    return f"for (int64_t {r.name} = {start}; {r.name} < {extent}; {forward})"


def _with_parts(e: Expression, change: walk.Rewrite) -> Expression:
    """The expression with `change` applied to its operands."""
    match e:
        case Load(indices=indices):
            return replace(e, indices=tuple(change(i) for i in indices))
        case Apply(operands=operands):
            return replace(e, operands=tuple(change(o) for o in operands))
        case Cast(operand=operand):
            return replace(e, operand=change(operand))
        case _:
            return e
