"""The drafter that needs no model: plain Numba, and loop nests lifted from array code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from outpace.codegen.drafters.base import DraftingTask, Proposal
from outpace.codegen.drafters.plain import plain_source
from outpace.codegen.nests.emit_numba import NumbaOptions, numba_source
from outpace.codegen.nests.fuse import fused
from outpace.codegen.nests.hoist import hoisted
from outpace.codegen.nests.inline import inlined
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.pingpong import ping_ponged
from outpace.codegen.nests.reuse import reused
from outpace.errors import NotLifted
from outpace.model import Draft, Provenance

PLAIN_IDEA = "plain numba"
"""The idea of the draft that every table compares with."""


class BuiltinDrafter:
    """Drafts in Numba, all in the first round."""

    name = "builtin"

    def propose(self, task: DraftingTask) -> Proposal:
        """Lifted forms first, then the reference itself under Numba.

        Raises:
            ContractError: The reference's annotations are missing or wrong.
        """
        if task.round > 0 or "numba" not in task.languages:
            return Proposal(())
        notes: list[str] = []
        sources: dict[str, str] = {}
        try:
            sources.update((source, idea) for idea, source in self._lifted(task))
        except NotLifted as error:
            notes.append(f"{task.reference.name}: not lifted to loops: {error}")
        drafts = [self._draft(source, idea) for source, idea in sources.items()]
        drafts += [self._draft(source, idea) for idea, source in self._plain(task)]
        return Proposal(tuple(drafts), tuple(notes))

    def _lifted(self, task: DraftingTask) -> Iterator[tuple[str, str]]:
        program = ping_ponged(lift(task.reference))
        for idea, form in (("recomputed", inlined(program)), ("fused", program)):
            final = hoisted(reused(fused(form)))
            for options in _with_vector_math(_options(task)):
                source = numba_source(final, options)
                if options.parallel and "numba.prange" not in source:
                    continue
                vector = ", vector math" if options.vector_math else ""
                yield f"nests, {idea}{_suffix(options)}{vector}", source

    def _plain(self, task: DraftingTask) -> Iterator[tuple[str, str]]:
        for options in reversed(_options(task)):
            flags = [f"{name}=True" for name in _flags(options)]
            yield PLAIN_IDEA + _suffix(options), plain_source(task.reference, flags)

    def _draft(self, source: str, idea: str) -> Draft:
        return Draft("numba", source, provenance=Provenance(self.name, idea))


def _options(task: DraftingTask) -> list[NumbaOptions]:
    """Every way to compile that the contract and the machine allow, the most daring first."""
    fastmath = (False,) if task.reference.contract.reproducible else (True, False)
    parallel = (True, False) if task.target.cores > 1 else (False,)
    return [NumbaOptions(parallel=p, fastmath=f) for p in parallel for f in fastmath]


def _with_vector_math(options: list[NumbaOptions]) -> list[NumbaOptions]:
    """Fast-math forms with vector functions too; they make no difference where none is used."""
    return [
        replace(o, vector_math=v)
        for o in options
        for v in ((True, False) if o.fastmath else (False,))
    ]


def _flags(options: NumbaOptions) -> list[str]:
    flags = {"parallel": options.parallel, "fastmath": options.fastmath}
    return [name for name, wanted in flags.items() if wanted]


def _suffix(options: NumbaOptions) -> str:
    return "".join(f", {name}" for name in _flags(options))
