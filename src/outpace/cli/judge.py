"""`outpace judge`: one draft, by whoever wrote it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond
from outpace.cli.exits import ExitCode, of_verdict
from outpace.cli.options import (
    JsonOption,
    OnGpuOption,
    PromotedOption,
    QuietOption,
    RanksOption,
    ReferenceArgument,
    RiskOption,
    WorkloadsOption,
    parse_object,
    parse_ranks,
    split_list,
)
from outpace.cli.settings import read_settings
from outpace.cli.simulated import judged_in_simulation, judged_on_ranks, simulates
from outpace.errors import UsageError

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.model import Draft
    from outpace.tuner.api import Result


def judge(
    reference: ReferenceArgument,
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help="File that holds the draft.")],
    *,
    language: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Language of the draft, else by the suffix of its file."),
    ] = None,
    workload: WorkloadsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, and promote nothing.")] = False,
    case: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="Only run it on this case, as a wrong draft's report gives it."
        ),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="With --case: values of the draft's parameters."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="GPU",
            help="For a draft in CUDA: a GPU that is not here, such as cuda:sm_90. It is compiled "
            "for it and checked in simulation.",
        ),
    ] = None,
    ranks: RanksOption = None,
    on_gpu: OnGpuOption = False,
    promoted: PromotedOption = None,
    accept_risk: RiskOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge a draft from a file, and promote it if it is right and faster.

    Exits 0 only for the verdict "faster", 3 for "inconclusive" and for "checked", else 1. With
    --case nothing is timed, and 0 means that the draft is right there. A draft for MPI ranks is
    timed and promoted with --ranks alone.
    """

    def work() -> Answer:
        if case is not None:
            return _on_case(*_read(reference, draft, language), case, params, accept_risk)
        if params is not None:
            raise UsageError("--params belongs to --case; without it all parameters are searched")
        from outpace.cli import payloads, summary  # noqa: PLC0415

        workloads = split_list(workload, "--workload")
        loaded, written = _read(reference, draft, language)
        settings = read_settings(loaded.folder)
        override = promoted or environment.promoted_override() or settings.promoted
        options = {"workloads": workloads, "dry_run": dry_run, "promoted": override}
        options |= _where(written, ranks, on_gpu=on_gpu)
        result, told = _judged(loaded, written, target, quiet, accept_risk, options)
        command = _command(reference, draft, language)
        return Answer(
            payloads.judged(result),
            lambda console: summary.show_verdict(console, result, override, told, command),
            of_verdict(result.verdict),
        )

    respond(work, as_json=as_json)


def _read(reference: str, draft: Path, language: str | None) -> "tuple[Reference, Draft]":
    """The reference and the draft; the draft first, which is the cheaper to refuse."""
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.kernels.languages import language_named, language_of  # noqa: PLC0415
    from outpace.kernels.languages.base import read_draft  # noqa: PLC0415

    spoken = language_of(draft) if language is None else language_named(language)
    written = read_draft(draft, spoken)
    return load_reference(reference), written


def _judged(
    loaded: "Reference",
    written: "Draft",
    target: str | None,
    quiet: bool,
    accept_risk: bool,
    options: dict[str, Any],
) -> "tuple[Result, set[str]]":
    """What came of it, and what has been told meanwhile."""
    from outpace.cli import watch  # noqa: PLC0415
    from outpace.tuner import api  # noqa: PLC0415

    with watch.watching(quiet=quiet) as observer:
        if "ranks" in options:
            result = judged_on_ranks(loaded, written, observer, accept_risk, **options)
        elif simulates(written, target):
            result = judged_in_simulation(loaded, written, target, observer, accept_risk)
        else:
            result = api.judge(
                loaded, written, observer=observer, accept_risk=accept_risk, **options
            )
    return result, observer.told


def _where(written: "Draft", ranks: str | None, *, on_gpu: bool) -> dict[str, Any]:
    """Options that say where a draft is timed, those alone that were given."""
    options: dict[str, Any] = {"on_gpu": True} if on_gpu else {}
    return options if ranks is None else {**options, "ranks": _ranks_for(written, ranks)}


def _ranks_for(written: "Draft", text: str) -> tuple[int, ...]:
    """The numbers of ranks that a draft is to be timed on.

    Raises:
        UsageError: They are no numbers, or the draft is for no ranks.
    """
    if written.language != "mpi":
        raise UsageError(f"--ranks is for drafts in mpi; this one is {written.language}")
    return parse_ranks(text)


def _on_case(
    loaded: "Reference", written: "Draft", text: str, params: str | None, accept_risk: bool
) -> Answer:
    """Run one variant of a draft on one case."""
    from outpace.cli import payloads, summary  # noqa: PLC0415
    from outpace.codegen.inputs import read_case  # noqa: PLC0415
    from outpace.tuner.rerun import rerun  # noqa: PLC0415

    case = read_case(loaded, text)
    bound = parse_object(params, "--params") if params is not None else {}
    trial = rerun(loaded, written, case, bound, accept_risk=accept_risk)
    return Answer(
        payloads.rerun(loaded.name, case, trial),
        lambda console: summary.show_rerun(console, loaded.name, case, trial),
        ExitCode.OK if trial is None else ExitCode.FAILED,
    )


def _command(reference: str, draft: Path, language: str | None) -> str:
    """The shell command that judges this draft again."""
    spoken = [] if language is None else ["--language", language]
    return shlex.join(["outpace", "judge", reference, str(draft), *spoken])
