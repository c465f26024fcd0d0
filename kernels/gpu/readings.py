"""The state of the card as NVIDIA's management library tells it: clocks, throttling, heat, memory.

Called through ctypes (`nvml.h`); nothing of the card's settings is changed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from outpace.codec import Value
from outpace.errors import EnvironmentError_

# nvmlClockType_t and nvmlTemperatureSensors_t.
_SM, _MEMORY, _GPU_DIE = 1, 2, 0
_REASONS = {
    0x4: "power cap",
    0x8: "hardware slow-down",
    0x20: "software thermal slow-down",
    0x40: "hardware thermal slow-down",
    0x80: "hardware power brake",
}
"""Bits of `nvmlDeviceGetCurrentClocksThrottleReasons` that make timings differ."""


class Reading(Value, frozen=True):
    """What the card said at one moment.

    Attributes:
        sm_clock: Of the multiprocessors, MHz.
        memory_clock: MHz.
        throttled: Why clocks are held down; empty when they are not.
        temperature: Of the die, degrees Celsius.
        memory_used: Bytes of device memory that all processes have.
        memory_total: Bytes that there are.
    """

    sm_clock: int
    memory_clock: int
    throttled: tuple[str, ...]
    temperature: int
    memory_used: int
    memory_total: int

    @property
    def is_throttled(self) -> bool:
        """Whether a timing taken now is to be discarded."""
        return bool(self.throttled)


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Names of the reasons in a mask, those that do not slow anything left out."""
    return tuple(name for bit, name in _REASONS.items() if bits & bit)


@contextmanager
def readings(number: int = 0) -> Iterator[Card]:
    """The card of this number, to be read until the block ends.

    Raises:
        EnvironmentError_: The library or the card is not there.
    """
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        raise EnvironmentError_(
            "the NVIDIA management library is not here; it comes with the driver"
        ) from error
    _checked(library, "nvmlInit_v2")
    try:
        handle = ctypes.c_void_p()
        _checked(library, "nvmlDeviceGetHandleByIndex_v2", number, ctypes.byref(handle))
        yield Card(library, handle)
    finally:
        library.nvmlShutdown()


class Card:
    """One card; `read` asks it."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    def read(self) -> Reading:
        """What it says now.

        Raises:
            EnvironmentError_: It does not answer.
        """
        reasons, memory = ctypes.c_ulonglong(), _Memory()
        self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.byref(reasons))
        self._ask("nvmlDeviceGetMemoryInfo", ctypes.byref(memory))
        return Reading(
            self._number("nvmlDeviceGetClockInfo", _SM),
            self._number("nvmlDeviceGetClockInfo", _MEMORY),
            throttle_reasons(reasons.value),
            self._number("nvmlDeviceGetTemperature", _GPU_DIE),
            memory.used,
            memory.total,
        )

    def _number(self, function: str, which: int) -> int:
        found = ctypes.c_uint()
        self._ask(function, which, ctypes.byref(found))
        return found.value

    def _ask(self, function: str, *arguments: object) -> None:
        _checked(self._library, function, self._handle, *arguments)


def _checked(library: ctypes.CDLL, function: str, *arguments: object) -> None:
    try:
        status = library[function](*arguments)
    except AttributeError as error:
        raise EnvironmentError_(f"the management library has no {function}") from error
    if status != 0:
        raise EnvironmentError_(f"{function} fails with error {status}")
