"""Jobs for ranks: a program, the own blocks of every rank, and what the reference gives there."""

import numpy as np

from outpace.codegen.dims import shape_of
from outpace.codegen.mpi.layout import Layout, grid_of


def drawn(argument, sizes, rng):
    if argument.dims is None:
        if argument.name in sizes:
            return sizes[argument.name]
        return float(rng.uniform(0.05, 0.15))
    shape = shape_of(argument.dims, sizes)
    if np.dtype(argument.dtype).kind in "iu":
        return rng.integers(-9, 9, shape).astype(argument.dtype)
    values = rng.uniform(-1, 1, shape)
    if np.dtype(argument.dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return np.ascontiguousarray(values.astype(argument.dtype))


def poisoned(shape, dtype):
    array = np.empty(shape, dtype)
    array.fill(np.nan if array.dtype.kind in "fc" else 7)
    return array


def make_job(reference, draft, sizes, ranks, *, exact=True, **params):
    """A job at these global sizes on so many ranks."""
    assert set(params) <= {p.name for p in draft.parameters}
    contract = reference.contract
    grid_params = {k: v for k, v in params.items() if k.startswith("GRID_")}
    layout = Layout.of(contract, sizes, grid_of(draft.flags, grid_params, contract, sizes, ranks))
    rng = np.random.default_rng(7)
    inputs = {a.name: drawn(a, sizes, rng) for a in contract.arguments}
    after = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    returned = reference.fn(*after.values())
    outputs = returned if isinstance(returned, tuple) else (returned,) * len(contract.outputs)
    results = {
        o.name: np.reshape(r, (1,)) if o.scalar else r
        for o, r in zip(contract.outputs, outputs, strict=True)
    }
    results |= {a.name: after[a.name] for a in contract.mutated}
    values, expected = [], []
    for rank in range(ranks):
        own = {p.name: layout.own(p, rank) for p in contract.parts}
        given = [
            inputs[a.name] if a.dims is None else np.ascontiguousarray(inputs[a.name][own[a.name]])
            for a in contract.arguments
        ]
        values.append(given + [poisoned(layout.shape(o, rank), o.dtype) for o in contract.outputs])
        expected.append(
            [results[p.name][own[p.name]] if p.name in results else None for p in contract.parts]
        )
    return {
        "label": f"{reference.closure.name} {sizes} on {ranks} {params}",
        "text": draft.source,
        "params": params,
        "ranks": ranks,
        "sizes": dict(sizes),
        "names": [p.name for p in contract.parts],
        "values": values,
        "expected": expected,
        "exact": exact,
        "builds": None,
    }
