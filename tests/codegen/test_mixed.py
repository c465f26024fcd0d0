"""References that are lifted in parts mean what NumPy means, wherever they are split."""

from __future__ import annotations

import ast
import random
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_interpreter
import numpy as np
import pytest
from array_programs import programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jaxtyping import Float64
from msgspec.structs import replace
from test_lifting import SHAPES, agrees, reference_of

from outpace.codegen.drafters import DraftingTask, drafter_named
from outpace.codegen.drafters.builtin import numba_forms
from outpace.codegen.inputs import draw_cases, draw_inputs
from outpace.codegen.mixed.drafts import Mixed, mixed
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import NotLifted
from outpace.kernels.languages.numba import NUMBA
from outpace.model import Target

TARGET = Target("x86_64", "some cpu", 2)
SIZES = {"w": {"n": 30, "m": 20}}


def low_rank(
    a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "m"]
) -> Float64[np.ndarray, "n m"]:
    """Between two parts is a factorisation."""
    c = (a - a.mean(axis=0)) / (1.0 + np.abs(b))
    u, s, vt = np.linalg.svd(c, full_matrices=False)
    large = np.where(s > 0.1, s, 0.0)
    return np.abs((u * large)[:, :, None] * vt[None, :, :]).sum(axis=1) + c


def spectral(u: Float64[np.ndarray, "n n"], steps: int) -> Float64[np.ndarray, "n n"]:
    """A loop stays, and what is around the transforms in it does not; returns early."""
    if steps > 3:
        return u * 2.0 + np.fft.fft2(u).real
    v = u * 1.0
    for step in range(steps):
        h = np.fft.ifft2(np.fft.fft2(v) * 0.5).real
        w = v + 0.25 * (h - v * v) + step
        w[0, :] = 0.0
        v = w
        if np.linalg.norm(v) > 1e6:
            break
    return v * 2.0


