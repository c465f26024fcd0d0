"""Write a reference that is lifted in parts as a Python function over functions for Numba."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from outpace.codegen.dims import Affine
from outpace.codegen.mixed import flow
from outpace.codegen.mixed.guessing import Guess
from outpace.codegen.mixed.lifting import Part
from outpace.codegen.mixed.parts import Around, Piece, Stays
from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Program, Size
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_functions, numpy_name, size_text
from outpace.codegen.nests.numba.segments import has_library_calls, segmented_functions
from outpace.codegen.source import without_annotations

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference

_ASKING = '''\
def is_array(x, dtype, *extents):
    """Whether x is a plain array of this type and these extents; None stands for any."""
    return (
        type(x) is np.ndarray
        and x.dtype == dtype
        and x.ndim == len(extents)
        and all(n is None or n == x.shape[k] for k, n in enumerate(extents))
    )


def is_apart(x, *others):
    """Whether x can be written, and no element of it is one of another array or twice its own."""
    flags = x.flags
    return flags.forc and flags.writeable and not any(np.may_share_memory(x, y) for y in others)'''


class Writing:
    """Writes one module.

    Args:
        reference: What is drafted.
        function: Its source.
        sizes: How each dim follows from the arguments.
        form: Optimises the program of each part.
        options: How to compile the parts.
    """

    def __init__(
        self,
        reference: Reference,
        function: ast.FunctionDef,
        sizes: Sequence[Size],
        form: Callable[[Program], Program],
        options: NumbaOptions,
    ) -> None:
        self._contract = reference.contract
        self._closure = reference.closure
        self._sizes = sizes
        self._form = form
        self._options = options
        self._functions: list[str] = []
        self._numbers = itertools.count()
        closure = reference.closure
        self._taken = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
        self._taken |= {a.name for a in self._contract.arguments} | {s.name for s in sizes}
        self._taken |= {*closure.functions, *closure.constants, *closure.imports}
        self._outputs = {o.name: self._fresh(o.name) for o in self._contract.outputs}

    def module(self, pieces: Sequence[Piece]) -> str:
        """The whole text."""
        body = [size_text(s) for s in self._sizes] + self._block(pieces)
        names = [*(a.name for a in self._contract.arguments), *self._outputs.values()]
        kernel = [f"def kernel({', '.join(names)}):", *(f"    {line}" for line in body)]
        closure = self._closure
        imports = dict.fromkeys(["import numba", "import numpy as np", *closure.imports.values()])
        helpers = [
            without_annotations(text).strip()
            for name, text in closure.functions.items()
            if name != closure.name
        ]
        parts = ["\n".join(imports), closure.constants_text(), _ASKING, *helpers]
        parts += [*dict.fromkeys(self._functions), "\n".join(kernel)]
        return "\n\n\n".join(part for part in parts if part) + "\n"

    # --- Pieces ---------------------------------------------------------------------------------

    def _block(self, pieces: Iterable[Piece]) -> list[str]:
        lines = [line for piece in pieces for line in self._piece(piece)]
        return lines or ["pass"]

    def _piece(self, piece: Piece) -> list[str]:
        match piece:
            case Part():
                return self._part(piece)
            case Stays(statement=s, reason=reason):
                why = [] if reason is None else [f"# stays Python: {' '.join(reason.split())}"]
                return [*why, *self._as_it_is(s)]
            case Around(statement=s, body=body, orelse=orelse):
                lines = [*_header(s), *self._inner(body)]
                return [*lines, "else:", *self._inner(orelse)] if orelse else lines

    def _inner(self, pieces: Iterable[Piece]) -> list[str]:
        return [f"    {line}" for line in self._block(pieces)]

    def _as_it_is(self, s: ast.stmt) -> list[str]:
        """A statement of the reference; what it returns is stored instead."""
        if not flow.returns(s):
            return ast.unparse(s).splitlines()
        changed = _Returns(self._stores()).visit(copy.deepcopy(s))
        module = ast.Module(changed if isinstance(changed, list) else [changed], [])
        return ast.unparse(ast.fix_missing_locations(module)).splitlines()

    def _stores(self) -> str:
        """The targets to which a returned value is assigned."""
        outputs = self._contract.outputs
        return ", ".join(f"{self._outputs[o.name]}[{'0' if o.scalar else '...'}]" for o in outputs)

    # --- Parts ----------------------------------------------------------------------------------

    def _part(self, part: Part) -> list[str]:
        """The call of a new function, where the guess holds."""
        name = self._fresh(f"part{next(self._numbers)}")
        program = self._form(part.program)
        if has_library_calls(program):
            self._functions += segmented_functions(program, self._options, name, f"{name}_")
        else:
            self._functions += numba_functions(program, self._options, name)
        lines = self._call(part, name)
        conditions = [*part.guess.conditions, *_apart(part)]
        if not conditions:
            return lines
        known = " and ".join(conditions)
        instead = [line for s in part.statements for line in self._as_it_is(s)]
        inner, other = ([f"    {line}" for line in each] for each in (lines, instead))
        return [f"if {known}:", *inner, "else:", *other]

    def _call(self, part: Part, name: str) -> list[str]:
        places = dict(part.guess.sizes)
        if part.returns:
            places |= zip(part.program.outputs, self._outputs.values(), strict=True)
        lines, after = [], []
        for result in part.results:
            taken = result.scalar or result.name in part.guess.arguments
            place = self._fresh(result.array.name) if taken else result.name
            places[result.array.name] = place
            extents = [_extent(n, part.guess) for n in result.array.shape]
            shape = extents[0] if len(extents) == 1 else f"({', '.join(extents)})"
            lines.append(f"{place} = np.empty({shape}, np.{numpy_name(result.array.dtype)})")
            value = f"{place}[0]" if result.scalar else place
            value += ".item()" if result.scalar and result.weak else ""
            after += [f"{result.name} = {value}"] if taken else []
        given = ", ".join(places.get(p.name, p.name) for p in part.program.parameters)
        return [*lines, f"{name}({given})", *after, *(["return"] if part.returns else [])]

    def _fresh(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


class _Returns(ast.NodeTransformer):
    """Stores values instead of returning them.

    Args:
        targets: To which they are assigned; empty where nothing is returned.
    """

    def __init__(self, targets: str) -> None:
        self._targets = targets

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        end = ast.Return()
        if not self._targets or node.value is None:
            return [end]
        assign = ast.parse(f"{self._targets} = None").body[0]
        assert isinstance(assign, ast.Assign)
        assign.value = node.value
        return [assign, end]


def _header(s: ast.For | ast.While | ast.If) -> list[str]:
    """The lines of a loop or branch before its body."""
    empty = copy.copy(s)
    empty.body, empty.orelse = [ast.Pass()], []
    return ast.unparse(empty).splitlines()[:-1]


def _apart(part: Part) -> list[str]:
    """Conditions under which nothing else shows what the part writes in place.

    Arguments of the reference are known to be apart from each other.
    """
    certain = {a.name for a in part.guess.arrays} - part.guess.unsure
    found = []
    for name in part.written:
        others = {a.name for a in part.guess.arrays} - {name}
        others -= certain if name in certain else set()
        if others or name not in certain:
            found.append(f"is_apart({', '.join([name, *sorted(others)])})")
    return found


def _extent(extent: Affine, guess: Guess) -> str:
    """An extent in Python; one that may be negative stands for 0."""
    places = {n: affine.symbol(guess.sizes[n]) for n in extent.names}
    text = affine.text(affine.substituted(extent, places))
    is_plain = all(c > 0 and guess.lower.get(n, -1) >= 0 for n, c in extent.terms)
    return text if is_plain and extent.constant >= 0 else f"max({text}, 0)"
