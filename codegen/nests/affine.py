"""Arithmetic on affine expressions, kept in one normal form so that equal ones compare equal."""

from __future__ import annotations

from collections.abc import Mapping

from outpace.codegen.dims import Affine

ZERO = Affine(0, ())
ONE = Affine(1, ())


def constant(value: int) -> Affine:
    """An integer."""
    return Affine(value, ())


def symbol(name: str) -> Affine:
    """A single name."""
    return Affine(0, ((name, 1),))


def linear(terms: Mapping[str, int], offset: int = 0) -> Affine:
    """`offset + sum(factor * name)` with terms sorted by name and zero factors dropped."""
    return Affine(offset, tuple((n, c) for n, c in sorted(terms.items()) if c))


def plus(a: Affine, b: Affine) -> Affine:
    """The sum."""
    factors = dict(a.terms)
    for name, factor in b.terms:
        factors[name] = factors.get(name, 0) + factor
    return linear(factors, a.constant + b.constant)


def times(a: Affine, factor: int) -> Affine:
    """An integer multiple."""
    return linear({n: c * factor for n, c in a.terms}, a.constant * factor)


def minus(a: Affine, b: Affine) -> Affine:
    """The difference."""
    return plus(a, times(b, -1))


def quotient(a: Affine, divisor: int) -> Affine | None:
    """`a // divisor` for a positive divisor, where that is affine."""
    if any(factor % divisor for _, factor in a.terms):
        return None
    return linear({n: c // divisor for n, c in a.terms}, a.constant // divisor)


def factor_of(a: Affine, name: str) -> int:
    """The coefficient of a name, 0 if it does not occur."""
    return dict(a.terms).get(name, 0)


def substituted(a: Affine, values: Mapping[str, Affine]) -> Affine:
    """The expression with some names replaced."""
    result = constant(a.constant)
    for name, factor in a.terms:
        result = plus(result, times(values.get(name, symbol(name)), factor))
    return result


def text(a: Affine) -> str:
    """Python source, for example `2*i + n - 1`."""
    parts: list[str] = []
    for name, factor in a.terms:
        size = name if abs(factor) == 1 else f"{abs(factor)}*{name}"
        parts.append(size if not parts and factor > 0 else f"{'-' if factor < 0 else '+'} {size}")
    if parts and parts[0].startswith("- "):
        parts[0] = "-" + parts[0][2:]
    if a.constant or not parts:
        sign = "-" if a.constant < 0 else "+"
        parts.append(f"{sign} {abs(a.constant)}" if parts else str(a.constant))
    return " ".join(parts)
