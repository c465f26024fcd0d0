"""How processes that use a GPU are confined."""

import subprocess
import sys

import pytest

from outpace import environment
from outpace.tuner.gpu.access import NO_LAYERS, driver_fails, layers_to_try
from outpace.tuner.isolation.child import namespaces_refused
from outpace.tuner.isolation.sandbox import Layers
from outpace.tuner.isolation.view import gpu_paths

_TRY = """
import socket
from outpace.tuner.isolation.sandbox import Layers, Limits, confine
layers = Layers(namespaces=False, landlock=False)
assert confine(Limits(), [], [], layers, gpu={gpu}).seccomp
for family in (socket.AF_UNIX, socket.AF_INET):
    try:
        socket.socket(family).close()
        print("made")
    except PermissionError:
        print("refused")
"""


@pytest.mark.parametrize(("gpu", "found"), [((), "refused"), (("/dev/nvidia0",), "made")])
def test_only_a_process_that_uses_a_gpu_makes_sockets_and_local_ones_alone(gpu, found):
    code = _TRY.format(gpu=gpu)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found, "refused"]


def test_the_driver_works_in_a_confined_process(gpu):
    del gpu
    best = layers_to_try(namespaces=namespaces_refused() is None)[0]
    assert driver_fails(best) is None


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such driver elsewhere")
def test_why_it_does_not_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert "there is no driver" in (driver_fails(NO_LAYERS) or "")


@pytest.mark.parametrize("namespaces", [True, False])
def test_layers_are_tried_from_all_to_few(namespaces):
    tried = layers_to_try(namespaces=namespaces)
    assert tried[0] == Layers(namespaces=namespaces)
    assert tried == sorted(tried, key=lambda layers: layers.grade)
    assert len(set(tried)) == len(tried)


def test_variables_of_the_driver_reach_such_a_process_and_no_others(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:relative")
    monkeypatch.setenv("SECRET_KEY", "no")
    found = environment.gpu_variables()
    assert found["CUDA_VISIBLE_DEVICES"] == "1"
    assert "SECRET_KEY" not in found
    assert str(tmp_path) in gpu_paths()
    assert "relative" not in gpu_paths()
