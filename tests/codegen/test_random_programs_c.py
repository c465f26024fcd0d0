"""Ten thousand random programs through the C compiler, many to a translation unit."""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from array_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_emit_c import with_plain_rounding
from test_lifting import SHAPES, Kernel, agrees, lifted, reference_of

from outpace.codegen.abi import Role, slots
from outpace.codegen.drafters.builtin import c_forms
from outpace.codegen.nests.c.emit import COptions, CSource, c_source
from outpace.codegen.reference import Reference
from outpace.errors import NotLifted
from outpace.kernels.languages.c import C
from outpace.kernels.languages.c_entry import _PYTHON_TYPES, ENTRY, entry_source

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"),
]
PROGRAMS = 10_000
TOGETHER = 50
_OPTIONS = (
    *("-std=c17", "-D_GNU_SOURCE", "-O1", "-march=native", "-fopenmp"),
    *("-fPIC", "-shared", "-w"),
)
_NUMBER = itertools.count()
_NAMED = re.compile(
    r"^[ \t]*#[ \t]*define[ \t]+(\w+)|^static [^(;\n]*?(\w+)\(|^struct (\w+) \{|^\} (\w+);"
    r"|^typedef \w+ (\w+);",
    re.MULTILINE,
)


class Written(NamedTuple):
    """A program with its source in C and the seed of its inputs."""

    text: str
    seed: int
    reference: Reference
    source: CSource


@pytest.mark.timeout(7200)
def test_ten_thousand_programs_mean_in_c_what_numpy_means(tmp_path):
    drawn: dict[str, int] = {}

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=2 * PROGRAMS,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(text=programs(), seed=st.integers(0, 2**20))
    def draw(text: str, seed: int) -> None:
        drawn[text] = seed

    draw()
    waiting: dict[tuple[str, ...], list[Written]] = defaultdict(list)
    compared = 0
    for k, (text, seed) in enumerate(drawn.items()):
        one = written(text, seed, tmp_path, fastmath=k % 2 == 0)
        if one is None:
            continue
        same = waiting[tuple(one.source.flags)]
        same.append(one)
        if len(same) == TOGETHER:
            compared += compare(same, tmp_path)
            same.clear()
    compared += sum(compare(rest, tmp_path) for rest in waiting.values())
    assert compared >= PROGRAMS


def written(text: str, seed: int, folder: Path, *, fastmath: bool) -> Written | None:
    """A program, unless it is refused."""
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return None
    _, form = next(iter(c_forms(program, reorder=fastmath)))
    try:
        source = c_source(form, reference.contract, COptions(fastmath=fastmath))
    except NotLifted:
        return None
    return Written(text, seed, reference, with_plain_rounding(source, reference.contract))


def compare(together: list[Written], folder: Path) -> int:
    """Compile these programs and compare each with NumPy; how many there were."""
    for one, kernel in zip(together, kernels(together, folder), strict=True):
        for k in range(3):
            shape = SHAPES[(one.seed + k) % len(SHAPES)]
            try:
                agrees(one.reference, kernel, one.seed + k, shape)
            except AssertionError as error:
                raise AssertionError(f"{one.text}\n{one.source.text}\n{error}") from error
    return len(together)


def kernels(together: list[Written], folder: Path) -> Iterator[Kernel]:
    """The kernels of these programs, from one translation unit."""
    if not together:
        return
    # A name that was loaded before would give the library of then.
    source, library = folder / "together.c", folder / f"{next(_NUMBER)}.so"
    source.write_text("\n".join(renamed(one, k) for k, one in enumerate(together)))
    flags = [f for f in together[0].source.flags if not f.startswith("-O")]
    subprocess.run(["cc", *_OPTIONS, *flags, "-o", library, source, "-lm"], check=True)
    loaded = ctypes.PyDLL(str(library))
    for k, one in enumerate(together):
        entry = loaded[f"{ENTRY}_of_{k}"]
        entry.restype = None
        entry.argtypes = [
            ctypes.py_object
            if slot.role is not Role.SCALAR or slot.dtype not in _PYTHON_TYPES
            else _PYTHON_TYPES[slot.dtype]
            for slot in slots(one.reference.contract)
        ]
        yield entry


def renamed(one: Written, number: int) -> str:
    """The text of a program with its entry point, in which every global name has a number."""
    macros = "".join(f"#define {p.name} {p.values[0]}\n" for p in one.source.parameters)
    text = f"{macros}{one.source.text}\n{entry_source(one.reference.contract)}"
    names = {name for found in _NAMED.findall(text) for name in found if name}
    names |= {"kernel", ENTRY}
    return re.sub(r"\b\w+\b", lambda m: f"{m[0]}_of_{number}" if m[0] in names else m[0], text)
