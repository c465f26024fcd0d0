"""The helper process of OUTPACE_VERIFY: calls of production against the reference.

It reads samples (`outpace.kernels.sampling.Sample`) from its standard input and answers each with a
line of JSON: `{"wrong": null}`, or how it is wrong. What cannot be decided is not wrong: the
reference raises, or its results are chaotic. A wrong call is recorded with its arguments.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from outpace import environment
from outpace.codegen.abi import bind_sizes
from outpace.codegen.dims import sizes_text
from outpace.codegen.reference import load_reference
from outpace.kernels.durable import make_folder
from outpace.kernels.sampling import Sample
from outpace.tuner.confirm import describe
from outpace.tuner.numerics.acceptance import chaotic, compare, expect
from outpace.tuner.numerics.oracle import Oracle
from outpace.tuner.recordlog import Record, RecordLog

KEPT_BYTES = 256 << 20
"""Arguments of wrong calls are kept up to this size."""


class Demoted(Record, frozen=True):
    """A call in production whose result was wrong.

    Attributes:
        reference: Name of the function.
        promotion: Hash of the promotion's key.
        variant: Hash of the variant.
        sizes: Dims and int arguments of the call.
        mismatch: How it was wrong.
        arguments: File with the arguments, by name; None where they are too large.
    """

    reference: str
    promotion: str
    variant: str
    sizes: dict[str, int]
    mismatch: str
    arguments: str | None


def demotions(source_hash: str) -> list[Demoted]:
    """What was found wrong in production of promotions for this source, in time order.

    Raises:
        StorageError: The records cannot be read.
    """
    records = RecordLog(_folder(source_hash), (Demoted,)).read().records
    return [record for record in records if isinstance(record, Demoted)]


def check(sample: Sample) -> str | None:
    """How the results of a call are wrong, or None where they are not known to be.

    Raises:
        OutpaceError: The reference cannot be loaded, or the finding cannot be recorded.
    """
    oracle = _oracle(sample.location, sample.qualname)
    contract, rng = oracle.contract, np.random.default_rng()
    try:
        sizes = bind_sizes(contract, sample.values)
        expected = expect(oracle, sample.values, sizes, rng)
    except Exception:  # noqa: BLE001  (outside the domain of the reference)
        return None
    if chaotic(contract, expected) is not None:
        return None
    mismatch = compare(contract, expected, sample.results)
    if mismatch is None:
        return None
    found = f"{oracle.reference.name} at {sizes_text(sizes)}: {describe(mismatch)}"
    kept = _record(oracle, sample, sizes, found)
    return found if kept is None else f"{found}; its arguments are in {kept}"


@lru_cache(maxsize=64)
def _oracle(location: str, qualname: str) -> Oracle:
    return Oracle(load_reference(f"{location}:{qualname}"))


def _record(oracle: Oracle, sample: Sample, sizes: dict[str, int], found: str) -> Path | None:
    """Write the finding down; returns the file with the arguments, if they are kept."""
    folder = _folder(oracle.reference.source_hash)
    arrays = {name: np.asarray(value) for name, value in sample.values.items()}
    path = None
    if sum(array.nbytes for array in arrays.values()) <= KEPT_BYTES:
        make_folder(folder)
        path = folder / f"{sample.variant}-{os.getpid()}.npz"
        np.savez(path, allow_pickle=False, **arrays)
    with RecordLog(folder, (Demoted,)) as log:
        log.append(
            Demoted(
                reference=oracle.reference.name,
                promotion=sample.promotion,
                variant=sample.variant,
                sizes=sizes,
                mismatch=found,
                arguments=None if path is None else str(path),
            )
        )
    return path


def _folder(source_hash: str) -> Path:
    return environment.state_dir() / "demotions" / source_hash


def main() -> None:
    """Answer samples until the other end is closed."""
    samples = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the user's modules may print
    os.nice(10)
    while True:
        try:
            sample: Any = pickle.load(samples)  # noqa: S301  (from the process that started this)
        except EOFError:
            return
        answers.write(json.dumps({"wrong": check(sample)}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
