"""The one module that reads the process environment.

Variables:
    OUTPACE_DISABLE: Any value but empty or `0` makes every decorated function run its reference.
    OUTPACE_PROMOTED: Folder that holds promotions instead of the one beside each module.
    OUTPACE_BUILDS: Folder that `outpace build --into` filled. Promotions are loaded from there and
        nothing is compiled: one that is missing is not served.
    OUTPACE_VERIFY: Share of the calls of promotions that are checked against their references in a
        helper process, such as `0.001`.
    OUTPACE_READABLE: Folders, with colons between, that drafts' processes may read besides those of
        Python, its packages and the system: for libraries that are installed elsewhere.
    OPENAI_API_KEY: The key that a model's server asks for; it is written nowhere, and no draft's
        process gets it.
    OPENAI_BASE_URL: Address of that server where none is given.
    VLLM_*, CUDA_*, OMP_*, HF_HOME and their like: Reach the process in which vLLM runs for the
        drafter `vllm`, except what is named like a key.
    GITHUB_STEP_SUMMARY: File to which `outpace ci` adds its summary.
    CUDA_*, NVIDIA_*, LD_LIBRARY_PATH: Reach the processes that run kernels on a GPU.
    CC: The C compiler, with arguments if need be, instead of the first on PATH.
    XDG_*: As the XDG base directory specification says, through platformdirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outpace.errors import UsageError

RUN_MARK = "OUTPACE_RUN"
"""Variable that names the run to which a process belongs."""

_ENGINE_NAMES = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "CC")
_ENGINE_PREFIXES = (
    *("LC_", "LD_", "XDG_", "HF_", "VLLM_", "TORCH", "PYTORCH_", "TRITON_", "CUDA", "NVIDIA_"),
    *("NCCL_", "GLOO_", "HIP_", "ROCM_", "ROCR_", "OMP_", "KMP_", "MKL_"),
)
_ENGINE_ALWAYS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
"""Models are never downloaded, and nobody is told of their use."""
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


def disabled() -> bool:
    """Whether promotions are switched off for this process."""
    return os.environ.get("OUTPACE_DISABLE", "") not in ("", "0")


def promoted_override() -> Path | None:
    """Folder given by OUTPACE_PROMOTED, or None."""
    value = os.environ.get("OUTPACE_PROMOTED", "")
    return Path(value) if value else None


def builds_override() -> Path | None:
    """Folder given by OUTPACE_BUILDS, or None."""
    value = os.environ.get("OUTPACE_BUILDS", "")
    return Path(value) if value else None


def verified_share() -> float:
    """Share of calls given by OUTPACE_VERIFY, 0 without it.

    Raises:
        UsageError: It is no number between 0 and 1.
    """
    text = os.environ.get("OUTPACE_VERIFY", "").strip()
    if not text:
        return 0.0
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise UsageError(
            f"OUTPACE_VERIFY={text} is no share of calls; give a number between 0 and 1, such as "
            "0.001, or unset it"
        )
    return share


def helper_environment() -> dict[str, str]:
    """Of the process that checks calls: this one's, on one thread, serving no promotions."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(p for p in sys.path if p)  # it imports what this process could
    return {**os.environ, **threads, "OUTPACE_DISABLE": "1", "PYTHONPATH": path}


def temporary_dir() -> Path:
    """Where temporary files live, as Python's own functions have it."""
    import tempfile  # noqa: PLC0415

    return Path(tempfile.gettempdir())


def readable_folders() -> tuple[Path, ...]:
    """Folders given by OUTPACE_READABLE; entries that are not absolute are left out."""
    entries = [Path(entry) for entry in os.environ.get("OUTPACE_READABLE", "").split(":")]
    return tuple(entry for entry in entries if entry.is_absolute())


def state_dir() -> Path:
    """Where journals live; not created here."""
    import platformdirs  # noqa: PLC0415  (costs 5 ms that `import outpace` must not pay)

    return Path(platformdirs.user_state_dir("outpace"))


def cache_dir() -> Path:
    """Where builds live; not created here."""
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_cache_dir("outpace"))


def data_dir() -> Path:
    """Where promotions live for modules whose own folder cannot be written."""
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_data_dir("outpace"))


def in_ci() -> bool:
    """Whether a CI service runs this process."""
    return os.environ.get("CI", "") not in ("", "0", "false")


def step_summary() -> Path | None:
    """File for the summary of a job of GitHub Actions, or None."""
    value = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(value) if value else None


def c_compiler() -> str:
    """Command of the C compiler given by CC, empty where it gives none."""
    return os.environ.get("CC", "").strip()


def model_key() -> str | None:
    """The key for a model's server, or None."""
    return os.environ.get("OPENAI_API_KEY", "").strip() or None


def model_url() -> str | None:
    """Address of a model's server given by OPENAI_BASE_URL, or None."""
    return os.environ.get("OPENAI_BASE_URL", "").strip() or None


def forget_run_mark() -> str:
    """Take the mark out of this process's variables; it as it stood there, `NAME=value`."""
    return f"{RUN_MARK}={os.environ.pop(RUN_MARK, '')}"


@contextmanager
def spinning(spins: int) -> Iterator[None]:
    """How long threads of OpenMP spin, for a runtime that is loaded here; the user's word counts.

    Args:
        spins: As of GOMP_SPINCOUNT, which is unset again afterwards.
    """
    if os.environ.get("OMP_WAIT_POLICY") or os.environ.get("GOMP_SPINCOUNT"):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = str(spins)
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


def worker_environment(**extra: str) -> dict[str, str]:
    """The scrubbed environment of a draft's process: nothing but what compilers need.

    The mark of a run, by which its processes are found, is handed on to what it starts.
    """
    wanted = ("PATH", "CC", "LANG", "LC_ALL", "TZ", RUN_MARK)
    return {**{k: v for k, v in os.environ.items() if k in wanted}, **extra}


def gpu_variables(cache: Path | None = None) -> dict[str, str]:
    """What a process that runs kernels on a GPU gets besides: where the driver and CUDA are.

    Args:
        cache: Folder in which CuPy keeps what it compiles for itself; None to keep it in memory,
            for a process that may write next to nothing.
    """
    found = {
        name: value
        for name, value in os.environ.items()
        if name == "LD_LIBRARY_PATH" or name.startswith(("CUDA_", "NVIDIA_"))
    }
    kept = {"CUPY_CACHE_IN_MEMORY": "1"} if cache is None else {"CUPY_CACHE_DIR": str(cache)}
    return {**found, **kept}


def gpu_folders() -> tuple[Path, ...]:
    """Folders that these variables name."""
    values = [gpu_variables().get(n, "") for n in ("LD_LIBRARY_PATH", "CUDA_PATH", "CUDA_HOME")]
    entries = [Path(entry) for value in values for entry in value.split(":")]
    return tuple(entry for entry in entries if entry.is_absolute() and entry != Path("/"))


def engine_variables() -> dict[str, str]:
    """The scrubbed environment of vLLM's process: what it and its libraries read, and no key."""
    found = {
        name: value
        for name, value in os.environ.items()
        if (name in _ENGINE_NAMES or name.startswith(_ENGINE_PREFIXES))
        and not any(word in name.upper() for word in _SECRET_WORDS)
    }
    return {**found, **_ENGINE_ALWAYS}
