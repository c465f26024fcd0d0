"""What programs of suites are made of means the same once it is lifted, and has a good form."""

from __future__ import annotations

import textwrap

import ir_interpreter
import pytest
from test_emit_c import source_of
from test_lifting import SHAPES, agrees, emitted, reference_of
from test_random_programs_c import Written, kernels

from outpace.codegen.nests import walk
from outpace.codegen.nests.ir import Loop
from outpace.codegen.nests.lift import lift
from outpace.codegen.nests.printer import program_text
from outpace.errors import NotLifted
from outpace.kernels.languages.c import C

FEW_SHAPES = ((3, 4), (1, 5), (6, 7))
HELPERS = """
from math import sqrt

from numpy.linalg import norm


def grids(rows, columns):
    x = np.empty((rows, columns), dtype=np.int64)
    for i in range(rows):
        x[i, :] = i
    return x, x + 1


def relaxed(b, p, scale=0.5):
    old = p.copy()
    p[1:-1] = scale * (old[:-2] + old[2:]) - b[1:-1]
    p[0] = p[-1]
    return p


def moved(u, w, by):
    u[1:] += by
    w[0] = u[0]
    return u, w


def halves(x):
    half = len(x) // 2
    return x[:half] + x[half : 2 * half]
"""
LIFTED = {
    "helpers give back what they change": """
        p = a.copy()
        q = b.copy()
        for k in range(3):
            p = relaxed(b, p)
            p, q = moved(p, w=q, by=0.25)
        q = relaxed(a, p=q, scale=0.25)
        return p + q
        """,
    "positional out": """
        c = np.empty_like(a)
        np.add(a, b, c)
        np.multiply(c, 0.5, c)
        np.negative(c, c)
        np.clip(c, -1, 2, c)
        d = np.empty((n, n))
        np.dot(c, b.T, d)
        np.matmul(d, a, c)
        return c
        """,
    "gradients": """
        if n < 2 or m < 2:
            return a
        x, y = np.gradient(a)
        z = np.gradient(b, 0.5, axis=-1) + np.gradient(b, 0.5, 2.0, axis=(0, 1))[0]
        return x + y * np.gradient(v, 0.1) + z
        """,
    "differences": """
        c = np.zeros((n, m))
        c[:, 2:] += np.diff(a, n=2)
        c += np.diff(b, axis=0, prepend=0.5)
        return c + np.diff(a, axis=1, append=b[:, :1], prepend=1.0)[:, :m]
        """,
    "convolutions": """
        full = np.convolve(v, a[0])
        same = np.convolve(a[:, 0], v, "same")
        valid = np.convolve(v, b[:, 0], mode="valid")
        other = np.correlate(v, b[:, 0])
        c = np.correlate(v, a[:, 0], "same").sum() + np.correlate(a[:, 0], v, "same")[0]
        d = np.correlate(v, a[0], mode="full") @ np.arange(len(full))
        e = valid @ np.arange(len(valid)) - other @ np.arange(len(other))
        return a + full @ np.arange(len(full)) + same @ np.arange(len(same)) + c + d + e
        """,
    "histograms": """
        counts, edges = np.histogram(a, m)
        weighted = np.histogram(b, bins=m, weights=a, range=(-1, 2.5))[0]
        return a + counts + weighted * edges[1:]
        """,
    "covariances": """
        c = np.cov(a)
        d = np.cov(b, rowvar=False, bias=True)
        return c @ a + b @ d
        """,
    "masks after an index": """
        c = a.copy()
        for i in range(n):
            far = b[i] + v
            near = c[i, :] >= far
            c[i, near] = far[near]
            c[0, c[0] > 2] -= 1.0
        return c + b[n - 1, b[n - 1] > 0].sum()
        """,
    "limits and norms": """
        eps = np.finfo(a.dtype).eps + np.finfo(float).tiny
        k = np.iinfo(np.int32).max
        return a / (np.linalg.norm(b, "fro") + eps) + k + np.diagflat(v)[0] + a.clip(min=0.5)
        """,
    "imported by name": """
        c = np.nan_to_num(np.where(a > 2, np.nan, np.where(b > 2, -np.inf, a)))
        c = np.maximum(c, -1e3) * sqrt(2.0 * n) + norm(b) + norm(a, axis=1)[:, None]
        d = np.cross(np.stack((a, b, a), axis=-1), np.array([1.0, 2.0, v[0]]))
        return c + d[:, :, 0] - d[..., 2]
        """,
    "rows change places with all axes named": """
        c = a.copy()
        for i in range(n):
            p = i + np.argmax(np.abs(c[i:, 0]))
            if p != i:
                c[[i, p], :] = c[[p, i], :]
        return c
        """,
    "complex from parts": """
        c = np.zeros((n, m), dtype=np.int64)
        for i in range(n):
            for j in range(m):
                z = complex(a[i, j], v[j])
                k = 0
                while k < 5 and abs(z) < 2.0:
                    z = z * z + complex(0.25, -0.5)
                    k += 1
                c[i, j] = k
        return a + c
        """,
    "one of two shapes": """
        if n == m:
            x = (a + b).T
        else:
            x = a + 2 * b
        return x - 1
        """,
    "powers as extents": """
        radix = 2
        i, j = grids(radix, radix ** n)
        c = np.zeros((radix, radix ** n))
        for k in range(n + 1):
            turn = i[:, : radix ** k] * j[:, : radix ** k]
            wide = np.repeat(np.reshape(turn, (radix, radix ** k, 1)), radix ** (n - k), axis=2)
            d = np.empty((radix, radix ** k, radix ** (n - k)))
            d[:] = wide
            c += np.reshape(d, (radix, radix ** n))
        return a + c.sum() + c[1, -1]
        """,
    "halves of what is computed": """
        x = a[: 2 * (n // 2)]
        c = np.zeros((n // 2, m))
        for i in range(n // 2):
            c[i] = np.max(x[2 * i : 2 * i + 2], axis=0)
        return a + c.sum() + halves(b).sum()
        """,
    "loops over elements": """
        c = np.zeros((n, m))
        last = 0.0
        for i in range(n):
            for j in range(m):
                c[i, j] = a[i, j] * 2
                if i > 0 and j > 0:
                    c[i, j] += a[i - 1, j - 1]
        for j in range(m):
            for i in range(1, n):
                c[i, j] = c[i, j] + c[i - 1, j]
        for i in range(n):
            for j in range(m - 1):
                c[i, j] = c[i, j + 1] * 0.5
        for i in range(n):
            for j in range(i, m):
                t = b[i, j] - c[i, 0]
                if t > 1:
                    t = 1.0
                c[i, j] += t
            last = c[i, 0]
        for i in range(n):
            c[n - 1 - i, 0] += c[i, 0]
        for i in range(1, n):
            c[i, 0] = c[0, 0] + c[i, 0]
        return c + last
        """,
}  # fmt: skip
REFUSED = {
    "edges": ("return a + np.histogram(b, bins=v)[0].sum()", "edges of its own"),
    "coordinates": ("return np.gradient(a, v, axis=1)", "with coordinates"),
    "an order": ("return np.gradient(a, edge_order=2)[0]", "this edge order"),
    "matrices": ("return a + np.convolve(v, v, mode='most')[0]", "with this mode"),
    "a density": ("return a + np.histogram(b, 3, density=True)[0].sum()", "with a density"),
    "two matrices": ("return a + np.cov(a, b).sum()", "one real matrix"),
}
SWEEPS = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"], v: Float64[np.ndarray, "m"]) \
-> Float64[np.ndarray, "n m"]:
    n, m = a.shape
    u, w = a.copy(), a.copy()
    for _ in range(5):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                total = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
                w[i, j] = 0.25 * total
        for i in range(n):
            for j in range(m):
                u[i, j] = w[i, j] + b[i, j]
    return u
