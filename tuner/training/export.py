"""The files of an export: `train.jsonl`, `test.jsonl` and an account of them, `export.json`."""

from __future__ import annotations

import importlib.metadata
import re
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from outpace import environment
from outpace.codegen.reference import Reference
from outpace.errors import StorageError, UsageError
from outpace.tuner.past import PastCampaign, campaign_folders, read_campaign
from outpace.tuner.recordlog import now
from outpace.tuner.training.answers import LeftOut, collect
from outpace.tuner.training.examples import Example, examples_of
from outpace.tuner.training.formats import Format
from outpace.tuner.training.licences import licence_of
from outpace.tuner.training.split import families, is_held_back

SCHEMA = "outpace.export/1"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: `train.jsonl`, `test.jsonl` and `export.json`.
        account: What the last of them holds.
    """

    files: tuple[Path, ...]
    account: dict[str, Any]


def export(
    sources: Sequence[Path],
    form: Format,
    out: Path,
    *,
    references: Iterable[Reference] = (),
    licence: str | None = None,
    test_share: float = 0.1,
) -> Exported:
    """Write training data from judged drafts.

    Args:
        sources: Campaigns, their journals, or folders of campaigns; empty for all on this machine.
        form: Which of TRL's shapes.
        out: Folder for the files.
        references: Tell their licences, and prompts for drafts that no model was asked for.
        licence: Of references whose own files do not tell it.
        test_share: Of the references that are held back for testing, in [0, 1).

    Raises:
        UsageError: There is no campaign, nothing can be exported, or the share is out of range.
        StorageError: A campaign cannot be read, or a file cannot be written.
    """
    if not 0 <= test_share < 1:
        raise UsageError(f"the share for testing must be at least 0 and below 1, not {test_share}")
    campaigns = _campaigns(sources)
    by_hash = {reference.source_hash: reference for reference in references}
    licences = _licences(campaigns, by_hash, licence)
    answers, left_out = collect(campaigns, by_hash)
    examples, unfit = examples_of(answers, licences, form)
    kept = _without_private(examples, campaigns)
    left_out += unfit + Counter({LeftOut.NAMES_MACHINE: len(examples) - len(kept)})
    if not kept:
        raise UsageError(_why_nothing(left_out))
    family = families((c.started.source_hash, c.started.reference) for c in campaigns)
    held_back = {s for s, head in family.items() if is_held_back(head, test_share)}
    account = {
        "schema": SCHEMA,
        "format": form.value,
        "version": importlib.metadata.version("outpace"),
        "created": now(),
        "test_share": test_share,
        "columns": list(kept[0].row),
        "campaigns": len(campaigns),
        "examples": {
            "train": sum(e.source not in held_back for e in kept),
            "test": sum(e.source in held_back for e in kept),
        },
        "references": _references(kept, campaigns, licences, held_back),
        "left_out": {reason.value: count for reason, count in left_out.items() if count},
        "skipped_lines": sum(campaign.skipped for campaign in campaigns),
    }
    return Exported(_write(out, kept, held_back, account), account)


def _campaigns(sources: Sequence[Path]) -> list[PastCampaign]:
    """All campaigns in the order in which they began."""
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        raise UsageError(f"there is no {missing[0]}; give the folder of a campaign or its journal")
    given = sources or [environment.state_dir() / "campaigns"]
    folders = dict.fromkeys(f.resolve() for source in given for f in campaign_folders(source))
    found = [campaign for folder in folders if (campaign := read_campaign(folder)) is not None]
    if not found:
        where = ", ".join(map(str, given))
        raise UsageError(f"there is no campaign in {where}; `outpace tune` makes one")
    return sorted(found, key=lambda campaign: campaign.started.time)


def _licences(
    campaigns: Iterable[PastCampaign], references: dict[str, Reference], licence: str | None
) -> dict[str, str]:
    """By source hash; references of which none is known are not in it."""
    found: dict[str, str] = {}
    for campaign in campaigns:
        source = campaign.started.source_hash
        own = licence_of(references[source]) if source in references else None
        if (told := own or licence) is not None:
            found[source] = told
    return found


def _references(
    examples: Sequence[Example],
    campaigns: Iterable[PastCampaign],
    licences: dict[str, str],
    held_back: set[str],
) -> list[dict[str, Any]]:
    """What each reference has given."""
    counts = Counter(example.source for example in examples)
    names = {c.started.source_hash: c.started.reference for c in campaigns}
    return [
        {
            "reference": names[source],
            "source": source,
            "license": licences[source],
            "side": "test" if source in held_back else "train",
            "examples": count,
        }
        for source, count in counts.items()
    ]


def _why_nothing(left_out: Counter[LeftOut]) -> str:
    told = "; ".join(f"{count}: {reason.value}" for reason, count in left_out.most_common())
    hint = ""
    if left_out[LeftOut.NO_LICENCE]:
        hint = "; give --reference FILE.py:function with a licence in its file, or --license SPDX"
    return f"nothing can be exported, left out were {told or 'no drafts at all'}{hint}"


# --- What must not leave the machine ------------------------------------------------------------

_PATH = re.compile(r"(?<![\w.])/(?:home|Users|root|tmp|var|private|mnt|scratch|work)/[\w.~-]")
"""Where people and programs keep their own files."""


def _without_private(
    examples: Sequence[Example], campaigns: Iterable[PastCampaign]
) -> list[Example]:
    """Examples that name no path, no host and no key; compilers put paths into their messages."""
    hosts = {socket.gethostname()}.union(*(campaign.hosts for campaign in campaigns))
    names = "|".join(re.escape(host) for host in sorted(hosts))
    machine = re.compile(rf"(?<![\w.-])(?:{names})(?![\w-])")
    exact = [str(Path.home()), str(environment.state_dir()), str(environment.cache_dir())]
    exact += [key for key in (environment.model_key(),) if key is not None]

    def is_private(text: str) -> bool:
        said = any(secret in text for secret in exact)
        return said or bool(_PATH.search(text)) or bool(machine.search(text))

    return [e for e in examples if not is_private("\n".join(_texts(e.row)))]


def _texts(value: Any) -> list[str]:
    """Every string in a row."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


# --- Files --------------------------------------------------------------------------------------


def _write(
    out: Path, examples: Sequence[Example], held_back: set[str], account: dict[str, Any]
) -> tuple[Path, ...]:
    """The account comes last: where it is, the rest is whole."""
    encoder = msgspec.json.Encoder()
    train = [encoder.encode(e.row) for e in examples if e.source not in held_back]
    test = [encoder.encode(e.row) for e in examples if e.source in held_back]
    contents = {
        "train.jsonl": b"".join(line + b"\n" for line in train),
        "test.jsonl": b"".join(line + b"\n" for line in test),
        "export.json": msgspec.json.format(encoder.encode(account), indent=2) + b"\n",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "export.json").unlink(missing_ok=True)
        for name, content in contents.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise StorageError(
            f"the examples cannot be written to {out}: {error.strerror or error}"
        ) from error
    return tuple(out / name for name in contents)
