"""What is measured for a scaling curve: the default plan under `mpiexec`, and computing alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from math import prod
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from outpace import environment
from outpace.codec import encode
from outpace.codegen.domain import allows
from outpace.codegen.inputs import Case, draw_inputs
from outpace.codegen.mpi.layout import Layout
from outpace.codegen.reference import Reference
from outpace.errors import EnvironmentError_
from outpace.kernels.languages.mpi import MPI, takes_sizes
from outpace.kernels.rank_programs import on_grid
from outpace.model import Draft, Workload
from outpace.tuner.isolation.view import module_path
from outpace.tuner.mpi import launch
from outpace.tuner.mpi.scaling_model import Problem, own_values
from outpace.tuner.mpi.scaling_rank import Reply, Request, timed
from outpace.tuner.simcomm import Options, installed, run_ranks

_LIMIT = 600.0
"""Seconds that one measurement may take."""


class Runs:
    """Measures one reference; as a context manager it removes its files."""

    def __init__(self, reference: Reference, workload: Workload) -> None:
        self._reference, self._contract = reference, reference.contract
        self._workload = workload
        self._scratch = tempfile.TemporaryDirectory(prefix="outpace-scale-")
        self._folder = Path(self._scratch.name)
        self._alone: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._scratch.cleanup()

    def computing(self, draft: Draft, sizes: dict[str, int], whole: dict[str, int]) -> float:
        """Seconds of a program on one rank, which no others disturb.

        Args:
            draft: For one rank.
            sizes: Of a problem that has as much to compute as the busiest rank.
            whole: Of the workload; where the contract excludes `sizes`, its time is shared out.
        """
        if not allows(self._contract, sizes):
            share = prod(sizes.values()) / max(1, prod(whole.values()))
            return share * self.computing(draft, whole, whole)
        problem = Problem(1, sizes, dict.fromkeys(self._grid_dims(draft), 1))
        if "run" not in self._alone:
            self._alone["run"] = self._built(draft, problem, self._folder / "alone")
        run = self._alone["run"]
        layout = Layout.of(self._contract, sizes, problem.grid)
        values = own_values(layout, self._inputs(sizes), 0)
        written = [v.copy() if a.mutated else None for a, v in self._paired(values)]
        keywords = {"sizes": sizes} if takes_sizes(run) else {}

        def program(comm: Any) -> float:
            def call() -> float:
                for value, before in zip(values, written, strict=False):
                    if before is not None:
                        value[...] = before
                begin = time.perf_counter()
                run(comm, *values, **keywords)
                return time.perf_counter() - begin

            return timed(call)

        with installed():
            (seconds,) = run_ranks(1, program, options=Options(max_seconds=_LIMIT)).check()
        return float(seconds)

    def measured(self, draft: Draft, problem: Problem) -> Reply:
        """What real ranks find.

        Raises:
            EnvironmentError_: They could not be started, failed, or took too long.
        """
        folder = self._folder / f"{problem.ranks}"
        self._built(draft, problem, folder)
        inputs = self._inputs(problem.sizes)
        scalars = {a.name: inputs[a.name] for a in self._contract.arguments if not a.is_array}
        plain = {n: v for n, v in scalars.items() if not isinstance(v, complex)}
        request = Request(
            encode(self._contract).decode(),
            problem.sizes,
            _blocks(Layout.of(self._contract, problem.sizes, problem.grid)),
            {n: v.item() if isinstance(v, np.generic) else v for n, v in plain.items()},
            {n: (v.real, v.imag) for n, v in scalars.items() if n not in plain},
        )
        (folder / "request.json").write_bytes(msgspec.json.encode(request))
        for argument in self._contract.arguments:
            if argument.is_array:
                np.save(folder / f"{argument.name}.npy", inputs[argument.name])
        _run_ranks(problem.ranks, folder)
        reply = msgspec.json.decode((folder / "reply.json").read_bytes(), type=Reply)
        if reply.ranks != problem.ranks:
            raise EnvironmentError_(
                f"mpiexec started {problem.ranks} processes that see {reply.ranks} ranks: it "
                "belongs to another MPI than mpi4py; put the right one on PATH"
            )
        return reply

    def _built(self, draft: Draft, problem: Problem, folder: Path) -> Any:
        folder.mkdir()
        source = folder / "draft.py"
        source.write_text(MPI.bind(on_grid(draft, problem.grid)), encoding="utf-8")
        MPI.build(source, self._contract, folder / "build")
        return MPI.load(source, self._contract, folder / "build")

    def _inputs(self, sizes: dict[str, int]) -> dict[str, Any]:
        return draw_inputs(self._reference, Case(sizes, 0, scalars=self._workload.scalars))

    def _paired(self, values: list[Any]) -> list[tuple[Any, Any]]:
        return list(zip(self._contract.arguments, values, strict=False))

    def _grid_dims(self, draft: Draft) -> list[str]:
        return str(draft.flags["grid"]).split()


def _blocks(layout: Layout) -> list[dict[str, list[tuple[int, int]]]]:
    """What each rank owns; worked out here, since an encoded contract forgets the order of dims."""
    arrays = [part for part in layout.contract.parts if part.dims is not None]
    return [
        {a.name: [(cells.start, cells.stop) for cells in layout.own(a, rank)] for a in arrays}
        for rank in range(layout.ranks)
    ]


def _run_ranks(ranks: int, folder: Path) -> None:
    code = (
        f"import sys; sys.path[:] = {list(module_path())!r}; from pathlib import Path; "
        f"from outpace.tuner.mpi.scaling_rank import main; main(Path({str(folder)!r}))"
    )
    command = [str(launch.mpiexec()), "-n", str(ranks), sys.executable, "-c", code]
    variables = environment.worker_environment(
        HOME=str(folder), TMPDIR=str(folder), **launch.settings(ranks)
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command,
            env=variables,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as job,
    ):
        try:
            status = job.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGTERM)  # mpiexec ends its ranks
    if status != 0:
        said = (folder / "log").read_text(errors="replace").strip()[-1500:]
        ended = f"after {_LIMIT:g} s" if status is None else f"with status {status}"
        raise EnvironmentError_(f"{ranks} ranks ended {ended}: {said or 'they said nothing'}")
