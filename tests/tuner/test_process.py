"""A draft's process: what it may do, what it reports, and how its end becomes a status."""

from __future__ import annotations

import time

import numpy as np
import psutil
import pytest
from jaxtyping import Float64

from outpace.codegen.reference import Reference, ReferenceOptions
from outpace.model import Draft, Grade, Status, Variant
from outpace.tuner import process
from outpace.tuner.process import Call, Failure, Worker, bytes_of

SIZES = {"n": 1000, "k": 3}


def scaled(u: Float64[np.ndarray, "n"], k: int) -> Float64[np.ndarray, "n"]:
    """A reference."""
    return u * k


CONTRACT = Reference(scaled, ReferenceOptions(workloads={"w": SIZES})).contract
CALL = Call(SIZES, {"u": np.arange(1000.0), "k": 3})


@pytest.fixture
def start(tmp_path):
    """Start a process that runs a draft of this source."""

    def starter(source, batch=1):
        (tmp_path / "draft.py").write_text(source)
        read, written = bytes_of(CONTRACT, SIZES)
        variant = Variant(Draft("numba", source))
        return Worker(CONTRACT, tmp_path, (batch * read, batch * written), variant=variant)

    return starter


def run(worker, limit=10.0):
    worker.prepare([CALL])
    return worker.run(limit)


def failure_of(start, source, limit=10.0):
    with pytest.raises(Failure) as caught, start(source) as worker:
        run(worker, limit)
    return caught.value


def test_runs_a_plain_function_over_fresh_buffers(start):
    with start("def kernel(u, k, out):\n    out[...] = u * k\n") as worker:
        for _ in range(3):
            seconds = run(worker)
            assert 0 < seconds < 10
            np.testing.assert_array_equal(worker.results()[0], CALL.values["u"] * 3)


def test_runs_the_reference_through_the_same_channel(tmp_path):
    reference = Reference(scaled, ReferenceOptions(workloads={"w": SIZES}))
    with Worker(
        CONTRACT, tmp_path, bytes_of(CONTRACT, SIZES), location=reference.importable()
    ) as worker:
        run(worker)
        worker.publish()
        np.testing.assert_array_equal(worker.results()[0], CALL.values["u"] * 3)


def test_a_batch_has_distinct_inputs(start):
    calls = [Call(SIZES, {"u": np.full(1000, float(i)), "k": 2}) for i in range(3)]
    with start("def kernel(u, k, out):\n    out[...] = u * k\n", batch=3) as worker:
        worker.prepare(calls)
        worker.run(10.0)
        for i in range(3):
            assert (worker.results(i)[0] == 2.0 * i).all()


def test_outputs_are_poisoned(start):
    with start("def kernel(u, k, out):\n    pass\n") as worker:
        run(worker)
        poison = worker.results()[0]
        assert np.isnan(poison).all() or (poison == poison[0]).all()
        assert (poison != CALL.values["u"] * 3).all()


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("def kernel(u, k, out) pass\n", Status.BUILD_FAILED),
        (
            "import numba\n@numba.njit\ndef kernel(u, k, out):\n    return missing(u)\n",
            Status.BUILD_FAILED,
        ),
        ("def other(u, k, out):\n    pass\n", Status.INVALID),
        ("def kernel(u, out):\n    pass\n", Status.INVALID),
        ("def kernel(u, k, out):\n    raise ValueError('no')\n", Status.CRASHED),
        ("import os\ndef kernel(u, k, out):\n    os._exit(0)\n", Status.CRASHED),
        ("import sys\ndef kernel(u, k, out):\n    sys.exit(0)\n", Status.CRASHED),
        ("import ctypes\ndef kernel(u, k, out):\n    ctypes.string_at(0)\n", Status.CRASHED),
        ("def kernel(u, k, out):\n    u[...] = 0\n", Status.CRASHED),
        (
            "import numpy as np\ndef kernel(u, k, out):\n    np.ones(100 << 30)\n",
            Status.OVER_LIMIT,
        ),
        ("import os\ndef kernel(u, k, out):\n    os.fork()\n", Status.BLOCKED),
        ("import socket\ndef kernel(u, k, out):\n    socket.socket()\n", Status.BLOCKED),
        ("def kernel(u, k, out):\n    open('/tmp/left-behind', 'w')\n", Status.BLOCKED),
    ],
)
def test_every_bad_end_has_a_status(start, source, status):
    if status is Status.BLOCKED and _grade(start) not in CONFINED:
        pytest.skip("this kernel has no seccomp or no Landlock")
    assert failure_of(start, source).status is status


