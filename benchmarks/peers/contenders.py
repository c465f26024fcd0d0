"""Everything that is compared at one workload of a program, ready to be started."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from outpace.codegen.reference import Reference
from outpace.model import Contract, Output, Workload
from outpace.tuner.process import Worker
from peers.dace_forms import dace_forms
from peers.forms import (
    REWRITTEN,
    Form,
    numba_forms,
    outpace_form,
    pythran_forms,
    rewritten_forms,
)
from peers.jax_forms import jax_forms

REFERENCE = "numpy"
PRODUCT = "outpace"
BUILD_SECONDS = 300.0
"""For a compiler that compiles ahead, and for the first call of one that does not."""
_POOLED = ("jax",)
"""Peers whose calling thread does no work itself."""
_ERROR = re.compile(r"\berror: ")
_RAISED = re.compile(r"[\w.]+(Error|Exception)(: |$)")
_FAILED = "failed"
_BUILT = "outpace-built"


@dataclass(frozen=True)
class Contender:
    """One form of one peer, the reference, or what outpace serves.

    Attributes:
        peer: Its name.
        form: Name of the form, unlike that of any other of this peer.
        contract: By which it is called; where a form returns the new values of mutated arguments,
            they are outputs of it.
        home: Folder for what it writes.
        location: File and name of the function.
        interpreter: The Python that runs it; None for this one.
    """

    peer: str
    form: str
    contract: Contract
    home: Path
    location: tuple[str, str]
    interpreter: Path | None

    @property
    def label(self) -> str:
        """Peer and form."""
        return f"{self.peer}: {self.form}"

    def start(self, capacity: tuple[int, int]) -> Worker:
        """A fresh process with the function loaded.

        Args:
            capacity: Bytes of its arenas.

        Raises:
            Failure: It does not load.
        """
        return Worker(
            self.contract,
            self.home,
            capacity,
            location=self.location,
            interpreter=self.interpreter,
            start_limit=BUILD_SECONDS,
            pooled=self.peer in _POOLED,
        )


@dataclass(frozen=True)
class Field:
    """What takes part, and why the rest does not.

    Attributes:
        contenders: The reference first.
        left_out: Reasons by label.
    """

    contenders: list[Contender]
    left_out: dict[str, str]


def field_of(
    reference: Reference,
    workload: Workload,
    interpreters: Mapping[str, Path],
    promotions: Path,
    work: Path,
) -> Field:
    """Write and build all forms of all peers; what is there already is not built again.

    Args:
        reference: The program.
        workload: Its sizes.
        interpreters: Of the peers that take part.
        promotions: Folder that holds outpace's promotions.
        work: Folder for source and builds.
    """
    home = work.resolve() / reference.written.__name__
    own = home / REFERENCE
    own.mkdir(parents=True, exist_ok=True)
    location = reference.importable()
    contenders = [Contender(REFERENCE, "", reference.contract, own, location, None)]
    left_out: dict[str, str] = {}
    for form in forms_of(reference, workload, interpreters, promotions):
        interpreter = interpreters.get("numba" if form.peer == REWRITTEN else form.peer)
        fixed = "sizes.py" in form.files  # compiled for these sizes alone
        folder = home / form.peer / (workload.name if fixed else "all") / _slug(form.name)
        reason = _built(form, folder, interpreter)
        if reason is not None:
            left_out[f"{form.peer}: {form.name}"] = reason
            continue
        contract = functional(reference.contract) if form.functional else reference.contract
        found = (str(folder / "program.py"), "program")
        contenders.append(Contender(form.peer, form.name, contract, folder, found, interpreter))
    return Field(contenders, left_out)


def forms_of(
    reference: Reference, workload: Workload, peers: Mapping[str, object], promotions: Path
) -> list[Form]:
    """All forms of outpace and of these peers, outpace first."""
    forms = [outpace_form(reference, promotions)]
    if "numba" in peers:
        forms += numba_forms(reference) + rewritten_forms(reference)
    if "pythran" in peers:
        forms += pythran_forms(reference)
    if "dace" in peers:
        forms += dace_forms(reference, workload)
    if "jax" in peers:
        forms += jax_forms(reference)
    return forms


def functional(contract: Contract) -> Contract:
    """The contract of a function that returns what the reference changes in place."""
    changed = [Output(f"new_{a.name}", a.dtype, a.dims or ()) for a in contract.mutated]
    kept = [msgspec.structs.replace(a, mutated=False) for a in contract.arguments]
    return msgspec.structs.replace(
        contract, arguments=tuple(kept), outputs=(*changed, *contract.outputs)
    )


def _built(form: Form, folder: Path, interpreter: Path | None) -> str | None:
    """Build a form, unless this has been tried with the same text; why it failed, or None."""
    changed = form.write(folder)
    failed, built = folder / _FAILED, folder / _BUILT
    if changed:
        failed.unlink(missing_ok=True)
        built.unlink(missing_ok=True)
    if "build.py" not in form.files or built.exists():
        return None
    if not failed.exists():
        reason = _build(folder, interpreter)
        if reason is None:
            built.touch()
            return None
        failed.write_text(reason, encoding="utf-8")
    return failed.read_text(encoding="utf-8")


def _build(folder: Path, interpreter: Path | None) -> str | None:
    assert interpreter is not None
    variables = {**os.environ, "PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"}
    variables |= {"HOME": str(folder), "MKLROOT": str(interpreter.parent.parent)}
    try:
        ended = subprocess.run(
            ["nice", str(interpreter), "build.py"],
            check=False,
            cwd=folder,
            env=variables,
            capture_output=True,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"does not build within {BUILD_SECONDS:.0f} s"
    if ended.returncode == 0:
        return None
    return f"does not build: {telling_line((ended.stderr + ended.stdout).decode(errors='replace'))}"


def telling_line(text: str) -> str:
    """A compiler's first error, or Python's last; without the folders of this machine."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)][:1]
    raised = [line for line in lines if _RAISED.match(line)]
    chosen = (errors or raised[-1:] or lines[-1:] or ["nothing was said"])[0]
    return re.sub(r"(/[\w.+-]+){2,}/", "", chosen)[:200]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
