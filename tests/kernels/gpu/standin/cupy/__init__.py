"""A stand-in for CuPy: arrays in ordinary memory, kernels from libraries that `compile.py` makes.

Kernels run at once, so that there is nothing to wait for; events are readings of the host's clock.
"""

import ctypes
import time
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np


class DriverError(Exception):
    """What the driver refuses."""


@dataclass(frozen=True)
class _Pointer:
    ptr: int

    def memset_async(self, value, size):
        ctypes.memset(self.ptr, value, size)


class ndarray(np.ndarray):  # noqa: N801
    """Memory that only this package makes."""

    @property
    def data(self):
        return _Pointer(self.ctypes.data)

    @property
    def __cuda_array_interface__(self):
        return {**self.__array_interface__, "version": 3}

    def set(self, values):
        if type(values) is not np.ndarray or not values.flags.c_contiguous:
            raise TypeError("set takes contiguous arrays of NumPy")
        self[...] = values

    def get(self, out=None):
        if out is None:
            return np.array(self)
        out[...] = self
        return out


class _Kernel:
    most_shared = 227 * 1024

    def __init__(self, library, symbol):
        if int(symbol.partition("_")[2]) >= ctypes.c_int.in_dll(library, "standin_count").value:
            raise DriverError(f"named symbol {symbol} not found")
        self._launch = library.standin_launch
        self._number = int(symbol.partition("_")[2])
        self._asked = 48 * 1024

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._asked

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value):
        if value > self.most_shared:
            raise DriverError("invalid value")
        self._asked = value

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        if shared_mem > self._asked:
            raise DriverError("invalid argument")
        words = b"".join(_word(argument) for argument in arguments)
        extents = [(ctypes.c_uint * 3)(*(*e, 1, 1)[:3]) for e in (grid, block)]
        self._launch(self._number, *extents, ctypes.c_size_t(shared_mem), words)


def _word(argument):
    if isinstance(argument, ndarray):
        value = argument.ctypes.data.to_bytes(8, "little")
    elif isinstance(argument, np.generic):
        value = argument.tobytes()
    else:
        raise TypeError(f"a kernel cannot be given a {type(argument).__name__}")
    return value.ljust(16, b"\0")


class RawModule:
    """What a cubin holds, which here is a library of the host."""

    def __init__(self, *, path):
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise DriverError(f"file not found: {error}") from error

    def get_function(self, symbol):
        return _Kernel(self._library, symbol)


class _Event:
    def record(self):
        self.at = time.perf_counter()

    def synchronize(self):
        assert self.at > 0.0


class _Stream:
    def __init__(self, *, non_blocking=False):
        self.non_blocking = non_blocking

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def synchronize(self):
        pass

    def is_capturing(self):
        return False


class OutOfMemoryError(MemoryError):
    """What CuPy's pool raises."""


class _Device:
    attributes = {"L2CacheSize": 1 << 16, "MultiProcessorCount": 2}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def synchronize(self):
        pass


cuda = SimpleNamespace(
    Device=_Device,
    Event=_Event,
    get_elapsed_time=lambda start, stop: 1e3 * (stop.at - start.at),
    get_current_stream=_Stream,
    Stream=_Stream,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    driver=SimpleNamespace(CUDADriverError=DriverError),
)


def empty(shape, dtype="float64"):
    """Memory that holds anything."""
    array = np.empty(shape, dtype).view(ndarray)
    array.view("uint8" if array.ndim else array.dtype)[...] = 0xA5
    return array


def asarray(value, dtype=None):
    """An array on the GPU; a copy, unless it is one already."""
    if isinstance(value, ndarray) and dtype is None:
        return value
    if hasattr(value, "__cuda_array_interface__"):
        value = value.array
    return np.array(value, dtype).view(ndarray)


def from_dlpack(value, *, copy=None):
    """The memory of an array of another library."""
    return np.from_dlpack(value, copy=copy).view(ndarray)


def copyto(target, source):
    """As NumPy's."""
    np.copyto(target, source)


def __getattr__(name):
    """Anything else of NumPy, with results on the GPU."""
    found = getattr(np, name)
    if isinstance(found, type) or not callable(found):
        return found

    def call(*args, **kwargs):
        for value in (*args, *kwargs.values()):
            if type(value) is np.ndarray:
                raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        result = found(*args, **kwargs)
        return result.view(ndarray) if isinstance(result, np.ndarray) else result

    return call
