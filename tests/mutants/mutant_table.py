"""Wrong variants of the library: each is one piece of source that stands for another."""

# ruff: noqa: ISC004  (a replacement of several lines is one string in pieces)

from __future__ import annotations

from killing import Patched


def _mutants(reference: str, *rows: tuple[str, str, str]) -> list[Patched]:
    return [Patched(reference, kind, old, new) for kind, old, new in rows]


HDIFF = _mutants(
    "climate.hdiff",
    ("halo", "+ field[:-2, 1:-1]", "+ field[1:-1, 1:-1]"),
    ("halo", "slope_x = field[2:-1, 2:-2] - field[1:-2, 2:-2]",
     "slope_x = field[3:, 2:-2] - field[2:-1, 2:-2]"),
    ("coefficient", "- 4.0 * field[1:-1, 1:-1]", "- 3.999999 * field[1:-1, 1:-1]"),
    ("branch", "np.where(flux_x * slope_x > 0.0, 0.0, flux_x)",
     "np.where(flux_x * slope_x < 0.0, 0.0, flux_x)"),
    ("branch", "np.where(flux_y * slope_y > 0.0, 0.0, flux_y)",
     "np.where((flux_y > 0.0) & (slope_y > 0.0), 0.0, flux_y)"),
    ("branch", "flux_y = np.where(flux_y * slope_y > 0.0, 0.0, flux_y)", ""),
    ("index", "flux_x[1:] - flux_x[:-1] + flux_y", "flux_x[:-1] - flux_x[1:] + flux_y"),
    ("precision", "+ flux_y[:, 1:] - flux_y[:, :-1]",
     "+ (flux_y[:, 1:] - flux_y[:, :-1]).astype(np.float32)"),
    ("precision", "coeff * divergence", "coeff.astype(np.float32) * divergence"),
    ("tail", "return field[2:-2, 2:-2] - coeff * divergence",
     "divergence[-1:, -1:, -1:] = 0\n    return field[2:-2, 2:-2] - coeff * divergence"),
    ("tail when large", "return field[2:-2, 2:-2] - coeff * divergence",
     "divergence[16:, :, -1:] = 0\n    return field[2:-2, 2:-2] - coeff * divergence"),
)  # fmt: skip

HEAT_3D = _mutants(
    "climate.heat_3d",
    ("index", "+ T[:-2, 1:-1, 1:-1]", "+ T[2:, 1:-1, 1:-1]"),
    ("axis", "+ T[1:-1, 1:-1, 2:]\n", "+ T[1:-1, 2:, 1:-1]\n"),
    ("coefficient", "- 6.0 * T[1:-1, 1:-1, 1:-1]", "- 6.000001 * T[1:-1, 1:-1, 1:-1]"),
    ("steps", "for _ in range(steps):\n        T[1:-1, 1:-1, 1:-1] =",
     "for _ in range(steps - 1):\n        T[1:-1, 1:-1, 1:-1] ="),
    ("steps when many", "for _ in range(steps):\n        T[1:-1, 1:-1, 1:-1] =",
     "for _ in range(min(steps, 4)):\n        T[1:-1, 1:-1, 1:-1] ="),
    ("precision", "T = temperature.copy()", "T = temperature.astype(np.float32).astype(float)"),
    ("precision", "T[1:-1, 1:-1, 1:-1] + r * (", "T[1:-1, 1:-1, 1:-1] + np.float32(r) * ("),
    ("stale halo", "    for _ in range(steps):\n        T[1:-1, 1:-1, 1:-1] =",
     "    for _ in range(steps):\n        T[3:4] = temperature[3:4]\n"
     "        T[1:-1, 1:-1, 1:-1] ="),
    ("race", "    for _ in range(steps):\n        T[1:-1, 1:-1, 1:-1] =",
     "    for _ in range(steps):\n"
     "        T[1:-1, 1:-1, 1:-1] += r * (T[2:, 1:-1, 1:-1] - T[1:-1, 1:-1, 1:-1])\n"
     "        T[1:-1, 1:-1, 1:-1] ="),
    ("boundary", "    return T\n", "    T[:, :, -1:] = T[:, :, :1]\n    return T\n"),
    ("tail when odd", "    return T\n",
     "    if T.shape[2] % 2:\n        T[1:-1, 1:-1, -2:-1] = temperature[1:-1, 1:-1, -2:-1]\n"
     "    return T\n"),
)  # fmt: skip

