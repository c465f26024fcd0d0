"""Correct variants of the library: other orders of operations, as compilers and tuners choose."""

# ruff: noqa: ISC004  (a replacement of several lines is one string in pieces)

from __future__ import annotations

import rewrites
from killing import Patched, Rewritten, Variation


def _reordered(reference: str, *rows: tuple[str, str, str]) -> list[Variation]:
    return [Patched(reference, kind, old, new) for kind, old, new in rows]


LAPLACIAN = """    laplacian = (
        field[2:, 1:-1]
        + field[:-2, 1:-1]
        + field[1:-1, 2:]
        + field[1:-1, :-2]
        - 4.0 * field[1:-1, 1:-1]
    )
"""
N, S, E, W, C = ("field[:-2, 1:-1]", "field[2:, 1:-1]", "field[1:-1, 2:]", "field[1:-1, :-2]",
                 "field[1:-1, 1:-1]")  # fmt: skip
DIVERGENCE = "flux_x[1:] - flux_x[:-1] + flux_y[:, 1:] - flux_y[:, :-1]"
DIFFUSED = "field[2:-2, 2:-2] - coeff * divergence"

HDIFF = _reordered(
    "climate.hdiff",
    ("order", LAPLACIAN, f"    laplacian = {W} + {E} + {N} + {S} - 4.0 * {C}\n"),
    ("order", LAPLACIAN, f"    laplacian = -4.0 * {C} + {E} + {S} + {W} + {N}\n"),
    ("tree", LAPLACIAN, f"    laplacian = ({N} + {S}) + ({W} + {E}) - 4.0 * {C}\n"),
    ("differences", LAPLACIAN,
     f"    laplacian = ({N} - {C}) + ({S} - {C}) + ({W} - {C}) + ({E} - {C})\n"),
    ("contracted", LAPLACIAN,
     f"    laplacian = {N} + {S} + {W} + {E} - 4.0 * {C}.astype(np.longdouble)\n"
     "    laplacian = laplacian.astype(float)\n"),
    ("tree", DIVERGENCE, "(flux_x[1:] + flux_y[:, 1:]) - (flux_x[:-1] + flux_y[:, :-1])"),
    ("order", DIVERGENCE, "flux_y[:, 1:] - flux_x[:-1] - flux_y[:, :-1] + flux_x[1:]"),
    ("contracted", DIFFUSED,
     "(field[2:-2, 2:-2] - coeff.astype(np.longdouble) * divergence).astype(float)"),
    ("distributed", DIFFUSED,
     "field[2:-2, 2:-2] - coeff * (flux_x[1:] - flux_x[:-1]) "
     "- coeff * (flux_y[:, 1:] - flux_y[:, :-1])"),
    ("higher precision", LAPLACIAN, "    field = field.astype(np.longdouble)\n" + LAPLACIAN),
)  # fmt: skip

HEATED = """T[1:-1, 1:-1, 1:-1] + r * (
            T[2:, 1:-1, 1:-1]
            + T[:-2, 1:-1, 1:-1]
            + T[1:-1, 2:, 1:-1]
            + T[1:-1, :-2, 1:-1]
            + T[1:-1, 1:-1, 2:]
            + T[1:-1, 1:-1, :-2]
            - 6.0 * T[1:-1, 1:-1, 1:-1]
        )
"""
AROUND = ("T[2:, 1:-1, 1:-1]", "T[:-2, 1:-1, 1:-1]", "T[1:-1, 2:, 1:-1]", "T[1:-1, :-2, 1:-1]",
          "T[1:-1, 1:-1, 2:]", "T[1:-1, 1:-1, :-2]")  # fmt: skip
HERE = "T[1:-1, 1:-1, 1:-1]"
SUM = " + ".join(AROUND)

HEAT_3D = _reordered(
    "climate.heat_3d",
    ("order", HEATED, f"{HERE} + r * ({' + '.join(reversed(AROUND))} - 6.0 * {HERE})\n"),
    ("order", HEATED, f"{HERE} + r * (-6.0 * {HERE} + {SUM})\n"),
    ("tree", HEATED,
     f"{HERE} + r * (({AROUND[0]} + {AROUND[1]}) + (({AROUND[2]} + {AROUND[3]}) + ({AROUND[4]}"
     f" + {AROUND[5]})) - 6.0 * {HERE})\n"),
    ("differences", HEATED,
     f"{HERE} + r * ({' + '.join(f'({q} - {HERE})' for q in AROUND)})\n"),
    ("factored", HEATED, f"(1.0 - 6.0 * r) * {HERE} + r * ({SUM})\n"),
    ("distributed", HEATED,
     f"{HERE} + ({' + '.join(f'r * {q}' for q in AROUND)} - 6.0 * r * {HERE})\n"),
    ("contracted", HEATED,
     f"(np.longdouble(r) * ({SUM} - 6.0 * {HERE}) + {HERE}).astype(float)\n"),
    ("higher precision", "T = temperature.copy()", "T = temperature.astype(np.longdouble)"),
)  # fmt: skip

