"""The intermediate representation as text for people and golden files."""

from __future__ import annotations

from collections.abc import Iterable

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import (
    Allocate,
    Apply,
    Array,
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
    Reshape,
    Scalar,
    Statement,
    Store,
    Variable,
    While,
)

SYMBOLS = {
    Op.ADD: "+",
    Op.SUBTRACT: "-",
    Op.MULTIPLY: "*",
    Op.DIVIDE: "/",
    Op.FLOOR_DIVIDE: "//",
    Op.REMAINDER: "%",
    Op.POWER: "**",
    Op.LESS: "<",
    Op.LESS_EQUAL: "<=",
    Op.GREATER: ">",
    Op.GREATER_EQUAL: ">=",
    Op.EQUAL: "==",
    Op.NOT_EQUAL: "!=",
    Op.BITWISE_AND: "&",
    Op.BITWISE_OR: "|",
    Op.BITWISE_XOR: "^",
    Op.LEFT_SHIFT: "<<",
    Op.RIGHT_SHIFT: ">>",
}
"""Operators that Python, and so every reader, writes between two operands."""


def program_text(program: Program) -> str:
    """A whole program, one statement per line, blocks indented."""
    lines = [f"{program.name}({', '.join(_parameter(p) for p in program.parameters)}):"]
    lines += [
        f"    size {s.name} = ({s.array}.shape[{s.axis}] - ({affine.text(s.offset)})) // {s.factor}"
        for s in program.sizes
    ]
    return "\n".join([*lines, *_block(program.body)]) + "\n"


def expression_text(e: Expression) -> str:  # noqa: PLR0911  (a dispatch)
    """One expression; dtypes appear where a cast or a literal says them."""
    match e:
        case Constant(value=value, dtype=dtype):
            return repr(value) if dtype in ("bool", "int64", "float64") else f"{dtype}({value!r})"
        case Position(value=value):
            return affine.text(value)
        case Variable(name=name):
            return name
        case Load(array=array, indices=indices):
            return _access(array, indices)
        case Cast(operand=operand, dtype=dtype):
            return f"{dtype}({expression_text(operand)})"
        case Apply(op=op, operands=(left, right)) if op in SYMBOLS:
            return f"({expression_text(left)} {SYMBOLS[op]} {expression_text(right)})"
        case Apply(op=op, operands=operands):
            return f"{op.value}({', '.join(expression_text(o) for o in operands)})"
        case Reduce(kind=kind, ranges=ranges, body=body):
            return f"{kind.value}[{_ranges(ranges)}]({expression_text(body)})"


def _parameter(p: Array | Scalar) -> str:
    return f"{p.name}: {p.dtype}" if isinstance(p, Scalar) else _array(p)


def _array(a: Array) -> str:
    return f"{a.name}: {a.dtype}[{', '.join(affine.text(n) for n in a.shape)}]"


def _access(array: str, indices: Iterable[Expression]) -> str:
    return f"{array}[{', '.join(expression_text(i) for i in indices)}]"


def _ranges(ranges: Iterable[Range]) -> str:
    return ", ".join(f"{r.name} < {affine.text(r.extent)}" for r in ranges)


def _block(body: Iterable[Statement]) -> list[str]:
    return [f"    {line}" for statement in body for line in _statement(statement)]


def _statement(s: Statement) -> list[str]:  # noqa: PLR0911  (a dispatch)
    match s:
        case Store(array=array, indices=indices, value=value):
            return [f"{_access(array, indices)} = {expression_text(value)}"]
        case Assign(name=name, value=value):
            return [f"{name} = {expression_text(value)}"]
        case Define(name=name, value=value):
            return [f"size {name} = {expression_text(value)}"]
        case Allocate(array=array):
            return [f"allocate {_array(array)}"]
        case Reshape(array=array, base=base):
            return [f"reshape {_array(array)} of {base}"]
        case Rebind(targets=targets, sources=sources):
            return [f"rebind {', '.join(targets)} = {', '.join(sources)}"]
        case Library(target=target, function=function, operands=operands):
            given = ", ".join(o.array + (".T" if o.transposed else "") for o in operands)
            return [f"{target} = library {function}({given})"]
        case Nest(ranges=ranges, body=body):
            return [f"nest {_ranges(ranges)}:", *_block(body)]
        case Jump():
            return [s.value]
        case _:
            return _control(s)


def _control(s: Loop | If | While) -> list[str]:
    match s:
        case Loop(name=name, start=start, stop=stop, step=step, body=body):
            bounds = ", ".join(expression_text(e) for e in (start, stop, step))
            return [f"for {name} in {bounds}:", *_block(body)]
        case While(condition=condition, body=body):
            return [f"while {expression_text(condition)}:", *_block(body)]
        case If(condition=condition, body=body, orelse=orelse):
            lines = [f"if {expression_text(condition)}:", *_block(body)]
            return [*lines, "else:", *_block(orelse)] if orelse else lines
