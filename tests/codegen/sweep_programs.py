"""Random sweeps over one to three dims, of two buffers or of one that a rewriting makes two."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from outpace.codegen.reference import Reference, ReferenceOptions

_IMPORTS = "import numpy as np\nfrom jaxtyping import Float64\n\n\n"
_DIMS = ("n", "m", "k")
_NUMBER = itertools.count()


@dataclass(frozen=True)
class Sweep:
    """A reference whose result is the state after some steps.

    Attributes:
        text: Its source: `f(a, b, steps)`, arrays of `rank` dims.
        rank: How many dims there are.
    """

    text: str
    rank: int

    def reference(self, folder: Path) -> Reference:
        """The function in a file of its own, so that its source can be read."""
        name = f"sweep_{next(_NUMBER)}"
        path = folder / f"{name}.py"
        path.write_text(_IMPORTS + self.text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            sizes = dict.fromkeys(_DIMS[: self.rank], 5) | {"steps": 2}
            reference = Reference(module.f, ReferenceOptions(workloads={"w": sizes}))
            assert reference.contract
            assert reference.closure
        finally:
            del sys.modules[name]
        return reference

    def inputs(self, seed: int, most: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Arrays of extents from 0 to `most`, hardly ever 0, and a number of steps up to 5.

        One in four has many more rows, which several threads share.
        """
        rng = np.random.default_rng(seed)
        shape = [int(n) if rng.random() < 0.97 else 0 for n in rng.integers(1, most + 1, self.rank)]
        shape[0] *= rng.choice((1, 1, 1, 8))
        return rng.normal(size=shape), rng.normal(size=shape), int(rng.integers(0, 6))


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """A sweep with any borders, kept or renewed, in a loop that may be nested or left early."""
    rank = draw(st.integers(1, 3))
    widths = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(rank)]
    kind = draw(st.sampled_from(("in place", "from a copy", "two buffers", "two buffers")))
    target = "new" if kind == "two buffers" else "u"
    source = "u" if kind != "from a copy" else "old"
    step = [f"{target}[{_region(widths, (0,) * rank)}] = {_sum(draw, source, widths)}"]
    if kind == "from a copy":
        step = ["old = u.copy()", *step]
    step += [line.replace("u[", f"{target}[") for line in _renewed(draw, widths)]
    if kind == "two buffers":
        step.append("u, new = new, u")
    leave = draw(st.sampled_from(("", "", "", "break", "continue")))
    if leave:
        place = draw(st.integers(0, len(step)))
        step = [*step[:place], f"if t == {draw(st.integers(0, 2))}:", f"    {leave}", *step[place:]]
    loop = ["for t in range(steps):", *(f"    {line}" for line in step)]
    fills = ("a.copy()", "a.copy()", "b.copy()", "2.0 * a - b", "np.zeros_like(a)")
    before = [f"new = {draw(st.sampled_from(fills))}"] if kind == "two buffers" else []
    before += draw(st.sampled_from(([], [], ["b = b * u"])))
    body = [*before, *loop]
    if draw(st.integers(0, 4)) == 0:
        body = ["for s in range(2):", *(f"    {line}" for line in body)]
    is_read = kind == "two buffers" and draw(st.integers(0, 4)) == 0
    lines = ["u = a.copy()", *body, "return u + 0.5 * new" if is_read else "return u"]
    array = f'Float64[np.ndarray, "{" ".join(_DIMS[:rank])}"]'
    head = f"def f(a: {array}, b: {array}, steps: int) -> {array}:\n"
    return Sweep(head + "".join(f"    {line}\n" for line in lines), rank)


def _region(widths: list[tuple[int, int]], offsets: tuple[int, ...]) -> str:
    """The slices between borders of these widths, moved by these offsets."""
    found = []
    for (low, high), offset in zip(widths, offsets, strict=True):
        stop = offset - high
        found.append(f"{low + offset or ''}:{stop or ''}")
    return ", ".join(found)


def _sum(draw: st.DrawFn, source: str, widths: list[tuple[int, int]]) -> str:
    """A weighted sum of elements that are within the borders, and of an input."""
    terms = [f"0.25 * b[{_region(widths, (0,) * len(widths))}]"]
    for weight in (0.5, 0.375, -0.125)[: draw(st.integers(1, 3))]:
        offsets = tuple(draw(st.integers(-low, high)) for low, high in widths)
        terms.append(f"{weight} * {source}[{_region(widths, offsets)}]")
    return " + ".join(terms)


def _renewed(draw: st.DrawFn, widths: list[tuple[int, int]]) -> list[str]:
    """Statements that give some borders new values."""
    every = []
    for axis, (low, high) in enumerate(widths):
        before = ":, " * axis
        if low:
            every += [f"u[{before}0] = u[{before}{low}]", f"u[{before}0] = 1.5"]
        if high:
            every.append(f"u[{before}-1] = 0.5 * u[{before}-2]")
    return draw(st.lists(st.sampled_from(every), max_size=3)) if every else []
