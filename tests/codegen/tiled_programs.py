"""Random functions that threads of a block do together in shared memory, as source text.

Stencils in time loops, of one state and of two, with borders of their own and coefficients that
vary in space; and sums whose operands are rows and columns that neighbours have in common.
"""

from __future__ import annotations

from hypothesis import strategies as st

_TAB = "    "
_TYPES = ("Float64", "Float64", "Float32")
_STEPS = ("m", "n", "7", "4", "1")


@st.composite
def stencil_programs(draw: st.DrawFn) -> str:
    """A time loop over one stencil of a matrix."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731  (short, and used a lot)
    low, high = ((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    sides = list(zip(low, high, strict=True))

    def region(*shift: int) -> str:
        cuts = [
            f"{before + k}:{axis}.shape[{d}] - {after - k}"
            for d, ((before, after), k, axis) in enumerate(zip(sides, shift, "bb", strict=True))
        ]
        return ", ".join(cuts)

    def near(state: str) -> str:
        shift = [draw(st.integers(-before, after)) for before, after in sides]
        return f"{state}[{region(*shift)}]"

    here = region(0, 0)
    second = draw(st.booleans())
    terms = [near("x"), near("x")]
    terms += [f"{pick('0.25', 'b[0, 0]', f'b[{here}]', 'v[0]')} * {near('x')}"]
    terms += [near("past") if second else f"np.abs({near('x')})"]
    terms += [pick(f"b[{here}]", "s", "0.5")] * draw(st.integers(0, 1))
    value = f" {pick('+', '-')} ".join(draw(st.permutations(terms)))
    states = "past, x, y" if second else "x, y"
    turned = "x, y, past" if second else "y, x"
    lines = ["n, m = a.shape", "s = 2.0 * a[0, 0]", "x, y = a.copy(), b * 0.5"]
    lines += ["past = a - b"] if second else []
    lines += [f"for t in range({pick(*_STEPS)}):", f"{_TAB}y[{here}] = 0.25 * ({value})"]
    lines += [f"{_TAB}{states} = {turned}", f"return {pick('x', 'x + b', 'x + past', 'x')}"]
    if not second:
        lines[-1] = lines[-1].replace("past", "y")
    return _function(pick(*_TYPES), lines)


@st.composite
def sum_programs(draw: st.DrawFn) -> str:
    """Products of rows with rows, and of rows with columns, with something before and after."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731  (short, and used a lot)
    dtype = pick(*_TYPES, "Int64")

    def term(left: str, right: str, i: str, k: str) -> str:
        pair = pick(f"{left} * {right}", f"({left} - {right}) * ({left} - {right})")
        real = [f"np.sqrt(np.abs({left})) * {right}"] if dtype != "Int64" else []
        chosen = pick(pair, f"np.maximum({left}, {right})", *real)
        return pick(chosen, chosen, f"({chosen} if {i} != {k} else {left})", f"{chosen} * {k}")

    def sums(i: str, j: str, k: str, count: str, target: str, value: str, axes: str) -> list[str]:
        extra = pick("", f"{target}[{i}, {j}]", "2 * v[0]")
        before = pick("0", f"a[{i}, 0]", "v[0]")
        rows, columns = axes.split()
        return [
            f"for {i} in range({rows}):",
            f"{_TAB}for {j} in range({columns}):",
            f"{_TAB * 2}r{target} = {before} * {pick('1', '2')}",
            f"{_TAB * 2}for {k} in range({count}):",
            f"{_TAB * 3}r{target} += {value}",
            f"{_TAB * 2}{target}[{i}, {j}] = r{target}{f' + {extra}' if extra else ''}",
        ]

    lines = ["n, m = a.shape", f"w = np.ones((n, n), dtype=np.{dtype.lower()})", "out = b.copy()"]
    lines += sums("i", "j", "k", "m", "w", term("a[i, k]", "b[j, k]", "i", "k"), "n n")
    lines += sums("p", "q", "r", "n", "out", term("w[p, r]", "a[r, q]", "q", "r"), "n m")
    return _function(dtype, [*lines, "return out"])


def _function(dtype: str, lines: list[str]) -> str:
    shape = f'{dtype}[np.ndarray, "n m"]'
    signature = f'a: {shape}, b: {shape}, v: {dtype}[np.ndarray, "m"]'
    body = "\n".join(_TAB + line for line in lines)
    return f"\ndef f({signature}) -> {shape}:\n{body}\n"