def roots(a: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """The type of the roots depends on the values, which show no complex ones at first."""
    values = np.emath.sqrt(a + 50.0)
    moduli = np.abs(values * values) + 1.0
    return np.sort(moduli)


def marked(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """Another name sees what a part writes."""
    u = a * 2.0
    seen = [u, a][0]
    u[1:, :] = u[1:, :] * a[:-1, :] + seen[:-1, :]
    return seen * 3.0 + u


def guarded(a: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    """What is not warned of is lifted all the same."""
    order = np.percentile(a, 50.0, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a / (order - order[0])
        ratio = np.where(np.isfinite(ratio), ratio, 0.0)
    return ratio * 2.0


EXAMPLES = {
    "guarded": (guarded, SIZES),
    "low_rank": (low_rank, SIZES),
    "spectral": (spectral, {"w": {"n": 30, "steps": 2}}),
    "roots": (roots, {"w": {"n": 30}}),
    "marked": (marked, SIZES),
}


def example(name: str) -> Reference:
    function, workloads = EXAMPLES[name]
    return Reference(function, ReferenceOptions(workloads))


def values_of(reference: Reference, seed: int) -> list[Any]:
    case = draw_cases(reference, 40, seed)[-1]
    return list(draw_inputs(reference, replace(case, flavour="plain")).values())


def numba_forms_of(place: int) -> Callable[[Program], Program]:
    """One of the forms of every part."""
    return lambda program: list(numba_forms(program))[place][1]


def kernel_of(found: Mixed, place: int) -> Callable[..., None]:
    """The kernel of one form, in Python alone."""
    source = found.source(numba_forms_of(place), NumbaOptions())
    names: dict[str, Callable[..., None]] = {}
    exec(compile(source.replace("@numba.njit", "# "), "<draft>", "exec"), names)
    return names["kernel"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", EXAMPLES)
def test_kernels_mean_what_the_reference_means(name, place):
    reference = example(name)
    found = mixed(reference)
    assert found is not None
    kernel = kernel_of(found, place)
    for seed in range(6):
        given = values_of(reference, seed)
        try:
            want = reference.fn(*given)
        except (ValueError, np.linalg.LinAlgError):
            continue
        out = np.full(want.shape, np.nan)
        kernel(*given, out)
        np.testing.assert_allclose(out, want, rtol=1e-9, atol=1e-9)


def test_the_drafter_says_which_lines_stay_and_why():
    task = DraftingTask(example("low_rank"), TARGET, ("numba",))
    proposal = drafter_named("builtin").propose(task)
    line = low_rank.__code__.co_firstlineno + 5
    assert f"line {line} stays Python: a call of numpy.linalg.svd" in proposal.notes[-1]
    drafts = [d for d in proposal.drafts if d.provenance.idea.startswith("nests in parts")]
    assert len({d.source for d in drafts}) == len(drafts) > 3
    for draft in drafts:
        assert "# stays Python: a call of numpy.linalg.svd" in draft.source
        assert draft.source.count("@numba.njit") == 2


def test_parts_inside_a_loop_that_stays():
    found = mixed(example("spectral"))
    assert found is not None
    source = found.source(numba_forms_of(1), NumbaOptions())
    loop = source[source.index("for step in range(steps):") :]
    assert "np.fft.ifft2" in loop
    assert re.search(r"^            part\d\(", loop, re.MULTILINE)
    assert "break" in loop


def test_what_only_silences_warnings_is_no_obstacle():
    found = mixed(example("guarded"))
    assert found is not None
    source = found.source(numba_forms_of(1), NumbaOptions())
    assert source.count("def part") == 1
    assert source.count("np.errstate") == 1  # where the guess is wrong


def test_a_part_compiles_and_runs_where_a_guess_is_wrong(tmp_path):
    reference = example("roots")
    found = mixed(reference)
    assert found is not None
    path = tmp_path / "draft.py"
    path.write_text(found.source(numba_forms_of(0), NumbaOptions()))
    NUMBA.build(path, reference.contract, tmp_path / "cache")
    kernel = NUMBA.load(path, reference.contract, tmp_path / "cache")
    for values in (np.arange(4.0), -100.0 * np.arange(4.0)):  # the second has complex roots
        out = np.full(4, np.nan)
        kernel(values, out)
        np.testing.assert_allclose(out, roots(values), rtol=1e-12)


REFUSED = {
    "it defines inner inside": """
        def inner(x):
            return x + 1
        return np.sort(inner(a), axis=0)
        """,
    "it uses locals": """
        t = a * 2
        return np.sort(locals()["t"], axis=0)
        """,
    "it changes the attribute shape": """
        t = a.copy()
        t.shape = (m_of(a), 1)
        return np.sort(t * 2, axis=0)
        """,
    "range means something else than in generated code": """
        range = np.sort(a, axis=0)
        return range * 2
        """,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_taken_apart(reason, tmp_path):
    shape = 'Float64[np.ndarray, "n m"]'
    body = textwrap.indent(textwrap.dedent(REFUSED[reason]), "    ")
    helper = "def m_of(x):\n    return x.size\n\n"
    reference = reference_of(f"{helper}def f(a: {shape}) -> {shape}:\n{body}\n", tmp_path)
    with pytest.raises(NotLifted, match=reason):
        mixed(reference)


def test_a_float_argument_that_changes_in_a_loop(tmp_path):
    shape = 'Float64[np.ndarray, "n m"]'
    body = "for _ in range(3):\n        s = s * 2.0\n    return a * s"
    text = f"def f(a: {shape}, s: float) -> {shape}:\n    {body}\n"
    program = lift(reference_of(text, tmp_path))
    a, out = np.arange(6.0).reshape(2, 3), np.full((2, 3), np.nan)
    ir_interpreter.run(program, a, 1.5, out)
    np.testing.assert_array_equal(out, a * 12.0)


# --- Random splits of random programs -------------------------------------------------------------

many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPAQUE = (
    "{x}_seen = np.asarray({x})\n{x}_seen[:1] += 1",
    "held = [{x}]\nheld[0][-1:] = 2",
    "{x}_turned = {x}.T\n{x}_turned[:, :1] *= 2",
    "{x} = np.asfortranarray({x})",
    "{x} = np.sort({x}, axis=0)[::1]",
    "s = s + float(np.sort({x}, axis=None)[:1].sum().real)",
    "s = np.array([s])[0]",
    "{x} = np.array(list({x}), {x}.dtype).reshape({x}.shape)",
    "{x}, {y} = sorted(({x}, {y}), key=np.size)",
    "{x} = list(({x}, {y}))[n % 2]",
    "if n > 3:\n    {x} = list([{y}])[0]",
)
"""Statements that no lifter takes, many of which give an array a second name."""


def split_at_random(text: str, seed: int) -> str:
    """The program, with statements that stay Python here and there."""
    chosen = random.Random(seed)
    tree = ast.parse(text)
    function = tree.body[-1]
    assert isinstance(function, ast.FunctionDef)
    function.body = _broken(function.body, chosen, depth=0)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _broken(body: list[ast.stmt], chosen: random.Random, depth: int) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    made: list[str] = []
    for s in body:
        for field in ("body", "orelse"):
            if isinstance(s, ast.For | ast.While | ast.If) and getattr(s, field):
                setattr(s, field, _broken(getattr(s, field), chosen, depth + 1))
        if isinstance(s, ast.Return) or chosen.random() < 0.3:
            found += _opaque(made, chosen) if made else []
        found.append(s if isinstance(s, ast.Return) else _wrapped(s, chosen))
        match s:
            case ast.Assign(targets=[ast.Name(id=name)]) if re.fullmatch("[twhuyxdgkl]\\d", name):
                made.append(name)
    return found


def _wrapped(s: ast.stmt, chosen: random.Random) -> ast.stmt:
    """The statement where no part of it is lifted, or where it may be lifted alone, or as it is."""
    kind = chosen.random()
    if kind < 0.1:
        return ast.Try([s], [], [], [ast.Pass()])
    if kind < 0.2 and not any(isinstance(n, ast.Break | ast.Continue) for n in ast.walk(s)):
        (loop,) = ast.parse("for _ in {0}: pass").body
        assert isinstance(loop, ast.For)
        loop.body = [s]
        return loop
    return s


def _opaque(made: list[str], chosen: random.Random) -> list[ast.stmt]:
    text = chosen.choice(OPAQUE).format(x=chosen.choice(made), y=chosen.choice(made))
    return ast.parse(text).body


def check_split(text: str, seed: int, folder: Path) -> None:
    reference = reference_of(split_at_random(text, seed), folder)
    try:
        found = mixed(reference)
    except NotLifted:
        return
    if found is None:
        return
    kernel = kernel_of(found, seed % 2)
    for k in range(3):
        agrees(reference, kernel, seed + k, SHAPES[(seed + k) % len(SHAPES)])


@settings(many, max_examples=25)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_random_splits_of_random_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_split(text, seed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=2000)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_many_random_splits_mean_what_numpy_means(text, seed, tmp_path):
    check_split(text, seed, tmp_path)
