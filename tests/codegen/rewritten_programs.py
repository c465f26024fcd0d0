"""Random programs with the loops that rewritings look for, as source text.

Each block has a form that one rewriting takes apart, in variants of which some must stay as they
are. All arrays of a block have one dtype, and factors are powers of two, so that sums in another
order differ little. Between blocks stand the plain statements of `array_programs`.
"""

from __future__ import annotations

from array_programs import HELPERS, Body
from hypothesis import strategies as st

DTYPES = ("Float64", "Float64", "Float32", "Int64", "Int32", "UInt8", "Complex128")
_STEPS = ("3", "n", "1", "0", "s % 4")
_BORDERS = (
    "{w}[:, 0] = {w}[:, 1]",
    "{w}[:, -1] = {w}[:, -2]",
    "{w}[0, :] = {w}[1, :]",
    "{w}[-1, :] = {w}[-2, :]",
    "{w}[0] = 1",
    "{w}[-1] = v",
    "{w}[:, 0] = {x}[:, -1]",
    "{w}[0] = {w}[-1]",
    "{w}[0] = {w}[0] + 1",
    "{w}[0, 0] = {w}[1, 1]",
    "{w}[2:, 0] = {w}[2:, 1]",
)
_FIELDS = (
    "{w}[1:] -= {y}[1:] - {y}[:-1]",
    "{y}[:-1] += {w}[1:]",
    "{y}[1:-1] = {w}[2:] - {w}[:-2]",
    "{w}[:, 1:] += {y}[:, :-1]",
    "{y}[1:-1, 1:-1] = {w}[:-2, 1:-1] - {w}[2:, :-2] + {x}[1:-1, 1:-1]",
    "{w}[:] = {y} - {w}",
    "{w}[0] = j",
    "{y}[-1] = {w}[-1]",
    "{y}[0, 1:] = {w}[1, :-1]",
    "{w}[::2] += {y}[::2]",
)
_COLUMNS = (
    "{w}[{at}] = {w}[{back}] + {x}[{at}] - {y}[{at}]",
    "{w}[{at}] = {w}[{at}] - {w}[{back}] + {x}[{at}] + {x}[{back}]",
    "{y}[{at}] = {x}[{at}] + {x}[{at}] - {w}[{back}]",
    "{y}[{at}] = {y}[{at}] + q * 2",
    "q[:] = q + {x}[{at}] - {w}[{at}]",
    "q[:] = {w}[{back}] - {x}[{at}]",
    "q = {w}[{at}] + {x}[{at}] * 2",
    "{w}[{ahead}] = {x}[{at}] - {y}[{at}] * 2 + q",
    "{y}[{first}] = {w}[{at}] + {x}[{at}] - q",
)
_PIVOTS = (
    "{d}[:] = {d} + {d}[:, j:j + 1] - {d}[j, :]",
    "{d}[:] = np.subtract.outer({d}[:, j], {d}[j, :]) - {d}",
    "{d}[:] = {d} - {d}[:, j:j + 1] + {d}[j, j]",
    "{d}[:] = {d} - {d}[j, :] * {e}[j, :]",
    "{d}[:] = {d} + {d}[j - 1, :]",
    "{d}[:] = {d}.T - {d}[j, :]",
)
_REAL_PIVOTS = (
    "{d}[:] = np.minimum({d}, np.add.outer({d}[:, j], {d}[j, :]))",
    "{d}[:] = np.where({e} > 0, {d}, {d}[j, :] - {d})",
)
_POINTS = (
    "{w}[i, j] = {w}[i - 1, j] + {x}[i, j]",
    "{w}[i, j] -= {w}[i, j - 1]",
    "{w}[i, m - 1 - j] = {x}[i, j]",
    "{w}[n - 1 - i, j] += {x}[i, j]",
    "{w}[j % n, i % m] += j",
    "c = {x}[i, j] * 2\n            {w}[i, j] = c - {w}[i, j]",
    "{w}[i, j] = np.sum({x}[i, :j]) + {x}[i, j]",
    "if i == j:\n                continue\n            {w}[i, j] += i",
    "if i + j > 3:\n                break\n            {w}[i, j] = {x}[i, j] - j",
)
_REAL_POINTS = (
    "if {x}[i, j] > 0:\n                {w}[i, j] = {w}[i, j] % 3 + i // 2",
    "c = max({x}[i, j], {w}[i, 0])\n            {w}[i, 0] = c",
    "{w}[i, j] = {x}[i, j] // 2 + (i + 1) // -2 * (j - i) % 3",
)
_STRIDES = (
    "{w}[::-1] = {w} * 2",
    "{w}[::-2] -= {x}[::-2]",
    "{w}[:, ::2] = {x}[:, ::-1][:, ::2]",
    "{w}[-1:0:-1] += {w}[1:]",
    "{w}[:, :0:-1] = {w}[:, 1:]",
    "{w}[::2, ::-1] += {w}[::2, :]",
    "{w}[:n - 1] = {w}[1:]",
)


