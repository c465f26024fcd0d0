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
        defined: What a draft for a contract must define, a sentence.
        rules: One sentence each.
        header: Example of a header line.
        example: A whole source that belongs to it.
        ways: Where first drafts may set out, a sentence each.
    """

    fence: str
    title: str
    defined: Callable[[Contract], str]
    rules: tuple[str, ...]
    header: str
    example: str
    ways: tuple[str, ...]


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
    """Where first drafts may set out, each a sentence; different enough to find different forms.

    Raises:
        UsageError: A model cannot be asked for drafts in one of the languages.
    """
    named = [languages[i % len(languages)] for i in range(len(_WAYS))]
    return tuple(f"{section(name).ways[i]} Write it in {name}." for i, name in enumerate(named))


def _numba_function(contract: Contract) -> str:
    return f"Define `def kernel({', '.join(slot.name for slot in slots(contract))})`."


def _c_function(contract: Contract) -> str:
    return f"Define `{c_signature(contract)}`."


def _cuda_kernels(contract: Contract) -> str:
    """Which names the plan may use."""
    arrays = [f"`{slot.name}`" for slot in slots(contract) if slot.dims is not None]
    sizes = [*contract.dims, *(a.name for a in contract.arguments if not a.is_array)]
    names = ", ".join(f"`{name}`" for name in sizes)
    return (
        "Define `__global__` kernels, of any names and parameters, and in the header a `plan` that "
        f"launches them over the arrays {', '.join(arrays)}."
        + (f" Sizes and scalars are {names}." if names else "")
    )


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

_GPU_WAYS = (
    (
        "Fuse everything into one kernel, a thread for each element of the output, neighbours "
        "along the last axis in neighbouring threads, intermediates in registers, and the shape "
        "of the block as parameters."
    ),
    (
        "Bring what several threads of a block read to shared memory, with the size of the tile as "
        "parameters and loops for what is left at the ends."
    ),
    (
        "Give each thread several elements, so that it keeps what they share in registers and "
        "has several loads on their way, with their number as a parameter."
    ),
    (
        "Do less work: look for terms that factor out, repeated subexpressions, symmetry, prefix "
        "sums, separable parts, or an order of the loops in which they become cheap."
    ),
    (
        "Launch as little as possible: take several steps of a loop in one kernel, with a halo in "
        "shared memory that shrinks with each, or let one block do a small problem as a whole."
    ),
    (
        "Load and store whole vectors such as double2 or float4 where rows are aligned for them, "
        "one element at a time elsewhere, and let warps combine sums by shuffles."
    ),
)

SECTIONS: Mapping[str, LanguageSection] = {
    "numba": LanguageSection(
        fence="python",
        title="A Python module that Numba compiles",
        defined=_numba_function,
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
        ways=_WAYS,
    ),
    "c": LanguageSection(
        fence="c",
        title="C17 with OpenMP",
        defined=_c_function,
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
        ways=_WAYS,
    ),
    "cuda": LanguageSection(
        fence="cuda",
        title="CUDA C++ with a launch plan",
        defined=_cuda_kernels,
        rules=(
            (
                "The plan is data that trusted code carries out; there is no host code. It is "
                '{"let": {name: expression}, "buffers": [{"name": .., "dtype": .., "shape": '
                '[expression, ..]}], "steps": [..]}; `let` and `buffers` may be left out. Buffers '
                'hold garbage at the start of a call. A further `"model": {"bytes": expression, '
                '"operations": expression}` may say what a call moves and computes; it decides '
                "nothing."
            ),
            (
                'A step is one of {"launch": kernel, "grid": [x, y, z], "block": [x, y, z], '
                '"shared": bytes, "arguments": [..]}, {"fill": array, "value": number}, {"copy": '
                '[from, to]}, {"swap": [a, b]} of which one is a buffer, {"repeat": index, '
                '"range": [first, end, step], "steps": [..]} and {"when": condition, "steps": '
                "[..]}. One runs after the other."
            ),
            (
                "Expressions are integers and names with + - * // % << >>, min, max and ceildiv: "
                "sizes, int arguments, parameters, lets and the indices of loops around. A grid of "
                "0 launches nothing."
            ),
            (
                "An argument of a launch is an array, a pointer to its first element; a scalar by "
                "its C type; or an expression, an int64_t. Complex numbers are float2 and double2."
            ),
            (
                "Parameters are macros in the code and names in the plan. At most 1024 threads and "
                "48 KiB of static shared memory a block; more is dynamic, `extern __shared__`, "
                "with its bytes under `shared`."
            ),
            (
                "C++17 for NVRTC, templates included. No half precision, tensor cores, inline "
                "assembly, asynchronous copies, cooperative grids or launches from the device. "
                'Flags: {"--use_fast_math": true}, {"--maxrregcount": 64}.'
            ),
            (
                "Every access is checked in simulation: races, bounds, barriers that not all "
                "threads of a block reach, misaligned vectors, and shared memory that is read "
                "before it is written, which holds NaN."
            ),
        ),
        header=(
            '{"language": "cuda", "idea": "rows of blocks", "parameters": {"BX": [32, 64, 128], '
            '"BY": [4, 8]}, "constraints": ["BX * BY <= 1024"], "plan": {"steps": [{"launch": '
            '"scaled", "grid": ["ceildiv(m, BX)", "min(ceildiv(n, BY), 65535)"], "block": ["BX", '
            '"BY"], "arguments": ["u", "scale", "out", "n", "m"]}]}}'
        ),
        example=(
            "__global__ void __launch_bounds__(BX * BY)\n"
            "scaled(const double *__restrict__ u, double scale, double *__restrict__ out,\n"
            "       int64_t n, int64_t m)\n"
            "{\n"
            "    const int64_t j = blockIdx.x * (int64_t)BX + threadIdx.x;\n"
            "    for (int64_t i = blockIdx.y * (int64_t)BY + threadIdx.y; i < n;\n"
            "         i += gridDim.y * (int64_t)BY)\n"
            "        if (j < m)\n"
            "            out[i * m + j] = scale * u[i * m + j];\n"
            "}\n"
        ),
        ways=_GPU_WAYS,
    ),
}