SMITH_WATERMAN = _mutants(
    "genomics.smith_waterman",
    ("gap", "F[j] = max(F[j] - gap_extend, H[i - 1, j] - gap_open)",
     "F[j] = max(F[j] - gap_open, H[i - 1, j] - gap_open)"),
    ("gap", "E = max(E - gap_extend, H[i, j - 1] - gap_open)",
     "E = max(E - gap_extend, H[i, j - 1] - gap_extend)"),
    ("gap", "E = max(E - gap_extend, H[i, j - 1] - gap_open)", "E = H[i, j - 1] - gap_open"),
    ("index", "H[i - 1, j - 1] + scores[a[i - 1], b[j - 1]]",
     "H[i - 1, j] + scores[a[i - 1], b[j - 1]]"),
    ("index", "for i in range(1, n + 1):\n        E = 0",
     "E = 0\n    for i in range(1, n + 1):\n        pass"),
    ("branch", "max(0, H[i - 1, j - 1] +", "max(-1, H[i - 1, j - 1] +"),
    ("branch", ", E, F[j])", ", E)"),
    ("tail", "for j in range(1, m + 1):", "for j in range(1, m + (m < 17)):"),
    ("overflow", "    return H\n", "    return H.astype(np.int8).astype(np.int32)\n"),
    ("saturation", ", E, F[j])", ", E, F[j]) & 127"),
)  # fmt: skip

CAVITY_FLOW = _mutants(
    "aerospace.cavity_flow",
    ("coefficient", "- 2.0 * uy * vx - vy * vy", "- uy * vx - vy * vy"),
    ("coefficient", "lv = (v[1:-1, 2:] + v[1:-1, :-2] + v[2:, 1:-1] + v[:-2, 1:-1] - 4.0 * vc)",
     "lv = (v[1:-1, 2:] + v[1:-1, :-2] + v[2:, 1:-1] + v[:-2, 1:-1] - 4.0001 * vc)"),
    ("axis", "- uc * ux - vc * uy - px / rho", "- uc * ux - vc * vx - px / rho"),
    ("boundary", "            p[0, :] = p[1, :]\n", ""),
    ("boundary", "        u[-1, :] = lid\n", "        u[-1, 1:] = lid\n"),
    ("boundary", "        v[:, -1] = 0.0\n", ""),
    ("boundary", "            p[-1, :] = p[-2, :]\n",
     "            p[-1, :-1] = p[-2, :-1]\n"),
    ("stale", "vc = v[1:-1, 1:-1].copy()\n",
     "vc = v[1:-1, 1:-1].copy()\n        uc += dt * nu * (u[1:-1, 2:] - uc) / (h * h)\n"),
    ("steps", "for _ in range(sweeps):", "for _ in range(max(sweeps - 1, 0)):"),
    ("precision", "px = (p[1:-1, 2:] - p[1:-1, :-2]) / (2.0 * h)",
     "px = ((p[1:-1, 2:] - p[1:-1, :-2]) / (2.0 * h)).astype(np.float32)"),
    ("precision", "p[1:-1, 1:-1] = 0.25 * (\n                p[1:-1, 2:]",
     "p[1:-1, 1:-1] = 0.25 * (\n                p[1:-1, 2:].astype(np.float32)"),
)  # fmt: skip

JACOBI_2D = _mutants(
    "aerospace.jacobi_2d",
    ("index", "old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2]",
     "2 * old[2:, 1:-1] + old[1:-1, :-2]"),
    ("race", "0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])",
     "0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])\n"
     "        new[2:-1, 1:2] = 0.25 * (new[1:-2, 1:2] + old[3:, 1:2] + old[2:-1, :1]"
     " + old[2:-1, 2:3])"),
    ("stale halo", "        old, new = new, old\n",
     "        old, new = new, old\n        old[7:8] = u[7:8]\n"),
    ("steps", "        old, new = new, old\n    return old", "        old, new = new, old\n"
     "    return new"),
    ("boundary", "    new = u.copy()\n", "    new = np.zeros_like(u)\n"),
    ("precision", "    new = u.copy()\n", "    new = u.astype(np.float32)\n"),
    ("coefficient", "new[1:-1, 1:-1] = 0.25 * (", "new[1:-1, 1:-1] = 0.2500001 * ("),
    ("tail", "    return old\n", "    old[-2:-1, -2:-1] = u[-2:-1, -2:-1]\n    return old\n"),
    ("tail when large", "    return old\n",
     "    if old.shape[1] > 32:\n        old[1:-1, -2] = u[1:-1, -2]\n    return old\n"),
    ("sign", "    return old\n", "    old[old < -0.9] = -0.9\n    return old\n"),
)  # fmt: skip

