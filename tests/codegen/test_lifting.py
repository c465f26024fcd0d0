"""Random array programs, lifted, mean what NumPy means: interpreted, emitted and compiled."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import sys
import textwrap
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_interpreter
import numpy as np
import pytest
from array_programs import HELPERS, programs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outpace.codegen.drafters.builtin import numba_forms
from outpace.codegen.nests.ir import Program
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.numba.emit import NumbaOptions, numba_source
from outpace.codegen.nests.numba.segments import segmented_source
from outpace.codegen.nests.printer import program_text
from outpace.codegen.nests.rewriting.fuse import fused
from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.errors import NotLifted

SHAPES = ((3, 4), (4, 3), (1, 5), (5, 1), (2, 2), (0, 3), (3, 0), (6, 7))
IMPORTS = (
    "import numpy as np\n"
    "from jaxtyping import Complex128, Float32, Float64, Int32, Int64, UInt8\n\n"
)
_NUMBER = itertools.count()
Kernel = Callable[..., None]

many = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def reference_of(text: str, folder: Path) -> Reference:
    """The function `f` of a text, in a file so that its source can be read."""
    name = f"program_{next(_NUMBER)}"
    path = folder / f"{name}.py"
    path.write_text(IMPORTS + text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        reference = Reference(module.f, ReferenceOptions(workloads={"w": {"n": 3, "m": 4}}))
        assert reference.contract
        assert reference.closure
    finally:
        del sys.modules[name]
    return reference


def arguments(reference: Reference, seed: int, shape: tuple[int, int]) -> list[Any]:
    """Small values, whole numbers among them, so that comparisons meet ties and zeros."""
    rng = np.random.default_rng(seed)
    found = []
    for a in reference.contract.arguments:
        extents = shape if len(a.dims or ()) == 2 else shape[1:]
        whole = rng.integers(0 if a.dtype.startswith("u") else -3, 4, extents)
        part = rng.choice([0.0, 0.0, 0.25], extents)
        values = whole + part if np.dtype(a.dtype).kind in "fc" else whole
        if np.dtype(a.dtype).kind == "c":
            values = values + 1j * whole[::-1]
        found.append(np.ascontiguousarray(values.astype(a.dtype)))
    return found


def agrees(reference: Reference, kernel: Kernel, seed: int, shape: tuple[int, int]) -> bool:
    """Compare a kernel with the reference; False if the reference raises here."""
    given = arguments(reference, seed, shape)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = reference.fn(*copy.deepcopy(given))
        except (ValueError, IndexError, ZeroDivisionError, TypeError, OverflowError):
            return False
        got = np.full(want.shape, 77, dtype=want.dtype)
        kernel(*given, got)
    loose = 2e-3 if want.dtype == np.float32 else 1e-8
    scale = np.nanmax(np.abs(want.astype(np.complex128)), initial=1.0)
    if want.dtype.kind in "iu":
        np.testing.assert_array_equal(got, want)
    elif np.isfinite(scale) and scale < 1e30:
        np.testing.assert_allclose(got, want, rtol=loose, atol=loose * scale)
    return True


def lifted(reference: Reference) -> Program | None:
    """The program, or None where it is refused."""
    try:
        return lift(reference)
    except NotLifted as refusal:
        assert refusal.line is not None  # noqa: PT017  (every refusal is checked, not expected)
        return None


def check_interpreted(text: str, seed: int, folder: Path) -> None:
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return
    for k in range(3):
        shape = SHAPES[(seed + k) % len(SHAPES)]
        agrees(reference, lambda *a: ir_interpreter.run(program, *a), seed + k, shape)


# --- Rules of aliasing and of types ---------------------------------------------------------------

LIFTED = {
    "a loop over rows": """
        total = np.zeros(m, a.dtype)
        for row in a:
            total += row
        return a + total
        """,
    "enumerate and zip": """
        out = np.empty_like(a)
        for k, (x, y) in enumerate(zip(a, b)):
            out[k] = x * k + y
        return out
        """,
    "a loop over a tuple": """
        out = a.copy()
        for w, shift in ((0.5, 1), (0.25, 2)):
            out += w * np.roll(a, shift, axis=0)
        return out
        """,
    "reversed": """
        out = a.copy()
        for k in reversed(range(n - 1)):
            out[k] += out[k + 1]
        return out
        """,
    "an early return": """
        if n > 3:
            return a + 1
        elif m > 3:
            return a - b
        return b
        """,
    "a new array becomes the old one": """
        u = a.copy()
        for _ in range(3):
            new = np.empty_like(u)
            new[1:] = u[:-1] + b[1:]
            new[:1] = 2
            u = new
        return u
        """,
    "elements change places": """
        u = a.copy()
        u[0, 0], u[-1, -1] = u[-1, -1], u[0, 0]
        u[0], u[-1] = u[-1], u[0]
        return u
        """,
    "several targets": """
        u = a.copy()
        u[0] = u[-1] = p = b[0]
        q, (r, s) = p, (2, 3)
        return u + q * r - s
        """,
    "out and methods": """
        u = np.empty_like(a)
        np.add(a, b, out=u)
        np.multiply(u, 2, out=u)
        u[1:].fill(3)
        return u
        """,
    "a chained comparison short of the end": """
        out = a.copy()
        k = 0
        while k < n and a[k, 0] < 2 and -5 < a[k, 0] <= 3:
            out[k] = 9
            k += 1
        return out
        """,
    "a condition that sums": """
        out = a.copy()
        k = 0
        while np.sum(out) < 100 and k < 5:
            k += 1
            if k == 2:
                continue
            out += k
        return out
        """,
    "joined and stacked": """
        c = np.stack((a[0], b[0]), axis=1)
        d = np.hstack((a, b)) + np.pad(c[:1], ((0, 0), (1, 2)))[0, 0]
        return d[:, :m] + np.vstack((a, b))[n:] + c.T[0]
        """,
    "products": """
        c = np.einsum("ij,kj->ik", a, b) + np.inner(a[0], b[0]) + np.trace(a @ b.T)
        return c @ a + np.add.outer(a[:, 0], b[0]) - np.tril(a, -1) + np.diag(a[0]).sum()
        """,
    "moments": """
        spread = np.std(a, axis=1, keepdims=True) + np.var(b, ddof=1) + np.linalg.norm(a)
        return a / (1 + spread) + np.argmax(a, axis=0) + np.cumsum(b, axis=1) + np.ptp(a)
        """,
    "reshaped and moved": """
        c = a.reshape(-1)[::-1].copy().reshape(m, n).T + np.swapaxes(b, 0, 1).T
        return c + np.repeat(a, 2, axis=0)[::2] + np.expand_dims(v, 0) + np.diff(a, axis=1).sum()
        """,
    "grids": """
        x, y = np.meshgrid(np.linspace(0, 1, m), np.linspace(-1, 2, n))
        return x * y + np.eye(n, m, k=1) + np.arange(1, 2 * m + 1, 2) + np.full((n, 1), 0.5)
        """,
    "open grids and repeats": """
        i, j = np.mgrid[0:n, 1:m + 1]
        p, q = np.ogrid[0:n, 0:m]
        return i * j + p - q + np.repeat(np.reshape(v, (1, m)), n, axis=0) + np.sum(np.sum(a))
        """,
    "a variable of two types": """
        total = 0
        for k in range(n):
            total = total + a[k, 0]
        return a * total
        """,
}
REFUSED = {
    "an alias that is written in a loop": """
        u = a.copy()
        w = u
        for k in range(2):
            w[0] = k
            u = u + 1
            w = u
        return w + u
        """,
    "a copy that Python does not make": """
        u = a.copy()
        w = a.copy()
        for k in range(2):
            w = u
            u[0] += 1
        return w
        """,
    "a name for memory that is overwritten": """
        u = a.copy()
        for k in range(2):
            part = u[1:]
            u = u * 2
            part += 1
        return u
        """,
    "what may be a view or a copy": """
        u = a.copy()
        flat = u[:1].reshape(-1)
        flat[0] = 5
        return u
        """,
    "a helper that writes inside an expression": """
        u = a.copy()
        return u * 1 + bumped(u, 0)
        """,
    "a loop variable from before": """
        k = 7
        u = a.copy()
        for j in range(2):
            u = u + k
            for k in range(2):
                u = u + 1
        return u
        """,
    "wrapping arithmetic of a type that depends": """
        s = np.uint8(250)
        for k in range(3):
            s = s + 1 if k < 1 else 3
        return a + s
        """,
}


def body_of(text: str) -> str:
    lines = textwrap.indent(textwrap.dedent(text).strip(), "    ")
    shape = 'Float64[np.ndarray, "n m"]'
    signature = f'a: {shape}, b: {shape}, v: Float64[np.ndarray, "m"]'
    return f"{HELPERS}\n\ndef f({signature}) -> {shape}:\n    n, m = a.shape\n{lines}\n"


@pytest.mark.parametrize("name", LIFTED)
def test_rules_that_are_lifted(name, tmp_path):
    reference = reference_of(body_of(LIFTED[name]), tmp_path)
    program = lift(reference)
    kernels = [lambda *a: ir_interpreter.run(program, *a), *emitted(program)]
    for kernel in kernels:
        ran = [agrees(reference, kernel, k, shape) for k, shape in enumerate(SHAPES)]
        assert any(ran)


@pytest.mark.parametrize("name", REFUSED)
def test_rules_that_are_refused(name, tmp_path):
    reference = reference_of(body_of(REFUSED[name]), tmp_path)
    with pytest.raises(NotLifted) as refusal:
        lift(reference)
    assert refusal.value.line is not None


def emitted(program: Program) -> list[Kernel]:
    """The kernels of a lifted program after the drafter's rewrites, run by Python."""
    options = NumbaOptions(parallel=True, fastmath=True, vector_math=True)
    return [interpreted(numba_source(form, options)) for _, form in numba_forms(program)]


