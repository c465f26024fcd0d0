"""What each rank of the one real MPI launch does.

Run as `mpiexec -n 3 python -m mpi4py spread_program.py REFERENCES RESULT NAMES...`.
"""

import json
import sys
import warnings
from itertools import chain
from pathlib import Path

import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.mpi import local
from outpace.codegen.reference import load_module

SIZES = {
    "heat": {"y": 12, "x": 10, "steps": 5},
    "advect": {"x": 24, "steps": 5},
    "diffuse": {"I": 9, "J": 7, "K": 2},
    "product": {"m": 8, "n": 6, "k": 5},
    "column_sums": {"n": 16, "m": 3},
    "least": {"y": 9, "x": 5},
    "maxwell": {"x": 24, "steps": 7},
    "spectrum": {"y": 8, "x": 6},
    "bodies": {"n": 9, "steps": 2},
}
"""A reference of every pattern, with fixed and periodic ends."""


def values_of(fn, sizes):
    """Arguments of a call, drawn alike everywhere."""
    rng = np.random.default_rng(5)
    found = {}
    for a in fn.reference.contract.arguments:
        if a.dims is None:
            found[a.name] = sizes.get(a.name, 0.125)
        else:
            found[a.name] = (10 * rng.uniform(0.05, 0.15, shape_of(a.dims, sizes))).astype(a.dtype)
    return found


def expected(fn, sizes):
    """What the function gives: its result, and arguments that it writes."""
    values = values_of(fn, sizes)
    result = fn.reference.fn(**values)
    if result is not None:
        return result if isinstance(result, tuple) else (result,)
    return tuple(values[a.name] for a in fn.reference.contract.mutated)


def spread(fn, sizes, comm):
    """The same over the ranks of a communicator, gathered on the last of them."""
    contract, root = fn.reference.contract, comm.Get_size() - 1
    values = values_of(fn, sizes)
    names = [a.name for a in contract.arguments if a.is_array]
    held = [values[name] if comm.Get_rank() == root else None for name in names]
    with fn.distribute(comm) as k:
        blocks = k.scatter(*held, root=root)
        own = dict(zip(names, blocks if len(names) > 1 else [blocks], strict=True))
        result = k.run(**{**values, **own})
        if result is None:
            return as_tuple(k.gather(*(own[a.name] for a in contract.mutated), root=root))
        return as_tuple(k.gather(*as_tuple(result), root=root))


def as_tuple(result):
    return result if isinstance(result, tuple) or result is None else (result,)


def differences(fn, sizes, comm):
    """What is wrong on this rank."""
    got = spread(fn, sizes, comm)
    if comm.Get_rank() < comm.Get_size() - 1:
        return [] if got is None else ["a rank that is not the root has a result"]
    return [
        f"{fn.reference.name} on {comm.Get_size()} ranks: off by {np.max(np.abs(a - b))}"
        for a, b in zip(got, expected(fn, sizes), strict=True)
        if np.shape(a) != np.shape(b) or not np.allclose(a, b, rtol=1e-12, atol=1e-12)
    ]


def uncompiled(reference, *, strict):
    return local.numpy_kernel(reference)


def main():
    from mpi4py import MPI

    warnings.simplefilter("ignore")
    world = MPI.COMM_WORLD
    references = load_module(sys.argv[1])
    found = []
    for ranks in range(world.size, 0, -1):
        comm = world.Split(0 if world.rank < ranks else MPI.UNDEFINED, world.rank)
        if comm != MPI.COMM_NULL:
            for name in sys.argv[3:]:
                found += differences(getattr(references, name), SIZES[name], comm)
        # One kernel has been compiled; with others around the reference itself it goes quicker.
        local.default_kernel = uncompiled
    every = world.gather(found)
    if world.rank == 0:
        Path(sys.argv[2]).write_text(json.dumps(list(chain.from_iterable(every))))


if __name__ == "__main__":
    main()
