"""What each rank of the one real MPI launch does: every job on sub-communicators of every size.

Run as `mpiexec -n 7 python -m mpi4py rank_program.py JOBS RESULT`. A job is a dict made by
`mpi_jobs.py`; ranks hold nothing but their own blocks of its arrays.
"""

import functools
import itertools
import json
import pickle
import sys
import traceback
import types
from pathlib import Path

import numpy as np


@functools.cache
def compiled(text):
    return compile(text, "<program>", "exec")


def loaded(job):
    module = types.ModuleType("program")
    module.BUILDS = job["builds"]
    exec(compiled(job["text"]), module.__dict__)
    vars(module).update(job["params"])
    return module


def main():
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
    groups = {p: world.Split(0 if world.rank < p else 1, world.rank) for p in (1, 2, 3, 4, 5, 7)}
    failures = []
    for job in jobs:
        comm = groups[job["ranks"]]
        if world.rank >= job["ranks"]:
            continue
        try:
            failures += problems(loaded(job), comm, job)
        except BaseException:
            sys.stderr.write(f"{job['label']} rank {comm.rank}\n{traceback.format_exc()}")
            sys.stderr.flush()
            world.Abort(1)
            raise
    every = world.gather(failures)
    if world.rank == 0:
        found = list(itertools.chain(*every))
        Path(sys.argv[2]).write_text(json.dumps({"jobs": len(jobs), "failures": found}))


def problems(program, comm, job):
    mine = job["values"][comm.rank]
    given = [v.copy() if isinstance(v, np.ndarray) else v for v in mine]
    program.run(comm, *given, sizes=dict(job["sizes"]))
    found = []
    for name, want, got, before in zip(
        job["names"], job["expected"][comm.rank], given, mine, strict=True
    ):
        label = f"{job['label']} rank {comm.rank} {name}"
        if want is None:
            if isinstance(got, np.ndarray) and got.tobytes() != before.tobytes():
                found.append(f"{label}: input changed")
        elif job["exact"] and not np.array_equal(got, want, equal_nan=True):
            found.append(f"{label}: {np.count_nonzero(got != want)} of {got.size} cells differ")
        elif not np.allclose(got, want, rtol=1e-12, atol=1e-12, equal_nan=True):
            found.append(f"{label}: off by {np.max(np.abs(got - want))}")
    return found


if __name__ == "__main__":
    main()