def interpreted(source: str) -> Kernel:
    """The kernel of a source with Numba's decorators as identities."""
    fake = types.SimpleNamespace(prange=range, njit=lambda *_, **__: lambda function: function)
    names: dict[str, Any] = {"numba": fake}
    exec(compile(source.replace("import numba\n", "", 1), "<draft>", "exec"), names)
    kernel: Kernel = names["kernel"]
    return kernel


def compiled(source: str) -> Kernel:
    """The kernel of a source, compiled."""
    names: dict[str, Any] = {}
    exec(compile(source, "<draft>", "exec"), names)
    kernel: Kernel = names["kernel"]
    return kernel


def test_library_calls_stay_with_numpy(tmp_path):
    text = """
        c = np.zeros_like(a)
        for k in range(3):
            x = np.linalg.solve(a @ a.T + 9 * np.eye(n), a @ b.T)
            if k > 1:
                x = -x
            c += x @ b + v
        return c
        """
    reference = reference_of(body_of(text), tmp_path)
    with pytest.raises(NotLifted, match="stays a library call"):
        lift(reference)
    program = lift(reference, library=True)
    assert "library linalg.solve(" in program_text(program)
    kernel = interpreted(segmented_source(fused(program), NumbaOptions()))
    for run in (kernel, lambda *a: ir_interpreter.run(program, *a)):
        assert all(agrees(reference, run, k, shape) for k, shape in enumerate(SHAPES))


# --- Random programs ----------------------------------------------------------------------------


@settings(many, max_examples=80)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_lifted_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_interpreted(text, seed, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=10_000)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_many_lifted_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_interpreted(text, seed, tmp_path)


def check_emitted(text: str, seed: int, folder: Path, *, native: bool) -> None:
    reference = reference_of(text, folder)
    program = lifted(reference)
    if program is None:
        return
    kernels = emitted(program)
    if native:
        forms = [form for _, form in numba_forms(program)]
        kernels = [compiled(numba_source(form, NumbaOptions())) for form in forms]
    for kernel in kernels:
        for k in range(3):
            agrees(reference, kernel, seed + k, SHAPES[(seed + k) % len(SHAPES)])


@settings(many, max_examples=15)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_emitted_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_emitted(text, seed, tmp_path, native=False)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(many, max_examples=300)
@given(text=programs(), seed=st.integers(0, 2**20))
def test_compiled_programs_mean_what_numpy_means(text, seed, tmp_path):
    check_emitted(text, seed, tmp_path, native=True)
