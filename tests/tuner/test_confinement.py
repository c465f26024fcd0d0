"""The tables behind confinement: what the filter answers, and which paths a view names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpace.tuner.isolation import seccomp, view

PID = 4321
ALLOW, REFUSE, KILL = "allow", "refuse", "kill"
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
THREAD = 0x003D0F00  # as pthread_create() asks for one
FORK, VFORK = 0x01200011, 0x00004111
NEW_USER = 0x10000000 | 17


def answer(program, audit, number, *arguments):
    """Run the filter on one system call, as the kernel does."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *padded)
    code = list(struct.iter_unpack("<HBBI", program))
    at, value = 0, 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        match operation:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, constant)
            case 0x06:
                return {0x7FFF: ALLOW, 0x0005: REFUSE, 0x8000: KILL}[constant >> 16]
            case 0x15:
                at += if_true if value == constant else if_false
            case 0x35:
                at += if_true if value >= constant else if_false
            case 0x45:
                at += if_true if value & constant else if_false
            case _:
                raise AssertionError(operation)


@pytest.fixture(params=MACHINES)
def machine(request):
    return request.param


def filtered(machine, *, programs=False):
    audit, column = MACHINES[machine]
    program = seccomp._program(audit, column, PID, programs=programs)

    def ask(number, *arguments):
        return answer(program, audit, number, *arguments)

    return ask


@pytest.mark.parametrize("programs", [False, True])
def test_everything_in_the_table_is_refused(machine, programs):
    ask, column = filtered(machine, programs=programs), MACHINES[machine][1]
    numbers = [numbers[column] for numbers in seccomp._SYSCALLS.values()]
    assert {ask(number) for number in numbers if number is not None} == {REFUSE}


@given(st.integers(0, 600), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_every_call_gets_an_answer_and_another_machine_none(number, arguments):
    for audit, column in MACHINES.values():
        program = seccomp._program(audit, column, PID, programs=False)
        assert answer(program, audit, number, *arguments) in (ALLOW, REFUSE)
        assert answer(program, 0x40000003, number, *arguments) == KILL  # 32-bit code


@pytest.mark.parametrize(
    ("flags", "run", "build"),
    [
        (THREAD, ALLOW, ALLOW),
        (FORK, REFUSE, ALLOW),
        (VFORK, REFUSE, ALLOW),
        (THREAD | VFORK, REFUSE, ALLOW),
        (NEW_USER, REFUSE, REFUSE),
        (THREAD | NEW_USER, REFUSE, REFUSE),
    ],
)
def test_what_may_be_started(machine, flags, run, build):
    clone = {"x86_64": 56, "aarch64": 220}[machine]
    assert filtered(machine)(clone, flags) == run
    assert filtered(machine, programs=True)(clone, flags) == build


def test_programs_are_started_by_builds_alone(machine):
    execve = {"x86_64": 59, "aarch64": 221}[machine]
    assert filtered(machine)(execve) == REFUSE
    assert filtered(machine, programs=True)(execve) == ALLOW


def test_signals_stay_inside(machine):
    kill = {"x86_64": 62, "aarch64": 129}[machine]
    run, build = filtered(machine), filtered(machine, programs=True)
    assert run(kill, PID, 6) == build(kill, PID, 6) == ALLOW
    assert run(kill, PID + 1, 6) == build(kill, PID + 1, 6) == REFUSE
    assert (run(kill, 0, 9), build(kill, 0, 9)) == (REFUSE, ALLOW)


names = st.sampled_from(["a", "b", "ab", "c"])
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(paths, max_size=12))
def test_outermost_paths_hold_all_and_none_another(given_paths):
    kept = view.outermost(given_paths)
    assert set(kept) <= set(given_paths)
    for path in given_paths:
        assert sum(Path(path).is_relative_to(other) for other in kept) == 1


def test_a_view_holds_python_and_no_home(monkeypatch, tmp_path):
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    compiler = home / "bin" / "cc"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("OUTPACE_READABLE", f"{tmp_path / 'extra'}:relative")
    (tmp_path / "extra").mkdir()
    readable = view.readable_paths()

    def holds(path):
        return any(Path(path).is_relative_to(folder) for folder in readable)

    assert holds(os.__file__)
    assert holds(view.__file__)
    assert holds(compiler)
    assert holds(tmp_path / "extra" / "library.so")
    assert not holds(home / "secret")


def test_a_drafts_modules_are_installed_ones(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend("")
    found = view.module_path()
    assert str(tmp_path) not in found
    assert str(Path.cwd()) not in found
    assert any((Path(folder) / "numpy").is_dir() for folder in found)
