"""The calling convention in C: types, and the signature that a contract asks for."""

from __future__ import annotations

from outpace.codegen.abi import Role, Slot, slots
from outpace.model import Contract

C_TYPES = {
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "float",
    "float64": "double",
    "complex64": "float _Complex",
    "complex128": "double _Complex",
}
"""Types in C by dtype."""


def signature(contract: Contract) -> str:
    """What a draft in C must define, with names, for people."""
    dims = [f"int64_t {name}" for name in contract.dims]
    return f"void kernel({', '.join([*dims, *(_named(slot) for slot in slots(contract))])})"


def parameter_type(slot: Slot) -> str:
    """Type of a parameter: arrays are pointers, `const` where they are only read."""
    kind = C_TYPES[slot.dtype]
    if slot.role is Role.SCALAR:
        return kind
    return f"const {kind} *" if slot.role is Role.INPUT else f"{kind} *"


def _named(slot: Slot) -> str:
    kind = parameter_type(slot)
    return f"{kind}restrict {slot.name}" if kind.endswith("*") else f"{kind} {slot.name}"
