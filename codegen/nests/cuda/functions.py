"""Small device functions that mean what NumPy's of the same name mean, and complex numbers.

Those for real numbers are those of C. CUDA has no complex type of its own: a structure of two parts
with the layout of NumPy's takes its place.
"""

from __future__ import annotations

import re

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests.c.functions import NAMES, function_source
from outpace.errors import NotLifted

CUDA_TYPES = {**C_TYPES, "complex64": "complex64", "complex128": "complex128"}
"""Types by dtype."""
REAL_PARTS = {"complex64": "float", "complex128": "double"}
"""Types of the parts of complex numbers."""

_LEAST = {
    "INT8_MIN": "-128",
    "INT16_MIN": "-32768",
    "INT32_MIN": "(-2147483647 - 1)",
    "INT64_MIN": "(-9223372036854775807L - 1)",
}
"""Macros of a header that NVRTC does not have."""
_WRAPPING_POWER = """\
static __device__ inline T power_D(T base, T exponent)
{
    U result = 1, square = (U)base;
    for (; exponent > 0; exponent >>= 1, square *= square)
        if (exponent & 1)
            result *= square;
    return (T)result;
}"""

_COMPLEX = """\
struct alignas(A) C {
    R re, im;
};
static __device__ inline C operator+(C a, C b)
{
    return C{a.re + b.re, a.im + b.im};
}
static __device__ inline C operator-(C a, C b)
{
    return C{a.re - b.re, a.im - b.im};
}
static __device__ inline C operator-(C a)
{
    return C{-a.re, -a.im};
}
static __device__ inline C operator*(C a, C b)
{
    return C{a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static __device__ inline bool operator==(C a, C b)
{
    return a.re == b.re && a.im == b.im;
}
static __device__ inline bool operator!=(C a, C b)
{
    return !(a == b);
}
static __device__ inline C operator/(C a, C b)
{
    const R size_re = b.re < 0 ? -b.re : b.re, size_im = b.im < 0 ? -b.im : b.im;
    if (size_re >= size_im) {
        if (size_re == 0 && size_im == 0)
            return C{a.re / size_re, a.im / size_re};
        const R ratio = b.im / b.re, scale = (R)1 / (b.re + b.im * ratio);
        return C{(a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale};
    }
    const R ratio = b.re / b.im, scale = (R)1 / (b.im + b.re * ratio);
    return C{(a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale};
}
static __device__ inline C square_C(C a)
{
    return C{a.re * a.re - a.im * a.im, a.re * a.im + a.im * a.re};
}
static __device__ inline C conjugate_C(C a)
{
    return C{a.re, -a.im};
}
static __device__ inline R absolute_C(C a)
{
    return hypotS(a.re, a.im);
}
static __device__ inline C exp_C(C a)
{
    const R size = expS(a.re);
    return a.im == 0 ? C{size, a.im} : C{size * cosS(a.im), size * sinS(a.im)};
}"""
COMPLEX_FUNCTIONS = frozenset({"square", "conjugate", "absolute", "exp"})
"""Functions of complex numbers, besides the operators."""

OWN_NAMES = NAMES | {f"{n}_{c}" for n in COMPLEX_FUNCTIONS for c in REAL_PARTS} | set(REAL_PARTS)
"""Every name that these definitions may give to something."""


def device_function(name: str, dtype: str) -> str:
    """The definition of a function for a dtype of real numbers.

    Raises:
        NotLifted: There is none for it.
    """
    if dtype.startswith("complex"):
        raise NotLifted(f"{name} of {dtype} in CUDA")
    if name == "power":
        unsigned = f"uint{dtype.removeprefix('u').removeprefix('int')}_t"
        kinds = {"T ": f"{C_TYPES[dtype]} ", "(T)": f"({C_TYPES[dtype]})"}
        kinds |= {"U ": f"{unsigned} ", "(U)": f"({unsigned})", "_D(": f"_{dtype}("}
        source = _WRAPPING_POWER
        for mark, text in kinds.items():
            source = source.replace(mark, text)
        return source
    source = function_source(name, dtype).replace("static inline ", "static __device__ inline ")
    for macro, text in _LEAST.items():
        source = source.replace(macro, text)
    return source


def complex_type(dtype: str) -> str:
    """The definition of a complex type, with its operators and functions."""
    real = REAL_PARTS[dtype]
    spelled = {"C": dtype, "R": real, "S": "f" if real == "float" else ""}
    spelled["A"] = "8" if real == "float" else "16"
    return re.sub(r"\b[CRA]\b|(?<=_)C\b|S(?=\()", lambda mark: spelled[mark[0]], _COMPLEX)