@st.composite
def rewritten(draw: st.DrawFn) -> str:
    """A function of two matrices and a vector."""
    dtype = draw(st.sampled_from(DTYPES))
    other = draw(st.sampled_from((dtype, dtype, "Float64")))
    body = _Blocks(draw, dtype, other)
    lines = ["n, m = a.shape", "s = 1"]
    for k in range(draw(st.integers(1, 3))):
        lines += body.block(k)
        if draw(st.integers(0, 4)) == 0:
            lines += body.statement(k + 10)
    if draw(st.booleans()):
        lines.append(f"return {body.same[-1]}")
    else:
        everything = " + ".join(dict.fromkeys((*body.local, body.same[-1])))
        lines.append(f"return ({everything} + s).astype(a.dtype)")
    text = "\n    ".join(lines)
    shape = f'{dtype}[np.ndarray, "n m"]'
    signature = f'a: {shape}, b: {other}[np.ndarray, "n m"], v: {dtype}[np.ndarray, "m"]'
    return f"{HELPERS}\n\ndef f({signature}) -> {shape}:\n    {text}\n"


class _Blocks(Body):
    """Draws blocks over matrices of the dtype of the first argument."""

    def __init__(self, draw: st.DrawFn, dtype: str, other: str) -> None:
        super().__init__(draw, real="Complex" not in dtype)
        self.dtype = dtype
        self.same = ["a", "b"] if other == dtype else ["a"]

    def block(self, k: int) -> list[str]:
        kinds = [
            self.sweep, self.sweep, self.buffers, self.fields, self.fields, self.columns,
            self.columns, self.pivots, self.rows, self.products, self.points, self.short, self.sums,
            self.strides, self.divided,
        ]  # fmt: skip
        if self.real:
            kinds += [self.lives]
        if self.dtype == "Float64":
            kinds += [self.bins, self.bins]
        return self.draw(st.sampled_from(kinds))(k)

    def some(self) -> str:
        return self.pick(*self.same)

    def half(self, x: str) -> str:
        return f"({x}) // 2" if "Int" in self.dtype else f"({x}) * 0.5"

    def kept(self, name: str) -> None:
        self.same.append(name)

    def several(self, pool: tuple[str, ...], most: int, **names: str) -> list[str]:
        chosen = self.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=most))
        return [text.format(**names) for text in chosen]

    def sweep(self, k: int) -> list[str]:
        """Time steps with borders, in place or from a copy."""
        w, x = f"w{k}", self.some()
        from_copy = self.draw(st.booleans())
        old = f"old{k}" if from_copy else w
        inner = f"{old}[1:-1, 2:] + {old}[1:-1, :-2] - {self.pick(old, x)}[:-2, 1:-1]"
        lines = [f"old{k} = {w}.copy()"] if from_copy else []
        lines.append(f"{w}[1:-1, 1:-1] = {self.half(inner)}")
        if self.draw(st.booleans()):
            lines += self.several(_BORDERS, 4, w=w, x=x)
        if self.draw(st.booleans()):
            lines += [text.format(w=w) for text in _BORDERS[:4]]
        head = [f"for j in range({self.pick(*_STEPS)}):"]
        if self.draw(st.booleans()):
            lines = ["for i in range(2):", *(f"    {line}" for line in lines)]
        self.kept(w)
        return [f"{w} = {x}.copy()", *head, *(f"    {line}" for line in lines)]

    def buffers(self, k: int) -> list[str]:
        """Two arrays that change places at the end of every step."""
        w, y, x = f"w{k}", f"y{k}", self.some()
        inner = self.pick(
            f"{y}[1:-1, 1:-1] = {w}[:-2, 1:-1] - {w}[2:, 1:-1] + {w}[1:-1, :-2]",
            f"{y}[:] = {w} * 2 - {x}",
            f"{y}[1:] = {w}[:-1]\n        {y}[0] = {w}[-1]",
            f"{y}[:, ::-1] = {w} + j",
        )
        self.kept(y)
        self.kept(w)
        return [
            f"{w} = {x}.copy()",
            f"{y} = {self.pick(f'{x}.copy()', f'{w} * 2', f'np.zeros_like({x})')}",
            f"for j in range({self.pick('5', '1, 4', '2, n', *_STEPS)}):",
            f"    {inner}",
            f"    {w}, {y} = {y}, {w}",
        ]

    def fields(self, k: int) -> list[str]:
        """Arrays that update each other, and may change places."""
        w, y, x = f"w{k}", f"y{k}", self.some()
        start = self.pick(f"{x}[::-1].copy()", f"{w} * 2", f"np.zeros_like({x})")
        inner = self.several(_FIELDS, 4, w=w, y=y, x=x)
        if self.draw(st.integers(0, 2)) == 0:
            inner.append(f"{w}, {y} = {y}, {w}")
        self.kept(y)
        self.kept(w)
        return [
            f"{w} = {x} + 0",
            f"{y} = {start}",
            f"for j in range({self.pick('5', '2', *_STEPS)}):",
            *(f"    {line}" for line in inner),
        ]

    def columns(self, k: int) -> list[str]:
        """Recurrences along rows or columns, up and down."""
        w, y, x = f"w{k}", f"y{k}", self.some()
        extent, place = self.draw(st.sampled_from((("n", "{}, :"), ("m", ":, {}"))))
        lines = [f"{w} = {x} * 2", f"{y} = {w} - {x}", f"q = {x}[{place.format(0)}] * 1"]
        for _ in range(self.draw(st.integers(1, 2))):
            up = self.draw(st.booleans())
            indices = ("k", "k - 1", "k + 1", "0") if up else ("k", "k + 1", "k - 1", "0")
            places = [place.format(index) for index in indices]
            names = dict(zip(("at", "back", "ahead", "first"), places, strict=True))
            bounds = f"1, {extent} - 1" if up else f"{extent} - 2, 0, -1"
            lines.append(f"for k in range({bounds}):")
            inner = self.several(_COLUMNS, 4, w=w, y=y, x=x, **names)
            lines += [f"    {line}" for line in inner]
        self.kept(y)
        self.kept(w)
        return lines

    def pivots(self, k: int) -> list[str]:
        """Updates of a whole matrix by one of its rows and columns."""
        d, e = f"d{k}", f"e{k}"
        pool = _PIVOTS + (_REAL_PIVOTS if self.real else ())
        bounds = self.pick("m", "m", "1, m - 1", "2, m")
        outer = self.pick("add", "subtract", "multiply")
        row = self.pick(f"{d}[0]", f"{d}[:, -1]", f"np.sum({d}, axis=0, dtype=a.dtype)")
        line = f"w{k} = {self.some()} + {row}"
        self.kept(f"w{k}")
        return [
            f"{d} = np.{outer}.outer(v, v)",
            f"{e} = {d} - v",
            f"for j in range({bounds}):",
            *(f"    {line}" for line in self.several(pool, 1, d=d, e=e)),
            line,
        ]

    def rows(self, k: int) -> list[str]:
        """Stages over three dims, of which each needs two rows of the one before."""
        c, x = f"c{k}", self.some()
        first = f"{c}[:, 1:] * 2 + {c}[:, :-1] * {c}[:, 1:] - {c}[:, :-1]"
        second = f"g{k}[:, 1:] - g{k}[:, :-1] * 2 + {c}[:, 1:-1] - g{k}[:, 1:] * 3"
        if self.real and self.draw(st.booleans()):
            first = f"np.where({c}[:, 1:] > {c}[:, :-1], {first}, {c}[:, 1:])"
        h, w = f"h{k}", f"w{k}"
        result = self.pick(f"{h}[0]", f"{h}[-1] - {h}[0]", f"{h}.sum(axis=0, dtype=a.dtype)")
        lines = [
            f"{c} = np.{self.pick('multiply', 'add')}.outer(v, {x})",
            f"g{k} = {first}",
            f"{h} = {second}",
            f"{h}[:1] += 1",  # written twice, so that it stays an array
            f"{w} = {self.some()} - v",
            f"{w}[1:-1] -= {result}",
        ]
        self.kept(w)
        return lines

    def products(self, k: int) -> list[str]:
        """Products of matrices."""
        x, y = self.some(), self.some()
        product = self.pick(
            f"({x} @ {y}.T) @ {x}",
            f"{x} @ ({y}.T @ {x})",
            f"np.einsum('ik,jk->ij', {x}, {y}) @ {x} - {y}",
            f"np.dot({x}, np.ones((m, m), a.dtype)) + {y}",
        )
        self.kept(f"w{k}")
        return [f"w{k} = {product}"]

    def points(self, k: int) -> list[str]:
        """Element by element, in any order."""
        w, x = f"w{k}", self.some()
        outer = self.pick("n", "1, n", "n - 1, -1, -1", "0, n, 2")
        inner = self.pick("m", "1, m", "m - 1, 0, -1", "0, m, 3", "i, m")
        pool = _POINTS + (_REAL_POINTS if self.real else ())
        lines = self.several(pool, 2, w=w, x=x)
        self.kept(w)
        return [
            f"{w} = {x} * 1",
            f"for i in range({outer}):",
            f"    for j in range({inner}):",
            *(f"        {line}" for line in lines),
        ]

    def short(self, k: int) -> list[str]:
        """A short last dim."""
        z, x, y = f"z{k}", self.some(), self.some()
        reduction = self.pick("sum", "prod", *(("max", "min") if self.real else ()))
        typed = ", dtype=a.dtype" if reduction in ("sum", "prod") else ""
        between = self.pick(
            f"{z}[..., 1:] -= {z}[..., :-1]",
            f"{z} = {z} * np.arange(3).astype(a.dtype)",
            f"{z}[:, :, ::-1] = {z}",
            f"for j in range(1, 3):\n        {z}[..., j] += {z}[..., j - 1] * j",
            f"{z}[:, 1:, 0] = {z}[:, :-1, 2]",
        )
        self.kept(f"w{k}")
        return [
            f"{z} = np.zeros((n, m, 3), a.dtype)",
            f"{z}[..., 0] = {x}",
            f"{z}[..., 1] = {y} - v",
            f"{z}[:, :, 2] = {z}[:, :, 0] + {z}[:, :, 1]",
            between,
            f"w{k} = {z}.{reduction}(axis=-1{typed})",
        ]

    def sums(self, k: int) -> list[str]:
        """Sums over one range that share what they add, by axis or row by row."""
        w, x = f"w{k}", self.some()
        self.kept(w)
        if self.draw(st.booleans()):
            return [
                f"{w} = {x} * 2",
                f"for i in range({self.pick('n', '1, n', 'n - 1, -1, -1')}):",
                f"    r = {w}[i] - {x}[{self.pick('i', '0', 'i - 1')}]",
                f"    p{k} = np.sum(r, dtype=a.dtype)",
                f"    q{k} = np.sum(r * {x}[i], dtype=a.dtype)",
                f"    {w}[i] = {w}[i] - p{k} {self.pick('-', '+')} q{k}",
            ]
        return [
            f"{w} = {x} - v",
            f"p{k} = np.sum({w}, axis=1, dtype=a.dtype)",
            f"q{k} = np.sum({w} * {x}, axis=1, dtype=a.dtype)",
            f"{w} = {w} - p{k}[:, None] + q{k}[:, None] * {self.pick('2', w)}",
        ]

    def strides(self, k: int) -> list[str]:
        """Steps of other sizes than 1, and backwards."""
        w, x = f"w{k}", self.some()
        self.kept(w)
        return [f"{w} = {x}.copy()", *self.several(_STRIDES, 3, w=w, x=x)]

    def divided(self, k: int) -> list[str]:
        """What is costly, and fixed for a row or for all."""
        w, x = f"w{k}", self.some()
        fixed = self.pick("v[0]", "v", f"{x}[:, :1]", f"{x}[0, 0]", "m")
        self.kept(w)
        if "Int" in self.dtype:
            line = f"{w} = {x} // (abs({fixed}) + 1) + {x} % (abs({fixed}) + 2)"
        else:
            line = f"{w} = {x} / (np.abs({fixed}) + 1.0) + np.abs({x})"
        if "UInt" in self.dtype:
            line = f"{w} = {x} // 3 + {x} % 5"
        return [line, f"{w} = {w}.astype(a.dtype)"]

    def lives(self, k: int) -> list[str]:
        """Arrays of bool in time steps."""
        live, x = f"live{k}", self.some()
        rule = self.pick(
            f"{live} = (around == 2) | ({live} & (around > 2))",
            f"{live}[1:-1] = {live}[:-2] ^ {live}[2:]",
            f"{live}[1:] &= ~{live}[:-1]",
            f"{live} = np.logical_or({live}, np.roll({live}, 1, axis=0))",
            f"{live} = {live}[::-1] != (around > 1)",
        )
        self.kept(f"w{k}")
        return [
            f"{live} = {x} > {self.pick('0', '1', 'v')}",
            "around = np.zeros((n, m), np.int32)",
            f"for j in range({self.pick(*_STEPS)}):",
            f"    around[1:-1, 1:] = {live}[:-2, 1:].astype(np.int32) + {live}[2:, :-1]",
            f"    {rule}",
            f"w{k} = {x} * {live} + {live}.sum(axis=0).astype(a.dtype)",
        ]

    def bins(self, k: int) -> list[str]:
        """Sums into bins between edges that ascend, or do not."""
        r, e, x = f"r{k}", f"e{k}", self.some()
        edges = self.pick("np.arange(m) * 0.5 - 1.0", "v", "np.cumsum(np.abs(v))")
        low, high = self.pick("<= <", "< <=", "< <", "<= <=").split()
        inside = f"({e}[j] {low} x) & (x {high} {e}[j + 1])"
        masked = "np.sum(np.where(inside, x * y, 0.0))"
        total = self.pick("np.sum(y[inside])", masked, "np.sum(inside)")
        lines = [
            f"{e} = {edges}",
            f"x = {x}{self.pick('[0]', '[:, 0]', '.reshape(-1)')} * 1",
            "y = x * 2 - 1",
            f"{r} = np.zeros(m)",
            "for j in range(m - 1):",
            f"    inside = {inside}",
            f"    {r}[j] = {total}",
            f"w{k} = {self.some()} - {r}",
        ]
        self.kept(f"w{k}")
        return lines
