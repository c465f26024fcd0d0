"""Drafts in CUDA for the references here, right and wrong."""

import json

from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import parse_draft
from outpace.model import Provenance

_SQUARE = {
    "launch": "square<4>",
    "grid": ["ceildiv(n, 128)"],
    "block": [128],
    "arguments": ["u", "out", "n"],
}
SQUARE = """\
template <int W> __global__ void square(const double *u, double *out, int64_t n) {
  __shared__ double part[128];
  int64_t i = blockIdx.x * 128 + threadIdx.x;
  part[threadIdx.x] = i < n ? u[i] : 0.0;
  __syncthreads();
  if (i < n) out[i] = part[threadIdx.x] * part[threadIdx.x] + 1.0;
}
"""
_SQUARE_BY_FEW = {**_SQUARE, "launch": "square", "grid": ["ceildiv(n, 1024)"], "block": [8]}
SQUARE_BY_FEW = """\
__global__ void square(const double *u, double *out, int64_t n) {
  int64_t first = (int64_t)blockIdx.x * 1024 + threadIdx.x;
  for (int64_t i = first; i < first + 1024 && i < n; i += 8) out[i] = u[i] * u[i] + 1.0;
}
"""
_SWEEP = {
    "launch": "sweep",
    "grid": ["ceildiv(n, 1024)"],
    "block": [8],
    "arguments": ["out", "other", "n"],
}
SMOOTH = """\
__global__ void sweep(const double *a, double *b, int64_t n) {
  int64_t first = (int64_t)blockIdx.x * 1024 + threadIdx.x;
  for (int64_t i = first; i < first + 1024 && i < n - 1; i += 8)
    if (i > 0) b[i] = 0.5 * a[i] + 0.25 * (a[i - 1] + a[i + 1]);
}
"""
_LOG = {"launch": "keep_log", "grid": [1], "block": [1], "arguments": ["u", "log", "out", "n"]}
LOG = """\
__global__ void keep_log(const double *u, double *log, double *out, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) { sum += u[i] * u[i]; log[i] += u[i]; }
  out[0] = sum;
}
"""


def draft(code, plan, **header):
    text = f"// outpace: {json.dumps({'plan': plan, **header})}\n{code}"
    return parse_draft(text, language_named("cuda"), Provenance("user", idea="by hand"))


def squares(old="", new="", model=None, **header):
    """Right, unless a piece of the code is replaced."""
    assert old in SQUARE
    plan = {"steps": [_SQUARE]} | ({} if model is None else {"model": model})
    return draft(SQUARE.replace(old, new, 1) if old else SQUARE, plan, **header)


def fast_squares():
    """Right, and fast on a CPU too, where threads are what takes time."""
    return draft(SQUARE_BY_FEW, {"steps": [_SQUARE_BY_FEW]})


def smoothed():
    sweeps = [_SWEEP, {"swap": ["out", "other"]}]
    steps = [{"copy": ["u", name]} for name in ("out", "other")]
    steps.append({"repeat": "t", "range": [0, "steps", 1], "steps": sweeps})
    buffers = [{"name": "other", "dtype": "float64", "shape": ["n"]}]
    return draft(SMOOTH, {"buffers": buffers, "steps": steps})


def logged():
    return draft(LOG, {"steps": [_LOG]})
