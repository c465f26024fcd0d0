"""What this card reaches: copy bandwidth and arithmetic rate, measured, and where a kernel stands.

Roofline: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52(4), 2009. A kernel cannot be faster than its bytes at the copy
bandwidth, nor than its operations at the arithmetic rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from outpace.codec import Value
from outpace.codegen.feedback import size
from outpace.errors import EnvironmentError_
from outpace.kernels.gpu.device import find_device
from outpace.kernels.gpu.timing import median_time, time_batch
from outpace.kernels.languages.nvrtc import find_nvrtc
from outpace.roofline import Bound, Counted, Roofline

_COPY_BYTES = 1 << 30
"""Of each of two arrays; many times the largest cache."""
_ROUNDS = 11
_CHAINS = 8
"""Independent chains of multiply-adds in a thread: enough to hide the latency of one."""
_LINKS = 4096
_THREADS = 256
_FMA = """
template <class T, int CHAINS, int LINKS> __global__ void fma_rate(T *out, T a, T b) {
  T x[CHAINS];
  for (int i = 0; i < CHAINS; ++i) x[i] = threadIdx.x + i;
  for (int k = 0; k < LINKS; ++k)
    for (int i = 0; i < CHAINS; ++i) x[i] = a * x[i] + b;
  T sum = 0;
  for (int i = 0; i < CHAINS; ++i) sum += x[i];
  if (sum == (T)-1) out[0] = sum;
}
"""


class Roof(Value, frozen=True):
    """What a card reaches.

    Attributes:
        device: Its name.
        bandwidth: Bytes a second of a large copy, read and written bytes counted.
        rates: Operations a second by dtype, a multiply-add counted as two.
    """

    device: str
    bandwidth: float
    rates: dict[str, float]

    def least_seconds(
        self, moved: float, operations: Mapping[str, float]
    ) -> tuple[Bound, float] | None:
        """What no kernel is faster than, and why; None where a dtype's rate is not known.

        Units for different dtypes may work at once, so that the slowest of them counts.

        Args:
            moved: Bytes.
            operations: By the dtype in which they are done.
        """
        if operations.keys() - self.rates.keys():
            return None
        memory = moved / self.bandwidth
        arithmetic = max((n / self.rates[dtype] for dtype, n in operations.items()), default=0.0)
        if arithmetic > memory:
            return Bound.ARITHMETIC, arithmetic
        return Bound.MEMORY, memory


def measure_roof() -> Roof:
    """Measure the first GPU; takes about a second.

    Raises:
        EnvironmentError_: There is no GPU, CuPy or NVRTC, or the clocks never agree.
    """
    import cupy  # noqa: PLC0415  (only where there is a GPU)

    copying = _copy_seconds(cupy)
    rates = {dtype: _rate(cupy, dtype) for dtype in ("float32", "float64")}
    return Roof(find_device().name, 2 * _COPY_BYTES / copying, rates)


def described(stands: Roofline) -> str:
    """Where a time stands, in one line for a person."""
    share = f"{stands.share:.0%} of what a copy reaches"
    parts = [f"{size(stands.moved)} must move, at {size(stands.rate)}/s: {share}"]
    if stands.operations is None:
        parts.append("operations unknown")
    else:
        whose = "of the reference" if stands.counted is Counted.NESTS else "as the draft declares"
        apart = f" and {stands.functions:,} function calls" if stands.functions else ""
        parts.append(f"{stands.operations:,} operations{apart} {whose}")
    if stands.intensity is not None:
        parts.append(f"{stands.intensity:.3g} a byte")
    if stands.bound is not None and stands.fraction is not None:
        parts.append(f"bound by {stands.bound}: {stands.fraction:.0%} of the roof")
    return "; ".join([*parts, stands.remark] if stands.remark else parts)


def _copy_seconds(cupy: Any) -> float:
    """Of one copy of `_COPY_BYTES`; the arrays are freed at the end."""
    source, target = (cupy.zeros(_COPY_BYTES, "uint8") for _ in range(2))
    return _seconds(lambda: cupy.copyto(target, source))


def _rate(cupy: Any, dtype: str) -> float:
    """Operations a second of chains of multiply-adds that fill the card."""
    kind = {"float32": "float", "float64": "double"}[dtype]
    name = f"fma_rate<{kind}, {_CHAINS}, {_LINKS}>"
    options = [f"--gpu-architecture={find_device().architecture}", "--std=c++17"]
    compiled = find_nvrtc().compile(_FMA, options, [name], {})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "fma.cubin"
        path.write_bytes(compiled.cubin)
        kernel = cupy.RawModule(path=str(path)).get_function(compiled.symbols[name])
        out = cupy.zeros(1, dtype)
        blocks = 16 * int(cupy.cuda.Device().attributes["MultiProcessorCount"])
        a, b = out.dtype.type(0.999), out.dtype.type(0.001)
        seconds = _seconds(lambda: kernel((blocks,), (_THREADS,), (out, a, b)))
    return 2.0 * _CHAINS * _LINKS * _THREADS * blocks / seconds


def _seconds(call: Callable[[], Any]) -> float:
    """Of one call, after one to warm up."""
    call()
    found = median_time([time_batch(call, 4, lambda: None) for _ in range(_ROUNDS)])
    if found is None:
        raise EnvironmentError_("the GPU's clock and the host's never agree; is it shared?")
    return found.seconds
