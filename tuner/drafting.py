"""Who drafts in a campaign, and the rounds in which drafting and evaluation take turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from outpace import environment
from outpace.codegen.drafters import drafter_named
from outpace.codegen.drafters.base import Drafter, DraftingTask
from outpace.codegen.drafters.openai import ModelDrafter
from outpace.codegen.drafters.together import TogetherDrafter
from outpace.codegen.drafters.vllm import EngineDrafter
from outpace.codegen.llm.asking import Asker, Stopped
from outpace.codegen.llm.budget import Ledger, Spent
from outpace.codegen.llm.engine import installed_engine
from outpace.codegen.llm.exchange import Exchanges, KeptExchanges, Rounds
from outpace.codegen.llm.languages import section
from outpace.codegen.llm.options import ModelOptions
from outpace.codegen.llm.probe import Abilities
from outpace.codegen.llm.transport import Transport
from outpace.codegen.machine import Machine
from outpace.errors import EnvironmentError_, UsageError
from outpace.kernels.machine import this_machine
from outpace.model import Draft
from outpace.tuner.campaign import Campaign
from outpace.tuner.events import Message
from outpace.tuner.exchanges import FOLDER, RecordedExchanges

MODEL = "openai"
ENGINE = "vllm"
REPLAY = "replay:"
ENGINE_LOG = "engine.log"
"""Within the folder of a campaign's journal: what vLLM printed when it ran last."""
LISTING_SECONDS = 10.0
"""For a list of models, which a server has at hand."""


@dataclass(frozen=True)
class Choice:
    """Who drafts.

    Attributes:
        names: Of the drafters, in the order in which they are asked.
        languages: Languages of the drafts, those that are repeated among them.
        model: Which model `openai` or `vllm` asks; None without either.
        recorded: What `replay:` repeats; None without it.
    """

    names: tuple[str, ...]
    languages: tuple[str, ...]
    model: ModelOptions | None = None
    recorded: RecordedExchanges | None = None

    @property
    def identity(self) -> str:
        """Tells campaigns of different drafters apart; holds no address and no key."""
        told = []
        for name in self.names:
            if name in (MODEL, ENGINE) and self.model is not None:
                told.append(f"{self.model.identity}:{','.join(self.languages)}")
            else:
                told.append(name)
        return "+".join(told)

    @property
    def rounds(self) -> int:
        """Most rounds of all drafters together; one that asks no model drafts all at once."""
        asking = (self.model is not None) + (self.recorded is not None)
        count = len(self.names) - asking
        if self.model is not None:
            count += self.model.rounds
        if self.recorded is not None:
            count += _rounds_of(self.recorded).count
        return count

    @property
    def asks_model(self) -> bool:
        """Whether prompts are written, which tell of the machine."""
        return self.model is not None or self.recorded is not None


@dataclass(frozen=True)
class Drafting:
    """What drafting ended with: sentences for a person, and its cost; None where it is free."""

    notes: tuple[str, ...]
    spent: Spent | None


@dataclass(frozen=True)
class ModelFacts:
    """What a model's server was seen to do, and tokens that it takes; None where it does not say.

    Attributes:
        abilities: As the probe found them.
        context: Tokens that prompt and reply may have together.
    """

    abilities: Abilities
    context: int | None


def choose(names: str, languages: Sequence[str], model: ModelOptions | None) -> Choice:
    """Who drafts, from names with commas between: `builtin`, `openai`, `vllm`, `replay:FILE`.

    Raises:
        UsageError: A name is unknown, twice there, or lacks what it needs.
        StorageError: Recorded exchanges cannot be read.
    """
    listed = tuple(name.strip() for name in names.split(","))
    if len(set(listed)) < len(listed):
        raise UsageError(f"a drafter is named twice in {names!r}")
    _refuse_other_models(listed, model)
    replays = [name.removeprefix(REPLAY) for name in listed if name.startswith(REPLAY)]
    if len(replays) > 1:
        raise UsageError(f"only one recorded campaign can be repeated, not {len(replays)}")
    for name in listed:
        if name not in (MODEL, ENGINE) and not name.startswith(REPLAY):
            drafter_named(name)
    if model is not None:
        for language in languages:
            section(language)
    recorded = RecordedExchanges(exchanges_in(Path(replays[0]))) if replays else None
    repeated = _rounds_of(recorded).languages if recorded is not None else ()
    return Choice(listed, tuple(dict.fromkeys((*languages, *repeated))), model, recorded)


def open_drafter(choice: Choice, journal: Path) -> Drafter:
    """The drafter of a campaign; a model is tried at once.

    Args:
        choice: Who drafts.
        journal: Folder of the campaign's journal.

    Raises:
        EnvironmentError_: The model does not answer, or the package that asks it is not installed.
        StorageError: Exchanges cannot be recorded.
    """
    drafters = open_drafters(choice, journal)
    return drafters[0] if len(drafters) == 1 else TogetherDrafter(drafters)


def open_drafters(choice: Choice, journal: Path, queue: Drafter | None = None) -> list[Drafter]:
    """As `open_drafter`, each drafter by itself; a queue takes the place of `openai`."""
    return [
        queue if queue is not None and name == MODEL else _opened(name, choice, journal)
        for name in choice.names
    ]


