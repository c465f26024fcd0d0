"""Idioms of NumPy programs as people write them mean the same once they are lifted."""

from __future__ import annotations

import textwrap

import ir_interpreter
import pytest
from test_emit_c import source_of
from test_lifting import SHAPES, agrees, emitted, reference_of
from test_random_programs_c import Written, kernels

from outpace.codegen.nests.lift import lift
from outpace.errors import NotLifted
from outpace.kernels.languages.c import C

FEW_SHAPES = ((3, 4), (1, 5), (3, 3), (5, 1))
HELPERS = """
CORNERS = ((-1, 0, 0.5), (1, 0, 0.25), (0, -1, 2.0))


def blended(x, y, *, w=0.5, axis=-1):
    return w * x + (1 - w) * np.flip(y, axis=axis)


def first_above(x, limit, start=0):
    for k in range(start, len(x)):
        if x[k] > limit:
            return k, x[k]
    return -1, 0.0


def relaxed(u, f, sweeps=2):
    for _ in range(sweeps):
        u[1:-1] = 0.5 * (u[:-2] + u[2:] + f[1:-1])
    return u


def stepped(rate, y, h):
    return y + h * rate(y)


def decayed(y):
    return -0.5 * y
"""
LIFTED = {
    "helpers with keywords": """
        c = blended(a, b) + blended(y=a, x=b, w=0.25, axis=0)
        return c + stepped(decayed, a, h=0.5)
        """,
    "a helper inside": """
        scale = 2.0

        def rate(x, by=3.0):
            return scale * x + by * v

        g = lambda x: scale - x
        scale = 4.0
        y = a
        for k in range(2):
            k1 = rate(y)
            y = y + 0.5 * rate(y + k1, by=0.5) + g(y)
        return y
        """,
    "a helper inside that writes": """
        out = a.copy()

        def bump(i, by=1.0):
            out[i] += by
            return out[i, 0]

        for i in range(n):
            q = bump(i, by=2.0)
            out[i] *= q
        return out
        """,
    "a return from a loop": """
        total = np.zeros((n, m))
        for k in range(5):
            new = total + a * k
            if np.max(np.abs(new - total)) > 4:
                return new - k
            for i in range(n):
                if a[i, 0] > 2:
                    return total + i + k
            total = new
        return total
        """,
    "a return of arrays that changed places": """
        u, w = a.copy(), np.zeros((n, m))
        for k in range(4):
            w[1:-1] = 0.5 * (u[:-2] + u[2:]) + k
            u, w = w, u
            if u.sum() > 10:
                return u - w
        return w
        """,
    "helpers that return from loops": """
        for i in range(n):
            if a[i, 0] > 1:
                k, x = first_above(a[i], 0.0, start=1)
                return b + x + i + first_above(b[0], 1.0)[1] + k
        return b
        """,
    "guards": """
        assert a.ndim == 2 and n >= 0, "a matrix"
        if m < 0:
            raise ValueError(m)
        tmp = a * 2
        c = tmp + b
        del tmp
        return c
        """,
    "a sweep that helpers make": """
        u = relaxed(a.copy(), b)
        return relaxed(u * 0.5, b, sweeps=3)
        """,
    "reductions of ufuncs": """
        high = np.maximum.reduce(a, axis=1, keepdims=True)
        return a - high + np.add.reduce(b, axis=0) + np.minimum.reduce(a.ravel())
        """,
    "masks of rows": """
        keep = a[:, 0] > 0
        c = b.copy()
        c[~keep] = 0.5
        c[keep] += a[keep] * 0.5 - v
        c[a[:, -1] > 1, 0] = 7.0
        count = max(np.count_nonzero(keep), 1)
        means = a[keep].sum(axis=0) / count
        return c + means + a[keep].sum() + len(a[keep])
        """,
    "means of the members of clusters": """
        centres = b[0] * np.ones((3, 1)) + np.arange(3)[:, None]
        d = np.linalg.norm(a[:, None] - centres[None], axis=2)
        label = np.argmin(d, axis=1)
        for j in range(3):
            chosen = label == j
            if chosen.any():
                centres[j] = a[chosen].mean(axis=0)
        return centres[label] + np.linalg.norm(a, 1, axis=1)[:, None]
        """,
    "rows by an index array": """
        order = np.argmax(a, axis=1) % n
        c = a[order] + b[order, :] * 2 + b[order][:, 0][:, None]
        cols = np.argmin(a, axis=0) % m
        return c + a[:, cols] + a[order, 0][:, None]
        """,
    "rows change places by a list": """
        c = a.copy()
        c[[0, -1]] = c[[-1, 0]]
        c[[0, 0]] = c[[0, -1]] * 2
        c[[0]] += v
        return c
        """,
    "stores through indices": """
        order = np.argmax(a, axis=1)
        c = np.zeros(m)
        np.add.at(c, order, b[:, 0])
        c[order] = b[:, -1]
        c[order] += 1.0
        d = a.copy()
        d[order % n] = d * 2
        d[order % n, 0] -= v[0]
        np.subtract.at(d, (order % n, order), 0.5)
        return c + d
        """,
    "backwards with bounds": """
        c = a + 0.0
        c[n - 1:0:-1] += a[1:]
        x = a[:, 0]
        for k in range(1, n):
            c[k] += x[k - 1::-1] @ x[:k] + x[k:0:-1].sum() + x[n - k::-1].max()
        return c + a[-2::-2].sum() + a[:-3:-1].sum() + a[:, 1:0:-1].sum() + a[5::-3].sum()
        """,
    "slices that end before the end": """
        c = a.copy()
        c[1:n - 1] = a[0:n - 2] - 2 * a[1:n - 1] + a[2:n]
        c[n - 1, 1:m - 1] = b[0, 2:m]
        d = np.zeros((n, m))
        for i in range(3):
            for j in range(-1, 2):
                d[1:-1, 1:-1] += (i + 2 * j) * a[i:n - 2 + i, 1 + j:m - 1 + j]
        return c + d
        """,
    "neighbours from tuples": """
        c = np.zeros_like(a)
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if di == 0 and dj == 0:
                    continue
                c[1:-1, 1:-1] += a[1 + di:n - 1 + di, 1 + dj:m - 1 + dj] / abs(3 * di + dj)
        for di, dj, w in CORNERS:
            c += w * np.roll(b, (di, dj), axis=(0, 1))
        return c + np.roll(a, 3)
        """,
    "comprehensions": """
        near = sum(np.roll(a, i, 0) for i in (-1, 0, 1) if i != 0)
        squares = np.array([np.dot(row, row) for row in a])
        last = np.array([b[i, ::-1] + i for i in range(n)])
        return near + squares[:, None] + last + sum(w * v for w in [0.5, 2.0]) + sum(a)
        """,
    "zip of lists": """
        parts = [a.sum(axis=1), b.mean(axis=1)]
        c = np.zeros((2, n))
        for k, (p, w) in enumerate(zip(parts, [0.5, 2])):
            c[k] = p * w
        return a + c.sum(axis=0)[:, None]
        """,
    "one of two arrays": """
        c = a if n > 3 else -a
        d = b * 2 if m > 3 else np.zeros((n, m))
        d += c
        return d
        """,
    "tensordot": """
        c = np.tensordot(a, b, axes=([1], [1])) @ b + np.tensordot(a, b, axes=([0, 1], [0, 1]))
        return c + np.tensordot(a, v, axes=1)[:, None] + np.tensordot(a, b.T, 0).sum(axis=(1, 3))
        """,
    "margins": """
        p = np.pad(a, 1, mode="edge")
        q = np.pad(b, ((0, 0), (2, 1)), "constant", constant_values=1.5)
        r = np.pad(a, ((2, 2), (1, 1)), mode="reflect") + np.pad(b, ((2, 2), (1, 1)), mode="wrap")
        s = np.pad(a, ((1, 1), (3, 3)), mode="symmetric")
        return p[2:, 1:-1] + q[:, 2:-1] + r[2:-2, :-2] + s[1:-1, 6:]
        """,
    "tiles and sections": """
        c = np.tile(v, (n, 1)) + np.tile(a[:, 0], 2)[:n, None]
        x, y, z = np.split(np.concatenate((a, b, a), axis=1), 3, axis=1)
        return c + x * y - z
        """,
    "areas": """
        return a * np.trapezoid(b, v)[:, None] + np.trapezoid(a, dx=0.5, axis=0) + np.trapezoid(v)
        """,
    "rounding": """
        half, rest = divmod(m, 2)
        return np.rint(a * 2) + np.round(b * 1.5) + np.rint(-a - 0.5) + half - rest
        """,
    "diagonals": """
        c = a @ b.T
        np.fill_diagonal(c, v[0])
        k = np.argmax(a)
        return c @ a + k + np.linalg.norm(v, np.inf) + np.linalg.norm(a, ord=2, axis=0)
        """,
}
REFUSED = {
    "what a helper returns may be its argument": (
        """
        u = a.copy()

        def same(x):
            return x

        w = u
        for k in range(2):
            w = same(u)
            w[0] = k
        return u + w
        """,
        "written in place",
    ),
    "a helper inside that is defined later writes": (
        """
        u = a.copy()
        w = a.copy()
        for k in range(2):
            w = u

        def zap(y):
            y[0] = 5.0

        zap(w)
        return u + w
        """,
        "another name of an array that is written",
    ),
    "another name of an array that indices write": (
        """
        u = a.copy()
        w = a.copy()
        for k in range(2):
            w = u
        np.add.at(w, [0], 1.0)
        return u + w
        """,
        "another name of an array that is written",
    ),
    "a variable of another function": (
        """
        rate = 2.0
        grown = lambda y: y * rate
        return stepped(grown, a, 0.5)
        """,
        "sees variables of another function",
    ),
    "it may raise": ("assert a[0, 0] >= 0\n        return a", "it may raise"),
    "index arrays apart": ("return a[:, None][[0], :, [0]] + a", "both sides of a slice"),
    "rows of a mask": ("return a[v[:n] > 0] + a", "a boolean mask"),
    "an array that another call may write": (
        "u = a.copy()\n        w = u if n > 2 else a\n        return w", "may be written",
    ),
}  # fmt: skip
BYTES = """
def f(a: UInt8[np.ndarray, "n m"], b: Int64[np.ndarray, "n m"], v: UInt8[np.ndarray, "m"]) -> \
Int64[np.ndarray, "n m"]:
    n, m = a.shape
    low = n % 7 - 4
    return np.where(a <= low, b, 1) + (a > 300 * n) + (a != 300) + (v >= -1) + (v < low)
"""


