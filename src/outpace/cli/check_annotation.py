"""`outpace check-annotation`: how a reference says it may be cut over ranks, put to the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import ExitCode
from outpace.cli.options import JsonOption, ReferenceArgument

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.codegen.reference import Reference
    from outpace.tuner.numerics.annotation import Proof
    from outpace.tuner.numerics.proposal import Proposal

_SCHEMA = "outpace.check-annotation/1"


def check_annotation(reference: ReferenceArgument, as_json: JsonOption = False) -> None:
    """Try to refute split=, steps= and reduce= of a function, or propose them.

    Exits with 1 where a run of the function contradicts them, or none could be made. A function
    that says nothing gets a proposal, ready to paste.
    """

    def work() -> Answer:
        from outpace.codegen.mpi.layout import cut_dims  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.tuner.numerics.annotation import prove_annotation  # noqa: PLC0415
        from outpace.tuner.numerics.proposal import propose_annotation  # noqa: PLC0415

        loaded = load_reference(reference)
        if cut_dims(loaded.contract):
            return _proved(loaded, prove_annotation(loaded))
        return _proposed(loaded, propose_annotation(loaded))

    respond(work, as_json=as_json)


def _proved(reference: Reference, proof: Proof) -> Answer:
    payload = {
        **_declared(reference),
        "violation": proof.violation,
        "notes": list(proof.notes),
        "problems": proof.problems,
        "carries": proof.carries,
        "proposal": None,
    }

    def show(console: Console) -> None:
        from rich.text import Text  # noqa: PLC0415

        def line(text: str, style: str = "") -> None:
            console.print(Text(text, style=style), soft_wrap=True)

        line(reference.name, "bold")
        if proof.violation is not None:
            line(proof.violation, "red")
        else:
            line(f"not refuted by {proof.problems} problems", "green")
        for output, argument in proof.carries.items():
            line(f"  from step to step {output} becomes {argument}")
        for note in proof.notes:
            line(f"  note: {note}", "dim")

    code = ExitCode.OK if proof.violation is None else ExitCode.FAILED
    return Answer(payload, show, code)


def _proposed(reference: Reference, proposal: Proposal) -> Answer:
    from outpace.cli import contracts  # noqa: PLC0415

    payload = {
        **_declared(reference),
        "violation": None,
        "notes": list(proposal.notes),
        "problems": 0,
        "carries": {},
        "proposal": {
            **contracts.annotation_payload(proposal.split, proposal.steps, proposal.reduce),
            "text": proposal.text if proposal.split else None,
            "reasons": dict(proposal.reasons),
        },
    }

    def show(console: Console) -> None:
        from rich.text import Text  # noqa: PLC0415

        def line(text: str, style: str = "") -> None:
            console.print(Text(text, style=style), soft_wrap=True)

        line(reference.name, "bold")
        if proposal.split:
            line("declares no dim that may be cut; no run refutes this:", "green")
            for option in proposal.text.splitlines():
                line(f"    {option}")
        else:
            line("declares no dim that may be cut, and none was found", "yellow")
        for dim, reason in proposal.reasons.items():
            line(f"  not {dim!r}: {reason}", "dim")

    return Answer(payload, show)


def _declared(reference: Reference) -> dict[str, Any]:
    from outpace.cli import contracts  # noqa: PLC0415

    contract = reference.contract
    return {
        "schema": _SCHEMA,
        "reference": reference.name,
        **contracts.annotation_payload(contract.split, contract.steps, contract.reduce),
    }
