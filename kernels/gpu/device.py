"""Which GPU this machine has, asked of the driver without making a context."""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from functools import lru_cache

from outpace.errors import EnvironmentError_

_HINT = (
    "CUDA drafts can be checked without one (`outpace judge FILE.py:fn DRAFT.cu`); only a machine "
    "with a GPU times and promotes them"
)
# CUdevice_attribute of cuda.h.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class Device:
    """The first GPU that is visible.

    Attributes:
        name: As the driver calls it.
        architecture: As compilers call it, such as `sm_90`.
        driver: The newest CUDA version that the driver knows, such as `13.0`.
    """

    name: str
    architecture: str
    driver: str


@lru_cache(maxsize=1)
def find_device() -> Device:
    """The GPU of this machine.

    Raises:
        EnvironmentError_: There is no driver or no GPU.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise EnvironmentError_(f"there is no driver for NVIDIA GPUs here; {_HINT}") from error
    number, version = ctypes.c_int(), ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(number), 0)
    if status != 0:
        raise EnvironmentError_(f"the driver finds no GPU (error {status}); {_HINT}")
    name = ctypes.create_string_buffer(256)
    major, minor = (_attribute(driver, number, which) for which in (_MAJOR, _MINOR))
    driver.cuDeviceGetName(name, len(name), number)
    driver.cuDriverGetVersion(ctypes.byref(version))
    return Device(
        name.value.decode(errors="replace"),
        f"sm_{major}{minor}",
        f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def device_architecture() -> str:
    """The architecture of this machine's GPU.

    Raises:
        EnvironmentError_: There is none.
    """
    return find_device().architecture


def exercise_device() -> None:
    """Make a context and carry numbers to the GPU and back, by the driver alone.

    Raises:
        EnvironmentError_: A call fails, which the message names, or other numbers come back.
    """
    find_device()
    driver = ctypes.CDLL("libcuda.so.1")
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    sent = bytes(range(256)) * 16
    back = ctypes.create_string_buffer(len(sent))
    size = ctypes.c_size_t(len(sent))
    for name, arguments in (
        ("cuDeviceGet", (ctypes.byref(device), 0)),
        ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), device)),
        ("cuCtxSetCurrent", (context,)),
        ("cuMemAlloc_v2", (ctypes.byref(memory), size)),
        ("cuMemcpyHtoD_v2", (memory, sent, size)),
        ("cuMemcpyDtoH_v2", (back, memory, size)),
        ("cuMemFree_v2", (memory,)),
        ("cuDevicePrimaryCtxRelease_v2", (device,)),
    ):
        status = driver[name](*arguments)
        if status != 0:
            raise EnvironmentError_(f"{name} of the driver fails with error {status}")
    if back.raw != sent:
        raise EnvironmentError_("the GPU does not give back what was written to it")


def device_missing() -> str | None:
    """Why kernels cannot be launched here, or None."""
    try:
        find_device()
    except EnvironmentError_ as error:
        return str(error)
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; `pip install 'outpace[cuda13]'` or `'outpace[cuda12]'`"
    return None


def _attribute(driver: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    status = driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    if status != 0:
        raise EnvironmentError_(f"the driver does not describe the GPU (error {status})")
    return value.value
