"""Programs in JAX's form: functional, compiled by `jax.jit` with integer arguments static.

NumPy source is ported mechanically: statements that write into arrays become updates that bind the
name anew, and loops become `lax` loops where their bodies can be traced once. What a user of JAX
would write otherwise is in `ports/jax`.
"""

from __future__ import annotations

import ast
from itertools import count

from outpace.codegen.reference import Reference
from peers.forms import Form, hand_port, head_of, integer_names, plain_functions

_LOOPS = '''
_UNROLLED = 4
_LONGEST = 128


def _loop(start, stop, step, body, state):
    """A loop by `lax`; unrolled where it is short, or where its body needs the plain index."""
    try:
        rounds = range(start, stop, step)
    except TypeError:  # its limits depend on the index of a loop around it
        if step != 1:
            raise
        return _lax.fori_loop(start, stop, body, state)
    if len(rounds) > _UNROLLED:
        try:
            return _lax.fori_loop(
                0, len(rounds), lambda i, s: body(start + step * i, s), state
            )
        except Exception:
            if len(rounds) > _LONGEST:
                raise
    for i in rounds:
        state = body(i, state)
    return state
'''
_PROGRAM = """import jax
import numpy

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")

from ported import {name} as function

_function = jax.jit(function, static_argnames={static!r})


def program(*given):
    returned = jax.block_until_ready(_function(*given))
    parts = returned if isinstance(returned, tuple) else (returned,)
    return tuple(numpy.asarray(part) for part in parts)
"""


def jax_forms(reference: Reference) -> list[Form]:
    """The reference ported mechanically, and a port by hand where there is one."""
    name = reference.written.__name__
    texts = {"ported": ported(reference)}
    port = hand_port("jax", name)
    if port is not None:
        texts["by hand"] = port
    program = _PROGRAM.format(name=name, static=tuple(integer_names(reference)))
    return [
        Form("jax", label, {"ported.py": text, "program.py": program}, functional=True)
        for label, text in texts.items()
    ]


def ported(reference: Reference) -> str:
    """The reference and its helpers as functions on JAX arrays.

    The program returns the new values of mutated arguments, then what it returned. A helper that
    writes into its arguments is not carried over rightly; verification finds that.
    """
    closure = reference.closure
    functions = plain_functions(closure)
    mutated = [a.name for a in reference.contract.mutated]
    texts = [
        functional(text, mutated if name == closure.name else [])
        for name, text in functions.items()
    ]
    head = head_of(closure).replace("import numpy as", "import jax.numpy as")
    texts = [text.replace("np.ndarray(", "np.empty(") for text in texts]  # no constructor there
    return "\n\n".join([f"from jax import lax as _lax\n{head}", _LOOPS, *texts])


def functional(text: str, mutated: list[str]) -> str:
    """One function with every write into an array as an update.

    Args:
        text: The function, without annotations.
        mutated: Parameters whose new values it is to return first.
    """
    tree = ast.parse(text)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    known = {a.arg for a in function.args.args}
    body = _Porter(mutated).block(function.body, known)
    if mutated and not (body and isinstance(body[-1], ast.Return)):
        body.append(_statement(f"return {_tuple(mutated)}"))
    function.body = body
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Porter:
    """Rewrites the statements of one function, which it numbers loops for."""

    def __init__(self, mutated: list[str]) -> None:
        self._mutated = mutated
        self._numbers = count()

    def block(self, body: list[ast.stmt], known: set[str]) -> list[ast.stmt]:
        """Statements in place of others; adds the names that they bind to `known`."""
        found: list[ast.stmt] = []
        for statement in body:
            found += self._ported(statement, known)
            known |= _bound([statement])
        return found

    def _ported(self, statement: ast.stmt, known: set[str]) -> list[ast.stmt]:
        found = [statement]
        match statement:
            case ast.Assign(targets=targets, value=value) if any(
                isinstance(target, ast.Subscript) for target in targets
            ):
                found = self._stores(targets, value)
            case ast.AugAssign(target=ast.Subscript() as target, op=op, value=value):
                found = [_update(target, ast.BinOp(_loaded(target), op, value))]
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                changed = ast.BinOp(ast.Name(name, ast.Load()), op, value)
                found = [ast.Assign([ast.Name(name, ast.Store())], changed)]
            case ast.For(iter=ast.Call(func=ast.Name(id="range"), args=limits)):
                found = self._loop(statement, limits, known)
            case ast.If():
                statement.body = self.block(statement.body, set(known))
                statement.orelse = self.block(statement.orelse, set(known))
            case ast.Return(value=value) if self._mutated:
                parts = value.elts if isinstance(value, ast.Tuple) else [value] if value else []
                names: list[ast.expr] = [ast.Name(name, ast.Load()) for name in self._mutated]
                found = [ast.Return(ast.Tuple([*names, *parts], ast.Load()))]
        return found

    def _stores(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        if len(targets) == 1:
            return [_update(targets[0], value)]
        name = f"_value_{next(self._numbers)}"
        first = ast.Assign([ast.Name(name, ast.Store())], value)
        return [first, *(_update(target, ast.Name(name, ast.Load())) for target in targets)]

    def _loop(self, loop: ast.stmt, limits: list[ast.expr], known: set[str]) -> list[ast.stmt]:
        """A function for the body, and a call that runs it; the state is what it binds anew."""
        assert isinstance(loop, ast.For)
        number = next(self._numbers)
        index = ast.unparse(loop.target)
        state = _tuple(sorted(_bound(loop.body) & known))
        body = self.block(loop.body, known | {index})
        function = _statement(f"def _body_{number}({index}, _state):\n    {state} = _state")
        assert isinstance(function, ast.FunctionDef)
        function.body += [*body, _statement(f"return {state}")]
        texts = [ast.unparse(limit) for limit in limits]
        start, stop, step = {
            1: lambda: ("0", texts[0], "1"),
            2: lambda: (texts[0], texts[1], "1"),
            3: lambda: (texts[0], texts[1], texts[2]),
        }[len(texts)]()
        call = f"{state} = _loop({start}, {stop}, {step}, _body_{number}, {state})"
        return [function, _statement(call)]


def _update(target: ast.expr, value: ast.expr) -> ast.stmt:
    """`a[i] = v` as `a = a.at[i].set(v)`; a plain target stays as it is."""
    if not isinstance(target, ast.Subscript):
        return ast.Assign([target], value)
    name = target.value
    place = ast.Subscript(ast.Attribute(name, "at", ast.Load()), target.slice, ast.Load())
    changed = ast.Call(ast.Attribute(place, "set", ast.Load()), [value], [])
    return ast.Assign([ast.Name(ast.unparse(name), ast.Store())], changed)


def _loaded(target: ast.Subscript) -> ast.expr:
    return ast.Subscript(target.value, target.slice, ast.Load())


def _bound(body: list[ast.stmt]) -> set[str]:
    """Names that statements bind, or write into."""
    found: set[str] = set()
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found |= {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
    return found


def _tuple(names: list[str]) -> str:
    return f"({''.join(f'{name}, ' for name in names)})"


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]