def unasked_model(
    options: ModelOptions, languages: tuple[str, ...], journal: Path
) -> tuple[ModelDrafter, Asker]:
    """A model that this program does not ask, because requests and replies travel as files.

    Raises:
        StorageError: Exchanges cannot be read.
    """
    exchanges = RecordedExchanges(journal / FOLDER)
    rounds = Rounds(options.rounds, options.samples, languages)
    asker = Asker(None, options, Ledger(options, exchanges.all()), exchanges, rounds)
    return ModelDrafter(MODEL, asker, rounds, options.model, docstrings=options.docstrings), asker


def examine_model(options: ModelOptions) -> ModelFacts:
    """Try a model without a campaign.

    Raises:
        EnvironmentError_: It does not answer, or the package that asks it is not installed.
    """
    log = environment.state_dir() / ENGINE_LOG
    drafter, asker = _model_drafter(options, ("numba",), KeptExchanges(), log)
    try:
        return ModelFacts(drafter.probe(), asker.context)
    except Stopped as stopped:
        raise _no_answer(options, stopped) from stopped


def draft_rounds(campaign: Campaign, drafter: Drafter, choice: Choice) -> Drafting:
    """Draft and evaluate by turns until drafters or budget have come to an end."""
    notes: list[str] = []
    drafts: list[Draft] = []
    spent: Spent | None = None
    machine = this_machine() if choice.asks_model else Machine()
    for round_ in range(choice.rounds):
        if round_ > 0 and campaign.is_spent:
            break
        trials = (*campaign.trials, *campaign.evaluator.timed())
        task = DraftingTask(
            campaign.reference,
            campaign.target,
            choice.languages,
            trials,
            round_,
            tuple(drafts),
            machine,
        )
        proposal = drafter.propose(task)
        spent = proposal.spent or spent
        for note in proposal.notes:
            campaign.observer.notice(Message(note))
        notes += proposal.notes
        if proposal.is_last:
            break
        for refused in proposal.refused:
            campaign.evaluator.refuse(refused.draft, refused.reason)
        drafts += proposal.drafts
        campaign.explore(proposal.drafts, (round_ + 1) / choice.rounds)
    return Drafting(tuple(notes), spent)


def _opened(name: str, choice: Choice, journal: Path) -> Drafter:
    if name in (MODEL, ENGINE) and choice.model is not None:
        exchanges, log = RecordedExchanges(journal / FOLDER), journal / ENGINE_LOG
        drafter, _ = _model_drafter(choice.model, choice.languages, exchanges, log)
        try:
            drafter.probe()
        except Stopped as stopped:
            if stopped.failure is not None:
                raise _no_answer(choice.model, stopped) from stopped
            # The budget is spent, and what it has bought is still there to be judged.
        return drafter
    if choice.recorded is not None and name.startswith(REPLAY):
        return _replay(choice.recorded)
    return drafter_named(name)


def _refuse_other_models(names: Sequence[str], model: ModelOptions | None) -> None:
    """Raises UsageError where the model that was given is not the one that is to be asked."""
    if MODEL in names and ENGINE in names:
        raise UsageError("one model drafts in a campaign; ask openai or vllm")
    if ENGINE in names and (model is None or model.engine is None):
        raise UsageError("the drafter vllm needs a model; write --model FOLDER")
    if MODEL in names and (model is None or model.engine is not None):
        raise UsageError("the drafter openai needs a model; write --model NAME and --base-url URL")
    if model is not None and MODEL not in names and ENGINE not in names:
        drafter = MODEL if model.engine is None else ENGINE
        raise UsageError(f"a model was given, but the drafter {drafter} is not asked; add it")


def _model_drafter(
    options: ModelOptions, languages: tuple[str, ...], exchanges: Exchanges, log: Path
) -> tuple[ModelDrafter | EngineDrafter, Asker]:
    rounds = Rounds(options.rounds, options.samples, languages)
    if options.engine is not None:
        engine = installed_engine(options.engine, log)
        asker = Asker(engine, options, Ledger(options, exchanges.all()), exchanges, rounds)
        drafter = ModelDrafter(ENGINE, asker, rounds, options.model, docstrings=options.docstrings)
        return EngineDrafter(drafter, asker, engine), asker
    transport = Transport(options, environment.model_key())
    asker = Asker(transport, options, Ledger(options, exchanges.all()), exchanges, rounds)
    asker.context = transport.context_length(min(options.request_seconds, LISTING_SECONDS))
    return ModelDrafter(MODEL, asker, rounds, options.model, docstrings=options.docstrings), asker


def _no_answer(options: ModelOptions, stopped: Stopped) -> EnvironmentError_:
    return EnvironmentError_(f"{options.label} gives no drafts: {stopped}")


def _replay(recorded: RecordedExchanges) -> ModelDrafter:
    """Repeats what was recorded; it spends nothing and reaches nobody."""
    rounds = _rounds_of(recorded)
    first = recorded.all()[0]
    options = ModelOptions("http://localhost", first.model, rounds.count, rounds.samples)
    asker = Asker(None, options, Ledger(options), recorded, rounds)
    return ModelDrafter("replay", asker, rounds, first.model)


def _rounds_of(recorded: RecordedExchanges) -> Rounds:
    """How the recorded drafting was divided, and as many rounds as its longest run had."""
    exchanges = recorded.all()
    if not exchanges:
        raise UsageError(
            "there are no recorded exchanges to repeat; give the `exchanges` folder of a campaign, "
            "or a file in it"
        )
    return replace(exchanges[0].rounds, count=max(e.rounds.count for e in exchanges))


def exchanges_in(path: Path) -> Path:
    """The folder of exchanges where the folder of a campaign was given."""
    return path / FOLDER if (path / FOLDER).is_dir() else path
