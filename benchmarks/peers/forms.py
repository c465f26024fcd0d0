"""What one peer is given for one program: a folder of source that its environment can run.

A folder holds `ported.py`, the program in the peer's own form; `sizes.py`, the workload's sizes as
constants; `program.py`, whose function `program` takes the arguments of the reference; and where
the peer compiles ahead, `build.py`, which is run once.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from outpace.codegen.reference import Reference
from outpace.codegen.source import SourceClosure, without_annotations
from outpace.model import Argument, Workload

PORTS = Path(__file__).parent / "ports"
REWRITTEN = "rewritten"
"""Stands where a peer's name does for another algorithm than the reference's."""


@dataclass(frozen=True)
class Form:
    """One way in which a peer can run a program.

    Attributes:
        peer: Its name.
        name: Of the form, for people; unlike that of any other of this peer.
        files: Text by file name.
        functional: Whether it returns the new values of mutated arguments, before what the
            reference returns, instead of writing into them.
    """

    peer: str
    name: str
    files: dict[str, str] = field(repr=False)
    functional: bool = False

    def write(self, folder: Path) -> bool:
        """Write the files; whether any of them is new or was changed."""
        folder.mkdir(parents=True, exist_ok=True)
        changed = False
        for name, text in self.files.items():
            path = folder / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed = True
        return changed


def sizes_text(workload: Workload) -> str:
    """A module of the sizes as constants."""
    return "".join(f"{name} = {size}\n" for name, size in workload.sizes.items())


def hand_port(kind: str, program: str) -> str | None:
    """Text of a port written by hand, or None.

    Args:
        kind: Of port: `jax`, `dace`, `rewritten`, or `loops`, which Numba and Pythran share.
        program: Its name.
    """
    path = PORTS / kind / f"{program}.py"
    return path.read_text(encoding="utf-8") if path.exists() else None


def plain_functions(closure: SourceClosure) -> dict[str, str]:
    """Helpers before their callers, the program last, without annotations and docstrings."""
    return {name: without_annotations(text) for name, text in closure.functions.items()}


def head_of(closure: SourceClosure) -> str:
    """Imports and captured constants of the program."""
    return "\n".join([*closure.imports.values(), closure.constants_text()]).strip() + "\n"


def integer_names(reference: Reference) -> list[str]:
    """Scalar arguments that are integers: fixed by a workload."""
    return [a.name for a in reference.contract.arguments if is_size(a)]


def is_size(argument: Argument) -> bool:
    """Whether an argument is an integer that a workload fixes."""
    return not argument.is_array and np.dtype(argument.dtype).kind in "iu"


# --- Outpace and Numba --------------------------------------------------------------------------

_OUTPACE = """import os

os.environ["OUTPACE_PROMOTED"] = {promotions!r}

from outpace.codegen.reference import load_reference
from outpace.kernels.optimize import OptimizedFunction

_served = OptimizedFunction(load_reference({name!r}))


def program(*given):
    return _served(*given)
"""
_CALLED = """from ported import {name} as _function


def program(*given):
    return _function(*given)
