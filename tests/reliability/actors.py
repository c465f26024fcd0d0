"""What the tests of reliability do in processes of their own: `python actors.py ROLE FOLDER ...`.

A role prints one line of JSON about what it saw; the test that started it judges that. Processes
are lean (neither numba nor OpenMP), so that they may fork.
"""

import ctypes
import errno
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace

from outpace.errors import OutpaceError, StorageError
from outpace.kernels import promotions
from outpace.model import (
    Argument,
    Contract,
    Draft,
    Evidence,
    Grade,
    Output,
    Promotion,
    PromotionKey,
    Speedup,
    Target,
    Variant,
    Workload,
)
from outpace.tuner.journal import AlphaLedger, CampaignEnded, Journal

FILLER = "x" * 3000
WORKLOAD = Workload("only", {"n": 64})
CONTRACT = Contract(
    (Argument("u", "float64", ("n",)),), (Output("out", "float64", ("n",)),), ("n",), (WORKLOAD,)
)
TARGET = Target("x86_64", "some CPU", 2)
REFERENCE = SimpleNamespace(fn=SimpleNamespace(__qualname__="scale"))
"""All that writing to a given folder asks of a reference."""


# --- Promotions and records that carry a number -------------------------------------------------


def promotion(number, writer=0, ranks=1):
    """The promotion of a writer and a generation; `ranks` sets the key."""
    source = f"def kernel(u, out):\n    out[:] = u\n# {writer} {number} {FILLER}\n"
    return Promotion(
        "module:scale",
        PromotionKey("5f1e", ("float64",), "C", TARGET.key, ranks, ({"n": 64},)),
        Variant(Draft("numba", source)),
        (Evidence(WORKLOAD, Speedup(2.0, 1.9, 2.1), (), "native", {}, 0.01),),
        TARGET,
        Grade.B,
        CONTRACT,
    )


def promote(folder, *numbers, **options):
    return promotions.write(promotion(*numbers, **options), REFERENCE, folder)


def served(folder, ranks=1):
    """Writer and number of every promotion that is found, each proved whole, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = promotions.find(REFERENCE, folder)
    numbers = []
    for stored in found:
        writer, number = stored.promotion.variant.draft.source.split("# ")[1].split()[:2]
        whole = promotion(int(number), int(writer), stored.promotion.key.ranks)
        assert stored.promotion == whole
        numbers.append([int(writer), int(number)])
    return numbers, [str(warning.message) for warning in caught]


def record(writer, number):
    return CampaignEnded(f"{writer} {number} {FILLER}")


def numbers_of(reading):
    return [[int(part) for part in r.summary.split()[:2]] for r in reading.records]


# --- Processes ----------------------------------------------------------------------------------


def child(work):
    """Run `work(acknowledge)` in a forked process; its pid and the pipe it acknowledges on."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    status = 1
    try:
        os.close(reading)
        work(lambda number: os.write(writing, b"%d\n" % number))
        status = 0
    except BaseException:  # noqa: BLE001  (nothing may leave the child)
        traceback.print_exc()
    finally:
        os._exit(status)


def acknowledged(pipe):
    """The numbers that are still in the pipe of a process that has ended."""
    with os.fdopen(pipe, "rb") as lines:
        return [int(line) for line in lines if line.endswith(b"\n")]


def killed_in(work, rng):
    """Kill a process after the first few numbers that it acknowledges; all that it did."""
    pid, pipe = child(work)
    head = b""
    for _ in range(rng.randrange(1, 6)):
        head += os.read(pipe, 4096)
    time.sleep(rng.uniform(0, 0.004))  # the moment of the kill, anywhere within a write
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(pipe, "rb") as rest:
        return [int(number) for number in (head + rest.read()).split(b"\n")[:-1]]


# --- Roles --------------------------------------------------------------------------------------


def kill_journals(folder, kills):
    """Kill writers of one journal; the last number that each had acknowledged."""
    rng = random.Random(int(kills))
    journal = Journal(folder)

    def write(writer):
        def work(acknowledge):
            for number in range(10**6):
                journal.append(record(writer, number))
                acknowledge(number)

        return work

    return [killed_in(write(writer), rng)[-1:] for writer in range(int(kills))]


def kill_promoters(folder, kills):
    """Kill writers of one promotion; what was acknowledged and what was served after each."""
    rng = random.Random(int(kills))
    promote(folder, 0)
    last, seen = 0, []
    for _ in range(int(kills)):

        def work(acknowledge, first=last + 1):
            for number in range(first, first + 10**6):
                promote(folder, number)
                acknowledge(number)

        last = max([last, *killed_in(work, rng)])
        found, warned = served(folder)
        seen.append([last, found, warned])
        last = max(last, *(number for _, number in found))
    return seen


