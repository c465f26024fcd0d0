"""Two buffers in place of a copy mean what the copy means, whatever the borders do."""

from __future__ import annotations

from pathlib import Path

import ir_interpreter
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_emit_c import compiled
from test_lifting import SHAPES, agrees, reference_of

from outpace.codegen.nests import walk
from outpace.codegen.nests.c.emit import COptions, c_source
from outpace.codegen.nests.ir import If, Program, Rebind
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.nests.rewriting.pingpong import ping_ponged
from outpace.kernels.languages.c import C

HEAD = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    n, m = a.shape
    p = a.copy()
    q = np.zeros((n, m))
    for t in range(3):
        q[:] = 0.5 * q + 0.25 * b
"""
IN_PLACE = """
p[1:-1, 1:-1] = 0.25 * (p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1] - b[1:-1, 1:-1])
"""
FROM_COPY = """
old = p.copy()
p[1:-1, 1:-1] = 0.25 * (old[1:-1, 2:] + old[:-2, 1:-1] + old[2:, 1:-1]) - b[1:-1, 1:-1]
"""
NO_SLOPE = ["p[:, 0] = p[:, 1]", "p[:, -1] = p[:, -2]", "p[0, :] = p[1, :]", "p[-1, :] = p[-2, :]"]
FIXED = ["p[0, :] = 0.0", "p[-1, :] = q[-1, :]", "p[:, 0] = 1.5", "p[:, -1] = b[:, 0]"]
OF_ANOTHER_STEP = [
    "p[0, :] = 0.5 * p[0, :]",
    "p[:, 0] = 0.5 * (p[:, 0] + p[:, 1])",
    "p[0, :] = p[-1, :]",
    "q[:, :] = p",
    "q[0, :] = p[0, :]",
    "p[2:, 0] = p[2:, 1]",
    "p[1:-1, 1:-1] = p[1:-1, 1:-1] + q[1:-1, 1:-1]",
    "p[0, 0] = p[1, 1]",
]
OF_THE_COPY = ["q[:, :] = old", "p[0, :] = old[1, :]", "p[:, -1] = 0.5 * old[:, -1]"]


def source(sweeps: list[str], *, nested: bool = False) -> str:
    """A program of time steps, each of these statements, perhaps in a loop inside the steps."""
    lines = [*"\n".join(sweeps).strip().splitlines()]
    inner = ["    " + line for line in lines]
    steps = ["for s in range(2):", *inner] if nested else lines
    text = "".join(f"        {line}\n" for line in steps)
    return HEAD + text + "    return p + q\n"


def exchanged(program: Program) -> bool:
    """Whether arrays change places somewhere in it."""
    return any(isinstance(s, Rebind) for s in walk.statements(program.body))


def check(text: str, seed: int, folder: Path, *, compile_it: bool = False) -> bool:
    """Compare the program with two buffers, if it has them, at many shapes."""
    reference = reference_of(text, folder)
    program = ping_ponged(lift(reference))
    if not exchanged(program):
        return False
    kernels = [lambda *values: ir_interpreter.run(program, *values)]
    if compile_it:
        generated = c_source(fused(program), reference.contract, COptions(fastmath=False))
        params = {p.name: p.values[seed % len(p.values)] for p in generated.parameters}
        kernels = [compiled(reference, generated, folder, params)]
    for kernel in kernels:
        for k, shape in enumerate(SHAPES):
            agrees(reference, kernel, seed + k, shape)
    return True


@pytest.mark.parametrize("nested", [False, True], ids=["outermost", "nested"])
@pytest.mark.parametrize("sweep", [IN_PLACE, FROM_COPY], ids=["in place", "from a copy"])
@pytest.mark.parametrize("borders", [NO_SLOPE, FIXED, []], ids=["no slope", "fixed", "none"])
def test_a_sweep_that_renews_its_borders_has_two_buffers(sweep, borders, nested, tmp_path):
    assert check(source([sweep, *borders], nested=nested), 1, tmp_path)


def test_small_extents_keep_the_copy_where_borders_would_be_older(tmp_path):
    program = ping_ponged(lift(reference_of(source([IN_PLACE, *NO_SLOPE]), tmp_path)))
    (choice,) = [s for s in program.body if isinstance(s, If)]
    assert exchanged(Program("large", (), (), (), choice.body))
    assert not exchanged(Program("small", (), (), (), choice.orelse))


@pytest.mark.parametrize(
    "borders",
    [
        ["p[0, :] = 0.5 * p[0, :]"],
        ["p[:, 0] = p[:, 1]", "p[0, :] = p[0, :] + p[1, :]"],
        ["p[0, :] = p[-1, :]", "p[-1, :] = p[1, :]"],
        ["q[0, :] = p[0, :]", "p[0, :] = 0.0"],
        ["p[0, 0] = p[0, 1]", "p[0, 1] = p[1, 1]"],
    ],
)
def test_a_border_that_reads_its_older_self_keeps_the_copy(borders, tmp_path):
    assert not exchanged(ping_ponged(lift(reference_of(source([IN_PLACE, *borders]), tmp_path))))


needs_compiler = pytest.mark.skipif(
    C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}"
)


@needs_compiler
@pytest.mark.parametrize("sweep", [IN_PLACE, FROM_COPY], ids=["in place", "from a copy"])
def test_two_buffers_in_c(sweep, tmp_path):
    assert check(source([sweep, *NO_SLOPE], nested=True), 0, tmp_path, compile_it=True)


@st.composite
def steps(draw: st.DrawFn) -> str:
    """Sweeps with borders of every kind, in any order."""
    sweep = draw(st.sampled_from((IN_PLACE, FROM_COPY)))
    pool = [*NO_SLOPE, *FIXED, *OF_ANOTHER_STEP, *(OF_THE_COPY if sweep is FROM_COPY else ())]
    borders = draw(st.lists(st.sampled_from(pool), max_size=5))
    if draw(st.booleans()):
        borders = [*borders, *NO_SLOPE]
    return source([sweep, *borders], nested=draw(st.booleans()))


def run_many(examples: int, folder: Path, *, compile_it: bool) -> int:
    """Random steps; how many of them had two buffers."""
    found = 0

    @settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(text=steps(), seed=st.integers(0, 2**20))
    def one(text: str, seed: int) -> None:
        nonlocal found
        found += check(text, seed, folder, compile_it=compile_it)

    one()
    return found


def test_random_steps_with_two_buffers_keep_their_meaning(tmp_path):
    assert run_many(25, tmp_path, compile_it=False) > 6


@needs_compiler
@pytest.mark.soak
def test_many_random_steps_with_two_buffers_keep_their_meaning(tmp_path):
    assert run_many(200, tmp_path, compile_it=True) > 50
