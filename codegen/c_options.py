"""Options of the C compiler: those of every kernel, and those that a draft may add."""

from __future__ import annotations

from collections.abc import Mapping

from outpace.errors import DraftError
from outpace.model import Scalar

FLAGS = frozenset(
    {
        "-O1",
        "-O2",
        "-O3",
        "-fassociative-math",
        "-ffast-math",
        "-ffinite-math-only",
        "-ffp-contract=fast",
        "-ffp-contract=off",
        "-ffp-contract=on",
        "-fno-math-errno",
        "-fno-signed-zeros",
        "-fno-strict-aliasing",
        "-fno-trapping-math",
        "-fno-tree-vectorize",
        "-fno-unroll-loops",
        "-freciprocal-math",
        "-funroll-loops",
        "-funsafe-math-optimizations",
        "-fwrapv",
        "-mprefer-vector-width=128",
        "-mprefer-vector-width=256",
        "-mprefer-vector-width=512",
    }
)
"""What a draft may add to `COMPILE`; a later option wins."""

COMPILE = (
    "-std=c17",
    "-D_GNU_SOURCE",  # M_PI, and what else C17 alone hides
    "-O3",
    "-march=native",
    "-fopenmp",
    "-fPIC",
    "-fvisibility=hidden",  # two promotions in one process both define `kernel`
    "-fmax-errors=20",
    # A call of an undeclared function compiles, with wrong types, up to GCC 13.
    "-Werror=implicit",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
)
LINK = (
    "-std=c17",
    "-O2",
    "-fopenmp",
    "-fPIC",
    "-fvisibility=hidden",
    "-shared",
    "-Wl,-z,defs",
    "-Wl,-z,noexecstack",  # else nested functions make the stacks of the caller executable
)
"""The flags of a draft are no part of it: linked with -ffast-math, a library flushes subnormals of
the whole process to zero from the moment it is loaded."""


def chosen_options(flags: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Options of the compiler in a fixed order, whatever order a stored draft has them in.

    Raises:
        DraftError: One is not in `FLAGS`, or its value is no boolean.
    """
    for name, value in flags.items():
        if name not in FLAGS or not isinstance(value, bool):
            raise DraftError(
                f"the flag {name!r}: {value!r} is not taken; flags of c are options of the "
                f'compiler, as in {{"-ffast-math": true}}, among {", ".join(sorted(FLAGS))}'
            )
    return tuple(sorted(name for name, value in flags.items() if value))
