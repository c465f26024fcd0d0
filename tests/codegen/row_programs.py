"""Random functions that go through the rows of matrices in loops over elements, as source text.

A statement works on one row: it shares out its elements, sums them up, changes one, decides, or
repeats. Rows are never mixed, so that a block of threads may have each to itself.
"""

from __future__ import annotations

from hypothesis import strategies as st

_ARRAYS = ("out", "t", "u")
_TAB = "    "
_HEAD = """
def f(a: Float64[np.ndarray, "n m"], b: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n m"]:
    n, m = a.shape
    out, t, u = a.copy(), b.copy(), a - b
    for i in range(n):
        s = 0.5
"""


@st.composite
def row_programs(draw: st.DrawFn) -> str:
    """A function of two matrices."""
    rows = _Rows(draw)
    lines = rows.block(draw(st.integers(2, 5)), 2)
    text = "\n".join(_TAB * 2 + line for line in lines)
    return f"{_HEAD}{text}\n{_TAB * 2}out[i, 0] += s\n{_TAB}return out + 2 * t - 3 * u\n"


class _Rows:
    """Draws statements about row `i`."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def index(self) -> str:
        self.count += 1
        return f"j{self.count}"

    def block(self, count: int, depth: int) -> list[str]:
        return [line for _ in range(count) for line in self.statement(depth)]

    def statement(self, depth: int) -> list[str]:
        kinds = [self.shared, self.shared, self.summed, self.one, self.scalar]
        if depth:
            kinds += [self.tested, self.tested, self.repeated]
        return self.draw(st.sampled_from(kinds))(depth)

    def place(self) -> str:
        """An element whose place no loop changes."""
        return f"{self.pick(*_ARRAYS, 'a', 'b')}[i, {self.pick('0', 'm - 1', 'm // 2')}]"

    def shared(self, _: int) -> list[str]:
        """Every element of a row, by itself or from others."""
        j, target = self.index(), self.pick(*_ARRAYS)
        loaded = [
            f"{name}[i, {at}]"
            for name in (*_ARRAYS, "a", "b")
            for at in (j, *((f"m - 1 - {j}", "0") if name != target else ()))
        ]
        value = f"0.5 * {self.pick(*loaded)} {self.pick('+', '-')} {self.pick(*loaded, 's')}"
        start = self.pick("m", "1, m", "m - 1")
        return [f"for {j} in range({start}):", f"{_TAB}{target}[i, {j}] = {value}"]

    def summed(self, _: int) -> list[str]:
        """What all elements come to, as a loop or a reduction."""
        j, name, other = self.index(), self.pick(*_ARRAYS), self.pick(*_ARRAYS, "a")
        if self.draw(st.booleans()):
            return [f"s = s * 0.25 + np.{self.pick('sum', 'max', 'min')}({name}[i])"]
        body = f"{_TAB}s += 0.1 * {name}[i, {j}] * {other}[i, m - 1 - {j}]"
        return [f"for {j} in range(m):", body]

    def one(self, _: int) -> list[str]:
        """One element."""
        target = f"{self.pick(*_ARRAYS)}[i, {self.pick('0', 'm - 1', 'm // 2')}]"
        return [f"{target} {self.pick('=', '+=')} 0.5 * {self.place()} - {self.pick('s', '1.0')}"]

    def scalar(self, _: int) -> list[str]:
        return [f"s = {self.pick('0.5 * s', '1.0')} + {self.place()}"]

    def tested(self, depth: int) -> list[str]:
        """A branch that the values, or the sizes, decide."""
        test = self.pick(f"{self.place()} > 0.0", "s > 0.25", "i % 2 == 0", "m > 3")
        lines = [f"if {test}:", *self._inside(depth)]
        return [*lines, "else:", *self._inside(depth)] if self.draw(st.booleans()) else lines

    def repeated(self, depth: int) -> list[str]:
        count = self.pick("2", "0", "m // 2")
        return [f"for {self.index()} in range({count}):", *self._inside(depth)]

    def _inside(self, depth: int) -> list[str]:
        return [_TAB + line for line in self.block(self.draw(st.integers(1, 2)), depth - 1)]
