"""Lift a reference to a program of loop nests."""

from __future__ import annotations

import ast
import inspect
import keyword
import textwrap
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from outpace.codegen.dims import Affine, parse_dim
from outpace.codegen.nests import affine
from outpace.codegen.nests.bounds import contract_bounds
from outpace.codegen.nests.ir import Array, Program, Scalar, Size, Variable
from outpace.codegen.nests.lifting.polynomial import equalities
from outpace.codegen.nests.lifting.results import deliver
from outpace.codegen.nests.lifting.subject import Subject, definition
from outpace.codegen.nests.lifting.values import Lifted, position, scalar_value, stored
from outpace.codegen.nests.numba.vector_math import HELPERS
from outpace.codegen.nests.rewriting.independent import independent
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted
from outpace.model import Argument, Contract, Output

NEEDED = HELPERS | {"np", "numba", "range", "abs", "min", "max"}
"""Names that generated code uses, so that no argument may have them."""
RESERVED = NEEDED | {"kernel", *keyword.kwlist}
"""Names that no size may have."""


def lift(reference: Reference, *, library: bool = False) -> Program:
    """The reference as loop nests, not yet optimised; loops over single elements are nests too.

    Args:
        reference: The reference.
        library: Leave large matrix products and functions of linear algebra to NumPy.

    Raises:
        NotLifted: A statement cannot be expressed; names the line and the reason.
        ContractError: The annotation is missing or wrong.
    """
    contract, closure = reference.contract, reference.closure
    names = size_names(contract)
    parameters = parameters_of(contract, names)
    outputs = tuple(o.name for o in contract.outputs)
    subject = Subject(
        definition(closure.functions[closure.name]),
        closure,
        tuple(p for p in parameters if isinstance(p, Array)),
        {p.name: argument_value(p) for p in parameters if p.name not in outputs},
        frozenset(RESERVED | {p.name for p in parameters} | set(names.values())),
        frozenset(names.values()),
        contract_bounds(contract, names),
        equalities(contract.where, names),
        frozenset(a.name for a in contract.mutated),
        contract.reproducible,
        library,
    )
    try:
        body = subject.lifted(lambda b, value: deliver(b, parameters, contract.outputs, value))
    except NotLifted as error:
        if error.line is None:
            raise
        raise NotLifted(error.reason, error.line + line_offset(reference)) from error
    sizes = sizes_of(contract, parameters, names)
    program = Program(reference.fn.__name__, parameters, outputs, sizes, body)
    return independent(program, innermost=True, straight=True)


def line_offset(reference: Reference) -> int:
    """Lines before the `def` of the function in its file, less one."""
    lines, first = inspect.getsourcelines(reference.written)
    node = ast.parse(textwrap.dedent("".join(lines))).body[0]
    return first + node.lineno - 2


def argument_value(p: Array | Scalar) -> Lifted:
    """What an argument stands for.

    Raises:
        NotLifted: It has the name of something that generated code uses, or is a scalar of a type
            that Python does not have.
    """
    if p.name in NEEDED:
        raise NotLifted(f"an argument called {p.name}")
    if isinstance(p, Array):
        return stored(p.name, p.dtype, p.shape)
    if p.dtype == "int64":
        return position(affine.symbol(p.name))
    if p.dtype not in ("bool", "float64", "complex128"):
        raise NotLifted(f"the scalar argument {p.name} is a {p.dtype}")
    return scalar_value(Variable(p.name, p.dtype), weak=True)


def size_names(contract: Contract, avoided: AbstractSet[str] = frozenset()) -> dict[str, str]:
    """Names of dims and int arguments in the program; a dim must not be called like an argument.

    Args:
        contract: The contract.
        avoided: More names that no dim may have.
    """
    taken = {a.name for a in contract.arguments} | {o.name for o in contract.outputs}
    taken |= RESERVED | avoided
    names = {a.name: a.name for a in contract.arguments if a.dtype == "int64" and not a.is_array}
    for dim in contract.dims:
        name = dim
        while name in taken:
            name += "_"
        taken.add(name)
        names[dim] = name
    return names


def parameters_of(contract: Contract, names: Mapping[str, str]) -> tuple[Array | Scalar, ...]:
    """Inputs and outputs in the calling order."""
    found: list[Array | Scalar] = []
    parts: tuple[Argument | Output, ...] = (*contract.arguments, *contract.outputs)
    for part in parts:
        if part.dims is None:
            found.append(Scalar(part.name, part.dtype))
            continue
        shape = tuple(extent_of(dim, names) for dim in part.dims)
        found.append(Array(part.name, part.dtype, shape))
    return tuple(found)


def extent_of(dim: str, names: Mapping[str, str]) -> Affine:
    """An extent over names in the program."""
    parsed = parse_dim(dim)
    return affine.linear({names[n]: c for n, c in parsed.terms}, parsed.constant)


def sizes_of(
    contract: Contract, parameters: tuple[Array | Scalar, ...], names: Mapping[str, str]
) -> tuple[Size, ...]:
    """How each dim follows from the shapes of the inputs, solved one after the other."""
    known = {p.name for p in parameters if isinstance(p, Scalar)}
    wanted = [names[dim] for dim in contract.dims]
    inputs = [p for p in parameters if isinstance(p, Array)][: _input_arrays(contract)]
    axes = [(p.name, k, extent) for p in inputs for k, extent in enumerate(p.shape)]
    found: list[Size] = []
    while set(wanted) - known:
        for array, axis, extent in axes:
            unknown = [n for n in extent.names if n not in known]
            if len(unknown) == 1:
                factor = affine.factor_of(extent, unknown[0])
                rest = affine.minus(extent, affine.linear({unknown[0]: factor}))
                found.append(Size(unknown[0], array, axis, rest, factor))
                known.add(unknown[0])
                break
        else:
            raise NotLifted(f"the dims {sorted(set(wanted) - known)} do not follow from shapes")
    return tuple(found)


def _input_arrays(contract: Contract) -> int:
    return sum(a.is_array for a in contract.arguments)
