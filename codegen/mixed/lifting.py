"""Lift a run of statements to a program of its own."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from outpace.codegen.mixed.guessing import Guess, Known
from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.effects import effects_of
from outpace.codegen.nests.ir import Array, Program, Reshape, Scalar
from outpace.codegen.nests.lift import extent_of
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.polynomial import Polynomial
from outpace.codegen.nests.lifting.results import deliver
from outpace.codegen.nests.lifting.subject import Body, Subject
from outpace.codegen.nests.lifting.values import Lifted, Value
from outpace.codegen.source import SourceClosure
from outpace.errors import NotLifted
from outpace.model import Contract, Output


@dataclass(frozen=True)
class Result:
    """A variable that a part gives a value.

    Attributes:
        name: In the source.
        array: The parameter that holds it afterwards; of shape (1,) for a scalar.
        scalar: Whether it is one.
        weak: Whether that is a Python number.
    """

    name: str
    array: Array
    scalar: bool
    weak: bool


@dataclass(frozen=True)
class Part:
    """A run of statements that is lifted.

    Attributes:
        statements: As they are in the source.
        program: Its parameters are sizes, what is read, results, and where it returns the outputs.
        guess: What is read.
        results: Variables that it gives a value.
        written: Arrays that it writes in place.
        returns: Whether its last statement is the return of the function.
    """

    statements: Sequence[ast.stmt]
    program: Program
    guess: Guess
    results: tuple[Result, ...]
    written: tuple[str, ...]
    returns: bool


@dataclass(frozen=True)
class Given:
    """What parts are lifted from.

    Attributes:
        function: The source of the reference.
        closure: Helpers, constants and modules.
        contract: Of the reference.
        known: What holds anywhere in the function.
        equal: Sizes that equal products of others.
        reserved: Names that generated code may not use otherwise.
    """

    function: ast.FunctionDef
    closure: SourceClosure
    contract: Contract
    known: Known
    equal: Mapping[str, Polynomial]
    reserved: frozenset[str]


def lift_part(
    given: Given,
    run: Sequence[ast.stmt],
    guess: Guess,
    names: Sequence[str],
    *,
    returns: bool,
) -> Part:
    """Lift some statements of a function.

    Args:
        given: The function and what is known of it.
        run: Statements that follow each other.
        guess: What the names that they read stand for.
        names: Variables whose values are needed afterwards.
        returns: Whether the last statement is the return of the function.

    Raises:
        NotLifted: A statement cannot be expressed, or one of the variables could not be handed
            over so that nothing changes; the line is that in the text of the function.
    """
    return _Lifting(given, run, guess, names, returns=returns).part()


class _Lifting:
    """Lifts one part; see `lift_part`."""

    def __init__(
        self,
        given: Given,
        run: Sequence[ast.stmt],
        guess: Guess,
        names: Sequence[str],
        *,
        returns: bool,
    ) -> None:
        self._given = given
        self._run = run
        self._guess = guess
        self._names = names
        self._returns = returns
        self._found: list[Result] = []
        self._outputs: tuple[Output, ...] = ()
        self._written: tuple[str, ...] = ()

    def part(self) -> Part:
        body = self._subject().lifted(self._deliver)
        guess = self._guess
        used = effects_of(body, {}).uses
        sizes = [Scalar(n, "int64") for n in guess.sizes if n in used]
        results = [r.array for r in self._found]
        outputs = [_array(o, self._given.known) for o in self._outputs]
        parameters: tuple[Array | Scalar, ...] = (
            *sizes, *guess.scalars, *guess.arrays, *results, *outputs
        )  # fmt: skip
        filled = tuple(a.name for a in (*results, *outputs))
        program = Program("part", parameters, filled, (), body)
        return Part(
            self._run, program, guess, tuple(self._found), self._written, returns=self._returns
        )

    def _subject(self) -> Subject:
        given, guess, last = self._given, self._guess, self._run[-1]
        body = list(self._run)
        if self._names:
            values: list[ast.expr] = [ast.Name(n, ast.Load()) for n in self._names]
            end = ast.copy_location(ast.Return(ast.Tuple(values, ast.Load())), last)
            body.append(ast.fix_missing_locations(end))
        function = ast.parse(f"def part({', '.join(guess.arguments)}): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = body
        taken = given.reserved | set(guess.sizes) | set(guess.arguments)
        read_only = {a.name for a in given.contract.arguments if not a.mutated}
        read_only &= set(given.known.arrays)
        return Subject(
            function,
            given.closure,
            tuple(guess.arrays),
            guess.arguments,
            frozenset(taken),
            frozenset(guess.sizes),
            guess.lower,
            given.equal,
            frozenset({a.name for a in guess.arrays} - read_only),
            given.contract.reproducible,
            library=True,
        )

    def _deliver(self, builder: Builder, returned: Lifted) -> Body:
        if self._returns:
            self._outputs = tuple(
                msgspec.structs.replace(o, name=builder.fresh(o.name))
                for o in self._given.contract.outputs
            )
            arrays = [_array(o, self._given.known) for o in self._outputs]
            body = deliver(builder, arrays, self._outputs, returned)
        else:
            values = returned if isinstance(returned, tuple) else ()
            self._found = _results_of(builder, self._names, values)
            outputs = [Output(r.array.name, r.array.dtype, (), r.scalar) for r in self._found]
            body = deliver(builder, [r.array for r in self._found], outputs, values)
        stored = effects_of(body, _memory(body)).writes
        self._written = tuple(a.name for a in self._guess.arrays if a.name in stored)
        return body


def _results_of(builder: Builder, names: Sequence[str], values: Sequence[Lifted]) -> list[Result]:
    """Parameters for the variables that a part gives a value.

    Raises:
        NotLifted: A variable is no number or array, may share memory with something else that is
            still there, or has an extent that is not known before the part.
    """
    found: list[Result] = []
    memory: set[str] = set()
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Value) or len(value.possible) > 1:
            raise NotLifted(f"{name} is neither a number nor an array")
        if value.storage is not None and value.is_array:
            own = builder.memory(value.storage)
            shown = builder.is_parameter(own) or own in memory or value.storage in builder.uncertain
            if shown:
                raise NotLifted(f"{name} may share its memory")
            memory.add(own)
        if any(n not in builder.parameters for extent in value.shape for n in extent.names):
            raise NotLifted(f"the extents of {name} follow from values")
        shape = value.shape if value.is_array else (affine.ONE,)
        array = Array(builder.fresh(f"new_{name}"), value.dtype, shape)
        found.append(Result(name, array, not value.is_array, value.weak))
    return found


def _array(output: Output, known: Known) -> Array:
    shape = tuple(extent_of(dim, known.sizes) for dim in output.dims)
    return Array(output.name, output.dtype, (affine.ONE,) if output.scalar else shape)


def _memory(body: Body) -> dict[str, str]:
    """Arrays that other names stand for."""
    found: dict[str, str] = {}
    for s in walk.statements(body):
        if isinstance(s, Reshape):
            found[s.array.name] = found.get(s.base, s.base)
    return found
