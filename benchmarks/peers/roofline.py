"""What memory allows: the bandwidth of a triad, and the bytes that a program must move."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.feedback import moved_bytes
from outpace.kernels.languages.compilers import find_compiler
from outpace.model import Contract, Workload

_ELEMENTS = 16 << 20
_REPEATS = 10
_BYTES = 4 * 8
"""Of one element: two arrays are read, one is written, and read before for the ownership of its
cache lines."""
_TRIAD = r"""
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>

int main(void) {
    const long n = %(elements)d;
    double *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b), *c = malloc(n * sizeof *c);
    double best = 1e30;
    if (!a || !b || !c) return 1;
    #pragma omp parallel for
    for (long i = 0; i < n; i++) { a[i] = 0.0; b[i] = 1.0; c[i] = i; }
    for (int repeat = 0; repeat < %(repeats)d; repeat++) {
        double begin = omp_get_wtime();
        #pragma omp parallel for
        for (long i = 0; i < n; i++) a[i] = b[i] + 3.0 * c[i];
        double seconds = omp_get_wtime() - begin;
        if (seconds < best) best = seconds;
    }
    printf("%%.9e %%g\n", best, a[n / 2]);
    return 0;
}
"""
_SWEEPS: dict[str, Callable[[Mapping[str, int]], int]] = {
    "jacobi_1d": lambda s: 2 * (s["steps"] - 1),
    "jacobi_2d": lambda s: s["steps"],
    "heat_3d": lambda s: s["steps"],
    "fdtd_2d": lambda s: s["steps"],
    "seidel_2d": lambda s: s["steps"] - 1,
    "adi": lambda s: s["steps"],
    "floyd_warshall": lambda s: s["n"],
}
"""How often a program sweeps all its arrays."""


def triad_bandwidth() -> float:
    """Bytes a second that all allowed cores move in `a[i] = b[i] + s * c[i]`, the best of ten.

    The read for ownership of the written array counts, as in McCalpin's STREAM where stores are
    not streamed: the arrays of programs are written in the same way.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "triad.c", Path(folder) / "triad"
        source.write_text(_TRIAD % {"elements": _ELEMENTS, "repeats": _REPEATS})
        flags = ["-O2", "-ftree-vectorize", "-march=native", "-fopenmp"]
        find_compiler().run([*flags, str(source), "-o", str(program)], Path(folder))
        found = subprocess.run([str(program)], check=True, capture_output=True)
    return _BYTES * _ELEMENTS / float(found.stdout.split()[0])


def must_move(
    program: str, contract: Contract, workload: Workload, last_cache: int | None
) -> tuple[int, bool]:
    """Bytes that must move between memory and cores, and whether they fit into the last cache.

    Inputs once in and outputs once out, for each sweep of a time loop where they do not fit; new
    arrays once more, for the ownership of their cache lines. Tiling in time moves fewer, so that
    it can exceed the roof.
    """
    owned = sum(
        prod(shape_of(o.dims, workload.sizes)) * np.dtype(o.dtype).itemsize
        for o in contract.outputs
    )
    moved = moved_bytes(contract, workload) + owned
    fits = last_cache is not None and moved <= last_cache
    sweeps = _SWEEPS.get(program)
    return (moved if fits or sweeps is None else moved * sweeps(workload.sizes)), fits
