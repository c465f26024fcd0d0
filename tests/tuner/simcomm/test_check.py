"""`outpace mpi-check` on planted programs, through the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from outpace.cli.app import app

FOLDER = Path(__file__).parent
PLANTED = FOLDER / "planted"


def check(*arguments):
    """Exit code, and the JSON that was printed."""
    answer = CliRunner().invoke(app, ["mpi-check", "--json", *map(str, arguments)])
    return answer.exit_code, json.loads(answer.stdout)


# Program, ranks, name of the fault, line; the rank where the order of ranks does not decide it.
TABLE = [
    ("send_send", 2, "Deadlock", None, None),
    ("ring_send_first", 3, "Deadlock", None, None),
    ("ring_receive_first", 1, "Deadlock", None, None),
    ("barrier_of_some", 3, "Deadlock", None, None),
    ("other_collective", 3, "CollectiveMismatch", None, None),
    ("wrong_root", 3, "CollectiveMismatch", 4, None),
    ("other_operation", 2, "CollectiveMismatch", 6, None),
    ("other_count", 2, "CollectiveMismatch", 6, None),
    ("truncated", 2, "Truncation", 9, 1),
    ("float_as_double", 2, "DatatypeMismatch", 9, 1),
    ("leaked_request", 3, "LeakedRequests", 7, 0),
    ("unreceived", 3, "UnreceivedMessages", None, None),
    ("unreceived_buffered", 2, "UnreceivedMessages", None, None),
    ("found_and_left", 2, "UnreceivedMessages", None, None),
    ("even_ranks_only", 3, "RankFailed", 5, 2),
    ("changed_while_sent", 2, "BufferModified", 9, None),
    ("received_twice", 2, "BufferOverlap", 6, None),
    ("polls_for_ever", 2, "Livelock", 6, None),
    ("no_such_rank", 1, "InvalidCall", 5, 0),
    ("uncommitted", 2, "InvalidCall", 7, None),
    ("raises", 2, "RankFailed", 8, 1),
    ("exits_whole_process", 2, "RankFailed", None, None),
    ("aborts", 2, "RankFailed", 4, 0),
    ("after_the_end", 2, "InvalidCall", 6, None),
]


def test_every_planted_program_is_in_a_test():
    undecided = {"one_sided", "computes_for_ever"}
    assert {row[0] for row in TABLE} | undecided == {path.stem for path in PLANTED.glob("*.py")}


@pytest.mark.parametrize(("name", "ranks", "fault", "line", "rank"), TABLE)
def test_a_planted_fault_is_named_with_its_place(name, ranks, fault, line, rank):
    path = PLANTED / f"{name}.py"
    code, payload = check("-n", ranks, "--seeds", 1, path)
    assert code == 1
    assert payload["verdict"] == "fault"
    found = payload["runs"][-1]["fault"]
    assert found["name"] == fault
    if line is not None:
        assert (found["call"]["file"], found["call"]["line"]) == (str(path), line)
    if rank is not None:
        assert found["rank"] == rank


def test_a_deadlock_shows_what_each_rank_waits_in():
    _, payload = check("-n", 3, "--seeds", 1, PLANTED / "ring_send_first.py")
    waiting = payload["runs"][0]["fault"]["waiting"]
    calls = [(one["rank"], one["call"]["name"], one["call"]["line"]) for one in waiting]
    assert calls == [(r, f"send(dest={(r + 1) % 3}, tag=0)", 4) for r in range(3)]


def test_a_program_for_even_ranks_only_is_right_with_two_and_wrong_with_three():
    code, payload = check("-n", "2,3", "--seeds", 2, PLANTED / "even_ranks_only.py")
    assert code == 1
    verdicts = [(run["ranks"], run["seed"], run["verdict"]) for run in payload["runs"]]
    assert verdicts == [(2, 0, "ok"), (2, 1, "ok"), (3, 0, "fault")]


def test_small_sends_may_be_eager():
    code, _ = check("-n", 2, "--seeds", 1, "--eager", 8001, PLANTED / "send_send.py")
    assert code == 0
    code, _ = check("-n", 2, "--seeds", 1, "--eager", 8000, PLANTED / "send_send.py")
    assert code == 1


@pytest.mark.parametrize(
    ("name", "fault", "line", "options"),
    [
        ("one_sided", "Unsupported", 4, ()),
        ("computes_for_ever", "LimitReached", 5, ("--timeout", 0.5)),
    ],
)
def test_what_is_not_known_is_undecided(name, fault, line, options):
    code, payload = check("-n", 2, *options, PLANTED / f"{name}.py")
    assert code == 3
    assert payload["verdict"] == "undecided"
    found = payload["runs"][0]["fault"]
    assert (found["name"], found["call"]["line"]) == (fault, line)


HELPER = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
rank = comm.Get_rank()
"""
PROGRAM = """
import sys
import numpy as np
import shared.helper
from mpi4py import MPI

class Cell:
    def __init__(self, value):
        self.value = value

assert sys.argv[1:] == ["--steps", "3"], sys.argv
comm = MPI.COMM_WORLD
assert shared.helper.rank == comm.rank
shared.helper.rank += 100
got = comm.bcast(Cell(comm.rank), root=comm.size - 1)
assert isinstance(got, Cell)
assert got.value == comm.size - 1
assert shared.helper.rank == comm.rank + 100
import later
print("rank", later.number)
if __name__ == "__main__":
    print("is main")
"""


