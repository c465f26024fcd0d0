"""Facts about this machine that tell a drafter what bounds a kernel."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from outpace.codegen.machine import Cache, Machine
from outpace.kernels.target import current_target

_CPUS = Path("/sys/devices/system/cpu")
_COPIED = 128 << 20
"""Bytes that all threads together copy: more than most caches hold, and done in a moment."""
_REPEATS = 4
_UNITS = {"K": 1 << 10, "M": 1 << 20}


def this_machine() -> Machine:
    """Caches as the kernel lists them, and the bandwidth of memory, measured in some 0.2 s."""
    return Machine(_caches(), _bandwidth(current_target().cores))


def _caches() -> tuple[Cache, ...]:
    """Data caches of the first allowed core, by level; empty where they are not listed."""
    folder = _CPUS / f"cpu{min(os.sched_getaffinity(0))}" / "cache"
    found = [cache for index in folder.glob("index*") if (cache := _cache(index)) is not None]
    return tuple(sorted(found, key=lambda cache: cache.level))


def _cache(index: Path) -> Cache | None:
    try:
        texts = {
            name: (index / name).read_text(encoding="ascii").strip()
            for name in ("type", "level", "size", "shared_cpu_map")
        }
    except OSError:
        return None
    amount, unit = texts["size"][:-1], texts["size"][-1:]
    if texts["type"] == "Instruction" or unit not in _UNITS or not amount.isdecimal():
        return None
    sharing = int(texts["shared_cpu_map"].replace(",", ""), 16).bit_count()
    return Cache(int(texts["level"]), int(amount) * _UNITS[unit], sharing)


def _bandwidth(threads: int) -> float:
    """Bytes a second that are read and written when all cores copy; the best of a few times."""
    count = _COPIED // threads // 8
    pairs = [(np.ones(count), np.empty(count)) for _ in range(threads)]
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = min(best, time.perf_counter() - begin)
    return float(2 * 8 * count * threads / best)