SMITH_WATERMAN = _reordered(
    "genomics.smith_waterman",
    ("order", "max(E - gap_extend, H[i, j - 1] - gap_open)",
     "max(H[i, j - 1] - gap_open, E - gap_extend)"),
    ("order", ", E, F[j])", ", max(F[j], E))"),
    ("wider", "F = np.zeros(m + 1, dtype=scores.dtype)", "F = np.zeros(m + 1, dtype=np.int64)"),
    ("wider", "H = np.zeros((n + 1, m + 1), dtype=scores.dtype)",
     "H = np.zeros((n + 1, m + 1), dtype=np.int64)"),
)  # fmt: skip

RELAXED = """0.25 * (
                p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1] - h * h * source
            )
"""
CAVITY_FLOW = _reordered(
    "aerospace.cavity_flow",
    ("order", RELAXED, "0.25 * (-h * h * source + p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2]"
     " + p[1:-1, 2:])\n"),
    ("tree", RELAXED, "0.25 * ((p[1:-1, 2:] + p[1:-1, :-2]) + (p[2:, 1:-1] + p[:-2, 1:-1])"
     " - h * h * source)\n"),
    ("distributed", RELAXED, "0.25 * (p[1:-1, 2:] + p[1:-1, :-2] + p[2:, 1:-1] + p[:-2, 1:-1])"
     " - (0.25 * h * h) * source\n"),
    ("reciprocal", "ux = (u[1:-1, 2:] - u[1:-1, :-2]) / (2.0 * h)",
     "ux = (u[1:-1, 2:] - u[1:-1, :-2]) * (0.5 / h)"),
    ("reciprocal", "lu = (u[1:-1, 2:] + u[1:-1, :-2] + u[2:, 1:-1] + u[:-2, 1:-1] - 4.0 * uc)"
     " / (h * h)",
     "lu = (u[1:-1, 2:] + u[1:-1, :-2] + u[2:, 1:-1] + u[:-2, 1:-1] - 4.0 * uc) * (1 / (h * h))"),
    ("order", "uc + dt * (nu * lu - uc * ux - vc * uy - px / rho)",
     "uc - dt * (px / rho + vc * uy + uc * ux - nu * lu)"),
    ("distributed", "uc + dt * (nu * lu - uc * ux - vc * uy - px / rho)",
     "uc + dt * nu * lu - dt * uc * ux - dt * vc * uy - dt / rho * px"),
    ("order", "(ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy",
     "(ux + vy) * (1.0 / dt) - (ux * ux + (2.0 * vx * uy + vy * vy))"),
    ("contracted", "(ux + vy) / dt - ux * ux - 2.0 * uy * vx - vy * vy",
     "((ux + vy) / dt - ux.astype(np.longdouble) * ux - 2.0 * uy * vx - vy * vy).astype(float)"),
)  # fmt: skip

SWEPT = "0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])"
JACOBI_2D = _reordered(
    "aerospace.jacobi_2d",
    ("order", SWEPT, "0.25 * (old[1:-1, 2:] + old[1:-1, :-2] + old[2:, 1:-1] + old[:-2, 1:-1])"),
    ("order", SWEPT, "0.25 * (old[:-2, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:] + old[2:, 1:-1])"),
    ("tree", SWEPT, "0.25 * ((old[:-2, 1:-1] + old[2:, 1:-1]) + (old[1:-1, :-2] + old[1:-1, 2:]))"),
    ("divided", SWEPT, "(old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:]) / 4"),
    ("distributed", SWEPT, "0.25 * old[:-2, 1:-1] + 0.25 * old[2:, 1:-1]"
     " + (0.25 * old[1:-1, :-2] + 0.25 * old[1:-1, 2:])"),
)  # fmt: skip

LERP = "(1.0 - weight) * row[left] + weight * row[left + 1]"
BACKPROJECT = _reordered(
    "medical.backproject",
    ("factored", LERP, "row[left] + weight * (row[left + 1] - row[left])"),
    ("order", LERP, "weight * row[left + 1] + (1.0 - weight) * row[left]"),
    ("contracted", LERP,
     "(row[left] + weight.astype(np.longdouble) * (row[left + 1] - row[left])).astype(float)"),
    ("reversed", "for k in range(views):\n", "for k in reversed(range(views)):\n"),
    ("distributed", f"image += {LERP}\n    return image * (np.pi / max(views, 1))",
     f"image += (np.pi / max(views, 1)) * ({LERP})\n    return image"),
    ("order",
     "position = centred[None, :] * np.cos(theta[k]) + centred[:, None] * np.sin(theta[k])",
     "position = np.sin(theta[k]) * centred[:, None] + np.cos(theta[k]) * centred[None, :]"),
    ("contracted",
     "position = centred[None, :] * np.cos(theta[k]) + centred[:, None] * np.sin(theta[k])",
     "position = (centred.astype(np.longdouble)[None, :] * np.cos(theta[k])"
     " + centred[:, None] * np.sin(theta[k])).astype(float)"),
    ("higher precision", "image = np.zeros((size, size), dtype=sinogram.dtype)",
     "image = np.zeros((size, size), dtype=np.longdouble)"),
)  # fmt: skip

