"""What is known about the sign of affine expressions: dims are not negative, loops have ends."""

from __future__ import annotations

import ast

from outpace.codegen.dims import Affine, parse_dim
from outpace.codegen.nests import affine
from outpace.model import Contract


class Bounds:
    """Lower bounds of sizes, and both ends of loop variables."""

    def __init__(self, lower: dict[str, int]) -> None:
        self._lower = dict(lower)
        self._loops: dict[str, tuple[Affine, Affine]] = {}

    def add_loop(self, name: str, low: Affine, high: Affine) -> None:
        """State `low <= name <= high`."""
        self._loops[name] = (low, high)

    def add_lower(self, name: str, low: int) -> None:
        """State `low <= name`."""
        self._lower[name] = low

    def nonnegative(self, a: Affine) -> bool:
        """Whether the expression is proved to be at least 0; False if that is not known."""
        for name in reversed(self._loops):
            factor = affine.factor_of(a, name)
            if factor:
                low, high = self._loops[name]
                a = affine.substituted(a, {name: low if factor > 0 else high})
        if any(factor < 0 or name not in self._lower for name, factor in a.terms):
            return False
        return a.constant + sum(c * self._lower[n] for n, c in a.terms) >= 0


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