CONFINED = (Grade.A, Grade.B)


def _grade(start):
    with start("def kernel(u, k, out):\n    pass\n") as worker:
        return worker.grade


def test_an_endless_loop_is_a_timeout(start):
    source = "def kernel(u, k, out):\n    while True:\n        pass\n"
    assert failure_of(start, source, limit=0.5).status is Status.TIMEOUT


def test_a_read_only_input_cannot_be_made_writable(start):
    source = (
        "import ctypes\n"
        "def kernel(u, k, out):\n"
        "    page = u.ctypes.data & ~4095\n"
        "    libc = ctypes.CDLL(None)\n"
        "    out[...] = libc.mprotect(ctypes.c_void_p(page), 4096, 3)\n"
    )
    with start(source) as worker:
        run(worker)
        assert (worker.results()[0] == -1).all()


def test_the_process_is_stopped_between_calls(start):
    source = (
        "import threading\n"
        "def _count(out):\n"
        "    while True:\n"
        "        out[0] += 1\n"
        "def kernel(u, k, out):\n"
        "    out[...] = 0\n"
        "    threading.Thread(target=_count, args=(out,), daemon=True).start()\n"
    )
    with start(source) as worker:
        run(worker)
        before = float(worker.results()[0][0])
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            assert float(worker.results()[0][0]) == before


def test_a_process_reads_nothing_of_the_judge(start):
    source = (
        "import os\n"
        "def kernel(u, k, out):\n"
        "    out[...] = 1\n"
        "    try:\n"
        "        open(f'/proc/{os.getppid()}/mem', 'rb')\n"
        "    except OSError:\n"
        "        out[...] = 0\n"
    )
    if _grade(start) not in CONFINED:
        pytest.skip("this kernel has neither Landlock nor namespaces")
    with start(source) as worker:
        run(worker)
        assert (worker.results()[0] == 0).all()


def test_nothing_is_left_running(start):
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with start("def kernel(u, k, out):\n    pass\n") as worker:
        run(worker)
    assert {p.pid for p in psutil.Process().children(recursive=True)} <= before


def test_end_all_frees_whoever_waits(start):
    with pytest.raises(Failure) as caught, start("def kernel(u, k, out): pass\n") as worker:  # noqa: PT012
        process.end_all()
        run(worker)
    assert caught.value.status is Status.CRASHED


def test_a_process_that_never_reads_is_a_timeout(start):
    source = (
        "import time\n"
        "from outpace.tuner import worker\n"
        "worker._receive = lambda _: time.sleep(60)\n"
        "def kernel(u, k, out): pass\n"
    )
    with pytest.raises(Failure) as caught, start(source, batch=1500) as worker:
        worker.prepare([CALL] * 1500, limit=0.2)
    assert caught.value.status is Status.TIMEOUT


def test_a_process_that_fills_its_own_channel_does_not_block_the_judge(start):
    source = (
        "import os\n"
        "def kernel(u, k, out):\n"
        "    for name in os.listdir('/proc/self/fd'):\n"
        "        try:\n"
        "            if 'pipe' in os.readlink(f'/proc/self/fd/{name}'):\n"
        "                pipe = os.open(f'/proc/self/fd/{name}', os.O_WRONLY | os.O_NONBLOCK)\n"
        "                while True:\n"
        "                    os.write(pipe, bytes(4096))\n"
        "        except OSError:\n"
        "            continue\n"
    )
    assert failure_of(start, source).status is Status.CRASHED


@pytest.mark.parametrize("place", ["-1", "u.size"])
def test_writing_beside_an_output_is_wrong(start, place):
    source = (
        "import ctypes\n"
        "def kernel(u, k, out):\n"
        "    out[...] = u * k\n"
        f"    ctypes.memset(out.ctypes.data + 8 * ({place}), 0, 8)\n"
    )
    with start(source) as worker:
        run(worker)
        with pytest.raises(Failure) as caught:
            worker.results()
    assert caught.value.status is Status.WRONG


def test_modules_of_the_users_folders_are_not_imported(start, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend("")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.py").write_text("")
    source = "import taken\ndef kernel(u, k, out):\n    out[...] = u * k\n"
    assert failure_of(start, source).status is Status.CRASHED
