"""Every pattern's programs give what the reference gives, on any number of ranks and any sizes.

In simulation every message and request is accounted for; under real MPI the same jobs run in one
launch on sub-communicators.
"""

import functools
import importlib
import itertools
import json
import os
import pickle
import pkgutil
import re
import signal
import subprocess
import sys
from pathlib import Path

import mpi_references
import msgspec
import pytest
import rank_program
from mpi_jobs import make_job

from outpace.codegen.contract import size_names
from outpace.codegen.mpi.drafts import mpi_drafts
from outpace.codegen.mpi.local import c_kernel, has_compiler, numba_kernel, numpy_kernel
from outpace.codegen.reference import Reference
from outpace.kernels.languages.mpi import MPI
from outpace.kernels.optimize import OptimizedFunction
from outpace.tuner.mpi import launch
from outpace.tuner.simcomm import installed, run_ranks

SIZES = {
    "scaled": [{"y": 8, "x": 6}, {"y": 1, "x": 9}, {"y": 0, "x": 5}],
    "heat": [
        {"y": 12, "x": 10, "steps": 5},
        {"y": 7, "x": 5, "steps": 3},
        {"y": 1, "x": 3, "steps": 4},
        {"y": 3, "x": 17, "steps": 0},
    ],
    "advect": [{"x": 24, "steps": 5}, {"x": 7, "steps": 4}, {"x": 1, "steps": 3}],
    "smooth": [{"z": 6, "y": 8, "x": 5}, {"z": 1, "y": 2, "x": 3}],
    "diffuse": [{"I": 9, "J": 7, "K": 2}, {"I": 1, "J": 2, "K": 1}],
    "maxwell": [{"x": 24, "steps": 7}, {"x": 3, "steps": 5}, {"x": 1, "steps": 2}],
    "product": [{"m": 8, "n": 6, "k": 5}, {"m": 1, "n": 3, "k": 2}],
    "transposed": [{"r": 8, "c": 5}, {"r": 1, "c": 9}],
    "spectrum": [{"y": 8, "x": 6}, {"y": 1, "x": 9}],
    "column_sums": [{"n": 16, "m": 3}, {"n": 5, "m": 3}, {"n": 1, "m": 2}],
    "least": [{"y": 9, "x": 5}, {"y": 1, "x": 2}],
    "bodies": [{"n": 9, "steps": 2}, {"n": 1, "steps": 2}],
}
INEXACT = {"product", "spectrum", "column_sums", "bodies"}
"""Sums in another order; all others are the same to the last bit."""
WITHOUT_C = {"smooth", "spectrum"}
"""Not lifted, or made without a kernel."""
MOST_RANKS = 7


def reference_of(name) -> Reference:
    return getattr(mpi_references, name).reference


@functools.cache
def first_draft(name, kernel=numpy_kernel):
    reference = reference_of(name)
    draft = mpi_drafts(reference, kernel(reference), 6)[0]
    return uncompiled(draft) if kernel is numpy_kernel else draft


def uncompiled(draft):
    """The draft without Numba: compiling what computes a few cells takes longest."""
    plain = re.sub(r"(?m)^(@numba\.njit.*|import numba)\n", "", draft.source)
    return msgspec.structs.replace(draft, source=plain)


def choices(draft):
    """The defaults, every other value alone, and the pairs that go through other code."""
    values = {p.name: p.values for p in draft.parameters if not p.name.startswith("GRID_")}
    found = [{}]
    found += [{n: v} for n, several in values.items() for v in several[1:] if n != "DEPTH" or v < 8]
    pairs = [
        {"CORNERS": "diagonal", "EXCHANGE": "blocking"},
        {"OVERLAP": True, "EXCHANGE": "persistent"},
        {"OVERLAP": True, "DEPTH": 2},
        {"OVERLAP": True, "DEPTH": 8},
        {"OVERLAP": True, "CORNERS": "diagonal"},
    ]
    return found + [pair for pair in pairs if set(pair) <= set(values)]


def jobs_of(name, ranks, first=0):
    """Jobs of a reference; of many each seventh: all parameters, though not at all sizes."""
    draft = first_draft(name)
    every = list(itertools.product(ranks, SIZES[name], choices(draft)))
    return [
        make_job(reference_of(name), draft, sizes, p, exact=name not in INEXACT, **params)
        for p, sizes, params in every[first :: 7 if len(every) > 40 else 1]
    ]


def simulated(job, seed):
    """What is wrong with a job on simulated ranks."""

    def program(comm):
        with installed():
            return rank_program.problems(rank_program.loaded(job), comm, job)

    return list(itertools.chain(*run_ranks(job["ranks"], program, seed=seed).check()))


