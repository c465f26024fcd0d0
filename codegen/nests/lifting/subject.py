"""A function with what is known of its arguments, and the passes that lift it."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from outpace.codegen.nests.bounds import Bounds
from outpace.codegen.nests.ir import Array, Scalar, Statement
from outpace.codegen.nests.lifting.aliasing import keeps_order
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.members import captured
from outpace.codegen.nests.lifting.polynomial import Polynomial
from outpace.codegen.nests.lifting.returned import without_returned_arguments
from outpace.codegen.nests.lifting.scopes import Types
from outpace.codegen.nests.lifting.statements import Statements
from outpace.codegen.nests.lifting.values import Lifted
from outpace.codegen.source import SourceClosure
from outpace.errors import NotLifted

Parameters = tuple[Array | Scalar, ...]
Body = tuple[Statement, ...]
Deliver = Callable[[Builder, Lifted], Body]
"""Gives the finished body from what the function returns."""


@dataclass(frozen=True)
class Subject:
    """What is lifted.

    Attributes:
        function: The statements; lines are counted as in the text of the closure.
        closure: Helpers, constants and modules.
        arrays: The arrays that there are at first, outputs included.
        arguments: What the parameters of the function stand for.
        reserved: Names that generated code may not use otherwise.
        sizes: Names of integers that are known before the function starts.
        lower: Lower bounds of sizes.
        equal: Sizes that equal products of others.
        writable: Arrays that may be written.
        reproducible: Whether float sums may not be reordered.
        library: Whether large matrix products and the like become library calls.
    """

    function: ast.FunctionDef
    closure: SourceClosure
    arrays: tuple[Array, ...]
    arguments: Mapping[str, Lifted]
    reserved: frozenset[str]
    sizes: frozenset[str]
    lower: Mapping[str, int]
    equal: Mapping[str, Polynomial]
    writable: frozenset[str]
    reproducible: bool
    library: bool

    def lifted(self, deliver: Deliver) -> Body:
        """The body of the program.

        Raises:
            NotLifted: A statement cannot be expressed; the line is that of `function`.
        """
        types: Types = {}
        for _ in range(4):  # scalars that change their type need one more pass each
            body, found = self._attempt(types, deliver)
            if found == types:
                return body
            types = found
        raise NotLifted("the types of its scalar variables do not settle")

    def _attempt(self, types: Types, deliver: Deliver) -> tuple[Body, Types]:
        """One pass with assumed types of scalar variables, and the types that they had."""
        builder = Builder(
            self.reserved,
            self.sizes,
            Bounds(dict(self.lower)),
            equal=self.equal,
            writable=self.writable,
            reproducible=self.reproducible,
            library=self.library,
        )
        for array in self.arrays:
            builder.shapes[array.name] = array.shape
        closure = self.closure
        written = {name: definition(text) for name, text in closure.functions.items()}
        functions = {n: without_returned_arguments(f, written) for n, f in written.items()}
        function = without_returned_arguments(self.function, written)
        builder.in_order = all(keeps_order(f) for f in (function, *functions.values()))
        names = captured(closure.modules, closure.imports)
        statements = Statements(builder, functions, names, closure.constants, types)
        try:
            returned = statements.run(function, self.arguments)
            return deliver(builder, returned), statements.types
        except NotLifted as error:
            if error.line is not None or builder.line is None:
                raise
            raise NotLifted(error.reason, builder.line) from error


def definition(text: str) -> ast.FunctionDef:
    """The function that a text defines."""
    node = ast.parse(textwrap.dedent(text)).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node
