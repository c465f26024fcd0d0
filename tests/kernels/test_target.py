"""The target is read from what the kernel says."""

import os
import subprocess
import sys

import pytest

from outpace.kernels.target import current_target, hardware, read_hardware

X86 = "model name\t: AMD EPYC 9654\nflags\t\t: fpu avx avx2 avx512f\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\n"
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes files of a made-up machine with 8 allowed cores and reads its target."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    def read(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_hardware(tmp_path)

    return read


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (X86, "AMD EPYC 9654 avx512f"),
        (X86.replace(" avx512f", ""), "AMD EPYC 9654 avx2"),
        (ARM, "implementer 0x41 part 0xd40 sve"),
        ("cpu\t\t: POWER9\n", "POWER9"),
        ("", "unknown"),
    ],
)
def test_the_cpu_is_named_with_its_best_vector_extension(machine, cpuinfo, name):
    assert machine(proc__cpuinfo=cpuinfo).cpu == name


@pytest.mark.parametrize(
    ("group", "name", "text", "cores"),
    [
        ("0::/", "cpu.max", "max 100000", 8),
        ("0::/", "cpu.max", "350000 100000", 3),
        ("0::/a/b", "a__cpu.max", "200000 100000", 2),
        ("0::/a/b", "a__b__cpu.max", "50000 100000", 1),
        ("0::/a/b", "a__b__cpu.max", "9900000 100000", 8),
        ("0::/a", "a__cpu.max", "damaged", 8),
    ],
)
def test_cores_obey_the_quota_of_every_control_group_above(machine, group, name, text, cores):
    files = {"proc__self__cgroup": group + "\n", f"sys__fs__cgroup__{name}": text + "\n"}
    assert machine(**files).cores == cores


def test_cores_obey_the_quota_of_version_1_control_groups(machine):
    found = machine(
        proc__self__cgroup="5:cpuset:/x\n4:cpu,cpuacct:/job\n",
        **{
            "sys__fs__cgroup__cpu__job__cpu.cfs_quota_us": "400000\n",
            "sys__fs__cgroup__cpu__job__cpu.cfs_period_us": "100000\n",
            "sys__fs__cgroup__cpu__cpu.cfs_quota_us": "-1\n",
        },
    )
    assert found.cores == 4


@pytest.mark.parametrize(("version", "major"), [(DRIVER, "535"), (OPEN_DRIVER, "580"), ("", None)])
def test_a_gpu_is_found_through_its_driver(machine, version, major):
    found = machine(
        proc__driver__nvidia__version=version,
        **{
            "proc__driver__nvidia__gpus__0000:41:00.0__information": "Model: \t NVIDIA H200\nIRQ: 9"
        },
    )
    assert (found.gpu, found.driver) == ("NVIDIA H200", major)


def test_a_machine_without_a_gpu_has_none(machine):
    assert (machine().gpu, machine().driver) == (None, None)


def test_versions_are_recorded_and_do_not_key():
    target = current_target()
    assert {"python", "numpy", "numba"} <= set(target.versions)
    assert target.key == hardware().key
    assert hardware().versions == {}
    assert 1 <= target.cores <= len(os.sched_getaffinity(0))


def test_the_key_needs_no_heavy_import_and_no_other_process():
    program = """
import sys
def refuse(event, args):
    assert event not in ("subprocess.Popen", "os.fork", "os.posix_spawn"), event
sys.addaudithook(refuse)
from outpace.kernels.target import hardware
assert len(hardware().key) == 16
print(sorted({"numba", "cupy", "importlib.metadata"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
