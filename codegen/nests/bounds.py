"""What is known about the sign of affine expressions: dims are not negative, loops have ends."""

from __future__ import annotations

import ast

from outpace.codegen.dims import Affine, parse_dim
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Apply, Constant, Expression, Op, Position
from outpace.model import Contract


class Bounds:
    """Lower bounds of sizes, and both ends of loop variables."""

    def __init__(self, lower: dict[str, int]) -> None:
        self._lower = dict(lower)
        self._loops: dict[str, tuple[Affine, Affine]] = {}
        self._quotients: dict[str, tuple[Affine, int]] = {}

    def add_loop(self, name: str, low: Affine, high: Affine) -> None:
        """State `low <= name <= high`."""
        self._loops[name] = (low, high)

    def add_lower(self, name: str, low: int) -> None:
        """State `low <= name`."""
        self._lower[name] = low

    def add_value(self, name: str, value: Expression) -> None:
        """State `name == value`, of which the sign and what it is a part of are kept."""
        if self.is_nonnegative(value):
            self.add_lower(name, 0)
        match value:
            case Apply(
                op=Op.FLOOR_DIVIDE, operands=(Position(value=whole), Constant(value=int(divisor)))
            ) if divisor > 0:
                self._quotients[name] = (whole, divisor)
            case _:
                pass

    def nonnegative(self, a: Affine) -> bool:
        """Whether the expression is proved to be at least 0; False if that is not known."""
        for name in reversed(self._loops):
            factor = affine.factor_of(a, name)
            if factor:
                low, high = self._loops[name]
                a = affine.substituted(a, {name: low if factor > 0 else high})
        for name in reversed(self._quotients):
            factor = affine.factor_of(a, name)
            whole, divisor = self._quotients[name]
            # divisor * name <= whole, and where that is not negative, name <= whole as well
            if factor < 0 and (factor % divisor == 0 or self.nonnegative(whole)):
                rest = affine.substituted(a, {name: affine.ZERO})
                a = affine.plus(rest, affine.times(whole, factor // divisor))
        if any(factor < 0 or name not in self._lower for name, factor in a.terms):
            return False
        return a.constant + sum(c * self._lower[n] for n, c in a.terms) >= 0

    def is_nonnegative(self, e: Expression) -> bool:
        """Whether an integer that may not be affine is proved to be at least 0."""
        match e:
            case Constant(value=int(value)):
                return value >= 0
            case Position(value=value):
                return self.nonnegative(value)
            case Apply(op=op, operands=operands) if op in _NONNEGATIVE_OF_ALL:
                return all(map(self.is_nonnegative, operands))
            case Apply(op=Op.MAXIMUM | Op.LARGER, operands=operands):
                return any(map(self.is_nonnegative, operands))
            case Apply(op=Op.POWER, operands=(base, _)):  # a negative exponent raises
                return self.is_nonnegative(base)
            case _:
                return False


_NONNEGATIVE_OF_ALL = (Op.ADD, Op.MULTIPLY, Op.FLOOR_DIVIDE, Op.MINIMUM, Op.SMALLER)
"""Operations that give nothing negative where no operand is."""


def contract_bounds(contract: Contract, names: dict[str, str]) -> dict[str, int]:
    """Lower bounds of sizes from array extents and from `where`.

    Args:
        contract: The contract.
        names: The name of each size in the program.
    """
    lower = {names[dim]: 0 for dim in contract.dims}
    for part in contract.parts:
        for dim in part.dims or ():
            extent = parse_dim(dim)
            if len(extent.terms) == 1 and extent.terms[0][1] == 1:
                name = names[extent.terms[0][0]]
                lower[name] = max(lower.get(name, -extent.constant), -extent.constant)
    for dim, bound in _comparisons(contract.where):
        if dim in names:
            lower[names[dim]] = max(lower.get(names[dim], bound), bound)
    return lower


def _comparisons(where: str | None) -> list[tuple[str, int]]:
    """`name >= number` and `name > number` that the condition implies."""
    if where is None:
        return []
    tree = ast.parse(where, mode="eval").body
    is_all = isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And)
    found = []
    for part in tree.values if is_all and isinstance(tree, ast.BoolOp) else [tree]:
        match part:
            case ast.Compare(
                left=ast.Name(id=name), ops=[op], comparators=[ast.Constant(value=int(bound))]
            ) if isinstance(op, ast.GtE | ast.Gt):
                found.append((name, bound + isinstance(op, ast.Gt)))
            case _:
                pass
    return found
