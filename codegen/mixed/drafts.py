"""A reference that is lifted in parts, and drafts of it for Numba."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from outpace.codegen.mixed import flow
from outpace.codegen.mixed.guessing import Known
from outpace.codegen.mixed.lifting import Given, Part
from outpace.codegen.mixed.observing import observe
from outpace.codegen.mixed.parts import Around, Piece, Stays, split
from outpace.codegen.mixed.writing import Writing
from outpace.codegen.nests.bounds import contract_bounds
from outpace.codegen.nests.ir import Array, Program, Scalar, Size
from outpace.codegen.nests.lift import (
    NEEDED,
    RESERVED,
    argument_value,
    extent_of,
    line_offset,
    parameters_of,
    size_names,
    sizes_of,
)
from outpace.codegen.nests.lifting.polynomial import equalities
from outpace.codegen.nests.lifting.subject import definition
from outpace.codegen.nests.numba.emit import NumbaOptions
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted
from outpace.model import Contract

Form = Callable[[Program], Program]
"""Optimises the program of a part."""


@dataclass(frozen=True)
class Mixed:
    """A reference of which some statements are lifted and others stay.

    Attributes:
        reference: The reference.
        function: Its source.
        pieces: Its body.
        sizes: How each dim follows from the arguments.
    """

    reference: Reference
    function: ast.FunctionDef
    pieces: tuple[Piece, ...]
    sizes: tuple[Size, ...]

    def source(self, form: Form, options: NumbaOptions) -> str:
        """A module that defines `kernel`.

        Args:
            form: Optimises the program of each part.
            options: How to compile the parts.

        Raises:
            NotLifted: As `segmented_source`.
        """
        return Writing(self.reference, self.function, self.sizes, form, options).module(self.pieces)

    def kept(self) -> Iterator[str]:
        """For every statement that stays for a reason: its line in the file, and the reason."""
        offset = line_offset(self.reference)
        for piece in _all(self.pieces):
            if isinstance(piece, Stays) and piece.reason is not None:
                yield f"line {piece.statement.lineno + offset} stays Python: {piece.reason}"


def mixed(reference: Reference) -> Mixed | None:
    """Split a reference that cannot be lifted as a whole; None where no part is worth it.

    The reference is run at a few small sizes, in this process.

    Raises:
        NotLifted: Its source does not allow to take it apart.
        ContractError: The annotation is missing or wrong.
    """
    contract, closure = reference.contract, reference.closure
    function = definition(closure.functions[closure.name])
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    captured = {*closure.functions, *closure.constants, *closure.imports}
    taken = flow.local_names(function) | captured
    _refuse(reference, function, taken)
    names = size_names(contract, taken)
    parameters = parameters_of(contract, names)
    given = Given(
        function,
        closure,
        contract,
        _known(contract, function, names, taken),
        equalities(contract.where, names),
        frozenset(RESERVED | captured),
    )
    pieces = split(given, observe(reference, function))
    if not any(isinstance(piece, Part) for piece in _all(pieces)):
        return None
    return Mixed(reference, function, pieces, sizes_of(contract, parameters, names))


def _known(
    contract: Contract, function: ast.FunctionDef, names: Mapping[str, str], taken: flow.Names
) -> Known:
    """What holds anywhere in the function."""
    again = flow.rebound(function)
    inputs = parameters_of(contract, names)[: len(contract.arguments)]
    certain = [
        p for p in inputs if p.name not in again and (isinstance(p, Array) or p.dtype in _PLAIN)
    ]
    extents = [extent_of(dim, names) for part in contract.parts for dim in part.dims or ()]
    return Known(
        {p.name: argument_value(p) for p in certain},
        {p.name: p for p in certain if isinstance(p, Array)},
        {p.name: p for p in certain if isinstance(p, Scalar) and p.dtype != "int64"},
        names,
        tuple(dict.fromkeys(extents)),
        contract_bounds(contract, dict(names)),
        frozenset(taken | RESERVED | set(names.values())),
    )


_PLAIN = ("bool", "int64", "float64", "complex128")
"""Scalars of these types are Python numbers."""
_WRITTEN = {"kernel", "is_array", "is_apart"} | {
    "type", "int", "float", "bool", "complex", "all", "len", "enumerate", "any", "max"
}  # fmt: skip
"""More names that generated code uses."""


def _refuse(reference: Reference, function: ast.FunctionDef, taken: flow.Names) -> None:
    """Refuse sources of which the meaning could change."""
    reason = flow.unsplittable(function)
    if reason is not None:
        raise NotLifted(reason)
    arguments = reference.contract.arguments
    integers = {a.name for a in arguments if not a.is_array and a.dtype == "int64"}
    again = sorted(integers & flow.rebound(function))
    if again:
        raise NotLifted(f"the integer argument {again[0]} is bound again")
    numpy = reference.closure.imports.get("np", "import numpy as np")
    used = sorted(taken & ((NEEDED | _WRITTEN) - {"np"}))
    if used or numpy != "import numpy as np":
        raise NotLifted(f"{(used or ['np'])[0]} means something else than in generated code")


def _all(pieces: tuple[Piece, ...]) -> Iterator[Piece]:
    for piece in pieces:
        yield piece
        if isinstance(piece, Around):
            yield from _all((*piece.body, *piece.orelse))
