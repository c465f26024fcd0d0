"""The process that runs a program once in simulation: `python -m ... REQUEST REPLY`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import msgspec

from outpace.errors import UsageError
from outpace.tuner.simcomm.engine import Options
from outpace.tuner.simcomm.faults import Call, Fault
from outpace.tuner.simcomm.program import run_program
from outpace.tuner.simcomm.records import (
    CallRecord,
    FaultRecord,
    RankRecord,
    Reply,
    RunRequest,
    WaitingRecord,
)
from outpace.tuner.simcomm.run import Outcome


def main(request_file: Path, reply_file: Path) -> None:
    """Run what is asked for and leave the reply, at once and whole."""
    request = msgspec.json.decode(request_file.read_bytes(), type=RunRequest)
    sys.dont_write_bytecode = True
    options = Options(eager_bytes=request.eager_bytes, max_seconds=request.seconds)
    try:
        outcome = run_program(
            Path(request.program),
            request.args,
            request.ranks,
            seed=request.seed,
            options=options,
            output=sys.stdout if request.show_output else None,
        )
        reply = _reply(outcome)
    except UsageError as error:
        reply = Reply(unusable=str(error))
    except Exception:  # noqa: BLE001  (the program's own exceptions are faults; this is ours)
        reply = Reply(bug=traceback.format_exc())
    partial = reply_file.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(reply))
    partial.rename(reply_file)
    sys.stdout.flush()
    os._exit(0)  # not waiting for threads that a time limit has left behind


def _reply(outcome: Outcome) -> Reply:
    ranks = [RankRecord(**vars(rank)) for rank in outcome.ranks]
    fault = None if outcome.fault is None else _fault(outcome.fault)
    return Reply(fault=fault, ranks=ranks, seconds=outcome.seconds)


def _fault(fault: Fault) -> FaultRecord:
    waiting = [WaitingRecord(w.rank, w.ended, _call(w.call)) for w in fault.waiting]
    return FaultRecord(
        fault.name, fault.decides, fault.reason, fault.rank, _call(fault.call), waiting
    )


def _call(call: Call | None) -> CallRecord | None:
    return None if call is None else CallRecord(call.name, call.place.file, call.place.line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
