"""What the names of a function stand for while it is lifted.

An array variable is a name for memory: a fresh expression is stored into an array of its own when
it is bound, a view stays a view. A name that is bound again inside a loop keeps its memory, so that
it means the same array in every iteration.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from outpace.codegen.nests.ir import Assign, Constant, Position, Rebind, Variable
from outpace.codegen.nests.lifting import aliasing
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.expressions import Expressions
from outpace.codegen.nests.lifting.scopes import (
    Types,
    assignments,
    is_rebound,
    is_variable,
    storage_of,
    variable_value,
)
from outpace.codegen.nests.lifting.stores import store
from outpace.codegen.nests.lifting.values import Lifted, Selection, Value, cast, position
from outpace.errors import NotLifted


@dataclass
class Frame:
    """What belongs to one call of a function.

    Attributes:
        function: Its source.
        counts: How often each name is assigned.
        caller: The call around it, where it is that of a helper.
        owned: Arrays that were made here.
        carried: Names that were bound before the loops and branches around this place.
        names: Scalar variables by the name in the source.
    """

    function: ast.FunctionDef
    counts: Counter[str]
    caller: Frame | None
    owned: set[str] = field(default_factory=set)
    carried: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)


class Names:
    """Binds names to values.

    Args:
        builder: Takes the statements.
        expressions: Holds the environment.
        functions: The reference and its helpers.
        types: Types of scalar variables that an earlier pass found.

    Attributes:
        frame: The current function.
        made: How many arrays there were before the current statement.
    """

    def __init__(
        self,
        builder: Builder,
        expressions: Expressions,
        functions: Mapping[str, ast.FunctionDef],
        types: Types,
    ) -> None:
        self._builder = builder
        self._expressions = expressions
        self._functions = functions
        self.types: Types = dict(types)
        self.frame: Frame
        self.made = 0

    @property
    def environment(self) -> dict[str, Lifted]:
        """Every name that stands for something here."""
        return self._expressions.environment

    @environment.setter
    def environment(self, environment: dict[str, Lifted]) -> None:
        self._expressions.environment = environment

    # --- Binding --------------------------------------------------------------------------------

    def bind(self, name: str, lifted: Lifted, block: Sequence[ast.stmt], node: ast.stmt) -> None:
        """`name = value`, as the statement `node` of a block says."""
        if isinstance(lifted, Value) and lifted.is_array:
            self._bind_array(name, lifted, block, node)
        elif isinstance(lifted, Value):
            self._bind_scalar(name, lifted)
        elif name in self.frame.carried and self.environment.get(name) != lifted:
            raise NotLifted(f"{name} changes what it is inside a loop or branch")
        else:
            self.environment[name] = self.settled(lifted, name)

    def forget(self, name: str) -> None:
        """`del name`."""
        if name not in self.environment:
            raise NotLifted(f"{name} is deleted, and may have no value")
        if name in self.frame.carried:
            raise NotLifted(f"{name} is deleted inside a loop or branch")
        del self.environment[name]

    def _bind_array(
        self, name: str, value: Value, block: Sequence[ast.stmt], node: ast.stmt
    ) -> None:
        self._check_certain(name, value)
        if name in self.frame.carried:
            self._keep_memory(name, value, block, node)
            return
        if value.storage is None:
            value = self._builder.materialised(value, name)
        assert value.storage is not None
        if not self._builder.is_parameter(value.storage):
            self.frame.owned.add(value.storage)
        self.environment[name] = value

    def _keep_memory(
        self, name: str, value: Value, block: Sequence[ast.stmt], node: ast.stmt
    ) -> None:
        """Store into the memory that a name has, or exchange it with that of the value."""
        old = self.environment.get(name)
        if isinstance(old, Value) and old.storage and not self._shares(value, old):
            self._forget_views(name, old)
        same = isinstance(old, Value) and (old.shape, old.dtype) == (value.shape, value.dtype)
        if not same or not isinstance(old, Value) or not self.is_private(name):
            raise NotLifted(f"{name} becomes another array inside a loop or branch")
        if not self.is_fresh(value):
            function, functions = self.frame.function, self._functions
            if aliasing.is_fresh_copy_safe(function, functions, block, node):
                if self._exchanged(name, value):
                    return
            elif not self._is_copy_safe(self._sharing(name, value)):
                raise NotLifted(f"{name} becomes another name of an array that is written in place")
        store(self._builder, old, value)

    def _forget_views(self, name: str, old: Value) -> None:
        """Drop names of the old contents; one that is used again is then unknown, and refused."""
        for other, lifted in list(self.environment.items()):
            if other != name and other not in self.frame.carried and self._shares(lifted, old):
                del self.environment[other]

    def _exchanged(self, name: str, value: Value) -> bool:
        """Whether the memory of two arrays changed places, as one of them is no longer used."""
        others = [n for n, v in self.environment.items() if self._shares(v, value)]
        both_private = all(self.is_private(n) for n in (name, *others))
        if len(others) != 1 or others[0] in self.frame.carried or not both_private:
            return False
        old, new = storage_of(self.environment[name]), storage_of(value)
        self._builder.emit(Rebind((old, new), (new, old)))
        self.environment[others[0]] = self.environment[name]
        return True

    def exchange(self, names: Sequence[str], sources: Sequence[str], count: int) -> bool:
        """Whether names exchange the whole arrays that they stand for, which is done here.

        Raises:
            NotLifted: They do, but something else would notice.
        """
        found = [self.environment.get(n) for n in sources]
        arrays = [v for v in found if isinstance(v, Value) and v.is_array]
        if not arrays or sorted(sources) != sorted(names) or len(arrays) < count:
            return False
        targets = [self.environment[n] for n in names]
        same = len({(v.dtype, v.shape) for v in arrays}) == 1
        if not same or not all(self.is_private(n) for n in names):
            raise NotLifted("exchanged arrays that differ in shape, are arguments or have views")
        old, new = (tuple(storage_of(v) for v in values) for values in (targets, arrays))
        self._builder.emit(Rebind(old, new))
        return True

    def _bind_scalar(self, name: str, value: Value) -> None:
        if self.frame.counts[name] == 1:
            if value.weak and value.dtype == "int64":
                self.environment[name] = position(self._builder.size(value.scalar, name))
                return
            if isinstance(value.scalar, Constant):
                self.environment[name] = value
                return
        again = name in self.environment and name not in self.frame.carried
        if again or name not in self.frame.names:  # what came before may be of another type
            self.frame.names[name] = self._builder.fresh(name)
        variable = self.frame.names[name]
        self.types[variable] = self.types.get(variable, frozenset()) | value.possible
        held = variable_value(variable, self.types[variable])
        self._builder.emit(Assign(variable, cast(value.scalar, held.dtype)))
        self.environment[name] = held

    def settled(self, lifted: Lifted, name: str) -> Lifted:
        """A value as it is now, whatever is written later; views stay views."""
        if isinstance(lifted, tuple):
            return tuple(self.settled(part, name) for part in lifted)
        if isinstance(lifted, Selection):
            return Selection(self._copied(lifted.source, name), self._copied(lifted.mask, name))
        if not isinstance(lifted, Value):
            return lifted
        if not lifted.is_array:
            return self._settled_scalar(lifted, name)
        self._check_certain(name, lifted)
        return lifted if lifted.storage else self._builder.materialised(lifted, name)

    def _copied(self, value: Value, name: str) -> Value:
        """An array that no later statement changes."""
        if value.storage and self._builder.is_constant(value.storage):
            return value
        return self._builder.materialised(value, name)

    def _settled_scalar(self, value: Value, name: str) -> Value:
        if value.weak and value.dtype == "int64" and not value.kinds:
            return position(self._builder.size(value.scalar, name))
        return value if isinstance(value.scalar, Position) else self._held(value, name)

    def depart(self, kept: Mapping[str, str]) -> None:
        """Keep the values of variables of a loop, which is left here, under other names."""
        for name, new in kept.items():
            value = self.environment.get(name)
            if isinstance(value, Value) and value.is_array and self._builder.lasts(value):
                self._expressions.kept[new] = value
            elif isinstance(value, Value) and not value.is_array:
                self._expressions.kept[new] = self._held(value, new)

    def _held(self, value: Value, name: str) -> Value:
        """A scalar as it is now."""
        if isinstance(value.scalar, Constant):
            return value
        named = self._builder.named(value.scalar, name)
        return Value(named.dtype, (), lambda _: named, value.weak, kinds=value.kinds)

    # --- Memory ---------------------------------------------------------------------------------

    def is_fresh(self, value: Value) -> bool:
        """Whether an array was made by the current statement, so that no name holds it."""
        if value.storage is None:
            return True
        memory = self._builder.memory(value.storage)
        return list(self._builder.shapes).index(memory) >= self.made

    def is_private(self, name: str) -> bool:
        """Whether a name is all of an array made here that no other name can see."""
        value = self.environment.get(name)
        if not isinstance(value, Value) or value.storage not in self.frame.owned:
            return False
        seen = [n for n, v in self.environment.items() if self._shares(v, value)]
        return seen == [name] and self._builder.is_whole(value)

    def _sharing(self, name: str, value: Value) -> set[str]:
        return {name, *(n for n, v in self.environment.items() if self._shares(v, value))}

    def _is_copy_safe(self, names: set[str]) -> bool:
        """Whether neither this function writes these names in place, nor those that called it."""
        frame = self.frame
        is_safe = aliasing.is_copy_safe(frame.function, self._functions, names)
        while is_safe and frame.caller is not None:
            helper, frame = frame.function, frame.caller
            is_safe = aliasing.is_call_safe(frame.function, helper, self._functions)
        return is_safe

    def _check_certain(self, name: str, value: Value) -> None:
        """Refuse a name for what may be a view or a copy, where that makes a difference.

        Raises:
            NotLifted: It does.
        """
        shown = self._builder.uncertain.get(value.storage or "")
        if shown is None:
            return
        held = {n for n, v in self.environment.items() if self._is_in(v, shown)}
        if not self._is_copy_safe({name, *held}):
            raise NotLifted(f"{name} becomes what may be a view or a copy")

    def _shares(self, lifted: Lifted, value: Value) -> bool:
        """Whether a value is in the same memory as an array."""
        return value.storage is not None and self._is_in(lifted, value.storage)

    def _is_in(self, lifted: Lifted, array: str) -> bool:
        """Whether a value is in the memory of an array."""
        memory = self._builder.memory(array)
        return any(self._builder.memory(s) == memory for s in _storages(lifted))

    # --- Loops and branches ---------------------------------------------------------------------

    def prepare(self, body: Sequence[ast.stmt]) -> None:
        """Make variables that a block assigns ready to be assigned any number of times."""
        body = list(body)
        for name in assignments(*body):
            value = self.environment.get(name)
            if not isinstance(value, Value):
                continue
            if value.is_array and not self.is_private(name) and is_rebound(name, body):
                self._separate(name, value)
            elif not value.is_array and not self._is_variable_of(name, value):
                self.frame.counts[name] += 1  # it varies, so it needs a variable
                self._bind_scalar(name, value)

    def _is_variable_of(self, name: str, value: Value) -> bool:
        """Whether a scalar is the variable of this name, and not one of the caller's."""
        scalar = value.scalar
        return isinstance(scalar, Variable) and self.frame.names.get(name) == scalar.name

    def _separate(self, name: str, value: Value) -> None:
        """Give a name a copy of its own, before it becomes other arrays."""
        if value.storage in self._builder.writable:
            raise NotLifted(f"the mutated argument {name} becomes another array")
        names = self._sharing(name, value)
        if not self._is_copy_safe(names):
            raise NotLifted(f"{name} becomes another array, and is written in place as well")
        copy = self._builder.materialised(value, name)
        self.frame.owned.add(storage_of(copy))
        self.environment[name] = copy

    def leave(self, before: Mapping[str, Lifted]) -> None:
        """Forget what was bound in a loop and would depend on its last iteration."""
        self.environment = {
            name: value
            for name, value in self.environment.items()
            if name in before or self.is_private(name) or is_variable(value)
        }

    def may_merge(self, name: str, value: Lifted) -> bool:
        """Whether an array bound in one branch may be copied into memory shared with the other."""
        if not isinstance(value, Value) or not value.is_array or value.storage is None:
            return False
        if self.is_private(name) or self._is_result(name):
            return True
        return self._is_copy_safe(self._sharing(name, value))

    def _is_result(self, name: str) -> bool:
        """Whether a name holds what the reference returns, after which nothing is written."""
        written = (part.id for part in ast.walk(self.frame.function) if isinstance(part, ast.Name))
        return self.frame.caller is None and name not in written


def _storages(lifted: Lifted) -> Iterator[str]:
    """Arrays that a value shows."""
    if isinstance(lifted, tuple):
        for part in lifted:
            yield from _storages(part)
    elif isinstance(lifted, Selection):
        yield from (*_storages(lifted.source), *_storages(lifted.mask))
    elif isinstance(lifted, Value) and lifted.storage is not None:
        yield lifted.storage
