"""Headers of the C library that device code may include, as far as they make sense on a device.

NVRTC has none of them; the functions of `math.h` are built into it.
"""

from __future__ import annotations

BEFORE = "outpace_before.h"
"""Stands before every draft: the fixed-width integers, then the parameters."""

_INTEGERS = """\
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef long long intptr_t;
typedef unsigned long long uintptr_t;
"""
_INTEGER_LIMITS = """\
#pragma once
#ifndef INT64_MAX
#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define UINT32_MAX 4294967295u
#define INT64_MIN (-9223372036854775807LL - 1)
#define INT64_MAX 9223372036854775807LL
#define UINT64_MAX 18446744073709551615ULL
#endif
"""
_LIMITS = """\
#pragma once
#ifndef INT_MAX
#define CHAR_BIT 8
#define INT_MIN (-2147483647 - 1)
#define INT_MAX 2147483647
#define UINT_MAX 4294967295u
#define LLONG_MIN (-9223372036854775807LL - 1)
#define LLONG_MAX 9223372036854775807LL
#define ULLONG_MAX 18446744073709551615ULL
#endif
"""
_FLOATS = """\
#pragma once
#ifndef DBL_MAX
#define FLT_EPSILON 1.1920928955078125e-07f
#define FLT_MIN 1.17549435082228751e-38f
#define FLT_MAX 3.40282346638528860e+38f
#define DBL_EPSILON 2.2204460492503131e-16
#define DBL_MIN 2.2250738585072014e-308
#define DBL_MAX 1.7976931348623157e+308
#endif
"""
_MATH = """\
#pragma once
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#define HUGE_VAL __longlong_as_double(0x7ff0000000000000LL)
#endif
#ifndef M_PI
#define M_E 2.7182818284590452354
#define M_LOG2E 1.4426950408889634074
#define M_LN2 0.69314718055994530942
#define M_PI 3.14159265358979323846
#define M_PI_2 1.57079632679489661923
#define M_PI_4 0.78539816339744830962
#define M_1_PI 0.31830988618379067154
#define M_2_PI 0.63661977236758134308
#define M_SQRT2 1.41421356237309504880
#define M_SQRT1_2 0.70710678118654752440
#endif
"""
_ASSERT = """\
#ifndef assert
#define assert(condition) ((condition) ? (void)0 : __trap())
#endif
"""
_EMPTY = "#pragma once\n"


def device_headers(macros: str) -> dict[str, str]:
    """Texts by name, `BEFORE` with these definitions among them."""
    return {
        BEFORE: f"#pragma once\n{_INTEGERS}{macros}",
        "stdint.h": _INTEGER_LIMITS,
        "cstdint": "#include <stdint.h>\n",
        "limits.h": _LIMITS,
        "climits": "#include <limits.h>\n",
        "float.h": _FLOATS,
        "cfloat": "#include <float.h>\n",
        "math.h": _MATH,
        "cmath": "#include <math.h>\n",
        "assert.h": _ASSERT,
        "cassert": "#include <assert.h>\n",
        "stddef.h": _EMPTY,
        "cstddef": _EMPTY,
        "stdio.h": _EMPTY,
        "cstdio": _EMPTY,
        "cuda_runtime.h": _EMPTY,  # what it declares is built into the compiler
    }
