"""`outpace draft`: what a drafter proposes, unjudged; shown, or kept in a campaign folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outpace.cli.boundary import Answer, respond
from outpace.cli.models import (
    BaseUrlOption,
    CostOption,
    EngineOptionsOption,
    MinutesOption,
    ModelOption,
    NoDocstringsOption,
    PriceOption,
    SamplesOption,
    TokensOption,
    asked_model,
)
from outpace.cli.options import (
    DrafterOption,
    JsonOption,
    LanguagesOption,
    ReferenceArgument,
    split_list,
)
from outpace.cli.settings import Settings, read_settings
from outpace.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from outpace.codegen.drafters.base import Proposal
    from outpace.codegen.llm.options import ModelOptions
    from outpace.codegen.reference import Reference
    from outpace.model import Draft
    from outpace.tuner.travel.folder import Campaign
    from outpace.tuner.travel.travelling import BatchFiles, Drafted

_RESUMABLE = "interrupted; nothing is lost, the same command asks for what is missing"
_NO_SERVER = "http://batch.invalid/v1"
"""Stands for the address of a model that is asked through files; reserved by RFC 2606."""


class Show(StrEnum):
    """What `--show` prints."""

    NESTS = "nests"
    NUMBA = "numba"
    C = "c"
    PYTHRAN = "pythran"
    CUDA = "cuda"


OutOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the drafts in this campaign folder, for outpace run."),
]
BatchFileOption = Annotated[
    Path | None,
    typer.Option(
        "--batch-file",
        metavar="FILE",
        help="Ask no server: write the requests of --drafter openai to this file (JSONL).",
        rich_help_panel="Drafting by a model",
    ),
]
BatchResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--batch-results",
        metavar="FILE",
        help="Read the answers to these requests from this file (JSONL).",
        rich_help_panel="Drafting by a model",
    ),
]


def draft(
    reference: ReferenceArgument,
    drafter: DrafterOption = None,
    language: LanguagesOption = None,
    show: Annotated[
        Show | None,
        typer.Option(help="Only drafts in this language, or the nests that they are made from."),
    ] = None,
    out: OutOption = None,
    base_url: BaseUrlOption = None,
    model: ModelOption = None,
    engine_options: EngineOptionsOption = None,
    samples: SamplesOption = None,
    max_tokens_total: TokensOption = None,
    max_cost: CostOption = None,
    max_minutes: MinutesOption = None,
    price: PriceOption = None,
    batch_file: BatchFileOption = None,
    batch_results: BatchResultsOption = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="What a model would be asked first; asks nobody.")
    ] = False,
    no_docstrings: NoDocstringsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the drafts that a drafter proposes, or write them to a campaign folder with --out.

    A campaign folder can be judged on another machine by outpace run. Options that are not given
    are those of the folder where it is there. The same command asks for what is missing of a round;
    once the folder has come back with trials, it drafts the next one.
    """

    def work() -> Answer:
        languages = split_list(language, "--language")
        if show_prompt:
            return _prompt(reference, languages, docstrings=not no_docstrings)
        if show is Show.NESTS:
            return _nests(reference, out)
        if show is not None:
            languages = (show.value,)
        if out is None:
            options = (model, batch_file, batch_results)
            is_free = all(option is None for option in options)
            return _shown(reference, drafter, languages, is_free=is_free)
        loaded, settings, held = _loaded(reference, out)
        names = drafter or settings.drafter
        batch = _batch(batch_file, batch_results)
        asked = asked_model(
            names,
            base_url,
            model,
            engine_options=engine_options,
            samples=samples,
            most_tokens=max_tokens_total,
            most_cost=max_cost,
            most_minutes=settings.max_minutes if max_minutes is None else max_minutes,
            price=price,
            docstrings=not no_docstrings and (held is None or _shows_docstrings(held)),
            settings=settings if batch is None else _without_server(settings),
        )
        wanted = languages or settings.languages or _languages_here(optional=asked is None)
        return _kept(loaded, out, names, wanted, asked, batch)

    respond(work, as_json=as_json, interrupted=_RESUMABLE)