def text_of(name: str) -> str:
    return written_out(LIFTED[name])


def written_out(body: str) -> str:
    shape = 'Float64[np.ndarray, "n m"]'
    lines = textwrap.indent(textwrap.dedent(body if body[0] == "\n" else f"        {body}"), "    ")
    signature = f'a: {shape}, b: {shape}, v: Float64[np.ndarray, "m"]'
    return f"{HELPERS}\n\ndef f({signature}) -> {shape}:\n    n, m = a.shape\n{lines}\n"


@pytest.mark.parametrize("name", [*LIFTED, "bytes"])
def test_idioms_mean_the_same(name, tmp_path):
    reference = reference_of(BYTES if name == "bytes" else text_of(name), tmp_path)
    program = lift(reference)
    for kernel in (lambda *a: ir_interpreter.run(program, *a), *emitted(program)):
        ran = [agrees(reference, kernel, k, shape) for k, shape in enumerate(FEW_SHAPES)]
        assert any(ran)


@pytest.mark.skipif(C.unavailable() is not None, reason=f"no C compiler: {C.unavailable()}")
def test_idioms_mean_the_same_in_c(tmp_path):
    groups: dict[tuple[str, ...], list[Written]] = {}
    for text in (*map(text_of, LIFTED), BYTES):
        reference = reference_of(text, tmp_path)
        source = source_of(reference)
        groups.setdefault(tuple(source.flags), []).append(Written(text, 0, reference, source))
    compared = 0
    for group in groups.values():
        for one, kernel in zip(group, kernels(group, tmp_path), strict=True):
            ran = [agrees(one.reference, kernel, k, shape) for k, shape in enumerate(SHAPES)]
            compared += sum(ran) >= 2
    assert compared == len(LIFTED) + 1


@pytest.mark.parametrize("name", REFUSED)
def test_idioms_that_are_refused_say_why(name, tmp_path):
    body, reason = REFUSED[name]
    with pytest.raises(NotLifted, match=reason) as refusal:
        lift(reference_of(written_out(body), tmp_path))
    assert refusal.value.line is not None
