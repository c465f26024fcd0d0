"""The drafter that needs no model: plain Numba, and loop nests in Numba, C and CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from outpace.codegen.drafters.base import DraftingTask, Proposal
from outpace.codegen.drafters.plain import plain_source, pythran_source
from outpace.codegen.mixed.drafts import mixed
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.c.parameters import LONG_STRIP, PARALLEL, SHORT_STRIP, STRIP, TIME
from outpace.codegen.nests.c.prepare import finished, prepared
from outpace.codegen.nests.cuda.drafts import cuda_drafts
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.nests.numba.segments import has_library_calls, segmented_source
from outpace.codegen.nests.rewriting.binned import binned
from outpace.codegen.nests.rewriting.borders import bordered
from outpace.codegen.nests.rewriting.columns import by_columns
from outpace.codegen.nests.rewriting.distribute import distributed
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.hoist import hoisted
from outpace.codegen.nests.rewriting.inline import inlined
from outpace.codegen.nests.rewriting.pingpong import ping_ponged
from outpace.codegen.nests.rewriting.pivots import pivoted
from outpace.codegen.nests.rewriting.reuse import reused
from outpace.codegen.nests.rewriting.sliding import slid
from outpace.codegen.nests.rewriting.unroll import unrolled
from outpace.errors import NotLifted
from outpace.model import Draft, Parameter, Provenance, Scalar

PLAIN_IDEA = "plain numba"
"""The idea of the draft that every table compares with."""
_LANGUAGES = frozenset({"numba", "c", "cuda", "pythran"})

BINNED = "binned"
"""What the form with sums into bins is called."""
SPLIT = "columns split"
"""How the names of forms end in which loops over columns are split."""


class BuiltinDrafter:
    """Drafts in Numba, C and CUDA, all in the first round."""

    name = "builtin"

    def propose(self, task: DraftingTask) -> Proposal:
        """Lifted forms first, in C before Numba, then the reference itself under Numba.

        Raises:
            ContractError: The reference's annotations are missing or wrong.
        """
        if task.round > 0 or not _LANGUAGES & set(task.languages):
            return Proposal(())
        notes: list[str] = []
        drafts: list[Draft] = []
        try:
            program = lift(task.reference)
        except NotLifted as error:
            notes.append(f"{task.reference.name}: not lifted to loops: {error}")
        else:
            if "cuda" in task.languages:
                drafts += cuda_drafts(task, self.name, program, notes)
            if "c" in task.languages:
                drafts += self._in_c(task, program, notes)
            if "numba" in task.languages:
                drafts += self._in_numba(task, program)
        if "c" in task.languages:
            drafts += self._in_c_with_library(task)
        if "numba" in task.languages:
            library = self._with_library(task)
            is_lifted = bool(drafts or library)
            drafts += library if is_lifted else self._in_parts(task, notes)
            drafts += self._plain(task)
        if "pythran" in task.languages:
            drafts += self._in_pythran(task)
        return Proposal(_without_repeats(drafts), tuple(notes))

    def _in_c(self, task: DraftingTask, program: Program, notes: list[str]) -> Iterator[Draft]:
        """Every form with all its parameters, and the first one as the exact alternative.

        So is what compares elements with bounds, which must not be rounded in another way, and
        columns that are not split where the first form splits them: which is faster depends.
        """
        fast = not task.reference.contract.reproducible
        forms = list(c_forms(program, reorder=fast))
        for idea, form in forms:
            yield from self._c_draft(task, idea, form, notes, fastmath=fast)
        if fast:
            exact = [form for form in forms if form[0] == BINNED]
            for idea, form in [*exact, *_first_forms(c_forms(program, reorder=False))]:
                for draft in self._c_draft(task, idea, form, notes, fastmath=False):
                    yield msgspec.structs.replace(draft, parameters=_few(draft.parameters))

    def _c_draft(
        self, task: DraftingTask, idea: str, form: Program, notes: list[str], *, fastmath: bool
    ) -> Iterator[Draft]:
        """The draft of a form, or a note that says why there is none."""
        options = COptions(parallel=task.target.cores > 1, fastmath=fastmath)
        try:
            source = c_source(form, task.reference.contract, options)
        except NotLifted as error:
            notes.append(f"{task.reference.name}: not written in C, {idea}: {error}")
            return
        provenance = Provenance(self.name, f"nests, {idea}{', fastmath' if fastmath else ''}")
        yield Draft("c", source.text, source.parameters, (), dict(source.flags), provenance)

    def _in_c_with_library(self, task: DraftingTask) -> list[Draft]:
        """The form that leaves large products to BLAS, where there are any."""
        contract = task.reference.contract
        if contract.reproducible:
            return []
        try:
            program = lift(task.reference, library=True)
            if not has_library_calls(program):
                return []
            options = COptions(parallel=task.target.cores > 1, fastmath=True)
            source = c_source(_fused(unrolled(program)), contract, options)
        except NotLifted:
            return []  # said already, of the form without
        provenance = Provenance(self.name, "nests, library, fastmath")
        return [Draft("c", source.text, source.parameters, (), dict(source.flags), provenance)]

    def _in_numba(self, task: DraftingTask, program: Program) -> Iterator[Draft]:
        for idea, form in numba_forms(program):
            for options in _with_vector_math(_options(task)):
                source = numba_source(form, options)
                if options.parallel and "numba.prange" not in source:
                    continue
                vector = ", vector math" if options.vector_math else ""
                yield self._draft(source, f"nests, {idea}{_suffix(options)}{vector}")

    def _with_library(self, task: DraftingTask) -> list[Draft]:
        """Forms that leave large products and linear algebra to NumPy, where there are any."""
        try:
            program = lift(task.reference, library=True)
            if not has_library_calls(program):
                return []
            form = list(numba_forms(program))[-1][1]
            options = _options(task)
            sources = [(o, segmented_source(form, o)) for o in options]
        except NotLifted:
            return []  # said already, of the form without
        return [self._draft(source, f"nests, library{_suffix(o)}") for o, source in sources]

    def _in_parts(self, task: DraftingTask, notes: list[str]) -> list[Draft]:
        """Python with some statements lifted, where the whole is not; notes say what stays."""
        name = task.reference.name
        drafts = []
        try:
            found = mixed(task.reference)
            if found is None:
                return []
            for idea, form in (("recomputed", _recomputed), ("fused", _fused)):
                for options in _with_vector_math(_options(task)):
                    vector = ", vector math" if options.vector_math else ""
                    source = found.source(form, options)
                    suffix = f"{_suffix(options)}{vector}"
                    drafts.append(self._draft(source, f"nests in parts, {idea}{suffix}"))
        except NotLifted as error:
            notes.append(f"{name}: not lifted in parts: {error}")
            return []
        notes += [f"{name}: {line}" for line in found.kept()]
        return drafts

    def _plain(self, task: DraftingTask) -> Iterator[Draft]:
        for options in reversed(_options(task)):
            flags = [f"{name}=True" for name in _flags(options)]
            yield self._draft(plain_source(task.reference, flags), PLAIN_IDEA + _suffix(options))

    def _in_pythran(self, task: DraftingTask) -> Iterator[Draft]:
        """The reference itself, with threads and without."""
        source = pythran_source(task.reference)
        for threads in (True, False) if task.target.cores > 1 else (False,):
            flags: dict[str, Scalar] = {"-DUSE_XSIMD": True}
            if threads:
                flags["-fopenmp"] = True
            provenance = Provenance(self.name, f"pythran{', parallel' if threads else ''}")
            yield Draft("pythran", source, (), (), flags, provenance)

    def _draft(self, source: str, idea: str) -> Draft:
        return Draft("numba", source, provenance=Provenance(self.name, idea))


def _few(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """With a choice of threads, lanes, and of how many time steps stay in the cache."""
    keep = (PARALLEL, TIME, STRIP, SHORT_STRIP, LONG_STRIP)
    return tuple(p if p.name in keep else Parameter(p.name, p.values[:1]) for p in parameters)


def numba_forms(program: Program) -> Iterator[tuple[str, Program]]:
    """What a lifted program becomes for Numba, the most promising first."""
    yield "recomputed", _recomputed(program)
    yield "fused", _fused(program)


def _recomputed(program: Program) -> Program:
    return hoisted(reused(fused(bordered(inlined(ping_ponged(program))))))


def _fused(program: Program) -> Program:
    return hoisted(reused(fused(bordered(ping_ponged(program)))))


def c_forms(program: Program, *, reorder: bool) -> Iterator[tuple[str, Program]]:
    """What it becomes for C; forms that turn out the same are one."""
    seen: list[Program] = []
    program = unrolled(program)
    forms = [
        *(_binned_form(program) if reorder else ()),
        *_pivoted_form(program),
        *numba_forms(program),
    ]
    for idea, form in forms:
        for name, final in _in_variants(idea, form, reorder=reorder):
            if final not in seen:
                seen.append(final)
                yield name, final


def _first_forms(forms: Iterator[tuple[str, Program]]) -> Iterator[tuple[str, Program]]:
    """The first form, and after one with columns that are split the next."""
    for idea, form in forms:
        yield idea, form
        if not idea.endswith(SPLIT):
            return


def _in_variants(idea: str, form: Program, *, reorder: bool) -> Iterator[tuple[str, Program]]:
    """A form for C, before it those in which loops run point by point or rows are kept."""
    whole = prepared(form)
    columns = by_columns(whole)
    if columns != whole:
        final = finished(columns, reorder=reorder)
        split = distributed(final)
        if split != final:
            yield f"{idea}, {SPLIT}", split
        yield f"{idea}, columns", final
    rows = slid(form)
    if rows != form:
        yield f"{idea}, rows kept", finished(prepared(rows), reorder=reorder)
    yield idea, finished(whole, reorder=reorder)


def _binned_form(program: Program) -> Iterator[tuple[str, Program]]:
    """With sums over masks in one pass, where there are any."""
    program = inlined(ping_ponged(program))
    form = binned(program)
    if form != program:
        yield BINNED, hoisted(reused(fused(form)))


def _pivoted_form(program: Program) -> Iterator[tuple[str, Program]]:
    """With several steps of whole-matrix updates at once, where there are any."""
    program = inlined(program)
    form = pivoted(program)
    if form != program:
        yield "pivots", hoisted(reused(fused(form)))


def _without_repeats(drafts: list[Draft]) -> tuple[Draft, ...]:
    """Drafts of one source are one, whatever the idea."""
    found: dict[tuple[str, str, tuple[str, ...]], Draft] = {}
    for draft in drafts:
        found.setdefault((draft.language, draft.source, tuple(draft.flags)), draft)
    return tuple(found.values())


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