def write_together(folder, writers, count):
    """Append from many processes while this one reads; whether it ever saw less than before."""
    go, start = os.pipe()

    def write(writer):
        def work(acknowledge):
            os.read(go, 1)
            with Journal(folder) as journal:
                for number in range(int(count)):
                    journal.append(record(writer, number))
                    acknowledge(number)

        return work

    processes = [child(write(writer)) for writer in range(int(writers))]
    os.write(start, b"." * int(writers))
    known, lost, ended = [], [], 0
    while ended < len(processes):
        now = numbers_of(Journal(folder).read())
        lost += [item for item in known if item not in now]
        known = now
        while ended < len(processes) and os.waitpid(-1, os.WNOHANG)[0]:
            ended += 1
    return {"lost": lost, "acknowledged": [acknowledged(pipe) for _, pipe in processes]}


def promote_together(folder, writers, generations, exchange, keys):
    """Promote from many processes, generation by generation, while this one reads."""
    if exchange == "without-exchange":
        promotions._exchanged = lambda *_: False
    own_key = keys == "own-keys"
    for writer in range(int(writers) if own_key else 1):
        promote(folder, 0, writer, ranks=1 + writer if own_key else 1)
    seen = []
    for generation in range(1, int(generations) + 1):
        go, start = os.pipe()

        def write(writer, go=go, generation=generation):
            def work(acknowledge):
                os.read(go, 1)
                promote(folder, generation, writer, ranks=1 + writer if own_key else 1)
                acknowledge(writer)

            return work

        processes = [child(write(writer)) for writer in range(int(writers))]
        os.write(start, b"." * int(writers))
        during, ended = [], 0
        while ended < len(processes):
            during.append(served(folder))
            while ended < len(processes) and os.waitpid(-1, os.WNOHANG)[0]:
                ended += 1
        done = sorted(number for _, pipe in processes for number in acknowledged(pipe))
        for descriptor in (go, start):
            os.close(descriptor)
        left = sorted(path.name for path in (folder / "scale").iterdir())
        seen.append({"during": during, "after": served(folder), "done": done, "left": left})
    return seen


def claim_together(source_hash, writers):
    """Take shares of one error budget from many processes."""

    def work(acknowledge):
        ledger = AlphaLedger(source_hash.name)
        ledger.spend(ledger.next_alpha() / 2, "large")
        acknowledge(ledger.tunes() + 1)

    processes = [child(work) for _ in range(int(writers))]
    for pid, _ in processes:
        os.waitpid(pid, 0)
    return [number for _, pipe in processes for number in acknowledged(pipe)]


def fill_up(folder):
    """Write until the disk is full, make room, and write again."""
    ballast = folder / "ballast"
    promote(folder / "promoted", 0)
    ballast.write_bytes(bytes(64 * 1024))
    kept, refused = [], []
    with Journal(folder / "journal") as journal:
        while not refused:
            try:
                journal.append(record(0, len(kept)))
                kept.append([0, len(kept)])
            except StorageError as error:
                refused.append(str(error))
        try:
            promote(folder / "promoted", 1)
        except StorageError as error:
            refused.append(str(error))
        full = numbers_of(journal.read()), served(folder / "promoted")
        ballast.unlink()
        journal.append(record(0, len(kept)))
    promote(folder / "promoted", 2)
    left = sorted(path.name for path in (folder / "promoted" / "scale").iterdir())
    reading = Journal(folder / "journal").read()
    return {
        "kept": kept,
        "refused": refused,
        "full": full,
        "after": [numbers_of(reading), served(folder / "promoted")],
        "left": left,
    }


# --- Every call fails once ----------------------------------------------------------------------

COUNT, FAIL_ONCE, FAIL_FROM, SHORT_WRITE, KILL = range(5)
FAULTS = (
    (FAIL_ONCE, errno.EIO),
    (FAIL_ONCE, errno.ENOSPC),
    (FAIL_FROM, errno.ENOSPC),
    (FAIL_FROM, errno.EIO),
    (SHORT_WRITE, 0),
)


def outcome_of(work, mode, at=0, number=0):
    """What becomes of some work when its call `at` fails, and how many calls were counted."""
    library = ctypes.CDLL(None)
    try:
        library.faults_arm(mode, at, number)
        try:
            work()
        finally:
            calls = library.faults_disarm()
    except OutpaceError as error:
        return type(error).__name__, str(error), calls
    except Exception:  # noqa: BLE001  (what the tests look for)
        return "bug", traceback.format_exc(), calls
    return "done", "", calls