# --- drafts in a campaign folder ----------------------------------------------------------------


def _loaded(reference: str, out: Path) -> tuple[Reference, Settings, Campaign | None]:
    """The reference, what options default to, and the campaign in the folder, if there is one."""
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.tuner.drafting import MODEL  # noqa: PLC0415
    from outpace.tuner.travel.folder import CampaignFolder  # noqa: PLC0415

    loaded = load_reference(reference)
    settings = read_settings(loaded.folder)
    held = CampaignFolder(out).read()
    if held is None:
        return loaded, settings, None
    settings = replace(settings, drafter=held.drafters, languages=held.languages)
    asked = held.model
    if asked is not None:
        settings = replace(
            settings,
            model=asked.name if MODEL in held.drafters.split(",") else settings.model,
            samples=asked.samples,
            max_tokens_total=asked.most_tokens,
            max_cost=asked.most_cost,
            price=None if asked.prices is None else ",".join(map(repr, asked.prices)),
        )
    return loaded, settings, held


def _shows_docstrings(held: Campaign) -> bool:
    return held.model is None or held.model.docstrings


def _without_server(settings: Settings) -> Settings:
    return replace(settings, base_url=settings.base_url or _NO_SERVER)


def _batch(requests: Path | None, results: Path | None) -> BatchFiles | None:
    from outpace.tuner.travel.travelling import BatchFiles  # noqa: PLC0415

    if requests is None and results is None:
        return None
    return BatchFiles(requests, results)


def _kept(
    loaded: Reference,
    out: Path,
    names: str,
    languages: Sequence[str],
    asked: ModelOptions | None,
    batch: BatchFiles | None,
) -> Answer:
    """Draft a round into a campaign folder."""
    from outpace.tuner.drafting import choose  # noqa: PLC0415
    from outpace.tuner.travel.folder import RECORD, CampaignFolder  # noqa: PLC0415
    from outpace.tuner.travel.travelling import draft_round  # noqa: PLC0415

    drafted = draft_round(loaded, CampaignFolder(out), choose(names, languages, asked), batch)
    payload = {
        "schema": "outpace.draft/1",
        "reference": loaded.name,
        "drafts": [_entry(held.draft) for held in drafted.drafts],
        "notes": list(drafted.notes),
        "files": [str(out / held.entry.file) for held in drafted.drafts],
        "campaign": str(out / RECORD),
        "rounds": drafted.round + 1,
        "refused": [refused.reason for refused in drafted.refused],
        "requests": drafted.requests,
        "spent": None if drafted.spent is None else asdict(drafted.spent),
    }
    following = _after_requests(batch, asked) if drafted.requests else _after_drafts(drafted)
    return Answer(payload, lambda console: _show_kept(console, drafted, following))


def _after_requests(batch: BatchFiles | None, asked: ModelOptions | None) -> str:
    """What to do with a file of requests."""
    assert batch is not None and batch.requests is not None and asked is not None  # noqa: PT018
    file = batch.requests
    results = file.with_name(f"{file.stem}.results.jsonl")
    command = ["python", "-m", "vllm.entrypoints.openai.run_batch"]
    command += ["-i", str(file), "-o", str(results), "--model", asked.model]
    return (
        f"next: {shlex.join(command)} (or OpenAI's batch API), then this command with "
        f"--batch-results {shlex.quote(str(results))} in place of --batch-file"
    )


def _after_drafts(drafted: Drafted) -> str:
    if not drafted.drafts:
        return "no draft to judge; draft again for the next round" if drafted.refused else ""
    folder = drafted.folder.path
    return (
        f"next: outpace run {shlex.quote(str(folder))}, here or where the hardware is; the folder "
        "is all that it takes"
    )


