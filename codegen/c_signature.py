"""The calling convention in C: types, and the signature that a contract asks for."""

from __future__ import annotations

from collections.abc import Iterator

from outpace.codegen.abi import Role, Slot, slots
from outpace.codegen.dims import Affine, parse_dim
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


def declaration(contract: Contract) -> str:
    """The prototype that a kernel must have, for the compiler; no names that could be macros."""
    types = ["int64_t"] * len(contract.dims) + [parameter_type(s) for s in slots(contract)]
    return f"void kernel({', '.join(types)});"


def solved_dims(contract: Contract) -> Iterator[tuple[str, int, int, Affine]]:
    """Where each free dim is found, in an order in which they can be computed.

    As `outpace.codegen.dims.bind_shapes` does; contracts whose dims cannot be found so are refused.

    Yields:
        The dim; the position of a parameter and of an axis in whose extent the dim is the only
        unknown; that extent, in which it has a factor other than 0.
    """
    listed = slots(contract)
    known = {slot.name for slot in listed if slot.role is Role.SCALAR}
    extents = [
        (position, axis, parse_dim(dim))
        for position, slot in enumerate(listed)
        if slot.role in (Role.INPUT, Role.INOUT)
        for axis, dim in enumerate(slot.dims)
    ]
    while not known >= set(contract.dims):
        found = next(e for e in extents if len(set(e[2].names) - known) == 1)
        name = next(n for n in found[2].names if n not in known)
        yield (name, *found)
        known.add(name)


def _named(slot: Slot) -> str:
    kind = parameter_type(slot)
    return f"{kind}restrict {slot.name}" if kind.endswith("*") else f"{kind} {slot.name}"
