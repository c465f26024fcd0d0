"""Random programs that rewritings take apart mean what NumPy means, in every form."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import ir_interpreter
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rewritten_programs import rewritten
from test_emit_c import with_plain_rounding
from test_lifting import SHAPES, agrees, lifted, reference_of
from test_random_programs_c import TOGETHER, Written, compare

from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests.c.emit import COptions, CSource, c_source
from outpace.kernels.languages.c import C
from outpace.model import Parameter

WIDTHS = {
    "TIME": (3, 1, 2, 16),
    "STRIP": (2, 4),
    "SHORT_STRIP": (3, 2),
    "LONG_STRIP": (3, 2),
    "REGISTER_STRIP": (2, 4),
    "ROWS": (2, 4),
    "COLUMNS": (3, 2),
}
"""Values that small arrays exceed; other parameters have those that they are drafted with."""
SOUGHT = ("binned", "columns", "columns split", "pivots", "rows kept", "TIME", "ROWS", "COLUMNS")
"""Parts of names of forms, and parameters, of which each has to occur among many programs."""

many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def drawn(examples: int) -> dict[str, int]:
    """Programs, and a number for each."""
    found: dict[str, int] = {}

    @settings(many, max_examples=examples)
    @given(text=rewritten(), seed=st.integers(0, 2**20))
    def draw(text: str, seed: int) -> None:
        found[text] = seed

    draw()
    return found


@settings(many, max_examples=12)
@given(text=rewritten(), seed=st.integers(0, 2**20))
def test_every_form_keeps_the_meaning_of_loops_that_are_rewritten(text, seed, tmp_path):
    reference = reference_of(text, tmp_path)
    program = lifted(reference)
    if program is None:
        return
    for _, form in c_forms(program, reorder=seed % 2 == 0):
        for k in range(2):
            shape = SHAPES[(seed + k) % len(SHAPES)]
            agrees(reference, lambda *a, f=form: ir_interpreter.run(f, *a), seed + k, shape)


@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_loops_that_are_rewritten_mean_in_c_what_numpy_means(tmp_path):
    waiting: dict[tuple[str, ...], list[Written]] = defaultdict(list)
    seen: Counter[str] = Counter()
    compared = 0
    for text, seed in drawn(1500).items():
        for one in written(text, seed, tmp_path, seen):
            same = waiting[tuple(one.source.flags)]
            same.append(one)
            if len(same) == TOGETHER:
                compared += compare(same, tmp_path)
                same.clear()
    compared += sum(compare(rest, tmp_path) for rest in waiting.values())
    assert compared >= 1500
    assert min(seen[name] for name in SOUGHT) >= 10, seen


def written(text: str, seed: int, folder: Path, seen: Counter[str]) -> list[Written]:
    """The forms of a program in C, counted by what occurs in them."""
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return []
    fastmath = seed % 2 == 0
    found = []
    for idea, form in c_forms(program, reorder=fastmath):
        source = c_source(form, reference.contract, COptions(fastmath=fastmath))
        seen.update([*idea.split(", "), *(p.name for p in source.parameters)])
        source = with_plain_rounding(_narrow(source, seed), reference.contract)
        found.append(Written(text, seed, reference, source))
    return found


def _narrow(source: CSource, seed: int) -> CSource:
    """The source with one value of each parameter, which the number decides."""
    parameters = []
    for p in source.parameters:
        values = WIDTHS.get(p.name, p.values)
        parameters.append(Parameter(p.name, (values[seed // 2 % len(values)],)))
    return replace(source, parameters=tuple(parameters))