@pytest.mark.parametrize("name", SIZES)
def test_programs_run_without_outpace(name):
    assert not re.search(r"(import|from) outpace", first_draft(name).source)


@pytest.mark.parametrize("name", SIZES)
def test_programs_are_right_in_simulation(name):
    jobs = enumerate(jobs_of(name, (2, 5)))
    found = [problem for seed, job in jobs for problem in simulated(job, seed)]
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize(
    ("name", "sizes", "ranks", "params"),
    [
        ("heat", {"y": 9, "x": 11, "steps": 4}, 6, {"GRID_Y": 6, "GRID_X": 1}),
        ("heat", {"y": 9, "x": 11, "steps": 4}, 6, {"GRID_Y": 2, "GRID_X": 3, "DEPTH": 4}),
        ("smooth", {"z": 4, "y": 5, "x": 6}, 6, {"GRID_Z": 1, "GRID_Y": 2, "GRID_X": 3}),
        ("product", {"m": 7, "n": 5, "k": 6}, 6, {"GRID_M": 1, "GRID_N": 6}),
        ("maxwell", {"x": 40, "steps": 9}, 17, {"DEPTH": 4, "EXCHANGE": "neighbourhood"}),
    ],
)
def test_any_grid_is_right(name, sizes, ranks, params):
    job = make_job(
        reference_of(name), first_draft(name), sizes, ranks, exact=name not in INEXACT, **params
    )
    assert not simulated(job, 0)


def test_a_compiled_kernel_goes_inside():
    draft = first_draft("scaled", numba_kernel)
    assert "numba.njit" in draft.source
    job = make_job(reference_of("scaled"), draft, {"y": 7, "x": 4}, 2, exact=False)
    assert not simulated(job, 0)


def jobs_in_c(name, ranks, folder):
    """The plan of most promise around a kernel in C, at the first sizes."""
    reference = reference_of(name)
    draft = mpi_drafts(reference, c_kernel(reference), 6)[0]
    if name != "scaled":  # which the ranks compile themselves, several at a time
        (folder / "draft.py").write_text(draft.source)
        MPI.build(folder / "draft.py", reference.contract, folder)
    made = [make_job(reference, draft, SIZES[name][0], p, exact=False) for p in ranks]
    return [{**job, "builds": str(folder)} for job in made]


@pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")
@pytest.mark.parametrize("name", ["heat", "bodies"])
def test_kernels_in_c_are_right_in_simulation(name, tmp_path):
    jobs = jobs_in_c(name, (1, 2, 5), tmp_path)
    found = [problem for seed, job in enumerate(jobs) for problem in simulated(job, seed)]
    assert not found, "\n".join(found[:20])


@pytest.mark.skipif(launch.unavailable() is not None, reason=str(launch.unavailable()))
def test_programs_are_right_under_real_mpi(tmp_path):
    ranks = (1, 2, 3, 4, 5, 7)
    jobs = [job for name in SIZES for job in jobs_of(name, ranks, first=2)]
    if has_compiler():
        in_c = [name for name in SIZES if name not in WITHOUT_C]
        jobs += [job for name in in_c for job in jobs_in_c(name, ranks, tmp_path)]
    Path(tmp_path, "jobs").write_bytes(pickle.dumps(jobs))
    command = [launch.mpiexec(), "-n", str(MOST_RANKS), sys.executable, "-m", "mpi4py"]
    with subprocess.Popen(
        [*command, rank_program.__file__, str(tmp_path / "jobs"), str(tmp_path / "result")],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **launch.settings(MOST_RANKS)},
    ) as launched:
        try:
            said, _ = launched.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(launched.pid, signal.SIGTERM)  # mpiexec ends its ranks
            said, _ = launched.communicate()
            pytest.fail(f"the ranks did not end in time\n{said}")
    assert launched.returncode == 0, said
    result = json.loads((tmp_path / "result").read_text())
    assert result["jobs"] == len(jobs) > 100
    assert not result["failures"], "\n".join(result["failures"][:20])


def library_references():
    from outpace.kernels import library

    modules = (
        importlib.import_module(f"{library.__name__}.{found.name}")
        for found in pkgutil.iter_modules(library.__path__)
    )
    functions = [value for module in modules for value in vars(module).values()]
    found = [f.reference for f in functions if isinstance(f, OptimizedFunction)]
    return [reference for reference in found if reference.contract.split]


@pytest.mark.parametrize("reference", library_references(), ids=lambda r: r.closure.name)
def test_what_the_library_says_may_be_cut_is_right_on_ranks(reference):
    contract = reference.contract
    draft = uncompiled(mpi_drafts(reference, numpy_kernel(reference), 3)[0])
    sizes = {name: 5 + i for i, name in enumerate(size_names(contract))}
    assert not simulated(make_job(reference, draft, sizes, 3, exact=False), 1)