def test_every_rank_has_modules_of_its_own(tmp_path, capfd):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "helper.py").write_text(HELPER)
    (tmp_path / "later.py").write_text(HELPER + "number = rank * 10\n")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    code, payload = check("--show-output", "-n", 3, "--seeds", 1, program, "--steps", 3)
    assert code == 0, payload
    printed = sorted(capfd.readouterr().err.splitlines())
    assert printed == sorted(
        line for r in range(3) for line in (f"[{r}] rank {10 * r}", f"[{r}] is main")
    )
    assert {path.name for path in tmp_path.iterdir()} == {"shared", "later.py", "program.py"}


def test_a_module_that_waits_while_it_is_imported_is_undecided(tmp_path):
    (tmp_path / "waits.py").write_text("from mpi4py import MPI\nMPI.COMM_WORLD.Barrier()\n")
    (tmp_path / "program.py").write_text("import waits\n")
    code, payload = check("-n", 2, "--seeds", 1, tmp_path / "program.py")
    assert code == 3
    fault = payload["runs"][0]["fault"]
    assert (fault["name"], fault["call"]["line"]) == ("Unsupported", 2)


def test_a_run_counts_messages_bytes_and_virtual_time(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\nfrom mpi4py import MPI\ncomm = MPI.COMM_WORLD\n"
        "data = np.zeros(1000)\n"
        "comm.Send(data, 1) if comm.rank == 0 else comm.Recv(data)\n"
    )
    code, payload = check("-n", 2, "--seeds", 1, program)
    assert code == 0
    first, second = payload["runs"][0]["per_rank"]
    assert (first["messages_sent"], first["bytes_sent"], first["bytes_received"]) == (1, 8000, 0)
    assert (second["messages_received"], second["bytes_received"]) == (1, 8000)
    assert payload["runs"][0]["virtual_seconds"] == pytest.approx(1e-6 + 8000e-10)


def test_people_get_a_table_and_the_places():
    path = PLANTED / "truncated.py"
    answer = CliRunner().invoke(app, ["mpi-check", "-n", "2", "--seeds", "1", str(path)])
    assert answer.exit_code == 1
    assert "Truncation on rank 1 in Recv(source=0, tag=ANY_TAG) at" in answer.stdout
    assert "truncated.py:9: room for 7 elements, but 8 were sent in Send(dest=1" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.py"], "absent.py cannot be read"),
        (["-n", "0", "absent.py"], "-n 0 is no number of ranks"),
        (["-n", "two", "absent.py"], "-n two is no number of ranks"),
        (["--timeout", "0", "absent.py"], "--timeout 0: give a time above 0"),
        (["README.md"], "README.md is no Python program"),
    ],
)
def test_usage_errors_say_what_to_do(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("# A program?\nno\n\x00")
    answer = CliRunner().invoke(app, ["mpi-check", *arguments])
    assert answer.exit_code == 2
    assert said in answer.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["PROGRAM", "-n", "1", "--steps", "10"], ["--steps", "10"]),
        (["-n", "1", "PROGRAM", "fast", "--", "-n", "9"], ["fast", "-n", "9"]),
    ],
)
def test_options_stand_anywhere_and_the_rest_is_the_programs(arguments, passed, tmp_path, capfd):
    path = tmp_path / "shows.py"
    path.write_text("import sys\nfrom mpi4py import MPI\nprint(sys.argv[1:])\n")
    given = [str(path) if a == "PROGRAM" else a for a in arguments]
    answer = CliRunner().invoke(app, ["mpi-check", "--seeds", "1", "--show-output", *given])
    assert answer.exit_code == 0
    assert str(passed) in answer.output + "".join(capfd.readouterr())


def test_an_interrupt_ends_the_processes_at_once():
    # A shell has what it runs in the background ignore interrupts.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heard}; from outpace.cli import main; main()"
    program = str(PLANTED / "computes_for_ever.py")
    command = [sys.executable, "-c", code, "mpi-check", "-n", "2", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watched = psutil.Process(process.pid)
    children = []
    while not children and process.poll() is None:
        children = watched.children()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_the_check_needs_no_mpi4py(tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "mpi4py.py").write_text("raise ImportError('the real one was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    program = tmp_path / "program.py"
    program.write_text(
        "from mpi4py import MPI\nimport mpi4py.MPI\nmpi4py.MPI.COMM_WORLD.Barrier()\n"
    )
    loaded = set(sys.modules)
    assert check("-n", 2, "--seeds", 1, program)[0] == 0
    assert not {name for name in set(sys.modules) - loaded if name.startswith("mpi4py")}
