"""Small functions in C that mean what NumPy's of the same name mean.

`T` stands for the type and `R` for that of the real part. Quotients and remainders of integers by 0
are 0, as in NumPy; those of floats follow `npy_floor_divide` and `npy_remainder`, complex quotients
R. L. Smith, "Algorithm 116: Complex Division", Communications of the ACM 5 (1962), as NumPy's do.
"""

from __future__ import annotations

from outpace.codegen.c_signature import C_TYPES
from outpace.errors import NotLifted

VECTOR_FUNCTIONS = {"exp": 1, "log": 1, "sin": 1, "cos": 1, "pow": 2}
"""Functions of which the C library has forms for vectors since 2.22, and how many operands."""
NEWER_VECTOR_FUNCTIONS = {
    "acos": 1, "asin": 1, "atan": 1, "atan2": 2, "cosh": 1, "expm1": 1, "hypot": 2, "log10": 1,
    "log1p": 1, "log2": 1, "sinh": 1, "tan": 1, "tanh": 1,
}  # fmt: skip
"""Those since 2.35."""

VECTOR_FORM = """\
#if defined __x86_64__ && defined __GLIBC__ && defined __GNUC__ && !defined __clang__
#define VECTOR_FORM __attribute__((simd("notinbranch"), const))
#if __GLIBC_PREREQ(2, 35)
#define NEWER_VECTOR_FORM VECTOR_FORM
#endif
#else
#define VECTOR_FORM
#endif
#ifndef NEWER_VECTOR_FORM
#define NEWER_VECTOR_FORM
#endif"""
"""The vector forms differ from the scalar ones by at most 4 units in the last place."""

_FLOAT = {
    "floor_divide": """\
static inline T floor_divide_D(T a, T b)
{
    if (b == 0)
        return a / b;
    const T rest = FMOD(a, b);
    const T quotient = (a - rest) / b - (rest != 0 && (b < 0) != (rest < 0));
    const T whole = FLOOR(quotient);
    return quotient == 0 ? COPYSIGN(0, a / b) : whole + (quotient - whole > (T)0.5);
}""",
    "remainder": """\
static inline T remainder_D(T a, T b)
{
    const T rest = FMOD(a, b);
    if (rest == 0)
        return COPYSIGN(0, b);
    return (b < 0) != (rest < 0) && b != 0 ? rest + b : rest;
}""",
    "maximum": """\
static inline T maximum_D(T a, T b)
{
    return a >= b || a != a ? a : b;
}""",
    "minimum": """\
static inline T minimum_D(T a, T b)
{
    return a <= b || a != a ? a : b;
}""",
    "sign": """\
static inline T sign_D(T a)
{
    return a != a ? a : (T)((a > 0) - (a < 0));
}""",
    "square": """\
static inline T square_D(T a)
{
    return a * a;
}""",
}
_INTEGER = {
    "floor_divide": """\
static inline T floor_divide_D(T a, T b)
{
    if (b == 0 || SMALLEST)
        return b == 0 ? 0 : a;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}""",
    "remainder": """\
static inline T remainder_D(T a, T b)
{
    if (b == 0 || SMALLEST)
        return 0;
    const T rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}""",
    "power": """\
static inline T power_D(T base, T exponent)
{
    T result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return result;
}""",
    "absolute": """\
static inline T absolute_D(T a)
{
    return a < 0 ? -a : a;
}""",
    "maximum": """\
static inline T maximum_D(T a, T b)
{
    return a >= b ? a : b;
}""",
    "minimum": """\
static inline T minimum_D(T a, T b)
{
    return a <= b ? a : b;
}""",
    "sign": """\
static inline T sign_D(T a)
{
    return (a > 0) - (a < 0);
}""",
    "wrap": """\
static inline T wrap_D(T index, T extent)
{
    return index < 0 ? index + extent : index;
}""",
}
_ANY_REAL = {
    "smaller": """\
static inline T smaller_D(T a, T b)
{
    return b < a ? b : a;
}""",
    "larger": """\
static inline T larger_D(T a, T b)
{
    return b > a ? b : a;
}""",
}
_COMPLEX = {
    "square": """\
static inline T square_D(T a)
{
    const R x = __real__ a, y = __imag__ a;
    return __builtin_complex(x * x - y * y, x * y + y * x);
}""",
    "multiply": """\
static inline T multiply_D(T a, T b)
{
    const R x = __real__ a, y = __imag__ a, u = __real__ b, v = __imag__ b;
    return __builtin_complex(x * u - y * v, x * v + y * u);
}""",
    "divide": """\
static inline T divide_D(T a, T b)
{
    const R x = __real__ a, y = __imag__ a, u = __real__ b, v = __imag__ b;
    const R size_u = u < 0 ? -u : u, size_v = v < 0 ? -v : v;
    if (size_u >= size_v) {
        if (size_u == 0 && size_v == 0)
            return __builtin_complex(x / size_u, y / size_u);
        const R ratio = v / u, scale = (R)1 / (u + v * ratio);
        return __builtin_complex((x + y * ratio) * scale, (y - x * ratio) * scale);
    }
    const R ratio = u / v, scale = (R)1 / (v + u * ratio);
    return __builtin_complex((x * ratio + y) * scale, (y * ratio - x) * scale);
}""",
}
FUNCTIONS = frozenset({*_FLOAT, *_INTEGER, *_ANY_REAL})
"""Names of the functions for real numbers."""
NAMES = frozenset(f"{name}_{dtype}" for name in {*FUNCTIONS, *_COMPLEX} for dtype in C_TYPES)
"""Every name that a function may have in a file."""


def function_source(name: str, dtype: str) -> str:
    """The definition of a function for a dtype.

    Raises:
        NotLifted: There is none for it.
    """
    is_float, is_complex = dtype.startswith("float"), dtype.startswith("complex")
    table = _COMPLEX if is_complex else _FLOAT if is_float else _INTEGER
    source = table.get(name) or (None if is_complex else _ANY_REAL.get(name))
    if source is None:
        raise NotLifted(f"{name} of {dtype} in C")
    short = dtype in ("float32", "complex64")
    spelled = {
        "FMOD": "fmodf" if short else "fmod",
        "FLOOR": "floorf" if short else "floor",
        "COPYSIGN": "copysignf" if short else "copysign",
        "SMALLEST": f"(b == -1 && a == {dtype.upper()}_MIN)" if dtype.startswith("int") else "0",
        "T ": f"{C_TYPES[dtype]} ",
        "(T)": f"({C_TYPES[dtype]})",
        "R ": "float " if short else "double ",
        "(R)": "(float)" if short else "(double)",
        "_D(": f"_{dtype}(",
    }
    for mark, text in spelled.items():
        source = source.replace(mark, text)
    return source
