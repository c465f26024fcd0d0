"""What the source of a function says about the flow of its names."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

Block = Sequence[ast.stmt]
Names = frozenset[str]
_REFLECTIVE = frozenset({"locals", "vars", "globals", "eval", "exec", "dir", "__import__", "super"})
"""Functions that can see or change names in ways that the source does not show."""


def unsplittable(function: ast.FunctionDef) -> str | None:
    """Why a function is not split, or None."""
    reasons = (_obstacle(n, function.name) for n in ast.walk(function) if n is not function)
    return next((reason for reason in reasons if reason is not None), None)


def _obstacle(node: ast.AST, own: str) -> str | None:  # noqa: PLR0911  (a dispatch)
    """Why no function is split in which this occurs, or None."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return f"it defines {node.name} inside"
        case ast.Global() | ast.Nonlocal():
            return "it changes variables from outside"
        case ast.Match() | ast.ExceptHandler(name=str()):
            return "names are bound by a pattern or a handler"
        case ast.Yield() | ast.YieldFrom() | ast.Await():
            return "it is no plain function"
        case ast.Attribute(ctx=ast.Store() | ast.Del(), attr=attr):
            return f"it changes the attribute {attr}"
        case ast.Name(id=name, ctx=ast.Load()) if name in _REFLECTIVE | {own}:
            return f"it uses {name}"
        case _:
            return None


def local_names(function: ast.FunctionDef) -> Names:
    """The variables of a function; those of comprehensions inside are not among them."""
    module = symtable.symtable(ast.unparse(function), "<reference>", "exec")
    table = next(t for t in module.get_children() if t.get_name() == function.name)
    return frozenset(s.get_name() for s in table.get_symbols() if s.is_local())


def loaded(*nodes: ast.AST) -> Names:
    """Names that need a value: those that are read, updated or deleted."""
    return frozenset().union(*map(_loaded, nodes))


@lru_cache(maxsize=4096)
def _loaded(node: ast.AST) -> Names:
    parts = list(ast.walk(node))
    found = {n.id for n in parts if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Store)}
    augmented = [n.target for n in parts if isinstance(n, ast.AugAssign)]
    return frozenset(found | {t.id for t in augmented if isinstance(t, ast.Name)})


def bound(*nodes: ast.AST) -> Names:
    """Names that are bound, deleted or updated."""
    return frozenset().union(*map(_bound, nodes))


@lru_cache(maxsize=4096)
def _bound(node: ast.AST) -> Names:
    parts = list(ast.walk(node))
    names = {n.id for n in parts if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    imported = {n.asname or n.name.partition(".")[0] for n in parts if isinstance(n, ast.alias)}
    return frozenset(names | imported)


def rebound(*nodes: ast.AST) -> Names:
    """Names that are bound other than by `x += 1` alone, which may write an array in place."""
    parts = [part for node in nodes for part in ast.walk(node)]
    updated = {id(n.target) for n in parts if isinstance(n, ast.AugAssign)}
    others = [n for n in parts if id(n) not in updated]
    stored = {n.id for n in others if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return frozenset(stored | bound(*(n for n in others if isinstance(n, ast.alias))))


def surely_bound(block: Block) -> Names:
    """Names that have a value after a block that had none before, whatever path was taken."""
    names: set[str] = set()
    for s in block:
        match s:
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign(value=ast.expr()):
                targets = s.targets if isinstance(s, ast.Assign) else [s.target]
                names |= bound(*targets)
            case ast.If():
                names |= surely_bound(s.body) & surely_bound(s.orelse)
            case ast.With() if _is_quiet(s):
                names |= surely_bound(s.body)
            case ast.Try(handlers=[]):
                names |= surely_bound([*s.body, *s.orelse, *s.finalbody])
            case _:
                names -= deleted(s)
    return frozenset(names)


def deleted(*nodes: ast.AST) -> Names:
    """Names that may be deleted."""
    return frozenset().union(*map(_deleted, nodes))


@lru_cache(maxsize=4096)
def _deleted(node: ast.AST) -> Names:
    return frozenset(name for n in ast.walk(node) if isinstance(n, ast.Delete) for name in bound(n))


def exposed(block: Block, known: AbstractSet[str] = frozenset()) -> Names:
    """Names whose value from before a block may be read in it.

    Args:
        block: The statements.
        known: Names that were bound in the block so far.
    """
    known, found = set(known), set[str]()
    for s in block:
        found |= _exposed_by(s, frozenset(known))
        known |= surely_bound([s])
    return frozenset(found)


def _exposed_by(s: ast.stmt, known: Names) -> Names:
    match s:
        case ast.For():
            inner = known | bound(s.target)
            bodies = exposed(s.body, inner) | exposed(s.orelse, known)
            return (loaded(s.iter, s.target) - known) | bodies
        case ast.With() if _is_quiet(s):
            return (loaded(*s.items) - known) | exposed(s.body, known)
        case ast.While():
            return (loaded(s.test) - known) | exposed(s.body, known) | exposed(s.orelse, known)
        case ast.If():
            return (loaded(s.test) - known) | exposed(s.body, known) | exposed(s.orelse, known)
        case _:
            return loaded(s) - known


def _is_quiet(s: ast.With) -> bool:
    """Whether it is `with np.errstate(...)`, which ends no exception."""
    return all(ast.unparse(i.context_expr).startswith("np.errstate(") for i in s.items)


def jumps(block: Block) -> bool:
    """Whether a block may leave, or go on with, a loop around it."""
    for s in block:
        if isinstance(s, ast.Break | ast.Continue):
            return True
        inner = [s.orelse] if isinstance(s, ast.For | ast.While) else list(_blocks(s))
        if any(jumps(each) for each in inner):
            return True
    return False


def returns(*nodes: ast.AST) -> bool:
    """Whether there is a return."""
    return any(isinstance(n, ast.Return) for node in nodes for n in ast.walk(node))


def _blocks(s: ast.stmt) -> Iterator[Block]:
    for field in ("body", "orelse", "finalbody"):
        yield getattr(s, field, [])
    for part in (*getattr(s, "handlers", []), *getattr(s, "cases", [])):
        yield part.body


def statements(block: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, those before what they hold."""
    for s in block:
        yield s
        for inner in _blocks(s):
            yield from statements(inner)
