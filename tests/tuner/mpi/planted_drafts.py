"""Planted drafts, and one judge for each of their references."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from outpace.codegen.reference import load_reference
from outpace.kernels.languages.base import parse_draft
from outpace.kernels.languages.mpi import MPI
from outpace.model import Provenance
from outpace.tuner.mpi.judge import MpiJudge
from outpace.tuner.numerics.selfcheck import check_reference

FAULTS = Path(__file__).parents[2] / "mpi_faults"
_HEAD = re.compile(r"# reference: (\w+); status: ([\w-]+); says: (.*)")


@dataclass(frozen=True)
class Planted:
    """A draft with what must be said of it."""

    name: str
    reference: str
    status: str
    says: str
    draft: object


def planted(name):
    """The planted draft of that name."""
    head, _, text = (FAULTS / "drafts" / f"{name}.py").read_text().partition("\n")
    reference, status, says = _HEAD.fullmatch(head).groups()
    return Planted(name, reference, status, says, parse_draft(text, MPI, Provenance("user", name)))


@functools.cache
def referenced(name):
    """A reference of tests/mpi_faults."""
    return load_reference(f"{FAULTS / 'references.py'}:{name}")


@functools.cache
def checked(name):
    """The same, checked on a few cases."""
    return check_reference(referenced(name), 20, cases=10)


@functools.cache
def judge_of(name):
    """The judge of a reference, which keeps what it has derived."""
    return MpiJudge(referenced(name), checked=checked(name))
