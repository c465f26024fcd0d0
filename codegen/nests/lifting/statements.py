"""Lift the statements of a reference."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from outpace.codegen.nests import affine, walk
from outpace.codegen.nests.ir import Apply, Cast, Constant, Jump, Op, Position
from outpace.codegen.nests.lifting.aliasing import (
    Functions,
    writes_arguments,
    written_in_place,
)
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.control import Control
from outpace.codegen.nests.lifting.elementwise import same_elements, spread, where
from outpace.codegen.nests.lifting.expressions import Expressions, augmented
from outpace.codegen.nests.lifting.indexing import subscript
from outpace.codegen.nests.lifting.inner import Inner, free_names, inner_function
from outpace.codegen.nests.lifting.names import Frame, Names
from outpace.codegen.nests.lifting.returns import Departure, with_one_return
from outpace.codegen.nests.lifting.scopes import Types, assignments, converted_to
from outpace.codegen.nests.lifting.shaping import diagonal
from outpace.codegen.nests.lifting.stores import scatter, store
from outpace.codegen.nests.lifting.values import Lifted, Selection, Value, position
from outpace.errors import NotLifted


class Statements(Control):
    """Lifts function bodies into a builder.

    Args:
        builder: Takes the statements.
        functions: The reference and its helpers.
        captured: What captured modules, and functions of them, stand for.
        constants: Captured constants.
        assumed: Types of scalar variables found by an earlier pass.
    """

    def __init__(
        self,
        builder: Builder,
        functions: Functions,
        captured: Mapping[str, Lifted],
        constants: Mapping[str, Any],
        assumed: Types,
    ) -> None:
        expressions = Expressions(builder, captured, constants, self._call)
        self._functions = dict(functions)
        names = Names(builder, expressions, self._functions, assumed)
        super().__init__(builder, expressions, names)
        self._inner: dict[str, Inner] = {}
        self._depth = 0
        self._alone: ast.expr | None = None

    @property
    def types(self) -> Types:
        """Types of scalar variables."""
        return self._names.types

    def run(self, function: ast.FunctionDef, arguments: Mapping[str, Lifted]) -> Lifted:
        """Lift a function body; what it returns."""
        names = self._names
        outer = getattr(names, "frame", None), names.environment, names.made
        body = with_one_return(function)
        counts = assignments(function.args, *body)
        local_names, kept = self._expressions.local_names, self._expressions.kept
        self._expressions.kept = {}
        self._expressions.local_names = frozenset(counts)
        names.frame = Frame(function, counts, caller=outer[0])
        self._register(function)
        names.environment = dict(arguments)
        try:
            for statement in body:
                if isinstance(statement, ast.Return):
                    self._at(statement)
                    return self._returned(statement.value)
                self._statement(statement, body)
            return None
        finally:
            if outer[0] is not None:
                outer[0].owned.update(names.frame.owned)
                names.frame = outer[0]
            names.environment, names.made = outer[1], outer[2]
            self._expressions.local_names, self._expressions.kept = local_names, kept

    def _returned(self, value: ast.expr | None) -> Lifted:
        self._alone = value
        lifted = None if value is None else self._expressions.lift(value)
        self._alone = None
        return lifted

    # --- Helpers --------------------------------------------------------------------------------

    def _register(self, function: ast.FunctionDef) -> None:
        """Functions that a function defines for itself, before anything else is lifted."""
        for s in function.body:
            self._at(s)
            inner = inner_function(s)
            if inner is None:
                continue
            known = self._inner.get(inner.name)
            again = inner.name in self._functions and (known is None or known.written is not s)
            if again or self._names.frame.counts[inner.name] > isinstance(s, ast.Assign):
                raise NotLifted(f"{inner.name} is a function and something else")
            self._expressions.local_names -= {inner.name}
            self._functions[inner.name] = inner
            self._inner[inner.name] = Inner(s, self._names.frame, free_names(inner, function))

    def _is_registered(self, node: ast.stmt) -> bool:
        return any(inner.written is node for inner in self._inner.values())

    def _around(self, name: str, node: ast.Call) -> dict[str, Lifted]:
        """What a function that is defined inside another sees of that one's variables."""
        inner = self._inner.get(name)
        if inner is None or not inner.free:
            return {}
        if inner.frame is not self._names.frame:
            raise NotLifted(f"a call of {name}, which sees variables of another function")
        written = set(written_in_place(self._functions[name], self._functions))
        if node is not self._alone and written & inner.free:
            raise NotLifted(f"a call of {name}, which writes variables, inside an expression")
        environment = self._names.environment
        return {n: environment[n] for n in inner.free if n in environment}

    def _call(
        self,
        node: ast.Call,
        name: str,
        arguments: list[Lifted],
        keywords: Mapping[str, Lifted],
    ) -> Lifted:
        """Lift the call of a helper in place."""
        function = self._functions.get(name)
        if function is None:
            raise NotLifted(f"a call of {name}")
        if self._depth > 8:
            raise NotLifted(f"a call of {name}, which calls itself")
        if node is not self._alone and writes_arguments(function, self._functions):
            raise NotLifted(f"a call of {name}, which writes its arguments, inside an expression")
        line = self._builder.line
        passed = {
            p: self._names.settled(a, p)
            for p, a in self._matched(function, arguments, keywords).items()
        }
        around = self._around(name, node)
        self._depth += 1
        alone, self._alone = self._alone, None
        result = self.run(function, around | passed)
        self._alone = alone
        self._depth -= 1
        self._builder.line = line
        return self._names.settled(result, name)

    def _matched(
        self,
        function: ast.FunctionDef,
        arguments: list[Lifted],
        keywords: Mapping[str, Lifted],
    ) -> dict[str, Lifted]:
        """Arguments of a helper by the names of its parameters."""
        a = function.args
        names = [p.arg for p in (*a.posonlyargs, *a.args)]
        if a.vararg or a.kwarg or len(arguments) > len(names):
            raise NotLifted(f"a call of {function.name} with these parameters")
        given = dict(zip(names, arguments, strict=False))
        named = {p.arg for p in (*a.args, *a.kwonlyargs)}
        if set(keywords) - named or set(keywords) & set(given):
            raise NotLifted(f"a call of {function.name} with these arguments")
        defaults = dict(zip(names[len(names) - len(a.defaults) :], a.defaults, strict=True))
        kept = zip(a.kwonlyargs, a.kw_defaults, strict=True)
        defaults |= {p.arg: d for p, d in kept if d is not None}
        given |= keywords
        given |= {n: self._default(d) for n, d in defaults.items() if n not in given}
        if set(given) != {*names, *named}:
            raise NotLifted(f"a call of {function.name} with these arguments")
        return given

    def _default(self, node: ast.expr) -> Lifted:
        """A default, which was evaluated where the helper is defined, outside of any function."""
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if names & (self._expressions.local_names | set(self._names.environment)):
            raise NotLifted("a default with the name of a local variable")
        if any(isinstance(part, ast.Call) for part in ast.walk(node)):
            raise NotLifted("a default that calls a function")
        return self._expressions.lift(node)

    def _at(self, node: ast.stmt) -> None:
        if self._depth == 0:
            self._builder.line = node.lineno

    # --- Statements -----------------------------------------------------------------------------

    def _statement(self, node: ast.stmt, block: Sequence[ast.stmt]) -> None:  # noqa: C901, PLR0912  (a dispatch)
        self._at(node)
        self._names.made = len(self._builder.shapes)
        match node:
            case ast.FunctionDef() | ast.Assign(value=ast.Lambda()) if self._is_registered(node):
                pass  # known since the function around it began
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value, block, node)
            case ast.AnnAssign(target=target, value=value):
                if value is not None:
                    self._assign([target], value, block, node)
            case ast.AugAssign(target=target, op=op, value=value):
                self._augment(target, op, value, block, node)
            case ast.For():
                self._for(node)
            case ast.While(test=test, body=body, orelse=[]):
                self._while(test, body)
            case ast.With(items=items, body=body) if all(map(_only_quiets, items)):
                for statement in body:
                    self._statement(statement, body)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Assert(test=test) | ast.If(test=test, body=[ast.Raise()], orelse=[]):
                self._guard(test)
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(test, body, orelse)
            case ast.Delete(targets=targets) if all(isinstance(t, ast.Name) for t in targets):
                for name in assignments(node):
                    self._names.forget(name)
            case ast.Expr(value=ast.Call() as call):
                self._procedure(call)
            case Departure(kept=kept):
                self._names.depart(kept)
                self._builder.emit(Jump.BREAK)
            case ast.Break():
                self._builder.emit(Jump.BREAK)
            case ast.Continue():
                self._builder.emit(Jump.CONTINUE)
            case _:
                raise NotLifted(f"`{ast.unparse(node).splitlines()[0]}`")

    def _guard(self, test: ast.expr) -> None:
        """A condition on sizes: where it does not hold, the reference raises and is served."""
        condition = self._expressions.condition(test)
        sizes = self._builder.parameters
        leaves = [e for e in walk.expressions(condition) if not isinstance(e, Apply | Cast)]
        known = all(
            isinstance(e, Constant) or (isinstance(e, Position) and set(e.value.names) <= sizes)
            for e in leaves
        )
        if not known:
            raise NotLifted("it may raise, as values decide")

    def _assign(
        self, targets: list[ast.expr], node: ast.expr, block: Sequence[ast.stmt], at: ast.stmt
    ) -> None:
        first = targets[0]
        self._builder.hint = first.id if isinstance(first, ast.Name) else "array"
        if len(targets) == 1 and isinstance(first, ast.Tuple) and self._swapped(first, node):
            return
        self._alone = node
        value = self._expressions.lift(node)
        self._alone = None
        several = len(targets) > 1 or isinstance(first, ast.Tuple)
        if several:
            value = self._names.settled(value, self._builder.hint)
        for target in targets:
            self._assign_one(target, value, block, at)

    def _assign_one(
        self, target: ast.expr, value: Lifted, block: Sequence[ast.stmt], at: ast.stmt
    ) -> None:
        match target:
            case ast.Name(id=name):
                self._names.bind(name, value, block, at)
            case ast.Tuple(elts=parts):
                if isinstance(value, Value):
                    value = self._rows(value, len(parts))
                if not isinstance(value, tuple) or len(value) != len(parts):
                    raise NotLifted("an assignment to a tuple from something else")
                for part, one in zip(parts, value, strict=True):
                    self._assign_one(part, one, block, at)
            case ast.Subscript():
                self._store_item(target, value)
            case _:
                raise NotLifted(f"an assignment to `{ast.unparse(target)}`")

    def _rows(self, value: Value, count: int) -> tuple[Lifted, ...]:
        """The parts of an array whose first extent is known."""
        if not value.shape or value.shape[0] != affine.constant(count):
            raise NotLifted("an assignment to a tuple from an array of another length")
        places = [position(affine.constant(k)) for k in range(count)]
        return tuple(subscript(self._builder, value, [place]) for place in places)

    def _augment(
        self,
        target: ast.expr,
        op: ast.operator,
        value: ast.expr,
        block: Sequence[ast.stmt],
        at: ast.stmt,
    ) -> None:
        kind, function = augmented(op)
        self._builder.hint = "array"
        if isinstance(target, ast.Name):
            right = self._expressions.lift(value)
            left = self._expressions.lift(target)
            result = self._expressions.binary(kind, function, left, right)
            if isinstance(left, Value) and left.is_array and isinstance(result, Value):
                store(self._builder, left, result)
            else:
                self._names.bind(target.id, result, block, at)
            return
        if not isinstance(target, ast.Subscript):
            raise NotLifted(f"an assignment to `{ast.unparse(target)}`")
        right = self._expressions.lift(value)
        left = self._expressions.subscript(target.value, target.slice)
        result = self._expressions.binary(kind, function, left, right)
        self._store_part(target, left, result)

    def _procedure(self, call: ast.Call) -> None:
        """A call for its effect: of a helper, with `out=`, or of a method that fills."""
        out, plain = _destination(call)
        if out is not None:
            self._store_whole(self._expressions.value(out), self._expressions.lift(plain))
            return
        match call:
            case ast.Call(func=ast.Attribute(value=owner, attr="fill"), args=[value], keywords=[]):
                self._store_whole(self._expressions.value(owner), self._expressions.lift(value))
            case ast.Call(
                func=ast.Attribute(value=ast.Name(), attr="copyto"), args=[to, value], keywords=[]
            ):
                self._store_whole(self._expressions.value(to), self._expressions.lift(value))
            case ast.Call(
                func=ast.Attribute(value=ast.Name(), attr="fill_diagonal"),
                args=[to, value],
                keywords=[],
            ):
                along = diagonal(self._builder, self._expressions.value(to))
                self._store_whole(along, self._expressions.lift(value))
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="add" | "subtract" as op), attr="at"),
                args=[to, index, value],
                keywords=[],
            ):
                array = self._expressions.value(to)
                items = self._expressions.items(index)
                scatter(self._builder, array, items, self._expressions.value(value), Op(op))
            case _:
                self._alone = call
                self._expressions.lift(call)
                self._alone = None

    def _store_whole(self, target: Value, value: Lifted) -> None:
        if not isinstance(value, Value) or not target.is_array:
            raise NotLifted("a call that writes something else than numbers into an array")
        store(self._builder, target, value)

    def _swapped(self, target: ast.Tuple, value: ast.expr) -> bool:
        """Whether the statement exchanges whole arrays among their own names."""
        names = [t.id for t in target.elts if isinstance(t, ast.Name)]
        if not isinstance(value, ast.Tuple) or len(names) < len(target.elts):
            return False
        sources = [p.id for p in value.elts if isinstance(p, ast.Name)]
        return self._names.exchange(names, sources, len(value.elts))

    # --- Stores ---------------------------------------------------------------------------------

    def _store_item(self, target: ast.Subscript, value: Lifted) -> None:
        match target.slice:
            case ast.List(elts=places) | ast.Tuple(elts=[ast.List(elts=places), *_]) if _whole_rows(
                target.slice
            ):
                self._store_listed(target.value, places, value)
                return
            case _:
                pass
        view = self._expressions.subscript(target.value, target.slice)
        self._store_part(target, view, value)

    def _store_part(self, target: ast.Subscript, view: Lifted, value: Lifted) -> None:
        """Write what a subscript shows."""
        if isinstance(view, Selection):
            self._store_selected(view.source, view.mask, value)
        elif not isinstance(view, Value) or not isinstance(value, Value):
            raise NotLifted(f"an assignment to `{ast.unparse(target)}`")
        elif view.storage is None:
            base = self._expressions.value(target.value)
            scatter(self._builder, base, self._expressions.items(target.slice), value)
        else:
            store(self._builder, view, value)

    def _store_listed(self, base: ast.expr, places: list[ast.expr], value: Lifted) -> None:
        """`base[[i, j]] = value`: one part after the other."""
        array = self._expressions.value(base)
        indices = [self._expressions.lift(place) for place in places]
        whole = self._names.settled(value, "parts")
        if not isinstance(whole, Value) or any(not isinstance(i, Value) for i in indices):
            raise NotLifted("an assignment to listed parts of something else than numbers")
        if whole.storage is not None and whole is value:
            whole = self._builder.materialised(whole, "parts")
        for k, index in enumerate(indices):
            part = whole
            if len(whole.shape) == len(array.shape):
                fits = whole.shape[0] in (affine.ONE, affine.constant(len(indices)))
                if not fits:
                    raise NotLifted("an assignment to listed parts from an array of another length")
                place = 0 if whole.shape[0] == affine.ONE else k
                part = subscript(self._builder, whole, [position(affine.constant(place))])
            store(self._builder, subscript(self._builder, array, [index]), part)

    def _store_selected(self, base: Value, mask: Value, value: Lifted) -> None:
        """`base[mask] = value` for one row, or for what the same mask selects."""
        if isinstance(value, Selection):
            if not same_elements(value.mask, mask):
                raise NotLifted("a masked assignment of elements that another mask selects")
            value = value.source
            if len(value.shape) != len(base.shape):
                raise NotLifted("a masked assignment of rows to elements, or the reverse")
        elif not isinstance(value, Value):
            raise NotLifted("a masked assignment of anything but numbers")
        elif len(value.shape) > len(base.shape) - len(mask.shape):
            raise NotLifted("a masked assignment of an array that is not masked")
        chosen = spread(mask, base.shape)
        store(self._builder, base, where(chosen, converted_to(value, base.dtype), base))


