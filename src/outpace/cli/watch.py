"""Progress on stderr: a live table on a terminal, plain lines elsewhere, or only warnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from outpace import environment
from outpace.cli import style
from outpace.cli.board import Board, Row
from outpace.cli.boundary import stderr_console
from outpace.model import Status
from outpace.tuner.events import Ended, Event, Message, Moved

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WHY_WIDTH = 60
_OTHER_LINES = 8  # header, borders, footer, and the prompt that was there before


@contextmanager
def watching(*, quiet: bool, console: Console | None = None) -> Iterator[Warnings]:
    """The observer that suits where stderr goes."""
    console = console or stderr_console()
    if quiet:
        yield Warnings(console)
    elif console.is_terminal and not environment.in_ci():
        table = LiveTable(console)
        with table.live:
            try:
                yield table
            finally:
                table.finish()
    else:
        yield Lines(console)


class Warnings:
    """Prints warnings and nothing else.

    Attributes:
        told: Texts of the messages that were printed.
    """

    def __init__(self, console: Console) -> None:
        self.told: set[str] = set()
        self._console = console

    def notice(self, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, Message) and event.level == "warning":
            self._tell(event)

    def _tell(self, message: Message) -> None:
        self.told.add(message.text)
        prefix = ("warning: ", "yellow") if message.level == "warning" else ("", "")
        self._console.print(Text.assemble(prefix, message.text), soft_wrap=True)


class Lines(Warnings):
    """Prints messages, and one line for each ended trial."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._board = Board()

    def notice(self, event: Event) -> None:
        """See `Observer`."""
        self._board.notice(event)
        if isinstance(event, Message):
            self._tell(event)
        elif isinstance(event, Moved) and event.stage == "confirming":
            self._console.print(Text(f"confirming {self._board.label(event.variant)}"))
        elif isinstance(event, Ended):
            trial = event.trial
            speed = None if trial.speedup is None else style.interval(trial.speedup)
            parts = [
                self._board.label(event.variant),
                trial.workload,
                trial.status.value,
                speed,
                trial.reason,
            ]
            line = "  ".join(part for part in parts if part)
            self._console.print(Text(line), soft_wrap=True)


class LiveTable(Warnings):
    """Prints messages, and draws the table again at every event.

    It never draws by itself: a thread that wakes up while a draft is timed would disturb it.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._board = Board()
        self._finished = False
        self.live = Live(
            get_renderable=self._render, console=console, auto_refresh=False, transient=False
        )

    def notice(self, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, Message):
            self._tell(event)
        self._board.notice(event)
        self.live.refresh()

    def finish(self) -> None:
        """Show every row in what stays on the screen."""
        self._finished = True

    def _render(self) -> RenderableType:
        rows = len(self._board.rows)
        limit = rows if self._finished else self._console.height - _OTHER_LINES
        return campaign_table(self._board, limit)


def campaign_table(board: Board, limit: int) -> RenderableType:
    """The table of a campaign with at most `limit` rows, and what goes on under it."""
    if not board.rows:
        return Text(board.progress or "looking at the reference", style="dim")
    rows = board.shown(limit)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant", max_width=44, no_wrap=True, overflow="ellipsis")
    table.add_column("language", no_wrap=True)
    for workload in board.workloads:
        table.add_column(workload, justify="right", no_wrap=True)
    table.add_column("stage", no_wrap=True)
    table.add_column("why", style="dim")  # the only one to wrap, so that it alone gives way
    for row in rows:
        ratios = [_ratio_cell(row, workload) for workload in board.workloads]
        table.add_row(Text(row.label), row.language, *ratios, _stage_cell(row), _why_cell(row))
    footer = [board.progress] if board.progress else []
    hidden = len(board.rows) - len(rows)
    if hidden:
        footer.insert(0, f"... and {style.plural(hidden, 'more variant')}")
    return Group(table, *(Text(line, style="dim") for line in footer))


def _ratio_cell(row: Row, workload: str) -> Text:
    value = row.ratios.get(workload)
    if value is None:
        return Text("")
    trial = row.trials.get(workload)
    confirmed = trial is not None and trial.stage == "confirm"
    return Text(style.ratio(value), style="bold" if confirmed else "")


def _stage_cell(row: Row) -> Text:
    if not row.stage and row.outcome is not None:
        return style.status(row.outcome.status)
    return Text(row.stage, style="dim" if row.stage == "waiting" else "cyan")


def _why_cell(row: Row) -> Text:
    """Short; nothing where the ratios beside it tell it all."""
    why = Text(row.detail)
    if not row.stage and row.outcome is not None:
        is_told = row.outcome.stage == "screen" and row.outcome.status is Status.NOT_FASTER
        why = Text("" if is_told else row.outcome.reason.partition("\n")[0])
    why.truncate(_WHY_WIDTH, overflow="ellipsis")
    return why
