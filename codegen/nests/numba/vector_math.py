"""Exponentials and maxima that compilers can vectorise, as Numba source.

Numba calls the C library once per element. `exp` here is straight-line code: with n the integer
nearest to x / ln 2 and r = x - n ln 2, computed with ln 2 in two parts (W. J. Cody and W. Waite,
"Software Manual for the Elementary Functions", 1980), exp(x) = 2**n exp(r), the latter by its
Taylor polynomial, whose remainder for |r| <= ln(2)/2 is below a quarter of a unit in the last
place. Errors stay below 2 units in the last place. 2**n is put together from bits in two factors,
so that results that are subnormal or overflow come out right. NaN gives NaN.
"""

from __future__ import annotations

import math
from dataclasses import replace

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Apply, Expression, Op, Program, Reduce, Reduction

EXTREMES = {Reduction.MAX: "larger", Reduction.MIN: "smaller"}
"""The function that each of these reductions uses."""
HELPERS = frozenset({"exp_float32", "exp_float64", "larger", "smaller"})
"""Names of the functions, which programs must not use."""
DTYPES = ("float32", "float64")
"""Dtypes for which there are such functions."""


def vectorisable(program: Program) -> tuple[Program, list[str]]:
    """The program with `exp` as straight-line code, and the source of the functions it needs."""
    exponentials: set[str] = set()
    extremes: set[str] = set()

    def change(e: Expression) -> Expression:
        if isinstance(e, Apply) and e.op is Op.EXP and e.dtype in DTYPES:
            exponentials.add(e.dtype)
            return replace(e, op=Op.FAST_EXP)
        if isinstance(e, Reduce) and e.kind in EXTREMES and e.dtype in DTYPES:
            extremes.add(EXTREMES[e.kind])
        return e

    body = walk.with_expressions(program.body, change)
    helpers = [_exponential_source(dtype) for dtype in sorted(exponentials)]
    helpers += [_extreme_source(name) for name in sorted(extremes)]
    return replace(program, body=body), helpers


def _exponential_source(dtype: str) -> str:
    """A function `exp_<dtype>`."""
    if dtype == "float32":
        integer, bias, bits, degree = "int32", 127, 23, 7
        high, low, least, most = 0.693359375, -2.12194440e-4, -104.0, 89.0
    else:
        integer, bias, bits, degree = "int64", 1023, 52, 13
        high, low, least, most = 6.93145751953125e-1, 1.42860682030941723212e-6, -746.0, 710.0
    real = f"np.{dtype}"
    steps = [
        f"    p = p * r + {real}({1 / math.factorial(k)!r})" for k in range(degree - 1, -1, -1)
    ]
    return "\n".join(
        [
            '@numba.njit(fastmath={"contract"})',
            f"def exp_{dtype}(x):",
            f"    c = x if x > {real}({least}) else {real}({least})",
            f"    c = c if c < {real}({most}) else {real}({most})",
            f"    n = np.floor(c * {real}({1 / math.log(2)!r}) + {real}(0.5))",
            f"    r = (c - n * {real}({high})) - n * {real}({low!r})",
            f"    p = {real}({1 / math.factorial(degree)!r})",
            *steps,
            "    k = np.int32(n)" if dtype == "float32" else "    k = np.int64(np.int32(n))",
            f"    h = np.{integer}(k >> 1)",
            f"    first = np.{integer}((h + {bias}) << {bits}).view({real})",
            f"    second = np.{integer}((k - h + {bias}) << {bits}).view({real})",
            "    return p * first * second if x == x else x",
        ]
    )


def _extreme_source(name: str) -> str:
    """A function `larger` or `smaller` of two numbers that are not NaN."""
    sign = ">" if name == "larger" else "<"
    return "\n".join(
        [
            '@numba.njit(fastmath={"nnan", "nsz"})',
            f"def {name}(a, b):",
            f"    return a if a {sign} b else b",
        ]
    )
