"""A GPU that is not there: stand-ins for CuPy and NVRTC, which run device code on the CPU.

They reach the processes of drafts, too: these find packages where this process does, and libraries
of the driver where LD_LIBRARY_PATH says.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from outpace.kernels.gpu import device
from outpace.kernels.languages import nvrtc
from outpace.tuner.simgpu.building import unavailable

STANDIN = Path(__file__).parent / "standin"
CARD = device.Device("Stand-in 90", "sm_90", "13.0")


def make_standin(folder):
    """Put the packages of the stand-in into `folder/site-packages`."""
    packages = folder / "site-packages"
    library = packages / "nvidia" / "cu13" / "lib" / "libnvrtc.so.13"
    library.parent.mkdir(parents=True)
    shutil.copytree(STANDIN / "cupy", packages / "cupy")
    for name in ("compile.py", "runtime.cpp"):
        shutil.copy(STANDIN / name, packages / name)
    helper = packages / "compile.py"
    subprocess.run([sys.executable, helper, "--runtime"], check=True)
    given = [f'-DPYTHON="{sys.executable}"', f'-DHELPER="{helper}"']
    command = ["gcc", "-shared", "-fPIC", "-O1", "-w", *given, STANDIN / "nvrtc.c", "-o", library]
    subprocess.run(command, check=True)
    for name in ("libcuda.so.1", "libnvidia-ml.so.1"):
        named = ["-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", packages / name]
        subprocess.run(["gcc", STANDIN / "driver.c", *named], check=True)
    return packages


def plug_in(patch, packages):
    """Let this process, and those that it starts, find the stand-in and a card."""
    patch.syspath_prepend(str(packages))
    nvrtc.find_nvrtc.cache_clear()
    # A library that this process has loaded stays: it is told of the card, others find it.
    patch.setattr(device, "find_device", lambda: CARD)
    patch.setenv("LD_LIBRARY_PATH", str(packages))
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        patch.delitem(sys.modules, name)


@pytest.fixture(scope="session")
def standin(tmp_path_factory):
    if (why := unavailable()) is not None:
        pytest.skip(why)
    return make_standin(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def gpu(standin, monkeypatch):
    """A machine with a GPU, as far as outpace can tell."""
    plug_in(monkeypatch, standin)
    yield CARD
    sys.modules.pop("cupy", None)
    nvrtc.find_nvrtc.cache_clear()