"""


def outpace_form(reference: Reference, promotions: Path) -> Form:
    """The decorated function as a user calls it, with the promotions of a folder."""
    text = _OUTPACE.format(promotions=str(promotions.resolve()), name=reference.name)
    return Form("outpace", "promotion", {"program.py": text})


_FLAGS = ((), ("fastmath",), ("parallel",), ("parallel", "fastmath"))


def numba_forms(reference: Reference) -> list[Form]:
    """`njit` on the reference and its helpers with the usual flags, and with `prange` in loops.

    Which loops may run in parallel is not asked: a form that is wrong is found to be wrong.
    """
    closure = reference.closure
    forms = []
    for flags in _FLAGS:
        name = ", ".join(["njit", *flags])
        forms.append(_numba_form(closure, name, flags, plain_functions(closure)))
    for depth, label in enumerate(("outermost", "second")):
        functions = plain_functions(closure)
        ported = with_prange(functions[closure.name], depth)
        if ported != functions[closure.name]:
            functions[closure.name] = ported
            for flags in _FLAGS[2:]:
                name = f"{', '.join(['njit', *flags])}, prange in {label} loops"
                forms.append(_numba_form(closure, name, flags, functions))
    port = hand_port("loops", closure.name)
    if port is not None:
        forms += [_numba_loops("numba", closure.name, port, flags) for flags in _FLAGS]
    return forms


def rewritten_forms(reference: Reference) -> list[Form]:
    """Another algorithm in loops, under Numba, where there is one: no compiler's doing.

    It is timed beside the peers to show what is possible, and counts as none of them.
    """
    port = hand_port(REWRITTEN, reference.written.__name__)
    if port is None:
        return []
    return [_numba_loops(REWRITTEN, reference.written.__name__, port, ())]


def _numba_form(
    closure: SourceClosure, name: str, flags: tuple[str, ...], functions: dict[str, str]
) -> Form:
    options = ", ".join(["cache=True", *(f"{flag}=True" for flag in flags)])
    texts = [f"@numba.njit({options})\n{text}" for text in functions.values()]
    ported = "\n\n".join(["import numba", head_of(closure), *texts])
    files = {"ported.py": ported, "program.py": _CALLED.format(name=closure.name)}
    return Form("numba", name, files)


def _numba_loops(peer: str, program: str, port: str, flags: tuple[str, ...]) -> Form:
    """A port in loops, with `prange` where Pythran has a pragma of OpenMP."""
    # Scalars are divided as arrays are: without a test for zero, which would keep loops scalar.
    given = ["cache=True", "error_model='numpy'", *(f"{flag}=True" for flag in flags)]
    options = ", ".join(given)
    text = re.sub(r"(# omp parallel for.*\n *for \w+ in )range\(", r"\1numba.prange(", port)
    text = re.sub(r"^def ", f"@numba.njit({options})\ndef ", text, flags=re.MULTILINE)
    files = {"ported.py": f"import numba\n\n{text}", "program.py": _CALLED.format(name=program)}
    return Form(peer, ", ".join(["loops by hand", *flags]), files)


def with_prange(text: str, depth: int) -> str:
    """A function whose loops at one depth run over `numba.prange` instead of `range`."""
    tree = ast.parse(text)
    _replace_ranges(tree, depth)
    return ast.unparse(tree) + "\n"


def _replace_ranges(node: ast.AST, depth: int) -> None:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.For):
            _replace_ranges(child, depth)
            continue
        match child.iter:
            case ast.Call(func=ast.Name(id="range")) if depth == 0:
                child.iter.func = ast.parse("numba.prange", mode="eval").body
            case _ if depth > 0:
                _replace_ranges(child, depth - 1)


# --- Pythran ------------------------------------------------------------------------------------

_PYTHRAN_FLAGS = {
    "native": ("-O3", "-march=native", "-fopenmp", "-DUSE_XSIMD"),
    "native, fast math": ("-O3", "-march=native", "-fopenmp", "-DUSE_XSIMD", "-ffast-math"),
}
_PYTHRAN_BUILD = """import subprocess
import sys

command = [sys.executable, "-m", "pythran.run", *{flags!r}, "ported.py", "-o", "ported.so"]
sys.exit(subprocess.run(command).returncode)
"""
_PYTHRAN_PROGRAM = """import importlib.machinery
import importlib.util
from pathlib import Path

_path = str(Path(__file__).with_name("ported.so"))
_loader = importlib.machinery.ExtensionFileLoader("ported", _path)
_module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ported", _loader))
_loader.exec_module(_module)
_function = _module.{name}


def program(*given):
    return _function(*given)
"""
_PYTHRAN_SCALARS = {"int64": "int", "float64": "float", "complex128": "complex", "bool": "bool"}


def pythran_forms(reference: Reference) -> list[Form]:
    """The reference, and a port by hand where there is one, each with two sets of flags."""
    closure, name = reference.closure, reference.written.__name__
    export = f"#pythran export {name}({', '.join(map(_export, reference.contract.arguments))})"
    texts = {"": "\n".join([head_of(closure), export, *plain_functions(closure).values()])}
    port = hand_port("loops", name)
    if port is not None:
        texts["loops by hand, "] = f"{export}\n{port}"
    return [
        Form(
            "pythran",
            f"{origin}{label}",
            {
                "ported.py": text,
                "build.py": _PYTHRAN_BUILD.format(flags=flags),
                "program.py": _PYTHRAN_PROGRAM.format(name=name),
            },
        )
        for origin, text in texts.items()
        for label, flags in _PYTHRAN_FLAGS.items()
    ]


def _export(argument: Argument) -> str:
    if argument.dims is None:
        return _PYTHRAN_SCALARS.get(argument.dtype, argument.dtype)
    return f"{argument.dtype}[{', '.join(':' * len(argument.dims))}]"
