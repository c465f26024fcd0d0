"""Prompts with the replies that were judged, and with what the judge found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from outpace.codec import content_hash
from outpace.codegen.llm.exchange import ChatMessage
from outpace.codegen.llm.languages import SECTIONS, section
from outpace.codegen.llm.normal import normal_hash
from outpace.codegen.machine import Machine
from outpace.codegen.parameters import write_parameter
from outpace.codegen.parse import Refusal, parse_reply
from outpace.codegen.prompt import PromptRequest, build_prompt
from outpace.codegen.reference import Reference
from outpace.kernels.target import current_target
from outpace.model import Draft, Provenance
from outpace.tuner.journal import Screened, TrialRecord
from outpace.tuner.past import PastCampaign, replies_as_judged
from outpace.tuner.training.findings import Finding, finding_of

_DIRECTION = "Any structure will do."
"""Where a draft sets out that no model was asked for."""


class LeftOut(StrEnum):
    """Why something is not among the examples; a sentence for a person."""

    NO_EXCHANGE = "the exchange with the model is not among the sources"
    NO_PROMPT = (
        "no model was asked for it, and the prompt cannot be written again: its reference was not "
        "given by --reference, or it was judged on another machine"
    )
    NO_REPLY = "no reply could hold it"
    NO_LICENCE = "the licence of the reference is not known"
    NAMES_MACHINE = "it names a path, a machine or a key"
    REPEATED = "the same kernel under the same prompt is there already"
    UNDECIDED = "it was not judged to the end, or some of its variants were right and others failed"
    NOT_CONFIRMED = "it is right, and was not confirmed faster"
    NOT_FASTER = "it is not faster, or failed"
    NO_PARTNER = "no other reply to the same prompt was clearly better or worse"


@dataclass(frozen=True)
class Answer:
    """One reply to one prompt.

    Attributes:
        prompt: What was asked.
        reply: What was replied.
        draft: What was read from it.
        campaign: In which it was judged.
        finding: What the judge found.
        rebuilt: Whether prompt and reply were written afterwards, because no model was asked.
    """

    prompt: tuple[ChatMessage, ...]
    reply: str
    draft: Draft
    campaign: PastCampaign
    finding: Finding
    rebuilt: bool

    @property
    def prompt_key(self) -> str:
        """Equal for equal prompts."""
        return content_hash(self.prompt)


def collect(
    campaigns: Sequence[PastCampaign], references: Mapping[str, Reference]
) -> tuple[list[Answer], Counter[LeftOut]]:
    """Every judged draft with its prompt and reply, each kernel once under a prompt.

    Of a kernel that was judged in several campaigns under one prompt, the campaign counts in which
    that prompt was asked: its prompt names the machine.

    Args:
        campaigns: In the order in which they began.
        references: By the hash of their source, for drafts that no model was asked for.
    """
    asked = _Asked(campaigns)
    evidence = _Evidence(campaigns)
    left_out: Counter[LeftOut] = Counter()
    found: list[tuple[bool, Answer]] = []
    for campaign in campaigns:
        own = {content_hash(exchange.prompt) for exchange in campaign.exchanges}
        for draft in _drafts(campaign):
            prompt = draft.provenance.prompt_hash
            texts = _rebuilt(draft, campaign, references) if prompt is None else asked.texts(draft)
            if isinstance(texts, LeftOut):
                left_out[texts] += 1
                continue
            finding = evidence.finding(campaign, draft)
            is_own = prompt is None or prompt in own
            found.append((is_own, Answer(*texts, draft, campaign, finding, prompt is None)))
    found.sort(key=lambda pair: not pair[0])
    unique: dict[tuple[str, str], Answer] = {}
    for _, answer in found:
        key = (answer.prompt_key, evidence.form(answer.draft))
        left_out[LeftOut.REPEATED] += key in unique
        unique.setdefault(key, answer)
    return list(unique.values()), left_out


def _drafts(campaign: PastCampaign) -> list[Draft]:
    """Drafts of a campaign, one for each prompt that brought it."""
    drafts = [record.variant.draft for record in campaign.trials]
    return list({(d.hash, d.provenance.prompt_hash): d for d in drafts}.values())


# --- What the judge found -----------------------------------------------------------------------

_Key = tuple[str, str, str]


class _Evidence:
    """Findings of all drafts; drafts of equal normal form on one target share theirs."""

    def __init__(self, campaigns: Iterable[PastCampaign]) -> None:
        self._forms: dict[str, str] = {}
        trials: dict[_Key, list[TrialRecord]] = {}
        screened: dict[_Key, list[Screened]] = {}
        for campaign in campaigns:
            for record in campaign.trials:
                trials.setdefault(self._key(campaign, record.variant.draft), []).append(record)
            for timed in campaign.screened:
                screened.setdefault(self._key(campaign, timed.variant.draft), []).append(timed)
        self._findings = {key: finding_of(t, screened.get(key, [])) for key, t in trials.items()}

    def finding(self, campaign: PastCampaign, draft: Draft) -> Finding:
        """Of a draft that has a trial in this campaign."""
        return self._findings[self._key(campaign, draft)]

    def form(self, draft: Draft) -> str:
        """Hash of the draft's normal form."""
        if draft.hash not in self._forms:
            self._forms[draft.hash] = normal_hash(draft)
        return self._forms[draft.hash]

    def _key(self, campaign: PastCampaign, draft: Draft) -> _Key:
        return (campaign.started.source_hash, campaign.started.target, self.form(draft))


