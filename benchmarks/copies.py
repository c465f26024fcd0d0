"""Honest copies of references of several kinds: what the channel itself adds or takes.

A copy does the same work, so its true ratio is 1, or below it where it must also move the result
into the output that it is given. Fresh process pairs through the code that a confirmation runs,
into `results/copies.json`.

    python benchmarks/copies.py [--pairs 9] [--write-docs]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import record
from error_rates import campaign, pairs_of
from jaxtyping import Float64

import outpace


@outpace.optimize(workloads={"only": {"n": 6_000_000}})
def large_sum(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """One pass over 48 MB arrays."""
    return a + b


@outpace.optimize(workloads={"only": {"n": 30_000}})
def python_loop(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Interpreted, element by element."""
    out = np.empty_like(u)
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
    return out


@outpace.optimize(workloads={"only": {"n": 2000}})
def short(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """A few microseconds, timed in batches."""
    return np.sqrt(u * u + 1.0)


@outpace.optimize(workloads={"only": {"n": 400}})
def product(
    a: Float64[np.ndarray, "n n"], b: Float64[np.ndarray, "n n"]
) -> Float64[np.ndarray, "n n"]:
    """BLAS."""
    return a @ b


@outpace.optimize(workloads={"only": {"n": 400_000}})
def temporaries(u: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Several arrays of 3 MB that come and go."""
    return np.exp(-u * u) * (u + 1.0) - np.tanh(u)


_LOOP = """import numpy as np


def kernel(u, out):
    last = 0.0
    for i in range(u.size):
        last = 0.5 * last + u[i]
        out[i] = last
"""
_ARRAYS = "import numpy as np\n\n\ndef kernel({inputs}, out):\n    {statement}\n"
COPIES = {
    "a + b, 48 MB": (large_sum, _ARRAYS.format(inputs="a, b", statement="np.add(a, b, out=out)")),
    "Python loop": (python_loop, _LOOP),
    "short": (short, _ARRAYS.format(inputs="u", statement="out[...] = np.sqrt(u * u + 1.0)")),
    "BLAS": (product, _ARRAYS.format(inputs="a, b", statement="np.matmul(a, b, out=out)")),
    "temporaries": (
        temporaries,
        _ARRAYS.format(inputs="u", statement="out[...] = np.exp(-u * u) * (u + 1.0) - np.tanh(u)"),
    ),
}


def main() -> None:
    """Measure, or only rewrite the document from the committed result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if not options.write_docs:
        record.write("copies", {"copies": {n: measured(n, options.pairs) for n in COPIES}})
    write_docs()


def measured(name: str, pairs: int) -> dict[str, Any]:
    function, source = COPIES[name]
    draft = outpace.Draft("numba", source)
    with (
        tempfile.TemporaryDirectory() as scratch,
        campaign(Path(scratch), [draft], function.reference) as prepared,
    ):
        found = pairs_of(prepared, draft, pairs)
    ratios = [
        median(b / v for b, v in zip(one.samples.baseline, one.samples.variant, strict=True))
        for one in found
    ]
    return {"ratios": ratios, "median": median(ratios), "won": sum(one.won for one in found)}


def write_docs() -> None:
    """Put the ratios into the page on judging."""
    copies = record.read("copies")["copies"]
    rows = ["| honest copy of | reference / copy | process pairs won |", "|---|---|---|"]
    rows += [
        f"| {name} | {one['median']:.3f} [{min(one['ratios']):.3f}, {max(one['ratios']):.3f}] "
        f"| {one['won']} of {len(one['ratios'])} |"
        for name, one in copies.items()
    ]
    record.replace_block(
        Path(__file__).parents[1] / "docs" / "judging.md", "copies", "\n".join(rows)
    )


if __name__ == "__main__":
    main()
