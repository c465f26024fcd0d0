"""Programs of the kinds that array suites are made of, as annotated references.

Each states a well-known computation in plain NumPy, as its users write it, with a workload of a few
milliseconds and one of a few hundred at most. Those of the reference library are used from there.
"""

from __future__ import annotations

from outpace.codegen.reference import Reference
from outpace.kernels.library import aerospace, astro, climate, genomics, linalg, medical, quantum
from programs import (
    learning,
    linear_algebra,
    maps,
    physics,
    sequences,
    solvers,
    statistics,
    stencils,
    weather,
)

_FUNCTIONS = (
    stencils.jacobi_1d, aerospace.jacobi_2d, climate.heat_3d, stencils.fdtd_2d, stencils.seidel_2d,
    stencils.adi, aerospace.cavity_flow, stencils.channel_flow, climate.hdiff, weather.vadv,
    linear_algebra.gemm, linear_algebra.gemver, linear_algebra.gesummv, linear_algebra.atax,
    linear_algebra.bicg, linear_algebra.mvt, linear_algebra.k2mm, linear_algebra.k3mm,
    linear_algebra.syrk, linear_algebra.syr2k, linear_algebra.trmm, linear_algebra.symm,
    linear_algebra.doitgen, solvers.cholesky, solvers.lu, solvers.ludcmp, solvers.trisolv,
    solvers.durbin, solvers.gramschmidt, statistics.covariance, statistics.correlation,
    statistics.azimint_naive, statistics.azimint_hist, linalg.softmax, linalg.conv2d,
    learning.conv2d_bias, learning.mlp, learning.resnet, learning.lenet, maps.arc_distance,
    maps.go_fast, maps.compute, maps.mandelbrot, astro.nbody, physics.nbody_energies,
    physics.scattering_self_energies, physics.contour_integral, sequences.floyd_warshall,
    sequences.nussinov, sequences.crc16, sequences.deriche, sequences.stockham_fft,
    sequences.spmv, genomics.smith_waterman, medical.backproject, quantum.apply_gate,
)  # fmt: skip

PROGRAMS: dict[str, Reference] = {f.reference.fn.__name__: f.reference for f in _FUNCTIONS}
"""All programs by name."""
