"""What this process runs on: the hardware that keys promotions, and the tools that made them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from outpace.errors import EnvironmentError_
from outpace.model import Target

_VECTOR_EXTENSIONS = (
    ("avx512f", "avx512f"),
    ("avx2", "avx2"),
    ("avx", "avx"),
    ("sve2", "sve2"),
    ("sve", "sve"),
    ("asimd", "neon"),
    ("neon", "neon"),
)
"""Flag in /proc/cpuinfo and the name people use, best first."""

_LIBRARIES = ("llvmlite", "msgspec", "numba", "numpy", "pythran")
_TOOLCHAINS = {
    "numba": ("numba", "llvmlite"),
    "c": ("cc",),
    "pythran": ("pythran", "numpy"),
    "cuda": ("nvrtc",),
}


@lru_cache(maxsize=1)
def hardware() -> Target:
    """The hardware alone, without versions; takes a few milliseconds, then nothing.

    Read once per process: cores that are taken away later do not change the key.
    """
    found = read_hardware(Path("/"))
    if found.gpu is None and Path("/dev/nvidiactl").exists():  # in a container without its files
        return msgspec.structs.replace(found, **_asked_of_driver())
    return found


@lru_cache(maxsize=1)
def current_target() -> Target:
    """The hardware with the versions of compilers and libraries.

    Its key is that of `hardware()`. Takes about 50 ms the first time, for package metadata and
    for the compiler's `--version`.
    """
    return msgspec.structs.replace(hardware(), versions=_versions())


def toolchain(language: str) -> tuple[str, ...]:
    """Names in `Target.versions` on which kernels of a language depend; empty when unknown."""
    return _TOOLCHAINS.get(language, ())


def read_hardware(root: Path) -> Target:
    """The hardware described by the `proc` and `sys` trees below `root`."""
    gpu, driver = _nvidia(root / "proc/driver/nvidia")
    return Target(
        architecture=os.uname().machine,
        cpu=_cpu(_text(root / "proc/cpuinfo")),
        cores=_cores(root),
        gpu=gpu,
        driver=driver,
    )


def _text(path: Path) -> str:
    """Text of a file, empty where there is none or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu(cpuinfo: str) -> str:
    """Model and best vector extension of the first processor."""
    fields: dict[str, str] = {}
    for line in cpuinfo.strip().partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    model = fields.get("model name") or fields.get("cpu")
    if model is None and "CPU part" in fields:  # ARM gives numbers only
        model = f"implementer {fields.get('CPU implementer')} part {fields['CPU part']}"
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    vector = next((name for flag, name in _VECTOR_EXTENSIONS if flag in flags), None)
    return " ".join(part for part in (model or "unknown", vector) if part)


def _cores(root: Path) -> int:
    """Cores this process may keep busy: affinity, then the CPU quotas of its control groups."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas, in cores, of this process's control groups and of all groups above them."""
    mount = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2
            for folder in _upwards(mount, group):
                yield from _quota(_text(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):  # version 1
            for folder in _upwards(mount / "cpu", group):
                quota, period = (_text(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
                yield from _quota(f"{quota} {period}")


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    parts = [part for part in group.split("/") if part]
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _quota(text: str) -> Iterator[float]:
    """Cores in `quota period` (microseconds); nothing for `max`, `-1` or an unreadable file."""
    match text.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            yield int(quota) / int(period)


def _nvidia(driver: Path) -> tuple[str | None, str | None]:
    """Name of the first GPU and major version of its driver, from the kernel module alone."""
    models = (
        re.search(r"^Model:\s*(.+?)\s*$", _text(path), re.MULTILINE)
        for path in sorted(driver.glob("gpus/*/information"))
    )
    name = next((found.group(1) for found in models if found), None)
    version = re.search(r"Kernel Module.*?\s(\d+)\.\d+", _text(driver / "version"))
    if name is None:
        return None, None
    return name, version.group(1) if version else None


def _asked_of_driver() -> dict[str, str]:
    """Name of the first GPU and the CUDA version of its driver; nothing where it has none."""
    from outpace.kernels.gpu.device import find_device  # noqa: PLC0415  (loads the driver)

    try:
        device = find_device()
    except EnvironmentError_:
        return {}
    return {"gpu": device.name, "driver": f"CUDA {device.driver.partition('.')[0]}"}


def _versions() -> dict[str, str]:
    import importlib.metadata  # noqa: PLC0415  (costs 40 ms that serving must not pay)

    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    found = {"cc": _compiler_version(), "nvrtc": _nvrtc_version()}
    return versions | {name: version for name, version in found.items() if version is not None}


def _compiler_version() -> str | None:
    """First line of what the C compiler says of itself, or None where there is none."""
    from outpace.kernels.languages.compilers import find_compiler  # noqa: PLC0415

    try:
        return find_compiler().version
    except EnvironmentError_:
        return None


def _nvrtc_version() -> str | None:
    """Of the compiler for GPUs, or None where there is none."""
    from outpace.kernels.languages.nvrtc import find_nvrtc  # noqa: PLC0415

    try:
        return find_nvrtc().version
    except EnvironmentError_:
        return None