APPLY_GATE = _reordered(
    "quantum.apply_gate",
    ("order", "gate[0, 0] * pairs[:, 0, :] + gate[0, 1] * pairs[:, 1, :]",
     "gate[0, 1] * pairs[:, 1, :] + gate[0, 0] * pairs[:, 0, :]"),
    ("contracted", "gate[1, 0] * pairs[:, 0, :] + gate[1, 1] * pairs[:, 1, :]",
     "gate[1, 0] * pairs[:, 0, :].astype(np.clongdouble) + gate[1, 1] * pairs[:, 1, :]"),
)  # fmt: skip

KICKED = "        v = v + 0.5 * dt * a\n        x = x + dt * v\n"
NBODY = _reordered(
    "astro.nbody",
    ("power", "mass / (square * np.sqrt(square))", "mass * square**-1.5"),
    ("reciprocal", "mass / (square * np.sqrt(square))", "mass * (1 / np.sqrt(square)) ** 3"),
    ("order", "mass / (square * np.sqrt(square))", "mass / square / np.sqrt(square)"),
    ("order", "np.sum(offset * offset, axis=2) + softening * softening",
     "softening**2 + offset[..., 2] ** 2 + offset[..., 1] ** 2 + offset[..., 0] ** 2"),
    ("matrix product", "np.sum(pull[:, :, None] * offset, axis=1)",
     "np.einsum('ij,ijk->ik', pull, offset)"),
    ("reversed", "np.sum(pull[:, :, None] * offset, axis=1)",
     "np.sum((pull[:, :, None] * offset)[:, ::-1], axis=1)"),
    ("order", KICKED, "        v = v + a * dt * 0.5\n        x = dt * v + x\n"),
    ("contracted", KICKED, "        v = v + (np.longdouble(0.5 * dt) * a).astype(float)\n"
     "        x = (x + np.longdouble(dt) * v).astype(float)\n"),
)  # fmt: skip

SOFTENED = "return weights / np.sum(weights, axis=-1, keepdims=True)"
SOFTMAX = _reordered(
    "linalg.softmax",
    ("reciprocal", SOFTENED,
     "return weights * (np.float32(1) / np.sum(weights, axis=-1, keepdims=True))"),
    ("base two", "np.exp(logits - np.max(logits, axis=-1, keepdims=True))",
     "np.exp2((logits - np.max(logits, axis=-1, keepdims=True)) * np.float32(np.log2(np.e)))"),
    ("no maximum", "np.exp(logits - np.max(logits, axis=-1, keepdims=True))", "np.exp(logits)"),
    ("higher precision", SOFTENED,
     "return weights / np.sum(weights, axis=-1, keepdims=True, dtype=float).astype(np.float32)"),
    ("sequential", SOFTENED, "return weights / np.cumsum(weights, axis=-1)[..., -1:]"),
    ("reversed", SOFTENED,
     "return weights / np.cumsum(weights[..., ::-1], axis=-1)[..., -1:]"),
)  # fmt: skip

CONV2D = _reordered(
    "linalg.conv2d",
    ("loops", "    for r in range(3):\n        for s in range(3):\n",
     "    for s in range(3):\n        for r in range(3):\n"),
    ("reversed", "    for r in range(3):\n        for s in range(3):\n",
     "    for r in (2, 1, 0):\n        for s in (2, 1, 0):\n"),
    ("bias last", "    out += bias\n    for r in range(3):\n        for s in range(3):\n"
     "            window = image[:, r : r + rows, s : s + cols, :]\n"
     "            out += np.tensordot(window, kernel[r, s], axes=1)\n",
     "    for r in range(3):\n        for s in range(3):\n"
     "            window = image[:, r : r + rows, s : s + cols, :]\n"
     "            out += np.tensordot(window, kernel[r, s], axes=1)\n    out += bias\n"),
    ("higher precision", "out = np.zeros((batch, rows, cols, bias.shape[0]), dtype=image.dtype)",
     "out = np.zeros((batch, rows, cols, bias.shape[0]))"),
)  # fmt: skip

SELECTIONS = [
    *_reordered(
        "selections.row_max",
        ("reciprocal", "np.max(x, axis=1) / 3", "np.max(x, axis=1) * (1 / 3)"),
        ("distributed", "np.max(x, axis=1) / 3", "np.max(x / 3, axis=1)"),
    ),
    *_reordered("selections.any_set", ("counted", "np.any(x, axis=1)", "np.sum(x, axis=1) > 0")),
]

REORDERINGS: list[Variation] = [
    *HDIFF, *HEAT_3D, *SMITH_WATERMAN, *CAVITY_FLOW, *JACOBI_2D, *BACKPROJECT, *APPLY_GATE, *NBODY,
    *SOFTMAX, *CONV2D, *SELECTIONS,
    *(Rewritten(reference, kind, fn) for reference, kind, fn in rewrites.ALL),
]  # fmt: skip
