"""Copies of arrays on a GPU, made in the order of the stream and fetched by another thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def keep_on_device(values: Sequence[Any]) -> Callable[[], list[Any]] | None:
    """Copy arrays beside the originals; nothing is waited for.

    Args:
        values: Arrays on the GPU, or anything else, which is kept as it is.

    Returns:
        What waits for the copies and gives them as arrays of NumPy, in any thread. None where
        there is no memory for them, or where the current stream is captured for a graph.
    """
    import cupy  # noqa: PLC0415  (only where there is a GPU)

    if cupy.cuda.get_current_stream().is_capturing():
        return None
    try:
        kept = [value.copy() if isinstance(value, cupy.ndarray) else value for value in values]
    except cupy.cuda.memory.OutOfMemoryError:
        return None
    device, copied = cupy.cuda.Device(), cupy.cuda.Event()
    copied.record()

    def fetch() -> list[Any]:
        copied.synchronize()
        # The default stream would wait for the caller's work, and hold it up.
        with device, cupy.cuda.Stream(non_blocking=True):
            return [value.get() if isinstance(value, cupy.ndarray) else value for value in kept]

    return fetch
