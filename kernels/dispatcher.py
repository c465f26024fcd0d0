"""The generated fast path of a served function: check, look the shapes up, allocate, call.

One pair of functions is generated per contract. For `f(u: Float64["y x"], steps: int)` that returns
one array, `fast` reads::

    def fast(*args):
        if len(args) == 2:
            a0, a1 = args
            if type(a0) is ndarray and type(a1) is int:
                if (a0.dtype is t0 or a0.dtype == t0) and a0.flags.num & 1281 == 1281:
                    key = (a0.shape, a1)
                    entry = known(key)
                    if entry is None:
                        entry = decide(key)
                    if entry:
                        kernel, n0 = entry
                        o0 = empty(n0, r0)
                        kernel(a0, a1, o0)
                        return o0
        return slow(args, {}, None)

`into(args, out)` is the same with the caller's outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from outpace.kernels.arguments import is_narrow
from outpace.model import Contract

Key = tuple[Any, ...]
"""Shapes of the array arguments, then the int arguments, in signature order."""
Entry = tuple[Any, ...]
"""A kernel followed by the shapes of its outputs; empty where the reference is served."""

C_CONTIGUOUS, OWNS_DATA, ALIGNED, WRITEABLE = (
    0x1,
    0x4,
    0x100,
    0x400,
)  # NPY_ARRAY_* in ndarraytypes.h
PLAIN = C_CONTIGUOUS | ALIGNED | WRITEABLE
"""Flags that every array of a fast call has; read-only inputs take the slow path."""

_TYPE_CHECKS = {
    "b": "type({0}) is bool",
    "i": "type({0}) is int",
    "u": "type({0}) is int",
    "f": "isinstance({0}, float)",
    "c": "isinstance({0}, complex)",
}


@dataclass(frozen=True)
class Returns:
    """What a call gives back.

    Attributes:
        is_tuple: Whether the annotation is a tuple.
        python_scalar: Per output, whether it is a Python number rather than a NumPy one; ignored
            for arrays.
    """

    is_tuple: bool
    python_scalar: tuple[bool, ...]


@dataclass(frozen=True)
class Dispatcher:
    """The generated pair."""

    fast: Callable[..., Any]
    into: Callable[[tuple[Any, ...], Any], Any]


def is_size(contract: Contract) -> tuple[bool, ...]:
    """Per argument, whether it is a scalar that counts as a size."""
    return tuple(not a.is_array and np.dtype(a.dtype).kind in "iu" for a in contract.arguments)


def generate(
    contract: Contract,
    returns: Returns,
    known: dict[Key, Entry],
    decide: Callable[[Key], Entry],
    slow: Callable[[tuple[Any, ...], dict[str, Any], Any], Any],
) -> Dispatcher:
    """Generate the fast path of a contract.

    Args:
        contract: Of the reference.
        returns: Form of its return value.
        known: Decisions made so far; may be cleared at any time.
        decide: Makes and records the decision for a key.
        slow: Takes over any call that is not plain: positional and keyword arguments, and `out`.
    """
    names: dict[str, Any] = {
        "ndarray": np.ndarray,
        "empty": np.empty,
        "overlap": np.may_share_memory,
        "known": known.get,
        "decide": decide,
        "slow": slow,
    }
    for i, argument in enumerate(contract.arguments):
        names[f"t{i}"] = np.dtype(argument.dtype)
        names[f"s{i}"] = np.dtype(argument.dtype).type
    for i, output in enumerate(contract.outputs):
        names[f"r{i}"] = np.dtype(output.dtype)
    text = _fast_text(contract, returns) + _into_text(contract, returns)
    exec(compile(text, "<outpace dispatcher>", "exec"), names)  # noqa: S102  (our own text)
    return Dispatcher(names["fast"], names["into"])


def _fast_text(contract: Contract, returns: Returns) -> str:
    outputs = [f"o{i}" for i in range(len(contract.outputs))]
    tests = _argument_tests(contract)
    arrays = {f"a{i}": a.mutated for i, a in enumerate(contract.arguments) if a.is_array}
    run = [f"{o} = empty(n{i}, r{i})" for i, o in enumerate(outputs)]
    run += [_kernel_call(contract, outputs), f"return {_returned(contract, returns)}"]
    body = _guarded(contract, [*tests, *_overlap_test(arrays)], run)
    return _function("fast(*args)", body, "return slow(args, {}, None)")


def _into_text(contract: Contract, returns: Returns) -> str:
    outputs = [f"o{i}" for i in range(len(contract.outputs))]
    if not outputs:
        return _function("into(args, out)", [], "return slow(args, {}, out)")
    tests = _argument_tests(contract)
    tests += [_array_test(o, f"r{i}") for i, o in enumerate(outputs)]
    arrays = {f"a{i}": a.mutated for i, a in enumerate(contract.arguments) if a.is_array}
    arrays |= dict.fromkeys(outputs, True)
    fits = " and ".join(f"{o}.shape == n{i}" for i, o in enumerate(outputs))
    run = [f"if {fits}:", f"    {_kernel_call(contract, outputs)}", "    return out"]
    given = f"type(out) is tuple and len(out) == {len(outputs)}" if returns.is_tuple else "True"
    unpack = f"{_tuple(outputs)} = out" if returns.is_tuple else f"{outputs[0]} = out"
    inner = _guarded(contract, [*tests, *_overlap_test(arrays)], run)
    body = [f"if {given}:", *_indented([unpack, *inner])]
    return _function("into(args, out)", body, "return slow(args, {}, out)")


def _guarded(contract: Contract, tests: list[str], run: list[str]) -> list[str]:
    """Lines that run a kernel if the arguments are plain and one is known for their sizes."""
    arguments = [f"a{i}" for i in range(len(contract.arguments))]
    shapes = [f"{a}.shape" for a, spec in _paired(contract) if spec.is_array]
    sizes = [
        f"int({a})" if is_narrow(spec.dtype) else a
        for (a, spec), size in zip(_paired(contract), is_size(contract), strict=True)
        if size
    ]
    entry = ["kernel", *(f"n{i}" for i in range(len(contract.outputs)))]
    return [
        f"if len(args) == {len(arguments)}:",
        *([f"    {_tuple(arguments)} = args"] if arguments else []),
        f"    if {' and '.join(tests) or 'True'}:",
        f"        key = {_tuple([*shapes, *sizes])}",
        "        entry = known(key)",
        "        if entry is None:",
        "            entry = decide(key)",
        "        if entry:",
        f"            {_tuple(entry)} = entry",
        *_indented(run, 3),
    ]


def _paired(contract: Contract) -> list[tuple[str, Any]]:
    return [(f"a{i}", spec) for i, spec in enumerate(contract.arguments)]


def _argument_tests(contract: Contract) -> list[str]:
    return [
        _array_test(name, f"t{i}") if spec.is_array else _scalar_test(name, spec.dtype, f"s{i}")
        for i, (name, spec) in enumerate(_paired(contract))
    ]


def _scalar_test(name: str, dtype: str, kind: str) -> str:
    """Narrow scalars must be of their NumPy type: a Python number would be another signature."""
    if is_narrow(dtype):
        return f"type({name}) is {kind}"
    return _TYPE_CHECKS[np.dtype(dtype).kind].format(name)


def _array_test(name: str, dtype: str) -> str:
    return (
        f"type({name}) is ndarray and ({name}.dtype is {dtype} or {name}.dtype == {dtype}) "
        f"and (f{name} := {name}.flags.num) & {PLAIN} == {PLAIN}"
    )


def _overlap_test(arrays: dict[str, bool]) -> list[str]:
    """No written array shares memory with another one; `arrays` says which are written.

    Distinct arrays that own their memory cannot share it, which is quicker to see.
    """
    pairs = [(a, b) for a, b in combinations(arrays, 2) if arrays[a] or arrays[b]]
    if not pairs:
        return []
    involved = list(dict.fromkeys(name for pair in pairs for name in pair))
    owned = " & ".join(f"f{name}" for name in involved)
    distinct = " and ".join(f"{a} is not {b}" for a, b in pairs)
    apart = " or ".join(f"overlap({a}, {b})" for a, b in pairs)
    return [f"({owned} & {OWNS_DATA} and {distinct} or not ({apart}))"]


def _kernel_call(contract: Contract, outputs: list[str]) -> str:
    return f"kernel({', '.join([*(a for a, _ in _paired(contract)), *outputs])})"


def _returned(contract: Contract, returns: Returns) -> str:
    parts = []
    for i, output in enumerate(contract.outputs):
        if output.scalar:
            parts.append(f"o{i}.item()" if returns.python_scalar[i] else f"o{i}[0]")
        else:
            parts.append(f"o{i}")
    if returns.is_tuple:
        return _tuple(parts)
    return parts[0] if parts else "None"


def _tuple(parts: list[str]) -> str:
    return f"({''.join(f'{part}, ' for part in parts).rstrip()})"


def _function(head: str, body: list[str], last: str) -> str:
    return "\n".join([f"def {head}:", *_indented([*body, last])]) + "\n"


def _indented(lines: list[str], levels: int = 1) -> list[str]:
    return [f"{'    ' * levels}{line}" for line in lines]
