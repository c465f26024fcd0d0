"""Local kernels in C: a module that compiles its C text where it runs, and calls it by ctypes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.c_options import COMPILE, chosen_options
from outpace.codegen.c_signature import C_TYPES, declaration, parameter_type, solved_dims
from outpace.codegen.macros import macros, without_own_definitions
from outpace.codegen.mpi.embedded import OPTIONS, SOURCE
from outpace.codegen.mpi.rows import EXCHANGE, FIRST, ROWS
from outpace.codegen.mpi.text import template_body, template_imports
from outpace.model import Contract, Parameter, Scalar

_ALLOCATING = re.compile(r"(?s)^(?!.*\brealloc\b).*\baligned_alloc\(")
_KEPT_SCRATCH = """\
/* Scratch memory is kept from call to call: fresh pages cost as much as computing on them. */
#include <stdlib.h>
static struct { void *memory; size_t size; int taken; } kept[8];
static void *keep(size_t alignment, size_t size)
{
    if (omp_in_parallel())
        return aligned_alloc(alignment, size);
    for (int i = 0; i < 8; i++)
        if (!kept[i].taken && kept[i].memory != NULL && kept[i].size == size
            && (uintptr_t)kept[i].memory % alignment == 0) {
            kept[i].taken = 1;
            return kept[i].memory;
        }
    void *memory = aligned_alloc(alignment, size);
    for (int i = 0; i < 8; i++)
        if (!kept[i].taken) {
            free(kept[i].memory);
            kept[i].memory = memory;
            kept[i].size = size;
            kept[i].taken = memory != NULL;
            break;
        }
    return memory;
}
static void give_back(void *memory)
{
    for (int i = 0; i < 8; i++)
        if (kept[i].taken && kept[i].memory == memory) {
            kept[i].taken = 0;
            return;
        }
    free(memory);
}
#define aligned_alloc(alignment, size) keep(alignment, size)
#define free(memory) give_back(memory)"""


def c_module(
    contract: Contract,
    source: str,
    params: Mapping[str, Scalar],
    flags: Mapping[str, Scalar],
    *,
    by_rows: str | None = None,
) -> str:
    """A module that defines `kernel(<inputs>, <outputs>)` by calling a kernel in C on one thread.

    Args:
        contract: Of the reference.
        source: A draft in C.
        params: Its bound parameters, which become macros.
        flags: Options of the compiler that it adds.
        by_rows: The dim of whose rows it computes some and has others exchanged, as kernels of
            `outpace.codegen.mpi.rows` do.

    Raises:
        DraftError: A flag is none that drafts may have.
    """
    bound = tuple(Parameter(name, (value,)) for name, value in params.items())
    text = "\n".join(
        [
            _entry(contract, exchanges=by_rows is not None),
            *([_KEPT_SCRATCH] if _ALLOCATING.search(source) else []),
            macros(bound),
            '#line 1 "kernel.c"',
            without_own_definitions(source, bound).rstrip(),
            "",
        ]
    )
    options = ",\n".join(f'    "{option}"' for option in (*COMPILE, *chosen_options(flags)))
    templates = ("compiled",) if by_rows is None else ("compiled", "calling")
    return "\n\n".join(
        [
            template_imports(templates, "import ctypes\nimport numpy as np").strip(),
            "\n\n\n".join(map(template_body, templates)),
            f"{SOURCE} = {_quoted(text)}\n{OPTIONS} = (\n{options},\n)",
            _caller(contract, by_rows),
        ]
    )