BACKPROJECT = _mutants(
    "medical.backproject",
    ("index", "position = centred[None, :] * np.cos(theta[k]) + centred[:, None]",
     "position = centred[:, None] * np.cos(theta[k]) + centred[None, :]"),
    ("truncation", "weight = position - left", "weight = np.rint(position - left)"),
    ("interpolation", "(1.0 - weight) * row[left] + weight * row[left + 1]",
     "weight * row[left] + (1.0 - weight) * row[left + 1]"),
    ("lost update", "    for k in range(views):\n",
     "    for k in range(0, views, 1 + (views > 7)):\n"),
    ("race", "image += (1.0 - weight)", "image[-1:] = 0.0\n        image += (1.0 - weight)"),
    ("boundary", "0.0, detectors + 1.0)", "1.0, detectors + 0.0)"),
    ("coefficient", "return image * (np.pi / max(views, 1))",
     "return image * (3.1415926 / max(views, 1))"),
    ("precision", "row[1:-1] = sinogram[k]", "row[1:-1] = sinogram[k].astype(np.float32)"),
    ("precision", "np.cos(theta[k])", "np.float32(np.cos(theta[k]))"),
    ("offset", "0.5 * (size - 1)\n    image", "0.5 * size\n    image"),
    ("tail when odd", "return image * (np.pi",
     "image[-1:, : size % 2] = 0.0\n    return image * (np.pi"),
)  # fmt: skip

APPLY_GATE = _mutants(
    "quantum.apply_gate",
    ("conjugate", "gate[1, 0] * pairs[:, 0, :]", "gate[1, 0].conj() * pairs[:, 0, :]"),
    ("index", "gate[0, 1] * pairs[:, 1, :]", "gate[1, 0] * pairs[:, 1, :]"),
    ("index", "1 << target", "1 << max(target - 1, 0)"),
    ("real part", "gate[1, 1] * pairs[:, 1, :]", "gate[1, 1].real * pairs[:, 1, :]"),
    ("precision", "return out.reshape(state.shape)",
     "return out.reshape(state.shape).astype(np.complex64)"),
    ("precision", "gate[0, 0] * pairs[:, 0, :]", "np.complex64(gate[0, 0]) * pairs[:, 0, :]"),
    ("in place", "pairs = state.reshape(-1, 2, 1 << target)\n    out = np.empty_like(pairs)",
     "pairs = state.copy().reshape(-1, 2, 1 << target)\n    out = pairs"),
    ("tail", "return out.reshape(state.shape)",
     "out[-1, 1, -1] = state[-1]\n    return out.reshape(state.shape)"),
    ("tail when large", "return out.reshape(state.shape)",
     "out[32:, 1, -1:] = 0\n    return out.reshape(state.shape)"),
)  # fmt: skip

NBODY = _mutants(
    "astro.nbody",
    ("sign", "position[None, :, :] - position[:, None, :]",
     "position[:, None, :] - position[None, :, :]"),
    ("softening", "+ softening * softening", "+ softening"),
    ("exponent", "mass / (square * np.sqrt(square))", "mass / (square * square)"),
    ("index", "pull[:, :, None] * offset, axis=1", "pull.T[:, :, None] * offset, axis=1"),
    ("lost update", "np.sum(pull[:, :, None] * offset, axis=1)",
     "np.sum((pull[:, :, None] * offset)[:, : -1 if len(mass) > 12 else None], axis=1)"),
    ("order", "        v = v + 0.5 * dt * a\n        x = x + dt * v\n",
     "        x = x + dt * v\n        v = v + 0.5 * dt * a\n"),
    ("stale", "        a = _acceleration(x, mass, softening)\n        v = v",
     "        v = v"),
    ("precision", "square * np.sqrt(square)", "square * np.sqrt(square, dtype=np.float32)"),
    ("approximation", "mass / (square * np.sqrt(square))",
     "mass * ((1 + 1e-7) / (square * np.sqrt(square)))"),
    ("coefficient", "np.sum(offset * offset, axis=2)",
     "np.sum(offset[:, :, :2] ** 2, axis=2)"),
)  # fmt: skip

SOFTMAX = _mutants(
    "linalg.softmax",
    ("axis", "np.sum(weights, axis=-1, keepdims=True)", "np.sum(weights, axis=-2, keepdims=True)"),
    ("tail", "np.sum(weights, axis=-1, keepdims=True)",
     "(np.sum(weights[..., :-1], axis=-1, keepdims=True) + (weights.shape[-1] == 1))"),
    ("tail when long", "np.sum(weights, axis=-1, keepdims=True)",
     "np.sum(weights[..., :64], axis=-1, keepdims=True)"),
    ("tail when long", "np.sum(weights, axis=-1, keepdims=True)",
     "np.sum(weights[..., : max(1, weights.shape[-1] // 8 * 8)], axis=-1, keepdims=True)"),
    ("precision", "weights = np.exp(logits -", "weights = np.exp(logits.astype(np.float16) -"),
    ("precision", "return weights / np", "return weights.astype(np.float16) / np"),
    ("approximation", "return weights / np", "return weights * np.float32(1.00001) / np"),
    ("flush", "return weights / np", "weights[weights < 1e-4] = 0\n    return weights / np"),
    ("skipped maximum", "np.max(logits, axis=-1, keepdims=True)",
     "np.minimum(0, np.max(logits, axis=-1, keepdims=True)) + 1e4"),
    ("sign", "np.exp(logits - np.max", "np.exp(np.abs(logits) - np.max"),
)  # fmt: skip

