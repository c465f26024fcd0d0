"""One kernel: its parameters, what it makes of them first, and the arguments of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from outpace.codegen.dims import Affine
from outpace.codegen.nests import walk
from outpace.codegen.nests.c.scopes import assigned_in, is_fresh
from outpace.codegen.nests.cuda.expressions import DeviceExpressions, cuda_type
from outpace.codegen.nests.cuda.functions import CUDA_TYPES
from outpace.codegen.nests.cuda.memory import Memory
from outpace.codegen.nests.cuda.parameters import CHOICES
from outpace.codegen.nests.cuda.scalars import Scalars
from outpace.codegen.nests.cuda.threads import indented
from outpace.codegen.nests.ir import Expression, Load, Loop, Nest, Range, Statement
from outpace.errors import NotLifted

Body = tuple[Statement, ...]


@dataclass
class Signature:
    """What a kernel is given.

    Attributes:
        parameters: In C++, in order.
        arguments: What the plan passes for each.
        first: Lines that give scalars their values.
    """

    parameters: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def text(self, name: str, threads: str, body: Sequence[str]) -> str:
        """The kernel.

        Args:
            name: Of the kernel.
            threads: Threads of a block, in the source.
            body: Its statements.
        """
        head = f'extern "C" __global__ void __launch_bounds__({threads})'
        lines = [head, f"{name}({', '.join(self.parameters)})", "{"]
        return "\n".join([*lines, *indented([*self.first, *body]), "}"])


class Signatures:
    """Finds what kernels need.

    Args:
        memory: Of the plan.
        scalars: Known by now.
        expressions: Writes expressions.
        prefix: Begins the names of cells.
    """

    def __init__(
        self, memory: Memory, scalars: Scalars, expressions: DeviceExpressions, prefix: str
    ) -> None:
        self._memory = memory
        self._scalars = scalars
        self._expressions = expressions
        self._prefix = prefix

    def cell(self, name: str) -> str:
        """The name of the array that a scalar is kept in."""
        return f"{self._prefix}{name}"

    def of(
        self,
        body: Body,
        ranges: Iterable[Range],
        cells: Iterable[str] | None = None,
        extents: Iterable[Affine] = (),
    ) -> Signature:
        """The signature of a kernel that executes a body for every index of these ranges.

        Args:
            body: Statements.
            ranges: Around them.
            cells: Scalars that the body assigns for other kernels, declared by the caller; None
                where the body is that of a nest, whose scalars are its own.
            extents: Integers that the kernel needs besides.

        Raises:
            NotLifted: A scalar has no value here that the plan or a kernel could know.
        """
        found = Signature()
        ranges = tuple(ranges)
        own = self._own(body, ranges, cells)
        needed = walk.scalars_read(body)
        needed |= {name for extent in extents for name in extent.names}
        needed |= {name for r in ranges for name in r.extent.names}
        read = {load.array for load in walk.loads(body)} | self._loaded(needed - own)
        written = {store.array for store in walk.stores(body)}
        for array in sorted(read | written):
            self._add_array(found, array, read | written, written)
        for name in sorted(cells or ()):
            kind = CUDA_TYPES[self._scalars.cells[name]]
            self._add(found, f"{kind} *__restrict__ {self.cell(name)}", self.cell(name))
        seen: set[str] = set()
        for name in sorted((needed | self._extents(read | written)) - own - set(CHOICES)):
            self._add_scalar(found, name, seen)
        return found

    def _extents(self, arrays: set[str]) -> set[str]:
        """Names in the extents of arrays that their elements are found by."""
        shapes = [self._memory.arrays[array].shape[1:] for array in arrays]
        return {n for shape in shapes for extent in shape for n in extent.names}

    def _loaded(self, names: set[str]) -> set[str]:
        """Arrays of which the kernel computes some of these scalars."""
        values = [self._scalars.values[name] for name in names if name in self._scalars.values]
        found = {e.array for v in values for e in walk.expressions(v) if isinstance(e, Load)}
        parts = {name for v in values for name in walk.names_in(v)}
        return found | self._loaded(parts) if parts else found

    def _own(self, body: Body, ranges: Iterable[Range], cells: Iterable[str] | None) -> set[str]:
        """Names that have their values in the kernel."""
        names = walk.indices(body) | {r.name for r in ranges} | set(cells or ())
        names |= {s.name for s in walk.statements(body) if isinstance(s, Loop)}
        blocks = [s.body for s in walk.statements(body) if isinstance(s, Nest)]
        if cells is None:
            blocks.append(body)
        else:
            names |= set(assigned_in(body))
        for block in blocks:
            for name in assigned_in(block):
                if self._scalars.is_outer(name) and not is_fresh(name, block):
                    raise NotLifted(f"{name}, which a kernel gets and changes, in CUDA")
                names.add(name)
        return names

    def _add(self, found: Signature, parameter: str, argument: str) -> None:
        found.parameters.append(parameter)
        found.arguments.append(argument)

    def _add_array(self, found: Signature, array: str, used: set[str], written: set[str]) -> None:
        const = "" if array in written else "const "
        alone = "" if self._memory.shares(array, used) else "__restrict__ "
        kind = CUDA_TYPES[self._memory.arrays[array].dtype]
        if kind.startswith("complex"):
            self._expressions.functions.complex_types.add(kind)
        self._add(found, f"{const}{kind} *{alone}{array}", self._memory.name(array))

    def _add_scalar(self, found: Signature, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        scalars = self._scalars
        if name in scalars.parameters:
            own, dtype = scalars.parameters[name]
            self._add(found, f"{CUDA_TYPES[dtype]} {name}", own)
        elif name in scalars.known:
            text = scalars.known[name]
            is_argument = any(text == own for own, _ in scalars.parameters.values())
            self._add(found, f"int64_t {name}", f"{text} + 0" if is_argument else text)
        elif name in scalars.values:
            value = scalars.values[name]
            for part in sorted(walk.names_in(value)):
                self._add_scalar(found, part, seen)
            found.first.append(self._constant(name, value))
        elif name in scalars.cells:
            dtype, cell = scalars.cells[name], self.cell(name)
            self._add(found, f"const {CUDA_TYPES[dtype]} *__restrict__ {cell}", cell)
            found.first.append(f"const {cuda_type(dtype)} {name} = *{cell};")
        else:
            raise NotLifted(f"{name}, whose value the launch plan does not know, in CUDA")

    def _constant(self, name: str, value: Expression) -> str:
        return f"const {cuda_type(value.dtype)} {name} = {self._expressions.text(value)};"