def _entry(contract: Contract, *, exchanges: bool) -> str:
    """What comes before the draft: the function that the program calls."""
    listed = slots(contract)
    count = len(contract.dims)
    parameters = [f"int64_t d{i}" for i in range(count)]
    parameters += [f"{_entry_type(slot)}p{i}" for i, slot in enumerate(listed)]
    passed = [f"d{i}" for i in range(count)]
    passed += [f"*p{i}" if _is_complex(slot) else f"p{i}" for i, slot in enumerate(listed)]
    before, taken = [], []
    if exchanges:  # simulated ranks are threads of one process
        before = ["static _Thread_local void (*exchange_rows)(void *, int64_t);"]
        parameters.append("void (*exchange)(void *, int64_t)")
        taken = ["    exchange_rows = exchange;"]
    return "\n".join(
        [
            "#include <omp.h>",
            "#include <stdint.h>",
            declaration(contract),
            *before,
            "/* What the ranks call: threads of one rank would take the cores of others. */",
            '__attribute__((visibility("default")))',
            f"void outpace_entry({', '.join(parameters)})",
            "{",
            *taken,
            "    omp_set_num_threads(1);",
            f"    kernel({', '.join(passed)});",
            "}",
        ]
    )


def _entry_type(slot: Slot) -> str:
    """Complex numbers come by address: ctypes does not know them."""
    kind = parameter_type(slot)
    return f"const {kind} *" if _is_complex(slot) else kind if kind.endswith("*") else f"{kind} "


def _is_complex(slot: Slot) -> bool:
    return slot.role is Role.SCALAR and "_Complex" in C_TYPES[slot.dtype]


def _caller(contract: Contract, by_rows: str | None) -> str:
    """The function `kernel` in Python."""
    listed = slots(contract)
    dims = _dims(contract, listed)
    kinds = ["ctypes.c_int64"] * len(dims) + [_kind(slot) for slot in listed]
    values = [dims[name] for name in contract.dims]
    values += [_complex(slot) if _is_complex(slot) else slot.name for slot in listed]
    names = [slot.name for slot in listed]
    body = f"    _ENTRY({', '.join(values)})\n"
    if by_rows is not None:
        kinds.append("EXCHANGING")
        names = [n for n in names if n not in (FIRST, ROWS)] + [FIRST, ROWS, EXCHANGE]
        run = f"lambda exchanged: _ENTRY({', '.join([*values, 'exchanged'])})"
        body = f"    with_exchange({EXCHANGE}, {dims[by_rows]}, {run})\n"
    types = "\n".join(f"    {kind}," for kind in kinds)
    return (
        f"_ENTRY = loaded({SOURCE}, {OPTIONS}, (\n{types}\n))\n\n\n"
        f"def kernel({', '.join(names)}):\n"
        f'    """Run the kernel in C; arrays must be contiguous."""\n{body}'
    )


def _kind(slot: Slot) -> str:
    if slot.role is not Role.SCALAR:
        kept = "" if slot.role is Role.INPUT else ", WRITEABLE"
        return (
            f'np.ctypeslib.ndpointer("{slot.dtype}", {len(slot.dims)}, flags="C_CONTIGUOUS{kept}")'
        )
    if _is_complex(slot):
        return "ctypes.c_void_p"
    names = {"float64": "double", "float32": "float", "bool": "uint8"}
    return f"ctypes.c_{names.get(slot.dtype, slot.dtype)}"


def _complex(slot: Slot) -> str:
    part = "double" if slot.dtype == "complex128" else "float"
    return f"ctypes.byref((ctypes.c_{part} * 2)({slot.name}.real, {slot.name}.imag))"


def _dims(contract: Contract, listed: tuple[Slot, ...]) -> dict[str, str]:
    """Each free dim as an expression over the arrays."""
    known = {slot.name: slot.name for slot in listed if slot.role is Role.SCALAR}
    for name, position, axis, affine in solved_dims(contract):
        text = f"{listed[position].name}.shape[{axis}]"
        factors = dict(affine.terms)
        rest = "".join(f" - {f} * {known[n]}" for n, f in factors.items() if n != name)
        rest += f" - {affine.constant}" if affine.constant else ""
        text = f"({text}{rest})" if rest else text
        known[name] = text if factors[name] == 1 else f"({text} // {factors[name]})"
    return {name: known[name] for name in contract.dims}


def _quoted(text: str) -> str:
    """C text as a literal, raw where that can be."""
    for quotes in ('"""', "'''"):
        if quotes not in text and "\0" not in text and "\r" not in text:
            return f"r{quotes}{text}{quotes}"
    return repr(text)
