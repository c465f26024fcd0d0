"""Campaign folders: drafts that are made on one machine and judged on another.

    campaign.json   what was drafted, by whom, for which reference, and what it has cost
    drafts/         the drafts, as `outpace judge` reads them
    reference/      copies of the files of the reference
    exchanges/      what a model was asked and what it replied
    requests/       what it is still to be asked through batch files
    trials/         the journals of the runs, one for each target
    targets/        the machines they ran on

Only `campaign.json` is ever replaced, in one step; everything else is added. So what a killed run
leaves is whole, and folders that come back from other machines can be copied over each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from outpace.codec import Value, decode, encode, pretty
from outpace.codegen.drafters.base import Proposal, RefusedDraft
from outpace.codegen.llm.batch import BatchRequest
from outpace.codegen.machine import Machine
from outpace.errors import CodecError, DraftError, StorageError, UsageError
from outpace.kernels.durable import make_folder, sync_folder
from outpace.kernels.languages import language_named
from outpace.kernels.languages.base import read_draft, render_draft
from outpace.model import Draft, Provenance, Target, Trial
from outpace.tuner.evaluator import screened_trial
from outpace.tuner.exchanges import FOLDER as EXCHANGES
from outpace.tuner.exchanges import RecordedExchanges
from outpace.tuner.journal import CampaignStarted, Journal, Screened, TrialRecord
from outpace.tuner.recordlog import Record, RecordLog
from outpace.tuner.travel.carrying import Origin, inside

RECORD = "campaign.json"
_JOURNAL = re.compile(r".*-[0-9a-f]{16}")
"""Folders that `--fresh` has set aside have a date after it."""
_LONGEST_STEM = 40


class AskedModel(Value, frozen=True):
    """Which model drafts and what it may spend; neither its address nor a key.

    Attributes:
        name: Of the model.
        samples: Drafts that are asked for in each round.
        docstrings: Whether docstrings and comments of the reference are shown to it.
        most_tokens: That the campaign may spend; None for no limit.
        most_cost: US dollars that it may spend, likewise.
        prices: US dollars for a million tokens read and written; None where they cost nothing.
    """

    name: str
    samples: int
    docstrings: bool
    most_tokens: int | None = None
    most_cost: float | None = None
    prices: tuple[float, float] | None = None


class DraftFile(Value, frozen=True):
    """A draft in the folder.

    Attributes:
        file: Name within the folder.
        draft: Hash of the draft as it was made.
        language: Its language.
        round: In which it was made.
        provenance: Who made it, and what it has cost.
    """

    file: str
    draft: str
    language: str
    round: int
    provenance: Provenance


class RefusedReply(Value, frozen=True):
    """What a drafter brought that is not judged; `outpace run` makes a trial of it."""

    draft: Draft
    reason: str
    round: int


class Campaign(Value, frozen=True):
    """What `campaign.json` holds.

    Attributes:
        reference: What was drafted for.
        target: The machine for which the last round was drafted.
        drafters: Their names, with commas between.
        identity: Tells campaigns of different drafters apart.
        languages: Of the drafts that were asked for.
        model: Which model drafts; None without one.
        rounds: How many were begun.
        drafts: In the order in which they were made.
        refused: Likewise.
        notes: Sentences for a person.
        version: Of outpace.
    """

    reference: Origin
    target: Target
    drafters: str
    identity: str
    languages: tuple[str, ...]
    model: AskedModel | None
    version: str
    rounds: int = 1
    drafts: tuple[DraftFile, ...] = ()
    refused: tuple[RefusedReply, ...] = ()
    notes: tuple[str, ...] = ()


class RanOn(Value, frozen=True):
    """A machine on which drafts were judged."""

    target: Target
    machine: Machine


class RequestsRecord(Record, frozen=True):
    """The requests of one round for a model that is asked through batch files."""

    round: int
    requests: tuple[BatchRequest, ...]


@dataclass(frozen=True)
class HeldDraft:
    """A draft as it lies in the folder now.

    Attributes:
        draft: The user's, where the file was edited since the draft was made.
        entry: How it was made.
    """

    draft: Draft
    entry: DraftFile

    @property
    def is_edited(self) -> bool:
        """Whether the file was edited."""
        return self.draft.hash != self.entry.draft


class CampaignFolder:
    """A campaign folder.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def journals(self) -> Path:
        """Where the journals of the runs are."""
        return self.path / "trials"

    @property
    def exchanges(self) -> RecordedExchanges:
        """What a model was asked, as it is recorded now."""
        return RecordedExchanges(self.path / EXCHANGES)

    def read(self) -> Campaign | None:
        """The campaign, or None where the folder holds none.

        Raises:
            CodecError: `campaign.json` is damaged, or was written by a newer outpace.
            StorageError: It cannot be read.
        """
        file = self.path / RECORD
        try:
            return decode(file.read_bytes(), Campaign)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StorageError(f"{file} cannot be read: {error.strerror or error}") from error
        except CodecError as error:
            raise type(error)(f"{file}: {error}; copy the folder again") from error

    def write(self, campaign: Campaign) -> None:
        """Replace `campaign.json`.

        Raises:
            StorageError: It cannot be written; what was there is intact.
        """
        self._put(RECORD, pretty(encode(campaign)))

    # --- drafts -------------------------------------------------------------------------------

    def add(self, campaign: Campaign, proposal: Proposal, round_: int) -> Campaign:
        """Write what a drafter has proposed; drafts that are there already are left alone.

        Raises:
            StorageError: It cannot be written.
        """
        known = {entry.draft for entry in campaign.drafts}
        drafts, refused = list(campaign.drafts), list(proposal.refused)
        for draft in proposal.drafts:
            if draft.hash in known:
                continue
            known.add(draft.hash)
            entry = self._add_draft(draft, round_)
            if entry is None:
                reason = "its text is not the same after it was written to a file and read again"
                refused.append(RefusedDraft(draft, reason))
            else:
                drafts.append(entry)
        told = {(r.draft.hash, r.round) for r in campaign.refused}
        changed = replace(
            campaign,
            drafts=tuple(drafts),
            refused=(
                *campaign.refused,
                *(
                    RefusedReply(r.draft, r.reason, round_)
                    for r in refused
                    if (r.draft.hash, round_) not in told
                ),
            ),
            notes=tuple(dict.fromkeys((*campaign.notes, *proposal.notes))),
        )
        self.write(changed)
        return changed

    def drafts(self, campaign: Campaign) -> list[HeldDraft]:
        """The drafts as they lie in the folder; those whose file was removed are left out.

        Raises:
            DraftError: A file cannot be read as a draft any more.
            UsageError: A draft is in a language that this version does not have.
        """
        held = []
        for entry in campaign.drafts:
            file = inside(self.path, entry.file)
            if not file.exists():
                continue
            try:
                draft = read_draft(file, language_named(entry.language))
            except DraftError as error:
                raise DraftError(f"{file}: {error}; restore it, or remove it") from error
            draft = replace(draft, provenance=entry.provenance)
            if draft.hash != entry.draft:
                idea = f"{entry.provenance.idea} (edited)"
                draft = replace(draft, provenance=Provenance("user", idea, parent=entry.draft))
            held.append(HeldDraft(draft, entry))
        return held

    def _add_draft(self, draft: Draft, round_: int) -> DraftFile | None:
        """Write a draft; None where its file does not read back as the same draft."""
        language = language_named(draft.language)
        words = re.sub(r"[^A-Za-z0-9]+", "_", draft.provenance.idea or "draft").strip("_")
        stem = words[:_LONGEST_STEM] or "draft"
        name = f"drafts/{stem}-{draft.hash[:8]}{language.suffix}"
        self._put(name, render_draft(draft, language).encode())
        try:
            same = read_draft(self.path / name, language).hash == draft.hash
        except DraftError:
            same = False
        if same:
            return DraftFile(name, draft.hash, draft.language, round_, draft.provenance)
        (self.path / name).unlink()
        return None

    # --- requests -----------------------------------------------------------------------------

    def requests(self, round_: int) -> tuple[BatchRequest, ...]:
        """The requests of a round; empty where none were made.

        Raises:
            StorageError: They cannot be read.
        """
        records = self._requests().read().records
        found = (r for r in records if isinstance(r, RequestsRecord) and r.round == round_)
        return next((record.requests for record in found), ())

    def keep_requests(self, round_: int, requests: Sequence[BatchRequest]) -> None:
        """Store the requests of a round; raises StorageError."""
        with self._requests() as log:
            log.append(RequestsRecord(round=round_, requests=tuple(requests)))

    def _requests(self) -> RecordLog:
        return RecordLog(self.path / "requests", (RequestsRecord,))

    # --- trials -------------------------------------------------------------------------------

    def keep_target(self, ran_on: RanOn) -> None:
        """Store on which machine drafts are judged; raises StorageError."""
        self._put(f"targets/{ran_on.target.key}.json", pretty(encode(ran_on)))

    def feedback(self) -> tuple[RanOn | None, tuple[Trial, ...]]:
        """The machine that judged drafts last, and what it found; None and empty before any did.

        Raises:
            StorageError: A journal or the machine's file cannot be read.
            CodecError: The machine's file is damaged.
        """
        latest = max(self._read_journals(), key=lambda records: records[-1].time, default=None)
        if latest is None:
            return None, ()
        target = next((r.target for r in latest if isinstance(r, CampaignStarted)), "")
        file = self.path / "targets" / f"{target}.json"
        try:
            ran_on = decode(file.read_bytes(), RanOn)
        except OSError as error:
            raise StorageError(
                f"{file} cannot be read: {error.strerror or error}; copy it from the machine on "
                "which the drafts were judged, along with the trials"
            ) from error
        return ran_on, tuple(_trials(latest))

    def _read_journals(self) -> Iterable[list[Record]]:
        if not self.journals.is_dir():
            return
        for path in sorted(self.journals.iterdir()):
            if _JOURNAL.fullmatch(path.name) and (records := Journal(path).records()):
                yield records

    def _put(self, name: str, content: bytes) -> None:
        """Write a file in one step; when this returns, it survives a crash of the machine."""
        file = self.path / name
        staged = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            make_folder(file.parent)
            with staged.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            staged.replace(file)
            sync_folder(file.parent)
        except OSError as error:
            raise StorageError(
                f"{file} cannot be written: {error.strerror or error}; free space or make "
                f"{self.path} writable, then run the same command again"
            ) from error


def campaign_in(folder: CampaignFolder) -> Campaign:
    """The campaign of a folder that must hold one.

    Raises:
        UsageError: It holds none.
        CodecError: See `CampaignFolder.read`.
        StorageError: Likewise.
    """
    campaign = folder.read()
    if campaign is None:
        raise UsageError(
            f"{folder.path} holds no {RECORD}; write a campaign with "
            "`outpace draft FILE.py:fn --out DIR`"
        )
    return campaign


def _trials(records: Sequence[Record]) -> Iterable[Trial]:
    """Times as they were screened last, then every trial: later times count more."""
    screened = {r.variant.hash: r for r in records if isinstance(r, Screened)}
    for r in screened.values():
        for workload, seconds in r.reference.items():
            ratio = r.ratios[workload]
            yield screened_trial(r.variant, r.grade, workload, seconds, seconds / ratio)
    yield from (r.trial for r in records if isinstance(r, TrialRecord))
