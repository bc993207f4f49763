"""Running calls: of MCP servers' tools and of Python functions, side by side; what comes of each, whatever happens."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ...mcp.types import ToolResult
from ...pipeline.api.items import FunctionCall
from ...pipeline.context import CallContext
from ...pipeline.errors import AntiphonError, APITimeoutError, SetupError, ToolFailed
from ...pipeline.runtimes.jobs import Job, Jobs
from ...pipeline.signals import McpNotice, ToolEnded, ToolProgress, ToolStarted
from ...pipeline.tool_function import ToolContext, ToolError, ToolFunction, object_of, result_output
from .approvals import ApprovalRequest, Approve
from .history import NOT_APPROVED
from .mcp_results import Said, failed, refused, said
from .offer import McpTool
from .transcript import Call

_GRACE_S = 2.0  # in which a connection that has timed out tells its server so


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """Makes jobs of calls, for one call of the API.

    Args:
        model: as the caller wrote it.
        metadata: the call's.
        approve: asked about calls that need an approval; None: the user is asked by an item of the response.
        on_error: what an exception of a function becomes: "tell" the model, or "raise" it.
        max_result_chars: the longest text that the model gets of one result.
        content: whether signals carry what servers say.
    """

    context: CallContext
    model: str = ""
    metadata: Mapping[str, Any] | None = None
    approve: Approve | None = None
    on_error: Literal["tell", "raise"] = "tell"
    max_result_chars: int
    content: bool = False

    def job(self, call: Call) -> Job[Said]:
        """Return a call as a job, whose tag it is; how it ended is `said(job)`."""
        tool, item = call.tool, call.item
        assert tool is not None
        if isinstance(tool, ToolFunction):
            limit_s = tool.timeout_s if tool.timeout_s is not None else self.context.timeouts.tool
            is_deaf = not tool.is_async

            async def work() -> Said:
                return await self._function(tool, item)
        else:
            run_s = min(tool.server.tool_timeout_s, self.context.timeouts.tool)
            is_deaf, asks = False, tool.needs_approval and call.request_id is None

            async def work() -> Said:
                return await self._mcp(tool, item, run_s, asks=asks)

            # The connection keeps the limit itself, and a person may take their time.
            limit_s = self.context.timeouts.total if asks else run_s + _GRACE_S
        left = max(0.0, self.context.time_left())
        return Job(f"tool-{item.name}", work, min(limit_s, left), is_deaf=is_deaf, tag=call)

    def said(self, job: Job[Said]) -> Said:
        """Return how a job ended.

        Raises:
            ToolFailed: a function has raised, with `on_error="raise"`.
        """
        if job.error is None:
            assert job.result is not None
            return job.result
        if isinstance(job.error, TimeoutError) and not isinstance(job.error, AntiphonError):
            return failed(job.error, f"the tool did not answer within {job.limit_s:g} s")
        raise job.error

    async def _function(self, function: ToolFunction[..., Any], item: FunctionCall) -> Said:
        runtime = self.context.runtime
        context = ToolContext(self.context, item.call_id, self.model, self.metadata)
        try:
            call = function.bind(item.arguments, context)
            with self.context.inside(item.call_id):
                output = result_output(await runtime.foreign(call) if function.is_async else await runtime.call(call))
        except ToolError as error:
            return msgspec.structs.replace(refused(str(error) or "the tool failed", "failed"), error="ToolError")
        except AntiphonError:
            raise
        except Exception as error:
            if self.on_error == "raise":
                raise ToolFailed(
                    f"tool {function.name} raised {type(error).__name__}: {error}",
                    tool=function.name,
                    hint='raise antiphon.ToolError for what the model should read, or use Tools(tool_errors="tell")',
                ) from error
            logging.getLogger("antiphon").warning("tool %s raised %r; the model was told", function.name, error)
            return failed(error, f"{type(error).__name__}: {error}")
        return Said(output=self._short(function.name, output))

    async def _mcp(self, tool: McpTool, item: FunctionCall, run_s: float, *, asks: bool) -> Said:
        try:
            arguments = object_of(item.arguments)
            if asks and (why := await self._why_not(tool, arguments)) is not None:
                return refused(why)
            trace = self.context.trace_headers(item.call_id)
            with self.context.inside(item.call_id):
                result = await tool.connection.call_tool(
                    tool.info.name,
                    arguments,
                    timeout_s=run_s,
                    meta=dict(trace) if trace else None,
                    **(self._heard(tool, item) if self.context.sinks else {}),
                )
        except ToolError as error:
            return refused(str(error), "failed")
        except AntiphonError as error:
            return failed(error, error.message)
        return self._said(tool, result)

    def _heard(self, tool: McpTool, item: FunctionCall) -> dict[str, Any]:
        """Return what hooks are told by of a server while its tool runs."""
        context = self.context

        def facts() -> dict[str, Any]:
            return {"call_id": context.id, "operation": context.operation, "at_s": context.runtime.now()}

        def on_progress(progress: float, total: float | None, message: str | None) -> None:
            context.emit(
                ToolProgress(
                    **facts(),
                    tool=tool.info.name,
                    server=tool.label,
                    tool_call_id=item.call_id,
                    progress=progress,
                    total=total,
                    message=message if self.content else None,
                )
            )

        def on_notice(method: str, params: dict[str, Any]) -> None:
            if method == "notifications/tools/list_changed":
                context.emit(McpNotice(**facts(), server=tool.label, kind="list_changed"))
            elif method == "notifications/message":
                data = params.get("data") if self.content else None
                level = params.get("level")
                level = level if isinstance(level, str) else None
                context.emit(McpNotice(**facts(), server=tool.label, kind="log", level=level, data=data))

        return {"on_progress": on_progress, "on_notice": on_notice}

    def _said(self, tool: McpTool, result: ToolResult) -> Said:
        found, cut = said(result, self.max_result_chars)
        if cut:
            self._tell_cut(f"{tool.label}.{tool.info.name}")
        return found

    async def _why_not(self, tool: McpTool, arguments: dict[str, Any]) -> str | None:
        """Ask for an approval; return why there is none."""
        approve = self.approve
        assert approve is not None
        asked = ApprovalRequest(server_label=tool.label, name=tool.info.name, arguments=arguments, tool=tool.info)
        runtime = self.context.runtime
        if inspect.iscoroutinefunction(approve):
            answer = await runtime.foreign(approve, asked)
        else:
            answer = await runtime.call(approve, asked)
        if answer is True:
            return None
        return f"{NOT_APPROVED} Reason: {answer}" if isinstance(answer, str) and answer else NOT_APPROVED

    def _short(self, name: str, output: str | list[Any]) -> Any:
        if isinstance(output, list):
            return output
        blocks, cut = said(ToolResult(content=({"type": "text", "text": output},)), self.max_result_chars)
        if cut:
            self._tell_cut(name)
        return blocks.output

    def _tell_cut(self, name: str) -> None:
        most = self.max_result_chars
        self.context.drop(f"result of {name}", f"it is longer than {most} characters; its middle is left out")


class Running:
    """The calls of one conversation that run now, and what hooks are told of them.

    Args:
        runner: makes jobs of them.
        parallel: how many run at once.
        content: whether signals carry arguments and results.
    """

    def __init__(self, runner: Runner, parallel: int, *, content: bool) -> None:
        self._runner, self._context, self._content = runner, runner.context, content
        self._jobs: Jobs[Said] = Jobs(runner.context.runtime, parallel, self._tell_begin)

    @property
    def can_approve(self) -> bool:
        """Whether a function answers for the user."""
        return self._runner.approve is not None

    @property
    def is_idle(self) -> bool:
        return self._jobs.is_idle

    def add(self, call: Call) -> None:
        """Have a call run, as soon as there is room."""
        self._jobs.add(self._runner.job(call))

    async def next(self) -> Call:
        """Wait for the next call to end, and return it with what it `said`; one must be running.

        Raises:
            APITimeoutError: the time of the whole call is over.
            ToolFailed: as the runner says.
        """
        job = await self._context.waiting(self._jobs.next())
        call: Call = job.tag
        try:
            if job.error is not None and not isinstance(job.error, Exception):
                raise SetupError(
                    f"the client was closed while the tool {call.name} ran", hint="close the client after its calls"
                )
            if isinstance(job.error, TimeoutError) and not self._context.time_left():
                limit_s = self._context.timeouts.total
                raise APITimeoutError(
                    f"the tool {call.name} was running when the call's {limit_s:g} s were over",
                    limit_s=limit_s,
                    hint="raise it with timeout=Timeouts(total=…), or give the tool a shorter timeout_s",
                )
            said = call.said = self._runner.said(job)
        except Exception as error:
            outcome = "timeout" if isinstance(error, TimeoutError) else "failed"
            self._tell_end(job, outcome, type(error.__cause__ or error).__name__)
            raise
        self._tell_end(job, said.kind, said.error, said.output)
        return call

    def stop(self) -> list[Job[Said]]:
        """Ask all that run to stop; return them. From any thread, without waiting."""
        stopped = self._jobs.cancel()
        for job in stopped:
            self._tell_end(job, "cancelled", "cancelled")
        return stopped

    def _tell_begin(self, job: Job[Said]) -> None:
        call, context = job.tag, self._context
        if context.sinks:
            context.emit(
                ToolStarted(
                    call_id=context.id,
                    operation=context.operation,
                    at_s=job.began_at,
                    tool=call.name,
                    server=call.label,
                    tool_call_id=call.item.call_id,
                    arguments=call.item.arguments if self._content else None,
                )
            )

    def _tell_end(self, job: Job[Said], outcome: Any, error: str | None, result: object = None) -> None:
        call, context = job.tag, self._context
        if context.sinks:
            now = context.runtime.now()
            context.emit(
                ToolEnded(
                    call_id=context.id,
                    operation=context.operation,
                    at_s=now,
                    tool=call.name,
                    server=call.label,
                    tool_call_id=call.item.call_id,
                    outcome=outcome,
                    duration_s=job.duration_s or now - job.began_at,
                    error=error,
                    result=result if self._content else None,
                )
            )
