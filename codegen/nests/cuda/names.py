"""Names that mean something in CUDA C++, besides those of C."""

from __future__ import annotations

from outpace.codegen.cuda.expressions import RESERVED as PLAN_NAMES
from outpace.codegen.nests.c.names import RESERVED as C_NAMES
from outpace.codegen.nests.cuda.functions import OWN_NAMES
from outpace.codegen.nests.cuda.parameters import CHOICES
from outpace.codegen.nests.cuda.staged import NAMES as STAGED_NAMES
from outpace.codegen.nests.cuda.tiles import NAMES as TILE_NAMES
from outpace.codegen.nests.cuda.vectors import NAMES as VECTOR_NAMES

_KEYWORDS = """
    alignas alignof and and_eq asm bitand bitor catch char16_t char32_t class compl concept
    consteval constexpr constinit const_cast co_await co_return co_yield decltype delete
    dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public reinterpret_cast requires static_assert
    static_cast template this thread_local throw true try typeid typename using virtual wchar_t
    xor xor_eq
""".split()  # noqa: SIM905  (a long list)
_DEVICE = """
    threadIdx blockIdx blockDim gridDim warpSize dim3 half clock clock64 signbit isinf printf
    acosh asinh atanh cbrt erf erfc exp10 exp2 fdim j0 j1 jn y0 y1 yn lgamma tgamma norm normf
    rhypot rsqrt rsqrtf sincos sincosf sincospi sinpi cospi rcbrt nextafter remquo scalbn logb ilogb
    texture surface texref wmma fmaf max min umin umax saturate assert index
""".split()  # noqa: SIM905
_VECTORS = [
    f"{kind}{width}"
    for kind in ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "longlong",
                 "ulonglong", "float", "double")
    for width in (1, 2, 3, 4)
]  # fmt: skip
OWN = frozenset(
    {"across_block", "shuffled", "Sum", "Product", "Largest", "Smallest", "Any", "All", "outer",
     "across"}
)  # fmt: skip
"""Names in the text that is written around expressions."""
RESERVED = frozenset(
    {
        *C_NAMES,
        *OWN_NAMES,
        *PLAN_NAMES,
        *CHOICES,
        *STAGED_NAMES,
        *TILE_NAMES,
        *VECTOR_NAMES,
        *OWN,
        *_KEYWORDS,
        *_DEVICE,
        *_VECTORS,
    }
)
"""Names that a program in CUDA may not use for its own things."""
