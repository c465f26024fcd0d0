"""`outpace draft`: what a drafter proposes, without judging it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.models import NoDocstringsOption
from outpace.cli.options import (
    DrafterOption,
    JsonOption,
    LanguagesOption,
    ReferenceArgument,
    split_list,
)
from outpace.cli.settings import read_settings
from outpace.errors import StorageError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.codegen.drafters.base import Proposal
    from outpace.model import Draft


class Show(StrEnum):
    """What `--show` prints."""

    NUMBA = "numba"
    NESTS = "nests"


def draft(
    reference: ReferenceArgument,
    drafter: DrafterOption = None,
    language: LanguagesOption = None,
    show: Annotated[
        Show, typer.Option(help="The drafts, or the loop nests that they are made from.")
    ] = Show.NUMBA,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the drafts here as files.")
    ] = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="What a model would be asked first; asks nobody.")
    ] = False,
    no_docstrings: NoDocstringsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show or write the drafts that a drafter proposes, and what it could not express."""

    def nests() -> Answer:
        from outpace.codegen.nests.lift import lift  # noqa: PLC0415
        from outpace.codegen.nests.printer import program_text  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415

        if out is not None:
            raise UsageError("--out writes drafts; leave it out with --show nests")
        loaded = load_reference(reference)
        text = program_text(lift(loaded))
        payload = {"schema": "outpace.draft/1", "reference": loaded.name, "nests": text}
        return Answer(payload, lambda console: _print_text(console, text))

    def drafts() -> Answer:
        from outpace.codegen.drafters import drafter_named  # noqa: PLC0415
        from outpace.codegen.drafters.base import DraftingTask  # noqa: PLC0415
        from outpace.codegen.reference import load_reference  # noqa: PLC0415
        from outpace.kernels.target import current_target  # noqa: PLC0415

        loaded = load_reference(reference)
        settings = read_settings(loaded.folder)
        languages = split_list(language, "--language") or settings.languages
        task = DraftingTask(loaded, current_target(), languages)
        proposal = drafter_named(drafter or settings.drafter).propose(task)
        written = _write(proposal.drafts, out) if out is not None else []
        payload = {
            "schema": "outpace.draft/1",
            "reference": loaded.name,
            "drafts": [_entry(d) for d in proposal.drafts],
            "notes": list(proposal.notes),
            "files": [str(path) for path in written],
        }
        return Answer(payload, lambda console: _show(console, proposal, written))

    def prompt() -> Answer:
        return _prompt(reference, split_list(language, "--language"), docstrings=not no_docstrings)

    shown = nests if show is Show.NESTS else drafts
    respond(prompt if show_prompt else shown, as_json=as_json)


def _prompt(reference: str, languages: Sequence[str], *, docstrings: bool) -> Answer:
    """What a model would be asked in the first round, by the first lineage."""
    from outpace.codegen.llm.languages import directions  # noqa: PLC0415
    from outpace.codegen.prompt import PromptRequest, build_prompt  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.kernels.machine import this_machine  # noqa: PLC0415
    from outpace.kernels.target import current_target  # noqa: PLC0415

    loaded = load_reference(reference)
    wanted = tuple(languages) or read_settings(loaded.folder).languages
    request = PromptRequest(
        loaded,
        current_target(),
        this_machine(),
        wanted,
        direction=directions(wanted)[0],
        docstrings=docstrings,
    )
    messages = [{"role": m.role, "content": m.content} for m in build_prompt(request)]
    payload = {"schema": "outpace.draft/1", "reference": loaded.name, "prompt": messages}
    text = "\n\n".join(f"[{m['role']}]\n\n{m['content']}" for m in messages)
    return Answer(payload, lambda console: _print_text(console, text))


def _entry(proposed: Draft) -> dict[str, Any]:
    return {
        "draft": proposed.hash,
        "language": proposed.language,
        "idea": proposed.provenance.idea,
        "parameters": {p.name: list(p.values) for p in proposed.parameters},
        "constraints": list(proposed.constraints),
        "flags": proposed.flags,
        "source": proposed.source,
    }


def _text(proposed: Draft) -> str:
    """A draft as the file that `outpace judge` reads."""
    from outpace.kernels.languages import language_named  # noqa: PLC0415
    from outpace.kernels.languages.base import render_draft  # noqa: PLC0415

    return render_draft(proposed, language_named(proposed.language))


def _write(drafts: Sequence[Draft], folder: Path) -> list[Path]:
    """One file for each draft, named by its idea and hash."""
    from outpace.kernels.languages import language_named  # noqa: PLC0415

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for proposed in drafts:
            idea = re.sub(r"\W+", "_", proposed.provenance.idea or "draft").strip("_")
            suffix = language_named(proposed.language).suffix
            path = folder / f"{idea}-{proposed.hash[:8]}{suffix}"
            path.write_text(_text(proposed), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise StorageError(f"the drafts cannot be written to {folder}: {error}") from error
    return written


def _print_text(console: Console, text: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    console.print(Text(text.rstrip("\n")), soft_wrap=True)


def _show(console: Console, proposal: Proposal, written: Sequence[Path]) -> None:
    from rich.syntax import Syntax  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415
    from outpace.kernels.languages import language_named  # noqa: PLC0415

    for path in written:
        console.print(Text(f"written {style.path(path)}"), soft_wrap=True)
    for proposed in () if written else proposal.drafts:
        title = f"{proposed.provenance.idea or 'draft'} ({proposed.language}, {proposed.hash})"
        console.rule(Text(title), align="left")
        text = _text(proposed)
        if console.is_terminal:
            lexer = language_named(proposed.language).suffix.removeprefix(".")
            console.print(Syntax(text, lexer, background_color="default"))
        else:
            console.print(Text(text), soft_wrap=True)
    for note in proposal.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