def _whole_rows(index: ast.expr) -> bool:
    """Whether nothing but whole axes comes after the first item of an index."""
    rest = index.elts[1:] if isinstance(index, ast.Tuple) else []
    return all(ast.unparse(part) in (":", "...") for part in rest)


def _destination(call: ast.Call) -> tuple[ast.expr | None, ast.Call]:
    """Where a call writes its result, if it says so, and the call without that."""
    given, rest = list(call.args), [k for k in call.keywords if k.arg != "out"]
    out = next((k.value for k in call.keywords if k.arg == "out"), None)
    match call.func:
        case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name) if out is None:
            inputs = _INPUTS.get(name, getattr(getattr(np, name, None), "nin", len(given)))
            if len(given) == inputs + 1:
                out = given.pop()
        case _:
            pass
    return out, ast.copy_location(ast.Call(call.func, given, rest), call)


_INPUTS = {"dot": 2, "clip": 3}
"""How many arguments come before `out`, of functions that are no ufuncs."""


def _only_quiets(item: ast.withitem) -> bool:
    """Whether a context is `np.errstate(...)` that at most says what is not warned of."""
    match item:
        case ast.withitem(
            context_expr=ast.Call(
                func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="errstate"),
                args=[],
                keywords=keywords,
            ),
            optional_vars=None,
        ):
            values = [k.value for k in keywords]
            return all(isinstance(v, ast.Constant) and v.value in _QUIET for v in values)
        case _:
            return False


_QUIET = ("ignore", "warn")
"""What NumPy does about a division by zero and its like that changes no result."""