"""


def text_of(body: str) -> str:
    shape = 'Float64[np.ndarray, "n m"]'
    lines = textwrap.indent(textwrap.dedent(body if body[0] == "\n" else f"        {body}"), "    ")
    signature = f'a: {shape}, b: {shape}, v: Float64[np.ndarray, "m"]'
    return f"{HELPERS}\n\ndef f({signature}) -> {shape}:\n    n, m = a.shape\n{lines}\n"


TEXTS = {name: text_of(body) for name, body in LIFTED.items()} | {"sweeps": SWEEPS}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", TEXTS)
def test_programs_mean_the_same(name, tmp_path):
    reference = reference_of(TEXTS[name], tmp_path)
    program = lift(reference)
    for kernel in (lambda *a: ir_interpreter.run(program, *a), *emitted(program)):
        ran = [agrees(reference, kernel, k, shape) for k, shape in enumerate(FEW_SHAPES)]
        assert any(ran)


@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
def test_programs_mean_the_same_in_c(tmp_path):
    groups: dict[tuple[str, ...], list[Written]] = {}
    for text in TEXTS.values():
        reference = reference_of(text, tmp_path)
        source = source_of(reference)
        groups.setdefault(tuple(source.flags), []).append(Written(text, 0, reference, source))
    compared = 0
    for group in groups.values():
        for one, kernel in zip(group, kernels(group, tmp_path), strict=True):
            ran = [agrees(one.reference, kernel, k, shape) for k, shape in enumerate(SHAPES)]
            compared += sum(ran) >= 2
    assert compared == len(TEXTS)


@pytest.mark.parametrize("name", REFUSED)
def test_programs_that_are_refused_say_why(name, tmp_path):
    body, reason = REFUSED[name]
    with pytest.raises(NotLifted, match=reason) as refusal:
        lift(reference_of(text_of(body), tmp_path))
    assert refusal.value.line is not None


def test_loops_over_elements_are_fused_and_tiled_like_array_statements(tmp_path):
    reference = reference_of(SWEEPS, tmp_path)
    program = lift(reference)
    loops = [s for s in walk.statements(program.body) if isinstance(s, Loop)]
    assert len(loops) == 1, program_text(program)
    assert "TIME" in {p.name for p in source_of(reference).parameters}
