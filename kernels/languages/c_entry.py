"""How Python calls a kernel written in C: its prototype, and a generated entry point.

The entry point takes the Python objects of `outpace.codegen.abi`, reads addresses and extents from
the arrays themselves, solves the dims, and calls the kernel. ctypes then has nothing to convert but
references, which takes a tenth of the time of `array.ctypes.data`.

Layouts read are public: `PyArrayObject` (numpy/ndarraytypes.h), `PyComplexObject`
(complexobject.h), `PyCFloatScalarObject` (numpy/arrayscalars.h); all begin with the header of a
Python object. They are tried on a real object before the first kernel is loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.c_signature import C_TYPES, declaration, solved_dims
from outpace.codegen.dims import Affine
from outpace.errors import EnvironmentError_
from outpace.kernels.languages.base import Kernel
from outpace.kernels.languages.openmp import load_runtime
from outpace.model import Contract

ENTRY = "outpace_entry"
_HEADER = object.__basicsize__
"""Bytes before the fields of any Python object."""
_FENV_BYTES = 256
"""Room for a `fenv_t`, which has 32 bytes on x86-64 and 8 on aarch64."""

_PYTHON_TYPES: dict[str, Any] = {
    "bool": ctypes.c_bool,
    **{
        f"{sign}int{bits}": getattr(ctypes, f"c_{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}
"""What ctypes converts; complex numbers go by reference, as arrays do."""

_PRELUDE = """\
#include <fenv.h>
#include <stdint.h>
struct array {{ char header[{header}]; void *data; int rank; intptr_t *extents; }};
struct complex64 {{ char header[{header}]; float _Complex value; }};
struct complex128 {{ char header[{header}]; double _Complex value; }};
#if defined(__x86_64__)
/* fegetenv and fesetenv take 100 ns; these are the same registers. */
typedef struct {{ unsigned int vector; unsigned short x87; }} float_state;
static inline void save(float_state *state) {{
    state->vector = __builtin_ia32_stmxcsr();
    __asm__ volatile("fnstcw %0" : "=m"(state->x87));
}}
static inline void restore(const float_state *state) {{
    __builtin_ia32_ldmxcsr(state->vector);
    __asm__ volatile("fldcw %0" : : "m"(state->x87));
}}
#else
typedef fenv_t float_state;
static inline void save(float_state *state) {{ fegetenv(state); }}
static inline void restore(const float_state *state) {{ fesetenv(state); }}
#endif
"""


def entry_source(contract: Contract) -> str:
    """Source of the entry point; it leaves the caller's floating-point state as it was."""
    listed = slots(contract)
    parameters = ", ".join(f"{_entry_type(slot)}p{i}" for i, slot in enumerate(listed))
    symbols = {name: f"d{i}" for i, name in enumerate(contract.dims)}
    values = [*symbols.values(), *(_passed(slot, i) for i, slot in enumerate(listed))]
    lines = [
        _PRELUDE.format(header=_HEADER),
        declaration(contract),
        '__attribute__((visibility("default")))',
        f"void {ENTRY}({parameters}) {{",
        *(f"    const int64_t {line};" for line in _solved(contract, symbols)),
        "    float_state before;",
        "    save(&before);",
        f"    kernel({', '.join(values)});",
        "    restore(&before);",
        "}",
    ]
    return "\n".join(lines) + "\n"


def load_entry(path: Path, contract: Contract) -> Kernel:
    """The kernel in a shared object, as a function of Python objects.

    It takes them as the calling convention says and checks no more than their number.

    Raises:
        OSError: It cannot be loaded.
        EnvironmentError_: NumPy lays arrays out in another way than its headers say.
    """
    _check_layouts()
    load_runtime()
    with _float_state_kept():
        # It keeps the interpreter's lock: kernels with static memory cannot run twice at a time.
        library = ctypes.PyDLL(str(path))
    entry = library[ENTRY]
    entry.restype = None
    entry.argtypes = [
        ctypes.py_object if _by_reference(slot) else _PYTHON_TYPES[slot.dtype]
        for slot in slots(contract)
    ]
    return entry


# --- Source -------------------------------------------------------------------------------------


def _by_reference(slot: Slot) -> bool:
    return slot.role is not Role.SCALAR or slot.dtype not in _PYTHON_TYPES


def _entry_type(slot: Slot) -> str:
    if slot.role is not Role.SCALAR:
        return "const struct array *"
    if slot.dtype == "bool":
        return "_Bool "
    if _by_reference(slot):
        return f"const struct {slot.dtype} *"
    return f"{C_TYPES[slot.dtype]} "


def _passed(slot: Slot, position: int) -> str:
    if slot.role is not Role.SCALAR:
        return f"p{position}->data"
    return f"p{position}->value" if _by_reference(slot) else f"p{position}"


def _solved(contract: Contract, symbols: dict[str, str]) -> list[str]:
    """One definition for each free dim."""
    known = {
        slot.name: f"(int64_t)p{i}"
        for i, slot in enumerate(slots(contract))
        if slot.role is Role.SCALAR
    }
    lines = []
    for name, position, axis, affine in solved_dims(contract):
        extent = f"p{position}->extents[{axis}]"
        lines.append(f"{symbols[name]} = {_solution(extent, affine, name, known)}")
        known[name] = symbols[name]
    return lines


def _solution(extent: str, affine: Affine, name: str, known: dict[str, str]) -> str:
    """C expression for `name` where `affine` equals `extent`; the division has no rest."""
    factors = dict(affine.terms)
    others = [f" - ({factor}) * {known[n]}" for n, factor in factors.items() if n != name]
    return f"({extent} - ({affine.constant}){''.join(others)}) / ({factors[name]})"


# --- Loading ------------------------------------------------------------------------------------


@contextmanager
def _float_state_kept() -> Iterator[None]:
    """A constructor of a library may change rounding, or flush subnormals to zero."""
    functions = ctypes.CDLL(None)  # Python itself needs the mathematical library
    state = ctypes.create_string_buffer(_FENV_BYTES)
    functions.fegetenv(state)
    try:
        yield
    finally:
        functions.fesetenv(state)


@lru_cache(maxsize=1)
def _check_layouts() -> None:
    """Read an array and complex numbers as the entry point does."""
    array, wide, narrow = np.zeros((2, 3)), 1.0 - 2.0j, np.complex64(3.0 + 4.0j)
    fields = id(array) + _HEADER
    data = ctypes.c_void_p.from_address(fields).value
    known = data == array.__array_interface__["data"][0]
    if known:  # else what follows may be no address
        extents = ctypes.POINTER(ctypes.c_ssize_t).from_address(fields + 16)
        parts = (ctypes.c_double * 2).from_address(id(wide) + _HEADER)
        halves = (ctypes.c_float * 2).from_address(id(narrow) + _HEADER)
        known = [*extents[:2], *parts, *halves] == [2, 3, 1.0, -2.0, 3.0, 4.0]
    if not known:
        raise EnvironmentError_(
            f"NumPy {np.__version__} lays its arrays out in an unknown way, so that kernels in C "
            "cannot be called; use another version, or the language numba"
        )
