"""The steps of a reduction in C."""

from __future__ import annotations

import math

import numpy as np

from outpace.codegen.nests.ir import Constant, Reduction
from outpace.errors import NotLifted

CLAUSES = {
    Reduction.SUM: "+",
    Reduction.PROD: "*",
    Reduction.MAX: "max",
    Reduction.MIN: "min",
    Reduction.ANY: "||",
    Reduction.ALL: "&&",
}
"""How OpenMP combines what its threads and vectors have found."""


def step_lines(name: str, kind: Reduction, value: str, dtype: str, *, nan: bool) -> list[str]:
    """One step of a reduction."""
    if kind in (Reduction.MAX, Reduction.MIN):
        sign = ">" if kind is Reduction.MAX else "<"
        lines = [
            f"const {dtype} next = {value};",
            f"{name} = next {sign} {name} ? next : {name};",
        ]
        return [*lines, *([f"{name}_nan |= next != next;"] if nan else [])]
    if kind in (Reduction.ANY, Reduction.ALL):
        return [f"{name} = {name} {CLAUSES[kind]} ({value});"]
    sign = CLAUSES[kind]
    if dtype.endswith("_Complex") and kind is Reduction.PROD:
        raise NotLifted("a product of complex numbers in C")
    return [f"{name} {sign}= {value};"]


def start_of(kind: Reduction, dtype: str) -> Constant:
    """The value with which a reduction begins."""
    if kind in (Reduction.SUM, Reduction.ANY, Reduction.PROD, Reduction.ALL):
        one = kind in (Reduction.PROD, Reduction.ALL)
        return Constant(np.dtype(dtype).type(int(one)).item(), dtype)
    if dtype.startswith("float"):
        return Constant(-math.inf if kind is Reduction.MAX else math.inf, dtype)
    if np.dtype(dtype).kind not in "iu":
        raise NotLifted(f"{kind} of {dtype} in C")
    info = np.iinfo(dtype)
    return Constant(int(info.min if kind is Reduction.MAX else info.max), dtype)