def _show_kept(console: Console, drafted: Drafted, following: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    from outpace.cli import style  # noqa: PLC0415

    lines = [f"written {style.path(drafted.folder.path / d.entry.file)}" for d in drafted.drafts]
    lines += [f"refused: {refused.reason}" for refused in drafted.refused]
    lines += [f"note: {note}" for note in drafted.notes]
    made = style.plural(len(drafted.drafts), "draft")
    cost = ""
    if drafted.spent is not None:
        about = "at most " if drafted.spent.estimated else ""
        tokens = style.plural(drafted.spent.tokens, "token")
        cost = f"; drafting has cost {about}{tokens}, ${drafted.spent.cost:.4f}"
    written = style.plural(drafted.requests, "request")
    told = f"{written} written" if drafted.requests else made
    lines.append(f"round {drafted.round + 1}: {told}{cost}")
    for line in filter(None, (*lines, following)):
        console.print(Text(line), soft_wrap=True)


# --- drafts, nests and prompts on the screen ----------------------------------------------------


def _nests(reference: str, out: Path | None) -> Answer:
    from outpace.codegen.nests.lift import lift  # noqa: PLC0415
    from outpace.codegen.nests.printer import program_text  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415

    if out is not None:
        raise UsageError("--out writes drafts; leave it out with --show nests")
    loaded = load_reference(reference)
    text = program_text(lift(loaded))
    payload = {"schema": "outpace.draft/1", "reference": loaded.name, "nests": text}
    return Answer(payload, lambda console: _print_text(console, text))


def _shown(
    reference: str, drafter: str | None, languages: tuple[str, ...], *, is_free: bool
) -> Answer:
    """The drafts of a drafter that costs nothing."""
    from outpace.codegen.drafters import drafter_named  # noqa: PLC0415
    from outpace.codegen.drafters.base import DraftingTask  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.kernels.target import current_target  # noqa: PLC0415
    from outpace.tuner.drafting import ENGINE, MODEL  # noqa: PLC0415

    loaded = load_reference(reference)
    settings = read_settings(loaded.folder)
    name = drafter or settings.drafter
    if not is_free or {MODEL, ENGINE} & set(name.split(",")):
        raise UsageError(
            "what a model drafts is paid for; keep it in a folder with --out DIR, or look at the "
            "drafts of --drafter builtin"
        )
    task = DraftingTask(
        loaded,
        current_target(),
        languages or settings.languages or _languages_here(optional=True),
    )
    proposal = drafter_named(name).propose(task)
    payload = {
        "schema": "outpace.draft/1",
        "reference": loaded.name,
        "drafts": [_entry(d) for d in proposal.drafts],
        "notes": list(proposal.notes),
        "files": [],
    }
    return Answer(payload, lambda console: _show(console, proposal))


def _languages_here(*, optional: bool = False) -> tuple[str, ...]:
    """What is drafted where neither options nor settings say: all that can be built here."""
    from outpace.kernels.languages import languages_here  # noqa: PLC0415

    return languages_here(optional=optional)


def _prompt(reference: str, languages: Sequence[str], *, docstrings: bool) -> Answer:
    """What a model would be asked in the first round, by the first lineage."""
    from outpace.codegen.llm.languages import directions  # noqa: PLC0415
    from outpace.codegen.prompt import PromptRequest, build_prompt  # noqa: PLC0415
    from outpace.codegen.reference import load_reference  # noqa: PLC0415
    from outpace.kernels.machine import this_machine  # noqa: PLC0415
    from outpace.kernels.target import current_target  # noqa: PLC0415

    loaded = load_reference(reference)
    wanted = tuple(languages) or read_settings(loaded.folder).languages or _languages_here()
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


def _print_text(console: Console, text: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    console.print(Text(text.rstrip("\n")), soft_wrap=True)


def _show(console: Console, proposal: Proposal) -> None:
    from rich.syntax import Syntax  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from outpace.kernels.languages import language_named  # noqa: PLC0415

    for proposed in proposal.drafts:
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
