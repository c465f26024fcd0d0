"""What a prompt says about each language: the convention, its rules and one short example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outpace.codegen.abi import slots
from outpace.codegen.c_signature import signature as c_signature
from outpace.errors import UsageError
from outpace.model import Contract


@dataclass(frozen=True)
class LanguageSection:
    """One language as a model is told about it.

    Attributes:
        fence: Info string of its fenced blocks.
        title: What it is.
        signature: What a draft for a contract must define.
        rules: One sentence each.
        header: Example of a header line.
        example: A whole source that belongs to it.
    """

    fence: str
    title: str
    signature: Callable[[Contract], str]
    rules: tuple[str, ...]
    header: str
    example: str


def section(language: str) -> LanguageSection:
    """The section of a language.

    Raises:
        UsageError: A model cannot be asked for drafts in it.
    """
    if language not in SECTIONS:
        known = ", ".join(SECTIONS)
        raise UsageError(f"a model cannot be asked for drafts in {language!r}; there are {known}")
    return SECTIONS[language]


def directions(languages: Sequence[str]) -> tuple[str, ...]:
    """Where first drafts may set out, each a sentence; different enough to find different forms."""
    return tuple(
        f"{way} Write it in {languages[i % len(languages)]}." for i, way in enumerate(_WAYS)
    )


def _numba_signature(contract: Contract) -> str:
    return f"def kernel({', '.join(slot.name for slot in slots(contract))})"


_WAYS = (
    (
        "Fuse everything into one parallel loop nest over the outermost dim, without temporary "
        "arrays: keep intermediates in scalars, and the innermost loop contiguous, so that it is "
        "vectorised."
    ),
    (
        "Block the loops so that what is reused stays in the caches, with the block sizes as "
        "parameters, and give each core blocks of its own."
    ),
    (
        "Recompute cheap intermediates where they are needed instead of storing them, or keep only "
        "the few rows that the next ones need in a small rolling buffer."
    ),
    (
        "Do less work: look for terms that factor out, repeated subexpressions, symmetry, prefix "
        "sums, separable parts, or an order of the loops in which they become cheap."
    ),
    (
        "Write a lean sequential form that calls little and does not branch in its inner loops; it "
        "must win at the small workload."
    ),
    (
        "Treat borders apart, so that the loops over the interior have no conditions, unroll over "
        "the shortest dim, and take the number of rows of a thread as a parameter."
    ),
)

SECTIONS: Mapping[str, LanguageSection] = {
    "numba": LanguageSection(
        fence="python",
        title="A Python module that Numba compiles",
        signature=_numba_signature,
        rules=(
            (
                "`kernel` is decorated with `@numba.njit`, with `parallel=True` and `numba.prange` "
                "where threads pay; `fastmath=True` is yours to decide: results are checked."
            ),
            "Import nothing but numba, numpy and math. No classes, no objmode, no `cache=True`.",
            (
                "Parameters are module constants that the harness sets above the first statement; "
                "use their names and do not assign them."
            ),
        ),
        header='{"language": "numba", "idea": "row blocks", "parameters": {"ROWS": [8, 32]}}',
        example=(
            "import numba\n\n\n"
            "@numba.njit(parallel=True)\n"
            "def kernel(u, scale, out):\n"
            "    blocks = (u.shape[0] + ROWS - 1) // ROWS\n"
            "    for b in numba.prange(blocks):\n"
            "        for i in range(b * ROWS, min(u.shape[0], (b + 1) * ROWS)):\n"
            "            for j in range(u.shape[1]):\n"
            "                out[i, j] = scale * u[i, j]\n"
        ),
    ),
    "c": LanguageSection(
        fence="c",
        title="C17 with OpenMP",
        signature=c_signature,
        rules=(
            (
                "Sizes come first, each an `int64_t`, then inputs and outputs; arrays are "
                "`restrict` pointers to C-contiguous data, `const` where they are only read. Names "
                "are free, types are not."
            ),
            (
                "It is compiled with -std=c17 -O3 -march=native -fopenmp; flags such as "
                '{"-ffast-math": true} may be added in the header. Include standard headers only.'
            ),
            "Parameters are macros; use their names and do not define them.",
        ),
        header=(
            '{"language": "c", "idea": "row blocks", "parameters": {"ROWS": [8, 32]}, '
            '"flags": {"-ffast-math": true}}'
        ),
        example=(
            "#include <stdint.h>\n\n"
            "void kernel(int64_t n, int64_t m, const double *restrict u, double scale,\n"
            "            double *restrict out)\n"
            "{\n"
            "    #pragma omp parallel for schedule(dynamic, ROWS)\n"
            "    for (int64_t i = 0; i < n; i++)\n"
            "        for (int64_t j = 0; j < m; j++)\n"
            "            out[i * m + j] = scale * u[i * m + j];\n"
            "}\n"
        ),
    ),
}
