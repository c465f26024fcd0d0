"""From what was seen of a function to its reference: text, workloads, recorded inputs."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from outpace.codegen.capture.reading import Obstacle, Reading
from outpace.codegen.capture.sizes import Named, name_dims
from outpace.codegen.capture.watching import Kept, Seen
from outpace.codegen.dims import bind_shapes, parse_dim, shape_of

_PYTHON = {"bool": "bool", "int64": "int", "float64": "float", "complex128": "complex"}


@dataclass(frozen=True)
class Proposal:
    """A reference for a function that was seen.

    Attributes:
        seen: The function.
        name: Name of the reference.
        text: Its definition without the decorator.
        workloads: Sizes by workload.
        mutates: Arguments that are written in place.
        calls: Recorded inputs, cut where they were too large.
        replacement: What the body of the function becomes in the user's file; None where the
            reference takes the place of the whole function.
        notes: Sentences about what was guessed.
    """

    seen: Seen
    name: str
    text: str
    workloads: dict[str, dict[str, int]]
    mutates: tuple[str, ...]
    calls: tuple[dict[str, Any], ...]
    replacement: str | None
    notes: tuple[str, ...]


def propose(seen: Seen, max_bytes: int) -> Proposal:
    """Make a reference of a function.

    Args:
        seen: What was seen of it.
        max_bytes: Size of the recorded inputs; larger calls are cut.

    Raises:
        Obstacle: It cannot be one; the text says why.
    """
    if seen.obstacle is not None:
        raise Obstacle(seen.obstacle)
    if seen.reading is None or not seen.kept:
        raise Obstacle("no call of it was recorded, because it raised or its arrays are too large")
    form = _form(seen.reading, seen.kept)
    kinds = _kinds({n: [c.inputs[n] for c in seen.kept] for n in seen.reading.parameters})
    outputs = _kinds(
        {f"result {i}": [o[i] for o in form.outputs] for i in range(len(form.outputs[0]))}
    )
    inputs = [{n: _cast(c.inputs[n], kinds[n]) for n in kinds} for c in seen.kept]
    name = reference_name(seen.reading)
    named = name_dims(list(zip(inputs, form.outputs, strict=True)), [name])
    sizes = [_sizes(named, call) for call in inputs]
    return Proposal(
        seen,
        name,
        _definition(form, _annotations(kinds, named.inputs), _returns(outputs, named.outputs)),
        _workloads(sizes),
        form.mutates,
        tuple(
            _cut(named, c, s, max_bytes // len(inputs)) for c, s in zip(inputs, sizes, strict=True)
        ),
        _replacement(form) if seen.reading.wrapped else None,
        (*named.notes, *_remarks(seen)),
    )


def reference_name(reading: Reading) -> str:
    """What the reference is called: another name where the function stays and calls it."""
    return f"{reading.name.strip('_')}_kernel" if reading.wrapped else reading.name


@dataclass(frozen=True)
class _Form:
    """How the function gives its results.

    Attributes:
        reading: Of the function.
        copied: Arguments of which it works on a copy.
        written: What it returns after its own results, each with where the caller keeps it.
        mutates: Arguments that it writes in place.
        outputs: Values of its outputs in every recorded call.
    """

    reading: Reading
    copied: tuple[str, ...]
    written: dict[str, str]
    mutates: tuple[str, ...]
    outputs: list[list[Any]]


def _form(reading: Reading, kept: Sequence[Kept]) -> _Form:
    if len({len(call.outputs) for call in kept}) > 1:
        raise Obstacle("it returns different numbers of values; return the same in every call")
    for call in kept:
        if call.overlapping:
            a, b = call.overlapping[0]
            raise Obstacle(
                f"it writes into `{a}` or `{b}`, which are the same memory in some calls; "
                "pass a copy of one of them"
            )
    changed = set().union(*(call.changed for call in kept))
    in_place = {n for n in reading.written if all(n in call.same for call in kept)}
    written = {n: e for n, e in reading.written.items() if n not in in_place}
    aliased = set().union(*(call.aliased for call in kept)) | (changed & set(written))
    own = len(kept[0].outputs) - len(reading.written)
    positions = [own + i for i, n in enumerate(reading.written) if n in written]
    outputs = [[*c.outputs[:own], *(c.outputs[i] for i in positions)] for c in kept]
    if not aliased:
        mutates = tuple(n for n in reading.parameters if n in changed)
        if not mutates and not outputs[0]:
            raise Obstacle("it returns nothing and writes into no argument that was seen to change")
        return _Form(reading, (), written, mutates, outputs)
    filled = [n for n in reading.parameters if n in changed and n not in written]
    if filled:
        raise Obstacle(
            f"it binds an array anew that it was given, and writes into `{filled[0]}` as well; "
            "do one of the two"
        )
    copied = tuple(n for n in reading.parameters if n in changed | aliased)
    return _Form(reading, copied, written, (), outputs)


@dataclass(frozen=True)
class _Kind:
    """The dtype of an argument or output; `is_array` tells arrays from scalars."""

    dtype: str
    is_array: bool


def _kinds(values: Mapping[str, Sequence[Any]]) -> dict[str, _Kind]:
    """What each of these is in all calls.

    Raises:
        Obstacle: It is an array by turns, or of several dtypes.
    """
    found = {}
    for name, seen in values.items():
        if len({isinstance(v, np.ndarray) for v in seen}) > 1:
            raise Obstacle(
                f"`{name}` is an array in some calls and a number in others; write a function each"
            )
        dtypes = sorted({np.asarray(v).dtype.name for v in seen})
        is_array = isinstance(seen[0], np.ndarray)
        if dtypes == ["float64", "int64"] and not is_array:
            dtypes = ["float64"]
        if len(dtypes) > 1:
            raise Obstacle(
                f"`{name}` has dtype {' and '.join(dtypes)} by turns; convert it before the call"
            )
        found[name] = _Kind(dtypes[0], is_array)
    return found


def _cast(value: Any, kind: _Kind) -> Any:
    return value if kind.is_array else np.dtype(kind.dtype).type(value).item()


def _annotations(kinds: Mapping[str, _Kind], dims: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: _annotation(kind, dims.get(name, ())) for name, kind in kinds.items()}


def _annotation(kind: _Kind, dims: tuple[str, ...]) -> str:
    if kind.is_array:
        return f'{_jaxtyping(kind.dtype)}[np.ndarray, "{" ".join(dims)}"]'
    return _PYTHON.get(kind.dtype, f"np.{kind.dtype}")


def _jaxtyping(dtype: str) -> str:
    return dtype.replace("uint", "UInt") if dtype.startswith("u") else dtype.capitalize()


def _returns(kinds: Mapping[str, _Kind], dims: Sequence[tuple[str, ...]]) -> str:
    parts = [_annotation(k, d) for k, d in zip(kinds.values(), dims, strict=True)]
    if len(parts) > 1:
        return f"tuple[{', '.join(parts)}]"
    return parts[0] if parts else "None"


def _sizes(named: Named, inputs: Mapping[str, Any]) -> dict[str, int]:
    known = {n: v for n, v in inputs.items() if type(v) is int}
    arrays = [(n, dims, inputs[n].shape) for n, dims in named.inputs.items()]
    sizes = bind_shapes(arrays, known)
    free = [n for dims in named.inputs.values() for d in dims for n in parse_dim(d).names]
    return {n: sizes[n] for n in dict.fromkeys((*free, *known))}


def _workloads(sizes: Sequence[dict[str, int]]) -> dict[str, dict[str, int]]:
    """The largest call as `large`; the commonest as `small`, where that is another."""
    largest = max(sizes, key=lambda s: prod(max(n, 1) for n in s.values()))
    usual = Counter(tuple(s.items()) for s in sizes if s != largest).most_common(1)
    return {**({"small": dict(usual[0][0])} if usual else {}), "large": largest}


def _cut(named: Named, inputs: dict[str, Any], sizes: dict[str, int], most: int) -> dict[str, Any]:
    """A call with its longest dims halved until it fits, the leading part of every array kept."""
    kept, sizes = inputs, dict(sizes)
    dims = {n for array in named.inputs.values() for d in array for n in parse_dim(d).names}
    while sum(v.nbytes for v in kept.values() if isinstance(v, np.ndarray)) > most:
        longest = max(dims, key=sizes.__getitem__)
        if sizes[longest] <= 1:
            break
        sizes[longest] //= 2
        kept = {
            n: v[tuple(slice(e) for e in shape_of(named.inputs[n], sizes))]
            if n in named.inputs
            else sizes.get(n, v)
            for n, v in inputs.items()
        }
    return kept


def _definition(form: _Form, annotations: Mapping[str, str], returns: str) -> str:
    """The function as a reference."""
    tree = _Returning(tuple(form.written)).finished(form.reading.tree)
    defaults = _defaults(tree) if not form.reading.wrapped else {}
    parameters = [
        f"{n}: {a}" + (f" = {defaults[n]}" if n in defaults else "") for n, a in annotations.items()
    ]
    name = reference_name(form.reading)
    head = f"def {name}({', '.join(parameters)}) -> {returns}:"
    if len(head) > 100:
        head = f"def {name}(\n    " + ",\n    ".join(parameters) + f",\n) -> {returns}:"
    copies = [f"{n} = {n}.copy()" for n in form.copied]
    body = [line for part in tree.body for line in _statement(part).splitlines()]
    return "\n".join([head, *(f"    {line}" for line in (*copies, *body))]) + "\n"


def _statement(node: ast.stmt) -> str:
    """Source of a statement, a returned tuple without parentheses."""
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts:
        return f"return {', '.join(map(ast.unparse, node.value.elts))}"
    return ast.unparse(node)


def _defaults(tree: ast.FunctionDef) -> dict[str, str]:
    names = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args)]
    count = len(tree.args.defaults)
    given = zip(names[len(names) - count :], tree.args.defaults, strict=True)
    return {name: ast.unparse(default) for name, default in given}


class _Returning(ast.NodeTransformer):
    """Returns what was written besides, and declares nothing global."""

    def __init__(self, written: Sequence[str]) -> None:
        self._written = written

    def finished(self, tree: ast.FunctionDef) -> ast.FunctionDef:
        """A changed copy of a function."""
        copied = ast.parse(ast.unparse(tree)).body[0]
        changed = self.visit(copied)
        assert isinstance(changed, ast.FunctionDef)
        if self._written and not isinstance(changed.body[-1], ast.Return):
            changed.body.append(self.visit_Return(ast.Return(None)))
        changed.body = changed.body or [ast.Pass()]
        return ast.fix_missing_locations(changed)

    def visit_Global(self, node: ast.Global) -> None:
        del node

    def visit_Return(self, node: ast.Return) -> ast.Return:
        if not self._written:
            return node
        own = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        parts = [p for p in own if p is not None]
        parts += [ast.Name(name, ast.Load()) for name in self._written]
        return ast.Return(parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load()))


def _replacement(form: _Form) -> str:
    """The statements that call the reference where the function's body was."""
    reading = form.reading
    call = f"{reference_name(reading)}({', '.join(reading.parameters.values())})"
    results = [f"result{i}" for i in range(reading.returns)] if reading.returns > 1 else ["result"]
    results = results[: reading.returns]
    if not form.written:
        return f"return {call}" if results else call
    named_global = [e for e in form.written.values() if "." not in e]
    lines = [f"global {', '.join(named_global)}"] if named_global else []
    lines.append(f"{', '.join((*results, *form.written.values()))} = {call}")
    lines += [f"return {', '.join(results)}"] if results else []
    return "\n".join(lines)


def _remarks(seen: Seen) -> list[str]:
    notes = []
    strided = sorted(set().union(*(call.strided for call in seen.kept)))
    if strided:
        notes.append(
            f"{', '.join(f'`{n}`' for n in strided)} came as a view that is not C-contiguous; such "
            "calls run the reference, so pass np.ascontiguousarray(...)"
        )
    if seen.skipped:
        notes.append(f"{seen.skipped} calls were too large to record")
    return notes
