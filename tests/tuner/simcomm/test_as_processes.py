"""What ranks have of their own as processes do, and what programs do beside sending messages."""

import json

from typer.testing import CliRunner

from outpace.cli.app import app

PROGRAM = """
import random, sys
import mpi4py
mpi4py.rc(initialize=False, threads=False)
import numpy as np
from mpi4py import MPI

MPI.Init()
comm = MPI.COMM_WORLD
begin = MPI.Wtime()
assert MPI.Wtime() > begin, "the clock stands still"
np.random.seed(7)
random.seed(7)
first = np.random.normal(), random.gauss(0, 1)
comm.Barrier()
drawn = [*first, *np.random.normal(size=3), random.random()]
assert all(other == drawn for other in comm.allgather(drawn)), "all draw from one state"
sys.stdout.reconfigure(line_buffering=True)
sys.stdout.buffer.write(b"%d draws in %s\\n" % (len(drawn), sys.stdout.encoding.encode()))
nobody = comm.Create_cart([0])
assert nobody == MPI.COMM_NULL
MPI.Finalize()
"""


def checked(tmp_path, text, *options):
    """Exit code, and the JSON of a program with two ranks."""
    program = tmp_path / "program.py"
    program.write_text(text)
    arguments = ["mpi-check", "--json", "-n", "2", "--seeds", "1", *options, str(program)]
    answer = CliRunner().invoke(app, arguments)
    return answer.exit_code, json.loads(answer.stdout)


def test_ranks_draw_measure_and_print_as_processes_do(tmp_path, capfd):
    code, payload = checked(tmp_path, PROGRAM, "--show-output")
    assert code == 0, payload
    printed = sorted(capfd.readouterr().err.splitlines())
    assert printed == ["[0] 6 draws in utf-8", "[1] 6 draws in utf-8"]


def test_waiting_for_the_clock_ends(tmp_path):
    text = "from mpi4py import MPI\nend = MPI.Wtime() + 1e-3\nwhile MPI.Wtime() < end: pass\n"
    assert checked(tmp_path, text)[0] == 0


def test_what_threads_cannot_do_is_undecided(tmp_path):
    code, payload = checked(tmp_path, "import signal\nsignal.signal(signal.SIGINT, print)\n")
    assert code == 3
    fault = payload["runs"][0]["fault"]
    assert (fault["name"], fault["call"]["line"]) == ("Unsupported", 2)
    assert "signal.signal is not supported" in fault["reason"]
