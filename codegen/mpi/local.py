"""Local kernels: a serial variant, or the reference itself, as source for MPI programs."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator, Mapping

from outpace.codegen.constants import UNPARSABLE, with_constants
from outpace.codegen.drafters.builtin import c_forms, numba_forms
from outpace.codegen.drafters.plain import plain_source
from outpace.codegen.mpi.local_c import c_module
from outpace.codegen.mpi.templates.compiled import COMPILERS
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.c.parameters import PARALLEL
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.reference import Reference
from outpace.errors import DraftError, NotLifted
from outpace.model import Scalar, Variant


def kernel_of(variant: Variant, reference: Reference) -> str:
    """A module that defines `kernel(<inputs>, <outputs>)` as a serial variant does, on one thread.

    A kernel in C is compiled where the program runs, unless `outpace.kernels.languages.mpi` has
    built it before.

    Args:
        variant: In the language `numba` or `c`; its parameter `PARALLEL` is switched off.
        reference: Of which it is a variant.

    Raises:
        DraftError: It is in another language, or adds options that the compiler may not get.
    """
    params = _serial(variant)
    match variant.draft.language:
        case "numba":
            return _one_thread(with_constants(variant.draft.source, params))
        case "c":
            return c_module(reference.contract, variant.draft.source, params, variant.draft.flags)
        case other:
            raise DraftError(
                f"a kernel in {other} cannot go into an MPI program; give one in c or numba"
            )


def default_kernel(reference: Reference, *, strict: bool = False) -> str:
    """The lifted reference in C, where there is a compiler and a form in C, else under Numba.

    Args:
        reference: The reference.
        strict: Keep the order of sums, for a program that nobody judges before it runs.
    """
    if has_compiler():
        try:
            return c_kernel(reference, strict=strict)
        except NotLifted:
            pass
    return numba_kernel(reference)


def has_compiler() -> bool:
    """Whether programs with kernels in C can be run alone here."""
    return any(shutil.which(name) for name in COMPILERS)


def c_kernel(reference: Reference, *, strict: bool = False) -> str:
    """The lifted reference in C for one thread.

    Args:
        reference: The reference.
        strict: Keep the order of sums, whether or not the contract asks for it.

    Raises:
        NotLifted: It has no form in C.
    """
    contract = reference.contract
    fast = not (strict or contract.reproducible)
    _, form = next(iter(c_forms(lift(reference), reorder=fast)))
    source = c_source(form, contract, COptions(parallel=False, fastmath=fast))
    params = {p.name: p.values[0] for p in source.parameters}
    return c_module(contract, source.text, params, dict(source.flags))


def numpy_kernel(reference: Reference) -> str:
    """A module that defines `kernel(<inputs>, <outputs>)` by calling the reference as it stands."""
    contract, closure = reference.contract, reference.closure
    names = [a.name for a in contract.arguments]
    outputs = [o.name for o in contract.outputs]
    call = f"{closure.name}({', '.join(names)})"
    lines = [f"def kernel({', '.join([*names, *outputs])}):"]
    if not outputs:
        lines += [f"    {call}"]
    elif len(outputs) == 1:
        index = "0" if contract.outputs[0].scalar else "..."
        lines += [f"    {outputs[0]}[{index}] = {call}"]
    else:
        lines += [f"    results = {call}"]
        for i, output in enumerate(contract.outputs):
            index = "0" if output.scalar else "..."
            lines += [f"    {output.name}[{index}] = results[{i}]"]
    return closure.module_text() + "\n\n" + "\n".join(lines) + "\n"


def numba_kernel(reference: Reference) -> str:
    """The lifted reference as loops for one thread, or the reference itself under Numba."""
    try:
        _, form = next(iter(numba_forms(lift(reference))))
        return numba_source(form, NumbaOptions(parallel=False, fastmath=False))
    except NotLifted:
        return plain_source(reference)


def _serial(variant: Variant) -> Mapping[str, Scalar]:
    """The parameters, without threads where the draft has a choice."""
    choices = next((p.values for p in variant.draft.parameters if p.name == PARALLEL), ())
    off = next((value for value in choices if not value), None)
    return variant.params if off is None else {**variant.params, PARALLEL: off}


def is_parallel(source: str) -> bool:
    """Whether some function of a Numba module has `parallel=True` in its decorator.

    Raises:
        DraftError: It does not parse.
    """
    return any(isinstance(node, ast.keyword) for node in _switches(source))


def _one_thread(source: str) -> str:
    """The module with `parallel=True` of its decorators switched off, to stand in a program.

    Raises:
        DraftError: It does not parse.
    """
    lines = source.encode().split(b"\n")  # columns count bytes
    found = []
    for node in _switches(source):
        if isinstance(node, ast.keyword):
            value = node.value
            found.append((value.lineno - 1, value.col_offset, value.end_col_offset))
        else:
            last = node.end_lineno or node.lineno
            lines[node.lineno - 1 : last] = [b""] * (last - node.lineno + 1)
    for row, start, end in sorted(found, reverse=True):
        lines[row] = lines[row][:start] + b"False" + lines[row][end:]
    return b"\n".join(lines).decode()


def _switches(source: str) -> Iterator[ast.keyword | ast.ImportFrom]:
    """Every `parallel=True`, and imports from the future, which stand at the top of a module only.

    Raises:
        DraftError: It does not parse.
    """
    try:
        tree = ast.parse(source)
    except UNPARSABLE as error:
        raise DraftError(f"the local kernel is no Python: {error}") from error
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="parallel", value=ast.Constant(value=True)):
                yield node
            case ast.ImportFrom(module="__future__"):
                yield node
