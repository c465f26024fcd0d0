"""Dims of arrays: affine expressions over names, and binding them to shapes.

A dims string such as `"I+4 J+4 K"` has one expression per axis. An expression is a name, an integer
literal, or sums, differences and integer multiples of those.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from outpace.errors import ContractError


@dataclass(frozen=True)
class Affine:
    """`constant + sum(coefficient * name)`, the value of one axis."""

    constant: int
    terms: tuple[tuple[str, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order of appearance."""
        return tuple(name for name, _ in self.terms)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The extent at these sizes; KeyError when a name is unbound."""
        return self.constant + sum(factor * sizes[name] for name, factor in self.terms)


@lru_cache(maxsize=1024)
def parse_dim(text: str) -> Affine:
    """Parse one axis expression.

    Raises:
        ContractError: It is not affine with integer coefficients.
    """
    if "..." in text or any(mark in text for mark in "#?=") or text.startswith("*"):
        raise _unsupported(text)
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ContractError(
            f"dim {text!r} is not an expression: {error}; write each axis without spaces"
        ) from error
    if any(isinstance(n, ast.Name) and n.id.startswith("_") for n in ast.walk(tree)):
        raise _unsupported(text)
    return _affine(tree, text)


def _unsupported(text: str) -> ContractError:
    return ContractError(
        f"dim {text!r}: `...`, `*name`, `#`, `_`, `?` and `=` are not supported; "
        "write a name, an integer, or an affine expression such as `I+4`"
    )


def _affine(node: ast.expr, text: str) -> Affine:
    found = _affine_or_none(node, text)
    if found is None:
        raise ContractError(
            f"dim {text!r} is not affine; write a name, an integer, or sums and integer multiples"
        )
    return found


def _affine_or_none(node: ast.expr, text: str) -> Affine | None:
    found: Affine | None = None
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            found = Affine(value, ())
        case ast.Name(id=name):
            found = Affine(0, ((name, 1),))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = _scaled(_affine(operand, text), -1)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            found = _sum(_affine(left, text), _affine(right, text))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            found = _sum(_affine(left, text), _scaled(_affine(right, text), -1))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            found = _product(_affine(left, text), _affine(right, text))
    return found


def _product(a: Affine, b: Affine) -> Affine | None:
    """None when neither factor is a constant."""
    if not a.terms:
        return _scaled(b, a.constant)
    return None if b.terms else _scaled(a, b.constant)


def _scaled(a: Affine, factor: int) -> Affine:
    return Affine(a.constant * factor, tuple((n, c * factor) for n, c in a.terms if factor))


def _sum(a: Affine, b: Affine) -> Affine:
    factors = dict(a.terms)
    for name, factor in b.terms:
        factors[name] = factors.get(name, 0) + factor
    return Affine(a.constant + b.constant, tuple((n, c) for n, c in factors.items() if c))


def split_dims(text: str) -> tuple[str, ...]:
    """The axis expressions of a jaxtyping dims string."""
    return tuple(text.split())


def shape_of(dims: Sequence[str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Extents of an array at these sizes.

    Raises:
        ContractError: An extent would be negative, or a name is unbound.
    """
    try:
        shape = tuple(parse_dim(dim).evaluate(sizes) for dim in dims)
    except KeyError as error:
        raise ContractError(f"dim {error.args[0]!r} has no size; give it in the workload") from None
    if any(extent < 0 for extent in shape):
        raise ContractError(f"dims {' '.join(dims)!r} give a negative extent {shape} at {sizes}")
    return shape


def sizes_text(sizes: Mapping[str, object]) -> str:
    """Sizes as a person would write them, such as `y=8, x=3`."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def bind_shapes(
    arrays: Sequence[tuple[str, Sequence[str], tuple[int, ...]]],
    known: Mapping[str, int],
) -> dict[str, int]:
    """Solve the dims of arrays for their names.

    Args:
        arrays: Name, axis expressions and actual shape of each array.
        known: Values of int arguments.

    Returns:
        Every name with its size, `known` included.

    Raises:
        ContractError: Ranks or extents disagree, or a name cannot be determined.
    """
    sizes = dict(known)
    equations: list[tuple[str, str, Affine, int]] = []
    for name, dims, shape in arrays:
        if len(dims) != len(shape):
            raise ContractError(
                f"{name} has {len(shape)} dims {shape}, the annotation says {' '.join(dims)!r}"
            )
        equations += [(name, d, parse_dim(d), n) for d, n in zip(dims, shape, strict=True)]
    pending = equations
    while pending:
        rest = [e for e in pending if not _solve(e, sizes)]
        if len(rest) == len(pending):
            raise ContractError(
                f"the dims {sorted({n for e in rest for n in e[2].names} - sizes.keys())} cannot "
                "be determined from the shapes; use each name alone on at least one axis"
            )
        pending = rest
    return sizes


def _solve(equation: tuple[str, str, Affine, int], sizes: dict[str, int]) -> bool:
    """Use one equation; False when it still has more than one unknown."""
    name, dim, affine, extent = equation
    unknown = [(n, c) for n, c in affine.terms if n not in sizes]
    if len(unknown) > 1:
        return False
    rest = affine.constant + sum(c * sizes[n] for n, c in affine.terms if n in sizes)
    if not unknown:
        if rest != extent:
            raise ContractError(f"{name} has extent {extent} where {dim!r} is {rest}")
        return True
    symbol, factor = unknown[0]
    if (extent - rest) % factor or (extent - rest) // factor < 0:
        raise ContractError(f"{name} has extent {extent}, which {dim!r} cannot be")
    sizes[symbol] = (extent - rest) // factor
    return True
