"""The passes that follow fusion where the program is written in C."""

from __future__ import annotations

from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.rewriting.columns import by_columns
from outpace.codegen.nests.rewriting.fold import folded
from outpace.codegen.nests.rewriting.independent import independent
from outpace.codegen.nests.rewriting.invariants import invariants_out
from outpace.codegen.nests.rewriting.landing import landed
from outpace.codegen.nests.rewriting.share import shared


def prepared(program: Program, *, reorder: bool, columns: bool = False) -> Program:
    """The program with invariants out of loops, last states in outputs and shared parts named.

    Args:
        program: After fusion.
        reorder: Whether sums may be reordered, so that one loop may hold several.
        columns: Whether each point goes through sequential loops on its own where it can.
    """
    program = independent(landed(invariants_out(program)))
    if columns:
        program = by_columns(program)
    return shared(folded(program) if reorder else program)
