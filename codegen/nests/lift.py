"""Lift a reference to a program of loop nests."""

from __future__ import annotations

import ast
import inspect
import keyword
import textwrap
from collections.abc import Mapping

from outpace.codegen.dims import Affine, parse_dim
from outpace.codegen.nests import affine
from outpace.codegen.nests.bounds import Bounds, contract_bounds
from outpace.codegen.nests.ir import Array, Program, Scalar, Size, Variable
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.polynomial import equalities
from outpace.codegen.nests.lifting.results import deliver
from outpace.codegen.nests.lifting.scopes import Types
from outpace.codegen.nests.lifting.statements import Statements
from outpace.codegen.nests.lifting.values import Lifted, position, scalar_value, stored
from outpace.codegen.nests.numba.vector_math import HELPERS
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted
from outpace.model import Argument, Contract, Output

_NEEDED = HELPERS | {"np", "numba", "range", "abs", "min", "max"}
"""Names that generated code uses, so that no argument may have them."""
_RESERVED = _NEEDED | {"kernel", *keyword.kwlist}


def lift(reference: Reference, *, library: bool = False) -> Program:
    """The reference as loop nests, not yet optimised.

    Args:
        reference: The reference.
        library: Leave large matrix products and functions of linear algebra to NumPy.

    Raises:
        NotLifted: A statement cannot be expressed; names the line and the reason.
        ContractError: The annotation is missing or wrong.
    """
    types: Types = {}
    for _ in range(4):  # scalars that change their type need one more pass each
        attempt = _Attempt(reference, types, library=library)
        program = attempt.program()
        if attempt.types == types:
            return program
        types = attempt.types
    raise NotLifted("the types of its scalar variables do not settle")


class _Attempt:
    """One pass over a reference with assumed types of scalar variables."""

    def __init__(self, reference: Reference, types: Types, *, library: bool) -> None:
        contract = reference.contract
        closure = reference.closure
        self._reference = reference
        self._contract = contract
        self._names = _size_names(contract)
        self._parameters = _parameters(contract, self._names)
        bounds = Bounds(contract_bounds(contract, self._names))
        self._builder = Builder(
            _RESERVED | {p.name for p in self._parameters} | set(self._names.values()),
            set(self._names.values()),
            bounds,
            equal=equalities(contract.where, self._names),
            writable={a.name for a in contract.mutated},
            reproducible=contract.reproducible,
            library=library,
        )
        for p in self._parameters:
            if isinstance(p, Array):
                self._builder.shapes[p.name] = p.shape
        functions = {n: _function(text) for n, text in closure.functions.items()}
        self._statements = Statements(
            self._builder,
            functions,
            closure.modules,
            closure.constants,
            types,
        )

    @property
    def types(self) -> Types:
        """Types that scalar variables turned out to have."""
        return self._statements.types

    def program(self) -> Program:
        """Lift the body and hand its results to the output parameters."""
        function = _function(self._reference.closure.functions[self._reference.closure.name])
        outputs = tuple(o.name for o in self._contract.outputs)
        arguments = {p.name: _argument(p) for p in self._parameters if p.name not in outputs}
        try:
            returned = self._statements.run(function, arguments)
            body = deliver(self._builder, self._parameters, self._contract.outputs, returned)
        except NotLifted as error:
            if error.line is not None or self._builder.line is None:
                raise
            line = self._builder.line + _line_offset(self._reference)
            raise NotLifted(error.reason, line) from error
        sizes = _sizes(self._contract, self._parameters, self._names)
        return Program(self._reference.fn.__name__, self._parameters, outputs, sizes, body)


def _function(text: str) -> ast.FunctionDef:
    node = ast.parse(textwrap.dedent(text)).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


def _line_offset(reference: Reference) -> int:
    """Lines before the `def` of the function in its file, less one."""
    lines, first = inspect.getsourcelines(reference.fn)
    node = ast.parse(textwrap.dedent("".join(lines))).body[0]
    return first + node.lineno - 2


def _argument(p: Array | Scalar) -> Lifted:
    if p.name in _NEEDED:
        raise NotLifted(f"an argument called {p.name}")
    if isinstance(p, Array):
        return stored(p.name, p.dtype, p.shape)
    if p.dtype == "int64":
        return position(affine.symbol(p.name))
    if p.dtype not in ("bool", "float64", "complex128"):
        raise NotLifted(f"the scalar argument {p.name} is a {p.dtype}")
    return scalar_value(Variable(p.name, p.dtype), weak=True)


def _size_names(contract: Contract) -> dict[str, str]:
    """Names of dims and int arguments in the program; a dim must not be called like an argument."""
    taken = {a.name for a in contract.arguments} | {o.name for o in contract.outputs} | _RESERVED
    names = {a.name: a.name for a in contract.arguments if a.dtype == "int64" and not a.is_array}
    for dim in contract.dims:
        name = dim
        while name in taken:
            name += "_"
        taken.add(name)
        names[dim] = name
    return names


def _parameters(contract: Contract, names: Mapping[str, str]) -> tuple[Array | Scalar, ...]:
    found: list[Array | Scalar] = []
    parts: tuple[Argument | Output, ...] = (*contract.arguments, *contract.outputs)
    for part in parts:
        if part.dims is None:
            found.append(Scalar(part.name, part.dtype))
            continue
        shape = tuple(_extent(dim, names) for dim in part.dims)
        found.append(Array(part.name, part.dtype, shape))
    return tuple(found)


def _extent(dim: str, names: Mapping[str, str]) -> Affine:
    parsed = parse_dim(dim)
    return affine.linear({names[n]: c for n, c in parsed.terms}, parsed.constant)


def _sizes(
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