def positions(work):
    """Numbers of the calls that some work makes."""
    outcome, text, calls = outcome_of(work, COUNT)
    assert (outcome, calls > 0) == ("done", True), text
    return range(1, calls + 1)


def faults_in_journal(folder):
    """Append with every call failing in every way: what is read afterwards."""
    with Journal(folder / "counted") as journal:
        journal.append(record(0, 0))
        calls = [len(positions(lambda: journal.append(record(0, 1))))]
    calls.append(len(positions(lambda: Journal(folder / "first").append(record(0, 0)))))
    seen = []
    for is_first, fault in ((first, fault) for first in (False, True) for fault in FAULTS):
        for at in range(1, calls[is_first] + 1):
            name = f"{is_first}-{fault}-{at}"
            with Journal(folder / name) as journal:
                if not is_first:
                    journal.append(record(0, 0))
                outcome = outcome_of(
                    lambda j=journal: j.append(record(0, 1)), fault[0], at, fault[1]
                )
                journal.append(record(0, 2))
                got = numbers_of(journal.read())
            seen.append([name, *outcome[:2], is_first, got])
    return seen


def faults_in_ledger(state):
    """Take and spend a share with every call failing in every way."""

    def claim(name):
        ledger = AlphaLedger(name)
        ledger.spend(ledger.next_alpha() / 2, "large")

    seen = []
    claim("counted")
    for fault in FAULTS:
        for at in positions(lambda fault=fault: claim(f"counted-{fault}")):
            name = f"{fault}-{at}"
            claim(name)
            outcome = outcome_of(lambda name=name: claim(name), fault[0], at, fault[1])
            found = AlphaLedger(name)
            seen.append([name, *outcome[:2], found.tunes(), len(found.spent())])
    return seen


def faults_in_promotion(folder, exchange):
    """Replace a promotion with every call failing in every way: what is served afterwards."""
    if exchange == "without-exchange":
        promotions._exchanged = lambda *_: False
    promote(folder / "counted", 0)
    places = positions(lambda: promote(folder / "counted", 1))
    seen = []
    for is_first in (False, True):
        for mode, number in FAULTS:
            for at in places:
                name = f"{is_first}-{mode}-{number}-{at}"
                if not is_first:
                    promote(folder / name, 0)
                outcome = outcome_of(lambda n=name: promote(folder / n, 1), mode, at, number)
                found = served(folder / name)
                promote(folder / name, 2)
                seen.append([name, *outcome[:2], *found, served(folder / name)[0]])
    return seen


def kills_in_promotion(folder, exchange):
    """Kill a writer before every single call: what is served afterwards."""
    if exchange == "without-exchange":
        promotions._exchanged = lambda *_: False
    promote(folder, 0)
    seen = []
    for at in positions(lambda: promote(folder, 0)):
        promote(folder, 0)

        def work(_, at=at):
            ctypes.CDLL(None).faults_arm(KILL, at, 0)
            promote(folder, 1)

        pid, pipe = child(work)
        ended = os.waitpid(pid, 0)[1]
        os.close(pipe)
        seen.append([at, os.WIFSIGNALED(ended), *served(folder)])
    return seen


def kills_in_journal(folder):
    """Kill a writer before every single call of its first and its second record."""
    places = positions(lambda: _append_two(folder / "counted", lambda _: None))
    seen = []
    for at in places:

        def work(acknowledge, at=at):
            ctypes.CDLL(None).faults_arm(KILL, at, 0)
            _append_two(folder / str(at), acknowledge)

        pid, pipe = child(work)
        os.waitpid(pid, 0)
        found = numbers_of(Journal(folder / str(at)).read())
        seen.append([at, acknowledged(pipe), [number for _, number in found]])
    return seen


def _append_two(folder, acknowledge):
    with Journal(folder) as journal:
        for number in range(2):
            journal.append(record(0, number))
            acknowledge(number)


def faults_in_reading(folder):
    """Look for promotions with every call failing: what is found, and what is warned of."""
    promote(folder, 0)
    seen = []
    for at in positions(lambda: served(folder)):
        found = []
        outcome = outcome_of(lambda f=found: f.extend(served(folder)), FAIL_ONCE, at, errno.EIO)
        seen.append([at, *outcome[:2], *found])
    return seen


if __name__ == "__main__":
    role, path, *options = sys.argv[1:]
    json.dump(globals()[role](Path(path), *options), sys.stdout)
