"""The virtual environments of the peers, made once in a folder of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PACKAGES: dict[str, tuple[str, ...]] = {
    "numba": ("numba",),
    "pythran": ("pythran",),
    "dace": ("dace==1.0.2", "numpy==1.26", "networkx<3.5", "mkl", "mkl-include"),
    "jax": ("jax",),
}
"""What is installed for each peer; its dependencies follow. DaCe 1.0 needs these older ones, and
without MKL it multiplies matrices in loops of its own."""
_WORKER_NEEDS = ("msgspec", "jaxtyping", "platformdirs", "psutil")
"""What the process that runs a function imports besides NumPy."""
_REPORTED = ("numpy", "numba", "llvmlite", "pythran", "dace", "mkl", "jax", "jaxlib")
_ROOT = Path(__file__).parents[2]
_VERSIONS = """import importlib.metadata as m, json, platform
found = {"python": platform.python_version()}
for name in %r:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def ensure(folder: Path, peer: str) -> Path:
    """The Python of a peer's environment, which is made if it is not there.

    Args:
        folder: Holds one environment for each peer.
        peer: A key of `PACKAGES`.

    Raises:
        subprocess.CalledProcessError: It cannot be made; pip has said why.
    """
    home = folder.resolve() / peer
    interpreter = home / "bin" / "python"
    ready = home / "outpace-ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES[peer], *_WORKER_NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", "--editable", str(_ROOT)], check=True)
        for library in (home / "lib").glob("libmkl_rt.so.*"):  # DaCe looks for the plain name
            library.with_name("libmkl_rt.so").symlink_to(library.name)
        ready.touch()
    return interpreter


def versions(interpreter: Path) -> dict[str, str]:
    """Versions of Python and of the packages that matter in an environment."""
    command = [str(interpreter), "-c", _VERSIONS % (_REPORTED,)]
    found = subprocess.run(command, check=True, capture_output=True)
    return json.loads(found.stdout)  # type: ignore[no-any-return]
