"""Looking at the machine, one fact a function; each tries the thing rather than trusting a file."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from outpace import environment
from outpace.errors import EnvironmentError_

_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")
_MEMORY = Path("/proc/meminfo")
_KIB_IN_GIB = 1024**2


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        name: What was looked at.
        ok: Whether it is there and fit for use.
        value: What was found.
        hint: How to get it or mend it; empty when it is fine.
        essential: Whether nothing works without it.
    """

    name: str
    ok: bool
    value: str
    hint: str = ""
    essential: bool = False


def examine() -> list[Finding]:
    """All findings, what everything needs first."""
    return [
        Finding("python", ok=True, value=platform.python_version()),
        _package("numpy"),
        _package("numba"),
        _writable("state folder", environment.state_dir(), "XDG_STATE_HOME", essential=True),
        _writable("cache folder", environment.cache_dir(), "XDG_CACHE_HOME", essential=False),
        _compiler(),
        _cuda_compiler(),
        *_languages(),
        _cores(),
        _memory(),
        _load(),
        _clock(),
        *_isolation(),
        *_gpu(),
        _mpi(),
    ]


def _package(name: str) -> Finding:
    """A package that must import, not only be installed."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001  (a broken installation raises anything)
        hint = f"python -m pip install --upgrade {name}"
        return Finding(name, ok=False, value=f"does not import: {error}", hint=hint, essential=True)
    return Finding(name, ok=True, value=importlib.metadata.version(name), essential=True)


def _writable(name: str, folder: Path, variable: str, *, essential: bool) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = f"make it writable, or set {variable} to a folder that is"
        value = f"{folder} cannot be written: {error.strerror}"
        return Finding(name, ok=False, value=value, hint=hint, essential=essential)
    return Finding(name, ok=True, value=str(folder), essential=essential)


def _compiler() -> Finding:
    from outpace.errors import EnvironmentError_  # noqa: PLC0415
    from outpace.kernels.languages.compilers import find_compiler  # noqa: PLC0415

    try:
        version = find_compiler().version
    except EnvironmentError_ as error:
        return Finding("C compiler", ok=False, value="none", hint=str(error))
    if version is None:
        return Finding("C compiler", ok=False, value="it does not run", hint="reinstall it")
    return Finding("C compiler", ok=True, value=version)


def _cuda_compiler() -> Finding:
    from outpace.kernels.languages.nvrtc import find_nvrtc  # noqa: PLC0415

    try:
        version = f"NVRTC {find_nvrtc().version}"
    except EnvironmentError_ as error:
        return Finding("CUDA compiler", ok=False, value="none", hint=str(error))
    return Finding("CUDA compiler", ok=True, value=version)


def _languages() -> list[Finding]:
    from outpace.kernels.languages import (  # noqa: PLC0415
        LANGUAGES,
        OPTIONAL,
        language_named,
    )

    reasons = {name: language_named(name).unavailable() for name in (*LANGUAGES, *OPTIONAL)}
    return [
        Finding(f"language {name}", ok=not why, value="off" if why else "on", hint=why or "")
        for name, why in reasons.items()
        if not why or name not in OPTIONAL
    ]


def _cores() -> Finding:
    from outpace.kernels.target import current_target  # noqa: PLC0415

    allowed, total = len(os.sched_getaffinity(0)), os.cpu_count()
    value = f"{allowed} of {total} allowed, {current_target().cpu}"
    return Finding("cores", ok=True, value=value)


def _memory() -> Finding:
    lines = _MEMORY.read_text(encoding="ascii").splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (n.partition(":") for n in lines)}
    available, total = kib["MemAvailable"] / _KIB_IN_GIB, kib["MemTotal"] / _KIB_IN_GIB
    value = f"{available:.1f} GiB available of {total:.1f} GiB"
    return Finding("memory", ok=True, value=value)


def _load() -> Finding:
    """Half a core of other work is where intervals visibly widen on a small machine."""
    recent = os.getloadavg()[0]
    value = f"load {recent:.2f} over the last minute"
    if recent < 0.5 * len(os.sched_getaffinity(0)):
        return Finding("quiet machine", ok=True, value=value)
    hint = "other work runs here: verdicts stay right, but need longer or end inconclusive"
    return Finding("quiet machine", ok=False, value=value, hint=hint)


def _clock() -> Finding:
    try:
        source = _CLOCK.read_text(encoding="ascii").strip()
    except OSError:
        return Finding("clock", ok=True, value="unknown source")
    if source in _SLOW_CLOCKS:
        hint = "reading it costs microseconds; boot with clocksource=tsc if the machine allows"
        return Finding("clock", ok=False, value=source, hint=hint)
    return Finding("clock", ok=True, value=source)


def _isolation() -> list[Finding]:
    """The layers around a draft's process, each attacked, and the grade they add up to."""
    from outpace.tuner.isolation.probe import probe  # noqa: PLC0415  (spawns processes)

    found = probe()
    layers = [
        Finding(
            f"isolation: {layer.name}",
            ok=layer.active,
            value="active" if layer.active else "off",
            hint="" if layer.active else layer.hint,
        )
        for layer in found.layers
    ]
    weak = "" if found.grade in "AB" else "drafts of a model are refused without --accept-risk"
    grade = Finding("isolation grade", ok=not weak, value=found.grade.value, hint=weak)
    return [*layers, _libraries(found.unloadable), grade]


