"""Local kernels: the serial reference in the calling convention, as source to be embedded."""

from __future__ import annotations

import ast
import io
import tokenize

from outpace.codegen.drafters.builtin import numba_forms
from outpace.codegen.drafters.plain import plain_source
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.reference import Reference
from outpace.errors import DraftError, NotLifted


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


def top_level_names(source: str) -> set[str]:
    """Names that a module defines."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in names}
    return found


def renamed(source: str, taken: set[str]) -> str:
    """The module with other names for what it defines at top level, where these are taken.

    Raises:
        DraftError: Such a name means something else in one of its functions.
    """
    clashing = top_level_names(source) & taken
    if not clashing:
        return source
    for node in ast.walk(ast.parse(source)):
        inner = node.arg if isinstance(node, ast.arg | ast.keyword) else None
        if inner in clashing or (isinstance(node, ast.Global) and clashing & set(node.names)):
            raise DraftError(
                f"the local kernel uses the name {inner}, which the MPI program around it needs "
                "for itself; rename it"
            )
    lines = [list(line) for line in source.splitlines(keepends=True)]
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in clashing and before != ".":
            row, column = token.start
            lines[row - 1][column] = f"serial_{token.string[0]}"
        before = token.string
    return "".join(character for line in lines for character in line)
