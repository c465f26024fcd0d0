"""Write a program as C17 with OpenMP.

Arrays are flat memory; a macro of the same name gives an element by its indices. The last index of
a nest is vectorised, the first one shared among threads; a time loop whose body is nests is one
parallel region, so that threads start once. What a tuner may choose stands in the file as macros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from outpace.codegen.c_signature import C_TYPES
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.c.blocks import Blocks
from outpace.codegen.nests.c.expressions import Functions
from outpace.codegen.nests.c.functions import VECTOR_FORM
from outpace.codegen.nests.c.names import RESERVED, spelled
from outpace.codegen.nests.c.parameters import ACCUMULATOR, CHOICES, CONDITIONS, PARALLEL, TIME
from outpace.codegen.nests.c.strips import NAMES as STRIP_NAMES
from outpace.codegen.nests.c.tiles import NAMES as TILE_NAMES
from outpace.codegen.nests.c.waves import NAMES as WAVE_NAMES
from outpace.codegen.nests.ir import Allocate, Apply, Array, Op, Program, Reshape
from outpace.errors import NotLifted
from outpace.model import Contract, Parameter

QUIET_FLAGS = ("-fno-math-errno", "-fno-trapping-math")
"""Options that change no result: neither errno nor floating-point traps are looked at."""
FAST_FLAGS = (
    "-fassociative-math",
    "-ffp-contract=fast",
    "-fno-signed-zeros",
    "-freciprocal-math",
)
"""Options that keep NaN and Inf meaningful, and round otherwise than the source says."""
_OVERFLOWING = frozenset({Op.ADD, Op.SUBTRACT, Op.MULTIPLY, Op.NEGATIVE, Op.ABSOLUTE, Op.POWER})
_SCRATCH = """\
static void *scratch(int64_t count, size_t size)
{
    void *memory = aligned_alloc(64, ((size_t)count * size + 127) / 64 * 64);
    if (memory == NULL)
        abort();
    return memory;
}"""


@dataclass(frozen=True)
class COptions:
    """How to write and compile.

    Attributes:
        parallel: Whether there are threads to try.
        fastmath: Allow sums to be reordered and multiplications to be contracted. Vector forms of
            functions, which are not the scalar ones to the last bit, go with it.
    """

    parallel: bool = True
    fastmath: bool = False


@dataclass(frozen=True)
class CSource:
    """A draft in C.

    Attributes:
        text: The file without its header line.
        parameters: Macros that the text uses, with the values worth trying.
        flags: Options of the compiler.
    """

    text: str
    parameters: tuple[Parameter, ...]
    flags: Mapping[str, bool]


def c_source(program: Program, contract: Contract, options: COptions) -> CSource:
    """A file that defines `kernel`.

    Raises:
        NotLifted: Something in the program has no counterpart in C.
    """
    names = {*RESERVED, *CHOICES, *WAVE_NAMES, *TILE_NAMES, *STRIP_NAMES}
    program = spelled(program, frozenset(names))
    functions = Functions(vector_math=options.fastmath)
    blocks = Blocks(program, functions, reorder=options.fastmath)
    body = blocks.function()
    parts = [
        _includes(functions, blocks),
        _SCRATCH if any(isinstance(s, Allocate) for s in walk.statements(program.body)) else "",
        *functions.sources,
        "\n".join(_macros(program, blocks.lane_arrays)),
        "\n".join([f"void kernel({_parameters(program, contract)})", "{", *body, "}"]),
    ]
    flags = {*QUIET_FLAGS, *(FAST_FLAGS if options.fastmath else ())}
    if _may_overflow(program):
        flags.add("-fwrapv")
    return CSource(
        "\n\n".join(part for part in parts if part) + "\n",
        tuple(_parameter(name, options) for name in CHOICES if name in blocks.choices),
        dict.fromkeys(sorted(flags), True),
    )


def _parameter(name: str, options: COptions) -> Parameter:
    values = CHOICES[name]
    if name == PARALLEL and not options.parallel:
        values = (0,)
    if name == ACCUMULATOR and not options.fastmath:
        values = values[::-1]  # NumPy's sums are the longer type's rather than those of a loop
    return Parameter(name, values, CONDITIONS.get(name))


def _includes(functions: Functions, blocks: Blocks) -> str:
    lines = ["#include <stdbool.h>", "#include <stdint.h>", "#include <stdlib.h>"]
    if functions.declarations:
        lines += ["", VECTOR_FORM, *functions.declarations]
    lines.append("#include <math.h>")
    if functions.uses_complex:
        lines += ["#include <complex.h>", "#undef I"]
    if TIME in blocks.choices:
        lines.append("#include <omp.h>")
    return "\n".join(lines)


def _macros(program: Program, lane_arrays: Mapping[str, Array]) -> list[str]:
    """For each array, how an element is found."""
    taken = walk.names_of(program)
    letters = [name for name in "ijklmnpqrstuvw" if name not in taken]
    shapes: dict[str, tuple[Array, ...]] = {}
    local = [a for a in _local_arrays(program) if a.name not in lane_arrays]
    for array in (*_parameter_arrays(program), *local, *lane_arrays.values()):
        shapes[array.name] = (*shapes.get(array.name, ()), array)
    lines = []
    for name, arrays in shapes.items():
        if len({a.shape for a in arrays}) > 1:
            raise NotLifted(f"two arrays called {name} in C")
        shape = arrays[0].shape
        if len(shape) > len(letters):
            raise NotLifted(f"an array of {len(shape)} dims in C")
        indices = letters[: len(shape)]
        place = f"({indices[0]})" if indices else "0"
        for index, extent in zip(indices[1:], shape[1:], strict=True):
            text = affine.text(extent).replace("*", " * ")
            outer = place if place == f"({indices[0]})" else f"({place})"
            place = f"{outer} * {text if text.isalnum() else f'({text})'} + ({index})"
        lines.append(f"#define {name}({', '.join(indices)}) {name}[{place}]")
    return lines


def _parameter_arrays(program: Program) -> list[Array]:
    return [p for p in program.parameters if isinstance(p, Array)]


def _local_arrays(program: Program) -> list[Array]:
    return [s.array for s in walk.statements(program.body) if isinstance(s, Allocate | Reshape)]


def _parameters(program: Program, contract: Contract) -> str:
    """Dims in the order of the contract, then inputs and outputs."""
    sizes = [s.name for s in program.sizes]
    listed = []
    for dim in contract.dims:
        name = next((n for n in sizes if n.rstrip("_") == dim.rstrip("_") and n not in listed), dim)
        listed.append(name)
    written = {a.name for a in contract.mutated} | set(program.outputs)
    names = [p.name for p in contract.parts]
    parameters = [f"int64_t {name}" for name in listed]
    for p, own in zip(program.parameters, names, strict=True):
        kind = C_TYPES[p.dtype]
        if isinstance(p, Array):
            const = "" if own in written or p.name in written else "const "
            parameters.append(f"{const}{kind} *restrict {p.name}")
        else:
            parameters.append(f"{kind} {p.name}")
    return ", ".join(parameters)


def _may_overflow(program: Program) -> bool:
    """Whether integers are computed that wrap around in NumPy, and may not in C."""
    return any(
        isinstance(e, Apply) and e.op in _OVERFLOWING and np.dtype(e.dtype).kind == "i"
        for s in walk.statements(program.body)
        for own in walk.own_expressions(s)
        for e in walk.expressions(own)
    )
