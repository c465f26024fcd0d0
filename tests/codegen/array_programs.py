"""Random small array programs in the subset that is lifted, as source text.

Statements are drawn from kinds that each stress one rule of NumPy: promotion, broadcasting, views
and copies, overlapping stores, masks, reductions, branches, loops, helpers. A program may still be
refused by the lifter; what it may not do is mean something else afterwards.
"""

from __future__ import annotations

from hypothesis import strategies as st

HELPERS = """
def scaled(x, factor=2.0):
    if factor > 1.5:
        return x * factor
    return x - factor


def bumped(x, k):
    x[k % x.shape[0]] += 1
    return np.sum(x)


def picked(x, y, k):
    if k > 1:
        return x
    elif k == 1:
        z = x - y
        return z[::-1]
    return y * 2


def first_above(x, limit):
    best = x[0]
    for k in range(1, x.shape[0]):
        if x[k] > limit and best <= limit:
            best = x[k]
    return best
"""
DTYPES = ("Float64", "Float32", "Int64", "Int32", "UInt8", "Complex128")
_NUMBERS = ("2", "3", "0.5", "-1", "n", "m", "s")
_SLICES = ("1:-1", ":", "::2", "1:", ":-1", "::-1", "-2:", ":2", "1:100", "-3:-1", "n // 2 :")
_REGIONS = (
    ("1:-1, 1:-1", "2:, 1:-1", "1:-1, :-2"),
    ("1:", ":-1", "1:"),
    (":-1", "1:", ":-1"),
    (":, 0", ":, 1", ":, -1"),
    ("0", "-1", "1"),
    ("::2, :", "::2, :", "::2, ::-1"),
    (":, 1:", ":, 1:", ":, :-1"),
    ("...", "::-1", ":, ::-1"),
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A function of two matrices, a vector and a scalar, with its helpers."""
    dtype = draw(st.sampled_from(DTYPES))
    other = draw(st.sampled_from((dtype, dtype, "Float64", "Int64")))
    body = Body(draw, real="Complex" not in dtype)
    lines = ["n, m = a.shape", "s = 1"]
    for k in range(draw(st.integers(1, 6))):
        lines += body.statement(k)
    everything = " + ".join(f"{k + 1} * {name}" for k, name in enumerate(body.local or ["a"]))
    lines.append(f"return ({everything} + s).astype(a.dtype)")
    text = "\n    ".join(lines)
    shape = f'{dtype}[np.ndarray, "n m"]'
    signature = f'a: {shape}, b: {other}[np.ndarray, "n m"], v: {dtype}[np.ndarray, "m"]'
    return f"{HELPERS}\n\ndef f({signature}) -> {shape}:\n    {text}\n"


class Body:
    """Draws statements over the matrices that there are."""

    def __init__(self, draw: st.DrawFn, *, real: bool) -> None:
        self.draw = draw
        self.real = real
        self.names = ["a", "b"]
        self.local: list[str] = []

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def one(self) -> str:
        return self.pick(*self.names)

    def made(self, name: str) -> None:
        self.names.append(name)
        self.local.append(name)

    def term(self, depth: int = 2) -> str:
        kind = self.draw(st.integers(0, 9)) if depth else 0
        if kind < 3:
            return self.pick(*self.names, "v", "v[None, :]", "a[:, 0][:, None]", *_NUMBERS)
        x, y = self.term(depth - 1), self.term(depth - 1)
        if kind < 6:
            return f"({x} {self.pick('+', '-', '*')} {y})"
        if kind == 6 and self.real:
            return f"np.{self.pick('maximum', 'minimum')}({x}, {y})"
        if kind == 7 and self.real:
            return f"np.where({x} {self.pick('>', '<=', '!=')} {y}, {y}, {self.term(0)})"
        if kind == 8 and self.real:
            return f"({x} {self.pick('//', '%')} {self.pick('3', '-2', '2.5')})"
        return self.pick(
            f"(-{x})", f"np.abs({x})", f"np.roll({self.one()}, {self.pick('1', '-2')}, axis=1)"
        )

    def matrix(self) -> str:
        return f"({self.one()} + {self.term()})"

    def statement(self, k: int) -> list[str]:
        kinds = [
            self.bind, self.bind, self.rebind, self.region, self.row, self.loop, self.branch,
            self.view, self.alias, self.helper, self.scalar, self.augment, self.joined,
            self.swap, self.picked, self.reshaped, self.over, self.until,
        ]  # fmt: skip
        if self.real:
            kinds += [self.mask, self.order]
        return self.draw(st.sampled_from(kinds))(k)

    def bind(self, k: int) -> list[str]:
        line = f"t{k} = {self.matrix()} - {self.term()}"
        self.made(f"t{k}")
        return [line]

    def rebind(self, k: int) -> list[str]:
        if not self.local:
            return self.bind(k)
        name = self.pick(*self.local)
        return [f"{name} = {self.matrix()} + {name}"]

    def region(self, k: int) -> list[str]:
        source = self.one()
        target, left, right = self.draw(st.sampled_from(_REGIONS))
        sign = self.pick("=", "+=", "-=")
        lines = [
            f"u{k} = {source}.copy()",
            f"u{k}[{target}] {sign} u{k}[{left}] + {source}[{right}]",
        ]
        self.made(f"u{k}")
        return lines

    def row(self, k: int) -> list[str]:
        reduction = self.pick("sum", "max", "min", "mean", "std") if self.real else "sum"
        axis = self.pick("0", "1", "-1")
        line = f"t{k} = {self.one()} - np.{reduction}({self.matrix()}, axis={axis}, keepdims=True)"
        self.made(f"t{k}")
        return [line]

    def loop(self, k: int) -> list[str]:
        name, source = f"w{k}", self.one()
        inner = self.pick(
            f"{name}[1:] = {name}[:-1] - {source}[1:]",
            f"{name} = {name} * 2 - {source}",
            f"{name} += {source} * j",
            f"{name}[j % n] = {name}[-1] + j",
            f"p = {name} + 1\n        {name} = p",
            f"p = {name}.copy()\n        p[0] += j\n        {name} = p",
            f"q = {name}\n        {name} = {source} - q",
            f"if j == 1:\n            continue\n        {name} -= j",
            f"s += j\n        {name} *= s",
        )
        lines = [f"{name} = {source}.copy()", "for j in range(3):", f"    {inner}"]
        self.made(name)
        return lines

    def branch(self, k: int) -> list[str]:
        test = self.pick(
            "n > 2", "m % 2 == 0 and n > 1", "s < 3 or m > 3", "not n > m", "1 < n <= 4"
        )
        first, second = self.matrix(), self.matrix()
        name = f"t{k}"
        lines = [f"if {test}:", f"    {name} = {first} * 1.0", "    s = 2", "else:"]
        lines += [f"    {name} = {second} * 1.0", "    s = s + 1"]
        self.made(name)
        return lines

    def view(self, k: int) -> list[str]:
        if not self.local:
            return self.bind(k)
        base = self.pick(*self.local)
        cut = self.pick(*_SLICES)
        return [
            f"z{k} = {base}[{cut}]",
            f"z{k} += {self.pick('1', 'v', 's')}",
            f"s += z{k}.shape[0]",
        ]

    def alias(self, k: int) -> list[str]:
        if not self.local:
            return self.bind(k)
        base = self.pick(*self.local)
        lines = [f"y{k} = {base}", f"{base}[0:1] = {self.pick('3', 'v')}"]
        self.made(f"y{k}")
        return lines

    def helper(self, k: int) -> list[str]:
        call = self.pick(
            f"scaled({self.matrix()})", f"scaled({self.one()}, {self.pick('1.0', '3.0')})"
        )
        lines = [f"h{k} = {call}"]
        if self.local and self.draw(st.booleans()):
            lines.append(f"s = s + bumped({self.pick(*self.local)}, {k})")
        self.made(f"h{k}")
        return lines

    def scalar(self, k: int) -> list[str]:
        if self.real and self.draw(st.booleans()):
            return [
                f"c{k} = first_above({self.one()}[0], {self.pick('0', '1.5')})",
                f"s = c{k} + 1",
            ]
        return [
            f"c{k} = {self.one()}[{self.pick('0', '-1', 'n // 2')}, {self.pick('0', '-1')}]",
            f"s = c{k} * {self.pick('1', '0.5', 'n')}",
        ]

    def augment(self, k: int) -> list[str]:
        lines = [f"g{k} = {self.one()} * {self.pick('1', '1.0')}"]
        lines.append(f"g{k} {self.pick('+=', '-=', '*=')} {self.term()}")
        self.made(f"g{k}")
        return lines

    def joined(self, k: int) -> list[str]:
        x, y = self.one(), self.one()
        cut = self.pick("[:n]", "[n - n :n]", "[::-1][:n]")
        lines = [f"t{k} = np.concatenate(({x}, {y})){cut} + {self.pick('0', '1.0')}"]
        self.made(f"t{k}")
        return lines

    def swap(self, k: int) -> list[str]:
        x, y, source = f"x{k}", f"d{k}", self.one()
        inner = self.pick(
            f"{x}, {y} = {y}, {x}",
            f"{y}[1:] = {x}[:-1]\n        {x}, {y} = {y}, {x}",
            f"{x}, {y} = {y}, {x} + 1",
            f"r{k} = {x}[1:]\n        {x}, {y} = {y}, {x}\n        r{k} += 1",
            f"{x}[0], {x}[-1] = {x}[-1], {x}[0]\n        {y} = {x}",
        )
        lines = [f"{x}, {y} = {source}.copy(), {source} * 1", "for j in range(3):", f"    {inner}"]
        self.made(x)
        self.made(y)
        return lines

    def picked(self, k: int) -> list[str]:
        x, y = self.one(), self.one()
        lines = [f"h{k} = picked({x}, {y}, {self.pick('0', '1', '2', 'n', 's')})"]
        if self.draw(st.booleans()):
            lines.append(f"h{k} = h{k} + {x}")
        self.made(f"h{k}")
        return lines

    def reshaped(self, k: int) -> list[str]:
        if not self.local:
            return self.bind(k)
        base = self.pick(*self.local)
        lines = [f"f{k} = {base}{self.pick('', '.T', '[1:]', '.copy()')}.reshape(-1)"]
        lines.append(
            self.pick(f"f{k}[::2] = 4", f"f{k} += 1", f"{base}[0] = 6", f"f{k} = f{k} * 2")
        )
        lines.append(f"s = s + f{k}.{self.pick('sum', 'max', 'min')}()")
        return lines

    def over(self, k: int) -> list[str]:
        name, source = f"l{k}", self.one()
        loop = self.pick(
            f"for q in {name}:\n        q += 1",
            f"for q, p in zip({name}, {source}):\n        q[:] = p * 2 - q",
            f"for j, q in enumerate({name}):\n        {name}[n - 1 - j] = q + j",
            f"for c in (1, 2):\n        {name} = {name} * c",
            f"for j in reversed(range(1, n)):\n        {name}[j] -= {name}[j - 1]",
        )
        self.made(name)
        return [f"{name} = {source}.copy()", loop]

    def until(self, k: int) -> list[str]:
        test = self.pick("j < 4", "j < n and s < 20", f"np.sum({self.one()}) < 9 and j < 2")
        inner = self.pick("s = s * 2", "s = s + j", "break", "s = s - 1 if j > 1 else s + 2")
        return ["j = 0", f"while {test}:", "    j += 1", f"    {inner}"]

    def mask(self, k: int) -> list[str]:
        name = f"k{k}"
        lines = [f"{name} = {self.one()} * 1", f"i{k} = {name} > {self.pick('0', '1', 'v')}"]
        lines.append(
            self.pick(
                f"{name}[i{k}] = {self.pick('0', '2')}",
                f"{name}[i{k}] = {name}[i{k}] * 2 + b[i{k}]",
                f"{name}[~i{k}] += 1",
                f"s = s + np.sum({name}[i{k}])",
                f"e{k} = {name}[i{k}]\n    {name}[:] = 1\n    s = s + e{k}.sum() + e{k}.size",
            )
        )
        self.made(name)
        return lines

    def order(self, k: int) -> list[str]:
        call = self.pick(
            "cumsum({}, axis=0)",
            "cumsum({}, axis=1)",
            "flip({}, axis=0)",
            "triu({})",
            "diff({}, axis=1)",
        )
        lines = [f"o{k} = np.{call.format(self.one())}", f"t{k} = {self.one()} + np.sum(o{k}) % 7"]
        self.made(f"t{k}")
        return lines
