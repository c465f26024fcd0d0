"""The passes that follow fusion where the program is written in CUDA, and the forms that result."""

from __future__ import annotations

from collections.abc import Iterator

from outpace.codegen.nests.cuda.absorb import absorbed
from outpace.codegen.nests.cuda.forward import forwarded
from outpace.codegen.nests.cuda.kept import kept
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.rewriting.fold import folded
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.hoist import hoisted
from outpace.codegen.nests.rewriting.independent import independent
from outpace.codegen.nests.rewriting.inline import inlined
from outpace.codegen.nests.rewriting.invariants import invariants_out
from outpace.codegen.nests.rewriting.landing import landed
from outpace.codegen.nests.rewriting.pingpong import ping_ponged
from outpace.codegen.nests.rewriting.reuse import reused
from outpace.codegen.nests.rewriting.share import shared
from outpace.codegen.nests.rewriting.unroll import unrolled


def cuda_forms(program: Program, *, reorder: bool) -> Iterator[tuple[str, tuple[Program, ...]]]:
    """What a lifted program becomes, the most promising first; forms that are the same are one.

    Args:
        program: As lifted.
        reorder: Whether sums may be reordered, so that one loop may hold several.

    Yields:
        The idea, and programs of which the first that can be written is the draft.
    """
    program = ping_ponged(unrolled(program))
    seen: list[Program] = []
    for idea, form in (("recomputed", inlined(program)), ("fused", program)):
        plain = forwarded(fused(absorbed(invariants_out(hoisted(reused(fused(form)))))))
        finals = [_finished(p, reorder=reorder) for p in (landed(plain), plain)]
        if finals[0] not in seen:
            seen.append(finals[0])
            yield idea, tuple(finals)


def _finished(program: Program, *, reorder: bool) -> Program:
    program = kept(independent(program, innermost=True))
    return shared(folded(program) if reorder else program)
