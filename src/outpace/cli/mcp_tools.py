"""The desk as tools of the Model Context Protocol, served over stdin and stdout."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from outpace.cli.mcp_replies import Report, TaskList, TaskText, VerdictText
from outpace.errors import UsageError
from outpace.tuner.agents.desk import Desk
from outpace.tuner.agents.verdicts import Phase, Stage

_T = TypeVar("_T")

INSTRUCTIONS = """\
outpace turns a slow NumPy function (the reference) into a faster kernel. You write drafts of the \
kernel; outpace compiles them in a sandbox, compares them with the reference on inputs that it \
draws, times them, and tells you what became of each.

1. list_tasks: one task for each function and language.
2. get_task: the whole prompt of a task. Read it before you write.
3. submit_draft: hand in one draft. Wrong drafts come back with the smallest counterexample, slow \
ones with what limits them.
4. Improve it and hand in the next; every reply says in `next` what to do.
5. finish: when you have no better idea. Only this confirms the fastest drafts and promotes them.
6. report: what was promoted, for the person you work for.

Do not time or test drafts on this machine while one is judged: it disturbs the timing."""

_WAIT = "Seconds to wait for the end of it before the reply is given all the same, 0 to 600."
TaskName = Annotated[str, Field(description="Name of a task, as list_tasks gives it.")]
DraftText = Annotated[
    str,
    Field(
        description="The draft in the form that the prompt asks for: one line of JSON, for example "
        '{"language": "c", "idea": "row blocks"}, and after it the whole source in one fenced '
        "block. No other text."
    ),
]
DraftName = Annotated[str, Field(description="Name of a draft, as submit_draft gives it: d1.")]
Wait = Annotated[float, Field(description=_WAIT, ge=0, le=600)]


class Bell:
    """Wakes up coroutines when something has happened in another thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake up everyone; from any thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and with it all who waited
                self._loop.call_soon_threadsafe(self._wake)

    def next(self) -> asyncio.Event:
        """Set when it rings next; ask before looking whether anything has happened."""
        self._loop = asyncio.get_running_loop()
        return self._event

    def _wake(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


class Tools:
    """What an agent can call.

    Args:
        desk: Where drafts are handed in.
        bell: Rings when something has changed there.
    """

    def __init__(self, desk: Desk, bell: Bell) -> None:
        self._desk = desk
        self._bell = bell

    async def list_tasks(self) -> TaskList:
        """List the tasks, their state and the fastest right draft so far. Call this first."""
        return TaskList.of(self._desk.tasks())

    async def get_task(self, task: TaskName) -> TaskText:
        """Take a task: read the whole prompt.

        It holds the contract, the form of a draft, the variants to beat, and what became of earlier
        drafts; it is kept up to date, so take the task again after a few drafts. The first time
        also starts the check of the function; drafts may be submitted meanwhile.
        """
        prompt = _checked(lambda: self._desk.take(task))
        return TaskText.of(self._desk.task(task), prompt)

    async def submit_draft(
        self, task: TaskName, draft: DraftText, context: Context[Any, Any], wait_seconds: Wait = 45
    ) -> VerdictText:
        """Hand in one draft for a task, and get its verdict.

        It is compiled, compared with the reference on drawn inputs, and timed. Drafts are judged
        one after another: where the wait is over before this one is, call get_verdict.
        """
        name = _checked(lambda: self._desk.hand_in(task, draft))
        return await self._verdict(name, wait_seconds, context)

    async def get_verdict(
        self, draft: DraftName, context: Context[Any, Any], wait_seconds: Wait = 45
    ) -> VerdictText:
        """Read what became of a draft.

        Its status, the reason, speedups over the reference, and feedback: the compiler's errors,
        the smallest counterexample that was found, or times and what limits them.
        """
        return await self._verdict(draft, wait_seconds, context)

    async def finish(
        self, task: TaskName, context: Context[Any, Any], wait_seconds: Wait = 45
    ) -> Report:
        """Stop drafting for the function of a task, and have its fastest drafts promoted.

        They are confirmed against the reference in fresh processes, in all languages, and what is
        proved faster is promoted. That takes minutes and can be done once; read what came of it
        with report.
        """
        _checked(lambda: self._desk.finish(task))
        await self._settled(
            lambda: self._desk.task(task).phase is not Phase.FINISHING,
            lambda: self._desk.task(task).doing,
            wait_seconds,
            context,
        )
        return Report.of(self._desk.accounts())

    async def report(self, context: Context[Any, Any], wait_seconds: Wait = 0) -> Report:
        """Read what was judged and promoted for each function, for the person you work for.

        With wait_seconds it waits for functions that are being finished.
        """
        await self._settled(
            lambda: all(one.phase is not Phase.FINISHING for one in self._desk.accounts()),
            lambda: next((one.doing for one in self._desk.accounts() if one.doing), ""),
            wait_seconds,
            context,
        )
        return Report.of(self._desk.accounts())

    async def _verdict(self, name: str, seconds: float, context: Context[Any, Any]) -> VerdictText:
        _checked(lambda: self._desk.verdict(name))
        await self._settled(
            lambda: self._desk.verdict(name).stage is Stage.JUDGED,
            lambda: self._desk.verdict(name).reason,
            seconds,
            context,
        )
        verdict = self._desk.verdict(name)
        return VerdictText.of(verdict, self._desk.task(verdict.task))

    async def _settled(
        self,
        is_settled: Callable[[], bool],
        doing: Callable[[], str],
        seconds: float,
        context: Context[Any, Any],
    ) -> None:
        """Wait for so long, and tell a client that asked for it how it goes on."""
        steps = 0
        try:
            async with asyncio.timeout(seconds):
                while (changed := self._bell.next()) and not is_settled():
                    steps += 1
                    await context.report_progress(steps, message=doing())
                    await changed.wait()
        except TimeoutError:
            return


def make_server(tools: Tools) -> MCPServer[Any]:
    """The server with these tools."""
    server: MCPServer[Any] = MCPServer(
        "outpace",
        title="outpace: faster kernels, proved right",
        instructions=INSTRUCTIONS,
        version=importlib.metadata.version("outpace"),
        log_level="WARNING",
    )
    for tool, is_reading in _listed(tools):
        hints = ToolAnnotations(
            read_only_hint=is_reading, destructive_hint=False, open_world_hint=False
        )
        text = " ".join((inspect.getdoc(tool) or "").split())
        server.add_tool(tool, description=text, annotations=hints, structured_output=True)
    return server


def _listed(tools: Tools) -> list[tuple[Callable[..., Awaitable[Any]], bool]]:
    """Every tool, and whether it only reads."""
    return [
        (tools.list_tasks, True),
        (tools.get_task, True),
        (tools.submit_draft, False),
        (tools.get_verdict, True),
        (tools.finish, False),
        (tools.report, True),
    ]


def _checked(call: Callable[[], _T]) -> _T:
    """What a call returns; what was asked for in error is told to the agent."""
    try:
        return call()
    except UsageError as error:
        raise ToolError(str(error)) from error
