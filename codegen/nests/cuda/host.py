"""Integers and conditions of a program that the launch plan can compute."""

from __future__ import annotations

from collections.abc import Mapping

from outpace.codegen.dims import Affine
from outpace.codegen.nests.ir import (
    Apply,
    Cast,
    Constant,
    Expression,
    Op,
    Position,
    Variable,
)

Known = Mapping[str, str]
"""Expressions of the launch plan by the name of what they are in the program."""

_INFIX = {
    Op.ADD: "+",
    Op.SUBTRACT: "-",
    Op.MULTIPLY: "*",
    Op.FLOOR_DIVIDE: "//",
    Op.REMAINDER: "%",
    Op.LEFT_SHIFT: "<<",
    Op.RIGHT_SHIFT: ">>",
}
_CALLS = {Op.MINIMUM: "min", Op.SMALLER: "min", Op.MAXIMUM: "max", Op.LARGER: "max"}
_COMPARISONS = {
    Op.LESS: "<",
    Op.LESS_EQUAL: "<=",
    Op.GREATER: ">",
    Op.GREATER_EQUAL: ">=",
    Op.EQUAL: "==",
    Op.NOT_EQUAL: "!=",
}
_JOINED = {Op.LOGICAL_AND: "and", Op.LOGICAL_OR: "or"}


def affine_text(n: Affine, known: Known) -> str | None:
    """An affine integer as an expression of the launch plan."""
    if any(name not in known for name in n.names):
        return None
    parts = []
    for name, factor in n.terms:
        part = _enclosed(known[name])
        parts.append(part if factor == 1 else f"{factor} * {part}")
    if n.constant or not parts:
        parts.append(str(n.constant))
    return " + ".join(parts).replace("+ -", "- ")


def integer_text(e: Expression, known: Known) -> str | None:
    """An integer as an expression of the launch plan; None if the plan cannot compute it."""
    return _integer(e, known) if e.dtype == "int64" else None


def _integer(e: Expression, known: Known) -> str | None:
    match e:
        case Constant(value=value):
            return str(int(value.real))
        case Position(value=value):
            return affine_text(value, known)
        case Variable(name=name):
            return known.get(name)
        case Cast(operand=operand):
            return integer_text(operand, known)
        case Apply(op=op, operands=operands):
            return _applied(op, [integer_text(o, known) for o in operands])
        case _:
            return None


def condition_text(e: Expression, known: Known) -> str | None:
    """A condition of the launch plan; None if the plan cannot decide it."""
    if not isinstance(e, Apply):
        return None
    if e.op in _COMPARISONS:
        sides = _all([integer_text(o, known) for o in e.operands])
        return None if sides is None else f" {_COMPARISONS[e.op]} ".join(map(_enclosed, sides))
    if e.op in _JOINED:
        parts = _all([condition_text(o, known) for o in e.operands])
        return None if parts is None else f" {_JOINED[e.op]} ".join(f"({part})" for part in parts)
    if e.op is Op.LOGICAL_NOT:
        (inner,) = (condition_text(o, known) for o in e.operands)
        return None if inner is None else f"not ({inner})"
    return None


def _all(texts: list[str | None]) -> list[str] | None:
    found = [text for text in texts if text is not None]
    return found if len(found) == len(texts) else None


def _applied(op: Op, operands: list[str | None]) -> str | None:
    texts = _all(operands)
    if texts is None:
        return None
    if op in _INFIX:
        return f" {_INFIX[op]} ".join(map(_enclosed, texts))
    if op in _CALLS:
        return f"{_CALLS[op]}({', '.join(texts)})"
    if op is Op.NEGATIVE:
        return f"-{_enclosed(texts[0])}"
    return None


def _enclosed(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
