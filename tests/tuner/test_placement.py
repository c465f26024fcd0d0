"""Where the threads of a timed process may run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from outpace.tuner.placement import spread, wake_cores

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="with one core there is nothing to choose"
)
THREADED = """
import threading
for _ in range(2):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("started", flush=True)
input()
"""


@pytest.fixture
def threaded():
    """A process with two threads besides its first one."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", THREADED], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process.pid
        process.kill()


def test_threads_of_pools_and_the_judge_leave_a_core_to_the_one_that_calls(threaded):
    cores = os.sched_getaffinity(0)
    others = cores - {min(cores)}
    with spread(threaded) as has_woken:
        assert os.sched_getaffinity(0) == others
        threads = [int(path.name) for path in Path(f"/proc/{threaded}/task").iterdir()]
        allowed = {thread: os.sched_getaffinity(thread) for thread in threads}
        has_woken()
        assert os.sched_getaffinity(threaded) == cores
    assert len(allowed) == 3
    assert allowed.pop(threaded) == {min(cores)}
    assert all(found == others for found in allowed.values())
    assert os.sched_getaffinity(0) == cores


def test_the_one_that_calls_may_run_anywhere_afterwards_though_nobody_said_it_had_woken(threaded):
    with spread(threaded):
        pass
    assert os.sched_getaffinity(threaded) == os.sched_getaffinity(0)


def test_a_process_that_has_ended_is_left_alone():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    cores = os.sched_getaffinity(0)
    with spread(ended.pid):
        pass
    assert os.sched_getaffinity(0) == cores


def test_a_process_that_stays_keeps_one_of_its_cores():
    code = "import os; from outpace.tuner import placement; placement.stay(); "
    code += "print(*os.sched_getaffinity(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    (core,) = map(int, done.stdout.split())
    assert core in os.sched_getaffinity(0)


def test_cores_that_were_kept_awake_are_left_as_they_were():
    cores, running = os.sched_getaffinity(0), threading.active_count()
    wake_cores(len(cores))
    assert os.sched_getaffinity(0) == cores
    assert threading.active_count() == running
