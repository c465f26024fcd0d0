"""Drafts in CUDA of a lifted program."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from outpace.codegen.cuda.draft import with_plan
from outpace.codegen.drafters.base import DraftingTask
from outpace.codegen.nests.cuda.emit import CudaOptions, CudaSource, cuda_source
from outpace.codegen.nests.cuda.prepare import cuda_forms
from outpace.codegen.nests.cuda.rows import is_side_by_side
from outpace.codegen.nests.ir import Program
from outpace.errors import NotLifted
from outpace.model import Draft, Provenance, Scalar


def cuda_drafts(
    task: DraftingTask, drafter: str, program: Program, notes: list[str]
) -> Iterator[Draft]:
    """Every form, by blocks and by threads, and the first one as the exact alternative.

    Args:
        task: What is drafted for.
        drafter: Its name, for the provenance.
        program: As lifted.
        notes: Takes a sentence for each form that cannot be written.
    """
    fast = not task.reference.contract.reproducible
    for idea, source in _sources(task, program, notes, reorder=fast):
        yield _draft(drafter, f"{idea}{', reordered' if fast else ''}", source)
    if fast:
        for idea, source in islice(_sources(task, program, [], reorder=False), 1):
            yield _draft(drafter, idea, source)


def _sources(
    task: DraftingTask, program: Program, notes: list[str], *, reorder: bool
) -> Iterator[tuple[str, CudaSource]]:
    for idea, forms in cuda_forms(program, reorder=reorder):
        try:
            by_blocks, by_threads = (
                _first_written(forms, task, CudaOptions(rows=rows, reorder=reorder))
                for rows in (True, False)
            )
        except NotLifted as error:
            notes.append(f"{task.reference.name}: not written in CUDA, {idea}: {error}")
            continue
        found = [(f"{idea}, rows by blocks", by_blocks), (idea, by_threads)]
        if by_blocks.text == by_threads.text:
            found = found[1:]
        yield from reversed(found) if is_side_by_side(forms[-1]) else found


def _first_written(
    forms: tuple[Program, ...], task: DraftingTask, options: CudaOptions
) -> CudaSource:
    *others, last = forms
    for form in others:
        try:
            return cuda_source(form, task.reference.contract, options)
        except NotLifted:
            continue  # the last form is the plainest, and says why
    return cuda_source(last, task.reference.contract, options)


def _draft(drafter: str, idea: str, source: CudaSource) -> Draft:
    text = with_plan(source.plan, source.text)
    flags: dict[str, Scalar] = dict(source.flags)
    provenance = Provenance(drafter, f"nests, {idea}")
    return Draft("cuda", text, source.parameters, source.constraints, flags, provenance)