CONV2D = _mutants(
    "linalg.conv2d",
    ("flipped", "kernel[r, s], axes=1", "kernel[2 - r, 2 - s], axes=1"),
    ("swapped", "kernel[r, s], axes=1", "kernel[s, r], axes=1"),
    ("halo", "window = image[:, r : r + rows, s : s + cols, :]",
     "window = image[:, r : r + rows, min(s, 1) : min(s, 1) + cols, :]"),
    ("missing bias", "    out += bias\n", ""),
    ("bias twice", "    out += bias\n", "    out += bias\n    out[:, -1:, -1:] += bias\n"),
    ("lost channel", "out += np.tensordot(window, kernel[r, s], axes=1)",
     "out += np.tensordot(window[..., :16], kernel[r, s][:16], axes=1)"),
    ("lost update", "    return out\n",
     "    out[:, :, 8:, :1] = bias[:1]\n    return out\n"),
    ("precision", "out += np.tensordot(window, kernel[r, s], axes=1)",
     "out += np.tensordot(window.astype(np.float16), kernel[r, s], axes=1).astype(np.float32)"),
    ("precision", "    return out\n", "    return out.astype(np.float16).astype(np.float32)\n"),
    ("batch", "    return out\n", "    out[3:] = out[:1]\n    return out\n"),
)  # fmt: skip

SELECTIONS = [
    *_mutants(
        "selections.row_max",
        ("skipped", "np.max(x, axis=1) / 3",
         "np.max(x[:, : x.shape[1] - (x.shape[1] > 1)], axis=1) / 3"),
        ("skipped when long", "np.max(x, axis=1) / 3",
         "np.max(x[:, : x.shape[1] - (x.shape[1] > 16)], axis=1) / 3"),
        ("skipped when long", "np.max(x, axis=1) / 3",
         "np.max(x[:, : max(1, x.shape[1] // 16 * 16)], axis=1) / 3"),
        ("skipped when long", "np.max(x, axis=1) / 3",
         "np.max(x[:, x.shape[1] > 31 :], axis=1) / 3"),
        ("magnitude", "np.max(x, axis=1) / 3", "np.max(np.abs(x), axis=1) / 3"),
        ("start at zero", "np.max(x, axis=1) / 3", "np.max(x, axis=1, initial=0) / 3"),
    ),
    *_mutants(
        "selections.first_largest",
        ("skipped when long", "np.argmax(x, axis=1)",
         "np.argmax(x[:, : x.shape[1] - (x.shape[1] > 16)], axis=1)"),
        ("precision", "np.argmax(x, axis=1)", "np.argmax(x.astype(np.float16), axis=1)"),
        ("start at zero", "np.argmax(x, axis=1)",
         "np.where(np.max(x, axis=1) > 0, np.argmax(x, axis=1), 0)"),
    ),
    *_mutants(
        "selections.first_smallest",
        ("last of equals", "np.argmin(x, axis=1)",
         "x.shape[1] - 1 - np.argmin(x[:, ::-1], axis=1)"),
        ("skipped when long", "np.argmin(x, axis=1)",
         "np.argmin(x[:, : x.shape[1] - (x.shape[1] > 31)], axis=1)"),
        ("saturated", "np.argmin(x, axis=1)", "np.argmin(np.maximum(x, 3), axis=1)"),
    ),
    *_mutants(
        "selections.any_set",
        ("skipped", "np.any(x, axis=1)", "np.any(x[:, :-1], axis=1)"),
        ("skipped when long", "np.any(x, axis=1)",
         "np.any(x[:, : x.shape[1] - (x.shape[1] > 16)], axis=1)"),
        ("skipped when long", "np.any(x, axis=1)", "np.any(x[:, x.shape[1] > 31 :], axis=1)"),
        ("parity", "np.any(x, axis=1)", "np.sum(x, axis=1) % 2 == 1"),
    ),
    *_mutants(
        "selections.all_positive",
        ("skipped when long", "np.all(x > 0, axis=1)",
         "np.all(x[:, : x.shape[1] - (x.shape[1] > 16)] > 0, axis=1)"),
        ("skipped when long", "np.all(x > 0, axis=1)",
         "np.all(x[:, : x.shape[1] // 8 * 8 or 8] > 0, axis=1)"),
    ),
]  # fmt: skip

MUTANTS = [
    *HDIFF, *HEAT_3D, *SMITH_WATERMAN, *CAVITY_FLOW, *JACOBI_2D, *BACKPROJECT, *APPLY_GATE, *NBODY,
    *SOFTMAX, *CONV2D, *SELECTIONS,
]  # fmt: skip