# --- What was asked and replied -----------------------------------------------------------------

_Texts = tuple[tuple[ChatMessage, ...], str]


class _Asked:
    """Everything that models were asked in some campaigns, and what they replied."""

    def __init__(self, campaigns: Iterable[PastCampaign]) -> None:
        self._texts: dict[tuple[str, str], _Texts] = {}
        for campaign in campaigns:
            for exchange in (*campaign.exchanges, *campaign.repeated):
                prompt = content_hash(exchange.prompt)
                for draft, reply in replies_as_judged(exchange):
                    self._texts.setdefault((prompt, draft.hash), (exchange.prompt, reply.text))

    def texts(self, draft: Draft) -> _Texts | LeftOut:
        """Prompt and reply of a draft."""
        key = (draft.provenance.prompt_hash or "", draft.hash)
        return self._texts.get(key, LeftOut.NO_EXCHANGE)


def _rebuilt(
    draft: Draft, campaign: PastCampaign, references: Mapping[str, Reference]
) -> _Texts | LeftOut:
    """The first prompt for a reference, and a reply that would bring this draft."""
    reference, target = references.get(campaign.started.source_hash), current_target()
    if reference is None or campaign.started.target != target.key:
        return LeftOut.NO_PROMPT
    reply = reply_of(draft)
    if reply is None:
        return LeftOut.NO_REPLY
    request = PromptRequest(reference, target, Machine(), (draft.language,), direction=_DIRECTION)
    return build_prompt(request), reply


def reply_of(draft: Draft) -> str | None:
    """The reply from which this draft, but for layout, would be read; None where there is none."""
    if draft.language not in SECTIONS:
        return None
    header = {
        "language": draft.language,
        "idea": draft.provenance.idea or "a kernel",
        "parameters": {p.name: write_parameter(p) for p in draft.parameters},
        "constraints": list(draft.constraints),
        "flags": draft.flags,
    }
    told = json.dumps({name: value for name, value in header.items() if value})
    source = draft.source.rstrip("\n")
    text = f"{told}\n```{section(draft.language).fence}\n{source}\n```\n"
    read = parse_reply(text, "stop", (draft.language,), Provenance("model"))
    is_same = not isinstance(read, Refusal) and normal_hash(read) == normal_hash(draft)
    return text if is_same else None
