"""What the card reaches, measured once in a process of its own, and where trials stand under it."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache

from outpace.codec import decode
from outpace.codegen.feedback import moved_bytes
from outpace.errors import CodecError, EnvironmentError_
from outpace.kernels.gpu.roofline import Roof
from outpace.model import Contract, Roofline, Workload

_SCRIPT = (
    "import sys; sys.path[:] = {path!r}; from outpace.codec import encode; "
    "from outpace.kernels.gpu.roofline import measure_roof; print(encode(measure_roof()).decode())"
)
_LIMIT = 120.0


@lru_cache(maxsize=1)
def measured_roof() -> Roof:
    """Copy bandwidth and arithmetic rates; takes some seconds the first time.

    Raises:
        EnvironmentError_: They cannot be measured.
    """
    command = [sys.executable, "-c", _SCRIPT.format(path=sys.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
        return decode(done.stdout, Roof)
    except subprocess.TimeoutExpired as error:
        raise EnvironmentError_(f"the GPU copies nothing within {_LIMIT:.0f} s") from error
    except CodecError as error:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise EnvironmentError_(
            f"the bandwidth of the GPU cannot be measured: {said[-1]}"
        ) from error


def position(contract: Contract, workload: Workload, seconds: float) -> Roofline | None:
    """Where a time stands; None where the roof cannot be measured."""
    moved = moved_bytes(contract, workload)
    try:
        roof = measured_roof()
    except EnvironmentError_:
        return None
    return Roofline(moved, moved / seconds, moved / seconds / roof.bandwidth)
