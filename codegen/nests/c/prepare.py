"""The passes that follow fusion where the program is written in C."""

from __future__ import annotations

from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.rewriting.fold import folded
from outpace.codegen.nests.rewriting.independent import independent
from outpace.codegen.nests.rewriting.invariants import invariants_out
from outpace.codegen.nests.rewriting.landing import landed
from outpace.codegen.nests.rewriting.share import shared


def prepared(program: Program) -> Program:
    """A program after fusion with invariants out of loops, and last states in outputs."""
    return independent(landed(invariants_out(program)))


def finished(program: Program, *, reorder: bool) -> Program:
    """A prepared program with shared parts named.

    Args:
        program: The program.
        reorder: Whether sums may be reordered, so that one loop may hold several.
    """
    return shared(folded(program) if reorder else program)
