"""The channel between judge and ranks, and that nothing outlives either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outpace.tuner.mpi import launch
from outpace.tuner.mpi.channel import Answer, Channel, Closed, Line

HERE = Path(__file__).parent


@pytest.fixture
def channel():
    made = Channel.inherited()
    yield made
    made.close()


def answered(channel, data):
    os.write(channel.theirs[1], data)
    return channel.await_answer(5.0)


def test_messages_go_both_ways(channel):
    line = Line(*channel.theirs)
    channel.send({"a": [1, 2]})
    assert line.receive() == {"a": [1, 2]}
    line.send({"text": "x" * 10_000, "nonces": ["a", None]})
    assert channel.await_answer(5.0) == Answer(text="x" * 10_000, nonces=("a", None))
    assert channel.receive() is None


def test_pipes_can_have_names(tmp_path):
    channel = Channel.named(tmp_path / "there", tmp_path / "back")
    line = Line.named(tmp_path / "there", tmp_path / "back")
    channel.send({"a": 1})
    assert line.receive() == {"a": 1}
    channel.close()
    assert line.receive() is None


@pytest.mark.parametrize(
    "data", [b"nonsense\n", b"[1]\n", b'{"received": ["many"]}\n', b"[" * 5000 + b"\n", b"\xff\n"]
)
def test_what_is_no_answer_is_refused(channel, data):
    with pytest.raises(Closed, match="cannot be read"):
        answered(channel, data)


def test_an_end_is_seen(channel):
    channel.hand_over()
    with pytest.raises(Closed, match="without an answer"):
        channel.await_answer(5.0)
    channel.send({"nobody": "listens"})


def test_silence_ends(channel):
    with pytest.raises(TimeoutError):
        channel.await_answer(0.01)


def test_an_answer_without_end_is_refused():
    channel = Channel.inherited()
    with subprocess.Popen(["yes"], stdout=channel.theirs[1]) as endless:
        channel.hand_over()
        # `yes` ends its lines; none of them is an object
        with pytest.raises(Closed):
            channel.await_answer(5.0)
        endless.kill()
    channel.close()


HANGING = """
import sys
sys.path.insert(0, {here!r})
import planted_drafts as planted
from outpace.tuner.mpi import judge
judge._Judging._simulate = lambda _, folder: (folder / "build").mkdir()
draft = planted.planted("hangs_on_one_rank").draft
print(planted.judge_of("heat").judge(draft).reason, flush=True)
"""


def ranks_in(folder):
    """Processes of ranks that belong to a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        if b"outpace.tuner.mpi.rank" in command and str(folder).encode() in command:
            found.append(int(entry.name))
    return found


def awaited(condition, limit=60.0):
    deadline = time.monotonic() + limit
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(
    launch.unavailable() is not None, reason=f"no real ranks: {launch.unavailable()}"
)
@pytest.mark.skipif(
    not launch.has_namespaces(), reason="without namespaces a killed judge ends nothing"
)
def test_ranks_end_with_the_judge(tmp_path):
    code = HANGING.format(here=str(HERE))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as judge:
        assert awaited(lambda: len(ranks_in(tmp_path)) >= 7)
        judge.send_signal(signal.SIGKILL)
        judge.wait(30)
    assert awaited(lambda: not ranks_in(tmp_path)), ranks_in(tmp_path)
