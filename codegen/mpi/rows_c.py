"""The kernels of `outpace.codegen.mpi.rows` in C, which call back to have rows exchanged."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count

import msgspec

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.mpi.local_c import c_module
from outpace.codegen.mpi.rows import EXCHANGE, FIRST, ROWS, Rows
from outpace.codegen.nests import affine
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.ir import Array, Assign, Load, Position, Scalar, Statement
from outpace.codegen.nests.lift import lift
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted
from outpace.model import Argument

_MARKED = re.compile(rf"(?:const )?(?:\w+ )?{EXCHANGE}_\d+ = (\w+)\((0(?:L?, 0)*)L?\);")
"""What the emitter makes of a statement that stands for an exchange."""


def rows_kernel_c(reference: Reference, dim: str, *, fastmath: bool = False) -> str:
    """A module with the same `kernel` as that of `rows_kernel`, in C.

    Args:
        reference: The reference.
        dim: The dim that is cut.
        fastmath: Let sums be reordered.

    Raises:
        NotLifted: The reference is not lifted to loops, has no form in C, or no nest can be cut
            into rows.
    """
    contract = reference.contract
    _, form = next(iter(c_forms(lift(reference), reorder=fastmath)))
    number = count()

    def exchange(array: Array) -> Statement:
        first = tuple(Position(affine.ZERO) for _ in array.shape)
        return Assign(f"{EXCHANGE}_{next(number)}", Load(array.name, first, array.dtype))

    body = Rows(form, dim, exchange).body()
    given = len(contract.arguments)
    own = (Scalar(FIRST, "int64"), Scalar(ROWS, "int64"))
    parameters = (*form.parameters[:given], *own, *form.parameters[given:])
    longer = msgspec.structs.replace(
        contract,
        arguments=(*contract.arguments, *(Argument(s.name, "int64", None) for s in own)),
    )
    options = COptions(parallel=False, fastmath=fastmath)
    source = c_source(replace(form, parameters=parameters, body=body), longer, options)
    params = {p.name: p.values[0] for p in source.parameters}
    text = _MARKED.sub(_exchanged, source.text)
    if f"{EXCHANGE}_" in text:
        raise NotLifted("an exchange within an expression")
    return c_module(longer, text, params, dict(source.flags), by_rows=dim)


def _exchanged(found: re.Match[str]) -> str:
    """The call that has rows of an array exchanged: its memory, and the bytes of a row."""
    name, zeros = found[1], found[2]
    first, second = f"{name}({zeros})", f"{name}(1{zeros[1:]})"
    return f"{EXCHANGE}(&{first}, (char *)&{second} - (char *)&{first});"
