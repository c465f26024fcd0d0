"""`outpace serve-mcp`: any coding agent drafts, through the Model Context Protocol."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from outpace import environment
from outpace.cli.boundary import Answer, respond, stderr_console, stdout_reserved
from outpace.cli.budget import parse_budget, within_minutes
from outpace.cli.exits import ExitCode
from outpace.cli.models import NoDocstringsOption
from outpace.cli.options import (
    LanguagesOption,
    PromotedOption,
    QuietOption,
    RiskOption,
    WorkloadsOption,
    split_list,
)
from outpace.cli.settings import read_settings
from outpace.cli.tune import FreshOption
from outpace.errors import EnvironmentError_

if TYPE_CHECKING:
    from outpace.codegen.reference import Reference
    from outpace.tuner.agents.desk import Desk
    from outpace.tuner.agents.handed import CampaignAssessor, Terms

RESUMABLE = "interrupted; what was judged is kept, the same command goes on from there"
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_GRACE = 20.0
"""Seconds to end processes and files in, once the client has gone."""

ReferencesArgument = Annotated[
    list[str],
    typer.Argument(metavar="REFERENCE", help="FILE.py:function or package.module:function."),
]


def serve_mcp(
    references: ReferencesArgument,
    *,
    language: LanguagesOption = None,
    workload: WorkloadsOption = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT",
            help="For each function: minutes from its first task on (5, 5m, 90s), or drafts that "
            "the agent may submit (12d).",
        ),
    ] = None,
    fresh: FreshOption = False,
    promoted: PromotedOption = None,
    accept_risk: RiskOption = False,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", metavar="N", help="Minutes beside a budget in drafts."),
    ] = None,
    no_builtin: Annotated[
        bool,
        typer.Option("--no-builtin", help="Begin without the drafts of the built-in drafter."),
    ] = False,
    no_docstrings: NoDocstringsOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let a coding agent draft: serve tasks over stdin and stdout, by the Model Context Protocol.

    An agent's client starts this command. The agent takes tasks, submits drafts and reads verdicts;
    drafts are judged as those of tune, and refused below isolation grade B without --accept-risk.

    When the client has gone the server ends; the same command goes on with what was judged.
    """

    def terms_of(loaded: Reference) -> Terms:
        from outpace.kernels.languages import languages_here  # noqa: PLC0415
        from outpace.tuner.agents.handed import Terms  # noqa: PLC0415
        from outpace.tuner.api import Budget  # noqa: PLC0415

        settings = read_settings(loaded.folder)
        text = budget if budget is not None else settings.budget
        minutes = max_minutes if max_minutes is not None else settings.max_minutes
        spent = within_minutes(parse_budget(text) if text is not None else Budget(), minutes)
        return Terms(
            split_list(language, "--language") or settings.languages or languages_here(),
            split_list(workload, "--workload"),
            spent.drafts,
            spent.minutes,
            fresh,
            promoted or environment.promoted_override() or settings.promoted,
            accept_risk,
            not no_builtin,
        )

    def work() -> Answer:
        _refuse_without_sdk()
        with stdout_reserved():
            served = _loaded(references, terms_of)
        _serve(served, docstrings=not no_docstrings, quiet=quiet)
        return Answer({}, lambda _: None)

    respond(work, as_json=False, interrupted=RESUMABLE)


def _refuse_without_sdk() -> None:
    try:
        import mcp.server.mcpserver  # noqa: F401, PLC0415
    except ImportError as error:
        raise EnvironmentError_(
            "serve-mcp needs the mcp package, 2.0 or newer; python -m pip install 'outpace[mcp]'"
        ) from error


def _loaded(
    references: Sequence[str], terms_of: Callable[[Reference], Terms]
) -> list[CampaignAssessor]:
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.tuner.agents.handed import CampaignAssessor  # noqa: PLC0415

    loaded = [load_reference(reference) for reference in references]
    return [CampaignAssessor(reference, terms_of(reference)) for reference in loaded]


def _serve(assessors: Sequence[CampaignAssessor], *, docstrings: bool, quiet: bool) -> None:
    """Serve until the client has gone."""
    from outpace.cli import watch  # noqa: PLC0415
    from outpace.cli.mcp_tools import Bell, Tools, make_server  # noqa: PLC0415
    from outpace.kernels.machine import this_machine  # noqa: PLC0415
    from outpace.kernels.target import current_target  # noqa: PLC0415
    from outpace.tuner.agents.desk import Desk  # noqa: PLC0415

    bell = Bell()
    # Plain lines on a terminal too: a live table would take hold of stdout.
    observer = (watch.Warnings if quiet else watch.Lines)(stderr_console())
    with ExitStack() as stack:
        for assessor in assessors:
            stack.enter_context(assessor)
        desk = Desk(
            assessors,
            current_target(),
            this_machine(),
            docstrings=docstrings,
            observer=observer,
            changed=bell.ring,
        )
        server = make_server(Tools(desk, bell))
        _assess_while(server.run, desk)


def _assess_while(serve: Callable[[], None], desk: Desk) -> None:
    """Assess drafts in this thread while another one serves the client, until that has gone.

    This is the main thread: what ends it ends a draft in the middle of its judging as Ctrl-C ends
    `tune`, with no process left and nothing recorded that was not found out.
    """
    gone = threading.Event()
    main = threading.get_ident()

    def serve_until_gone() -> None:
        try:
            serve()
        finally:
            os.dup2(2, 1)  # what others have printed and not flushed is no part of the protocol
            gone.set()
            signal.pthread_kill(main, signal.SIGTERM)
            time.sleep(_GRACE)
            os._exit(ExitCode.INTERRUPTED)  # the interrupt was lost where exceptions are ignored

    _end_by_signal()
    try:
        threading.Thread(target=serve_until_gone, daemon=True).start()
        desk.work()
    except KeyboardInterrupt:
        if not gone.is_set():
            raise


def _end_by_signal() -> None:
    """Let the first signal that ends this process interrupt it; later ones find it cleaning up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _ENDING:
        signal.signal(number, interrupt)
