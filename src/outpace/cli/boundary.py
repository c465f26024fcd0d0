"""Between a command and the shell: one answer on stdout, one line for an error, an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import typer

from outpace import environment
from outpace.cli.exits import ExitCode
from outpace.errors import OutpaceError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True)
class Answer:
    """What a command says in the end.

    Attributes:
        payload: The JSON object of `--json`, with its schema.
        show: Prints the same for people.
        exit_code: What the shell gets.
    """

    payload: Mapping[str, Any]
    show: Callable[[Console], None]
    exit_code: ExitCode = ExitCode.OK


@dataclass(frozen=True)
class _Failure:
    message: str
    exit_code: int

    @property
    def payload(self) -> dict[str, str]:
        return {"schema": "outpace.error/1", "error": self.message}


def respond(
    work: Callable[[], Answer], *, as_json: bool, interrupted: str = "interrupted"
) -> NoReturn:
    """Do the work of a command, say its answer or its failure, and leave.

    Args:
        work: Raises `OutpaceError` for what the user can mend.
        as_json: Keep stdout for one JSON object, whatever else writes to it meanwhile.
        interrupted: What Ctrl-C prints.

    Raises:
        typer.Exit: Always.
    """

    def work_and_show() -> Answer:
        answer = work()
        if not as_json:
            answer.show(stdout_console())
        return answer

    with stdout_reserved() if as_json else contextlib.nullcontext(), _plain_warnings():
        outcome = _attempt(work_and_show, interrupted)
    if isinstance(outcome, _Failure):
        _print_failure(outcome)
    if as_json:
        _print_json(outcome.payload)
    raise typer.Exit(outcome.exit_code)


def stdout_console() -> Console:
    """For answers; wider than rich's default where stdout is no terminal."""
    from rich.console import Console  # noqa: PLC0415

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def stderr_console() -> Console:
    """For progress, warnings and errors."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True, highlight=False)


def warn(message: str) -> None:
    """One line on stderr about something that was passed over."""
    from rich.text import Text  # noqa: PLC0415

    line = Text.assemble(("warning: ", "yellow"), _one_line(message))
    stderr_console().print(line, soft_wrap=True)


def _attempt(work: Callable[[], Answer], interrupted: str) -> Answer | _Failure:
    try:
        return work()
    except OutpaceError as error:
        return _Failure(_one_line(str(error)), error.exit_code)
    except KeyboardInterrupt:
        return _Failure(interrupted, ExitCode.INTERRUPTED)
    except SystemExit as error:
        # Nothing of ours raises it, so it came out of the module of the reference.
        return _Failure(
            f"the reference's code called sys.exit({error.code!r}); guard it with "
            '`if __name__ == "__main__":`',
            ExitCode.USAGE,
        )
    except BrokenPipeError:
        raise  # the reader of our output has left; typer ends quietly
    except Exception as error:  # noqa: BLE001  (whatever is left is a fault of ours)
        where = _keep_details(traceback.format_exc())
        what = _one_line(f"{type(error).__name__}: {error}")
        return _Failure(f"this is a bug of outpace ({what}); details are {where}", ExitCode.BUG)


def _keep_details(text: str) -> str:
    """Where the account of an unexpected exception was left."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path: Path = environment.state_dir() / "crashes" / f"{stamp}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError:
        sys.stderr.write(text)
        return "above"
    return f"in {path}"


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines() if part.strip())


def _print_failure(failure: _Failure) -> None:
    from rich.text import Text  # noqa: PLC0415

    interrupted = failure.exit_code == ExitCode.INTERRUPTED
    prefix = "" if interrupted else "error: "
    line = Text.assemble((prefix, "bold red"), failure.message)
    stderr_console().print(line, soft_wrap=True)


def _print_json(payload: Mapping[str, Any]) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(payload), indent=2).decode())


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Python's warnings without the line of code that raised them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(str(message))
        yield


@contextlib.contextmanager
def stdout_reserved() -> Iterator[None]:
    """Send to stderr what this process, its libraries and its children write to stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _flush_c_streams()
        os.dup2(kept, 1)
        os.close(kept)


def _flush_c_streams() -> None:
    """What `printf` of a library has buffered must leave before stdout is ours again."""
    import ctypes  # noqa: PLC0415

    ctypes.CDLL(None).fflush(None)
