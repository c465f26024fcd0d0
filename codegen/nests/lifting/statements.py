"""Lift the statements of a reference."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from outpace.codegen.nests import affine
from outpace.codegen.nests.ir import Jump
from outpace.codegen.nests.lifting.aliasing import Functions, writes_arguments
from outpace.codegen.nests.lifting.builder import Builder
from outpace.codegen.nests.lifting.control import Control
from outpace.codegen.nests.lifting.elementwise import same_elements, where
from outpace.codegen.nests.lifting.expressions import Expressions, augmented
from outpace.codegen.nests.lifting.indexing import subscript
from outpace.codegen.nests.lifting.names import Frame, Names
from outpace.codegen.nests.lifting.returns import with_one_return
from outpace.codegen.nests.lifting.scopes import Types, assignments, converted_to
from outpace.codegen.nests.lifting.stores import store
from outpace.codegen.nests.lifting.values import Lifted, Selection, Value, position
from outpace.errors import NotLifted


class Statements(Control):
    """Lifts function bodies into a builder.

    Args:
        builder: Takes the statements.
        functions: The reference and its helpers.
        modules: Captured modules, local name to module name.
        constants: Captured constants.
        assumed: Types of scalar variables found by an earlier pass.
    """

    def __init__(
        self,
        builder: Builder,
        functions: Functions,
        modules: Mapping[str, str],
        constants: Mapping[str, Any],
        assumed: Types,
    ) -> None:
        expressions = Expressions(builder, modules, constants, self._call)
        super().__init__(builder, expressions, Names(builder, expressions, functions, assumed))
        self._functions = functions
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
        body = with_one_return(function, self._at)
        counts = assignments(function.args, *body)
        local_names = self._expressions.local_names
        self._expressions.local_names = set(counts)
        names.frame = Frame(function, counts)
        names.environment = dict(arguments)
        try:
            for statement in body:
                if isinstance(statement, ast.Return):
                    self._at(statement)
                    value = statement.value
                    return None if value is None else self._expressions.lift(value)
                self._statement(statement, body)
            return None
        finally:
            if outer[0] is not None:
                outer[0].owned.update(names.frame.owned)
                names.frame = outer[0]
            names.environment, names.made = outer[1], outer[2]
            self._expressions.local_names = local_names

    # --- Helpers --------------------------------------------------------------------------------

    def _call(self, node: ast.Call, name: str, arguments: list[Lifted]) -> Lifted:
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
            for p, a in self._matched(function, arguments, node).items()
        }
        self._depth += 1
        alone, self._alone = self._alone, None
        result = self.run(function, passed)
        self._alone = alone
        self._depth -= 1
        self._builder.line = line
        return self._names.settled(result, name)

    def _matched(
        self, function: ast.FunctionDef, arguments: list[Lifted], node: ast.Call
    ) -> dict[str, Lifted]:
        """Arguments of a helper by the names of its parameters."""
        a = function.args
        names = [p.arg for p in (*a.posonlyargs, *a.args)]
        if a.vararg or a.kwarg or a.kwonlyargs or len(arguments) > len(names):
            raise NotLifted(f"a call of {function.name} with these parameters")
        found: dict[str, Lifted] = dict(
            zip(names[len(names) - len(a.defaults) :], map(self._default, a.defaults), strict=True)
        )
        found |= dict(zip(names, arguments, strict=False))
        found |= {k.arg: self._expressions.lift(k.value) for k in node.keywords if k.arg}
        if set(found) != set(names):
            raise NotLifted(f"a call of {function.name} with these arguments")
        return found

    def _default(self, node: ast.expr) -> Lifted:
        if not isinstance(node, ast.Constant):
            raise NotLifted("a default that is not a literal")
        return self._expressions.lift(node)

    def _at(self, node: ast.stmt) -> None:
        if self._depth == 0:
            self._builder.line = node.lineno

    # --- Statements -----------------------------------------------------------------------------

    def _statement(self, node: ast.stmt, block: Sequence[ast.stmt]) -> None:  # noqa: C901, PLR0912  (a dispatch)
        self._at(node)
        self._names.made = len(self._builder.shapes)
        match node:
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
            case ast.If(test=test, body=body, orelse=orelse):
                self._if(test, body, orelse)
            case ast.With(items=items, body=body) if all(map(_only_quiets, items)):
                for statement in body:
                    self._statement(statement, body)
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=ast.Call() as call):
                self._procedure(call)
            case ast.Break():
                self._builder.emit(Jump.BREAK)
            case ast.Continue():
                self._builder.emit(Jump.CONTINUE)
            case _:
                raise NotLifted(f"`{ast.unparse(node).splitlines()[0]}`")

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
        if isinstance(left, Selection):
            self._store_selected(left.source, left.mask, result)
        elif isinstance(left, Value) and isinstance(result, Value):
            store(self._builder, left, result)
        else:
            raise NotLifted(f"an update of `{ast.unparse(target)}`")

    def _procedure(self, call: ast.Call) -> None:
        """A call for its effect: of a helper, with `out=`, or of a method that fills."""
        out = [k for k in call.keywords if k.arg == "out"]
        if out:
            rest = [k for k in call.keywords if k.arg != "out"]
            plain = ast.copy_location(ast.Call(call.func, call.args, rest), call)
            self._store_whole(self._expressions.value(out[0].value), self._expressions.lift(plain))
            return
        match call:
            case ast.Call(func=ast.Attribute(value=owner, attr="fill"), args=[value], keywords=[]):
                self._store_whole(self._expressions.value(owner), self._expressions.lift(value))
            case ast.Call(
                func=ast.Attribute(value=ast.Name(), attr="copyto"), args=[to, value], keywords=[]
            ):
                self._store_whole(self._expressions.value(to), self._expressions.lift(value))
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
        view = self._expressions.subscript(target.value, target.slice)
        if isinstance(view, Selection):
            self._store_selected(view.source, view.mask, value)
        elif isinstance(view, Value) and isinstance(value, Value):
            store(self._builder, view, value)
        else:
            raise NotLifted(f"an assignment to `{ast.unparse(target)}`")

    def _store_selected(self, base: Value, mask: Value, value: Lifted) -> None:
        """`base[mask] = value` for a scalar, or for elements that the same mask selects."""
        if isinstance(value, Selection):
            if not same_elements(value.mask, mask):
                raise NotLifted("a masked assignment of elements that another mask selects")
            value = value.source
        elif not isinstance(value, Value) or value.is_array:
            raise NotLifted("a masked assignment of anything but a scalar or masked elements")
        store(self._builder, base, where(mask, converted_to(value, base.dtype), base))


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