def _libraries(unloadable: str | None) -> Finding:
    name = "isolation: libraries"
    if unloadable is None:
        return Finding(name, ok=True, value="NumPy and Numba load inside", essential=True)
    hint = "give the folders of the libraries they need to OUTPACE_READABLE, with colons between"
    return Finding(name, ok=False, value=unloadable, hint=hint, essential=True)


def _gpu() -> list[Finding]:
    """The card, what else kernels on it need, and what checks them where there is none."""
    from outpace.kernels.gpu.device import find_device  # noqa: PLC0415
    from outpace.kernels.languages.cuda import CUDA  # noqa: PLC0415

    simulated = _simulated_gpu()
    try:
        device = find_device()
    except EnvironmentError_:
        hint = "an NVIDIA GPU with its driver is needed to time GPU kernels, nothing else"
        return [Finding("GPU", ok=False, value="none", hint=hint), simulated]
    told = f"{device.name}, {device.architecture}, driver for CUDA {device.driver}"
    why = CUDA.unavailable()
    language = Finding("language cuda", ok=not why, value="off" if why else "on", hint=why or "")
    return [Finding("GPU", ok=True, value=told), _confined_gpu(), language, simulated]


def _simulated_gpu() -> Finding:
    """What checks drafts in CUDA: it is compiled when it is first used, in some seconds."""
    from outpace.tuner.simgpu.building import find_cxx  # noqa: PLC0415

    try:
        version = find_cxx().version
    except EnvironmentError_ as error:
        return Finding("simulated GPU", ok=False, value="none", hint=str(error))
    if version is None:
        hint = "reinstall g++"
        return Finding("simulated GPU", ok=False, value="the C++ compiler does not run", hint=hint)
    return Finding("simulated GPU", ok=True, value=f"by {version}")


def _confined_gpu() -> Finding:
    """Whether the driver works in a confined process, under whatever layers."""
    from outpace.tuner.gpu.access import driver_fails, gpu_layers  # noqa: PLC0415

    layers = gpu_layers()
    why = driver_fails(layers)
    if why is not None:
        return Finding("GPU in a sandbox", ok=False, value=f"does not work: {why}", hint="")
    names = [name for name, there in asdict(layers).items() if there]
    return Finding("GPU in a sandbox", ok=True, value=", ".join(names) or "under no layer")


def _mpi() -> Finding:
    launcher = shutil.which("mpiexec")
    if importlib.util.find_spec("mpi4py") is None:
        hint = "python -m pip install 'outpace[mpi]', or 'outpace[mpi-local]' without a system MPI"
        return Finding("MPI", ok=False, value="no mpi4py", hint=hint)
    if launcher is None:
        hint = "load the site's MPI module, or python -m pip install 'outpace[mpi-local]'"
        return Finding("MPI", ok=False, value="mpi4py without mpiexec", hint=hint)
    version = importlib.metadata.version("mpi4py")
    library = _line([launcher, "--version"])
    return Finding("MPI", ok=True, value=f"mpi4py {version}, {launcher}, {library}".rstrip(", "))


def _line(command: list[str], word: str = "") -> str:
    """First line with this word that a program prints, or empty when it fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next((line.strip() for line in done.stdout.splitlines() if word in line), "")
