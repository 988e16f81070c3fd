"""The SDK's server, told what hive's tables hold.

The rule kept here: who calls is read from the HTTP request of this very message and from nowhere else, and no
text of an error of ours reaches a client.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, cast

import trio
from attrs import define, field
from mcp import types
from mcp.server.caching import CACHEABLE_METHODS, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from starlette.requests import Request

from hive.mcp.desk import Call, Desk
from hive.mcp.identity import Caller
from hive.mcp.parts import McpParts
from hive.mcp.prompts import PROMPTS, Occasion, Prompter, PromptSpec, instructions
from hive.mcp.resources import LISTED, RESOURCES, ResourceSpec, Shelf
from hive.mcp.sessions import MCP_SESSION_HEADER, SessionManager
from hive.mcp.subscriptions import Notifier
from hive.mcp.tools import Said, Toolbox, ToolSpec, UnknownTool, builtin_and_installed

CALLER_ENTRY = "hive.caller"
DELIVERY_ENTRY = "hive.delivery"
STOPPING_ENTRY = "hive.stopping"

TOOL_USE_KEYS = ("hive/toolUseId", "claudecode/toolUseId")
"""Where clients put their own id of a tool use, in `_meta`."""

PRIVATE = CacheHint(ttl_ms=0, scope="private")

Context = ServerRequestContext[Any, Any]


class EndpointServer(Server[Any]):
    """A server whose lists may change, which the SDK does not tell clients of the handshake era."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Say that every list may change."""
        options = notification_options or NotificationOptions(
            prompts_changed=True, resources_changed=True, tools_changed=True
        )
        return super().create_initialization_options(options, experimental_capabilities, extensions)


@define(eq=False)
class Incarnation:
    """One incarnation of the endpoint: its memory, its tables and the SDK's server over them."""

    parts: McpParts
    tools: Sequence[ToolSpec] = field(factory=builtin_and_installed)
    resources: Sequence[ResourceSpec] = RESOURCES
    prompts: Sequence[PromptSpec] = PROMPTS
    desk: Desk = field(init=False)
    toolbox: Toolbox = field(init=False)
    shelf: Shelf = field(init=False)
    prompter: Prompter = field(init=False)
    notifier: Notifier = field(factory=Notifier, init=False)
    server: EndpointServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.desk = Desk(self.parts)
        self.toolbox = Toolbox(self.tools)
        self.shelf = Shelf(self.resources, self.desk)
        self.prompter = Prompter(self.desk, self.prompts)
        self.server = EndpointServer(
            "hive",
            version=self.parts.version,
            title="hive",
            instructions=instructions(),
            cache_hints=dict.fromkeys(cast("Any", CACHEABLE_METHODS), PRIVATE),
            get_tool_input_schema=self.toolbox.schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._unsubscribe,
            on_subscriptions_listen=self._listen,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_completion=self._complete,
        )
        # What a client carries for us between two rounds of a call must not be believed unsealed.
        sealed = RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="hive")
        self.server.middleware = [self._guard, sealed]

    def manager(self) -> SessionManager:
        """The HTTP side, to be run once."""
        return SessionManager(self.server, self.notifier.forget)

    async def _guard(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Let no error of ours tell a client anything."""
        if mcp_session := _mcp_session(ctx):
            self.notifier.audience(_caller(ctx).agent).meet(mcp_session, ctx.session)
        try:
            return await call_next(ctx)
        except (MCPError, ValidationError):
            raise
        except Exception as error:
            self.parts.on_error(error)
            raise MCPError(types.INTERNAL_ERROR, "Internal error; hive has written it down.") from error

    # --- tools -------------------------------------------------------------------------------------

    async def _list_tools(self, context: Context, _: object) -> types.ListToolsResult:
        caller = _caller(context)
        if caller.session is not None:
            caller.session.listed = True
        return types.ListToolsResult(tools=[_tool(spec) for spec in self.toolbox.of(caller)])

    async def _call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        try:
            said = await self.toolbox.call(self._call(context), params.name, params.arguments or {})
        except UnknownTool as unknown:
            raise MCPError(types.INVALID_PARAMS, str(unknown)) from None
        return _result(said)

    def _call(self, context: Context) -> Call:
        scope, meta = _request(context).scope, cast("Mapping[str, object]", context.meta or {})
        mcp_session = _mcp_session(context)
        tool_use = next((str(meta[key]) for key in TOOL_USE_KEYS if meta.get(key) is not None), None)
        return Call(
            caller=_caller(context),
            desk=self.desk,
            delivery=scope[DELIVERY_ENTRY],
            stopping=scope[STOPPING_ENTRY],
            mcp_session=mcp_session,
            request=json.dumps(context.request_id) if mcp_session else None,
            tool_use=tool_use,
            context=context,
        )

    # --- resources ---------------------------------------------------------------------------------

    async def _list_resources(self, context: Context, _: object) -> types.ListResourcesResult:
        listed = self.shelf.entries(_caller(context))
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=entry.uri, name=entry.name, description=entry.description, mime_type=spec.mime_type
                )
                for spec, entry in listed
            ]
        )

    async def _list_templates(self, context: Context, _: object) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=spec.template,
                    name=spec.name,
                    description=spec.description,
                    mime_type=spec.mime_type,
                )
                for spec in self.shelf.of(_caller(context))
                if spec.is_template
            ]
        )

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        found = self.shelf.read(_caller(context), params.uri)
        if found is None:
            raise MCPError(types.INVALID_PARAMS, "There is no such resource.", {"uri": params.uri})
        spec, content = found
        return types.ReadResourceResult(contents=[_contents(params.uri, spec.mime_type, content)])

    async def _subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        audience = self.notifier.audience(_caller(context).agent)
        audience.meet(_mcp_session(context) or "", context.session).watch(params.uri)
        return types.EmptyResult()

    async def _unsubscribe(
        self, context: Context, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        audience = self.notifier.audience(_caller(context).agent)
        audience.meet(_mcp_session(context) or "", context.session).watched.pop(params.uri, None)
        return types.EmptyResult()

    async def _listen(
        self, context: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        listen = self.notifier.audience(_caller(context).agent).listen
        stopping = _request(context).scope[STOPPING_ENTRY]
        answer: types.SubscriptionsListenResult | MCPError
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_close_when, stopping, listen)
            try:
                answer = await listen(context, params)
            except MCPError as refusal:  # the nursery would wrap it, and nobody knows a wrapped one
                answer = refusal
            nursery.cancel_scope.cancel()
        if isinstance(answer, MCPError):
            raise answer
        return answer

    # --- prompts -----------------------------------------------------------------------------------

    async def _list_prompts(self, context: Context, _: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(
            prompts=[
                types.Prompt(
                    name=spec.name,
                    description=spec.description,
                    arguments=[
                        types.PromptArgument(
                            name=one.name, description=one.description, required=one.required
                        )
                        for one in spec.arguments
                    ],
                )
                for spec in self.prompter.of(_caller(context))
            ]
        )

    async def _get_prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        caller, given = _caller(context), params.arguments or {}
        spec = self.prompter.find(caller, params.name)
        if spec is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name[:80]!r}.")
        missing = [one.name for one in spec.arguments if one.required and one.name not in given]
        if missing:
            raise MCPError(types.INVALID_PARAMS, f"The prompt needs the arguments: {', '.join(missing)}.")
        rendered = spec.render(Occasion(self.desk, caller, given, context))
        if not isinstance(rendered, str):
            return rendered
        message = types.PromptMessage(role="user", content=types.TextContent(text=rendered))
        return types.GetPromptResult(description=spec.description, messages=[message])

    async def _complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        values = self._completions(_caller(context), params)
        shown = list(values)[:LISTED]
        more = len(values) > len(shown)
        return types.CompleteResult(
            completion=types.Completion(values=shown, total=len(values), has_more=more)
        )

    def _completions(self, caller: Caller, params: types.CompleteRequestParams) -> Sequence[str]:
        begun = params.argument
        if isinstance(params.ref, types.ResourceTemplateReference):
            return self.shelf.complete(caller, params.ref.uri, begun.value)
        spec = self.prompter.find(caller, params.ref.name)
        known = spec.completions(self.desk, caller, begun.name) if spec else ()
        return [value for value in known if value.startswith(begun.value)]


def _request(context: Context) -> Request:
    """The HTTP request of this very message."""
    assert context.request is not None, "the endpoint is reached over HTTP only"
    return cast("Request", context.request)


def _caller(context: Context) -> Caller:
    return cast("Caller", _request(context).scope[CALLER_ENTRY])


def _mcp_session(context: Context) -> str | None:
    """The MCP session, which there is in the handshake era only; in the other the header means nothing."""
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None
    return _request(context).headers.get(MCP_SESSION_HEADER)


def _tool(spec: ToolSpec) -> types.Tool:
    return types.Tool(
        name=spec.name,
        description=spec.description,
        input_schema=spec.schema,
        annotations=types.ToolAnnotations(
            read_only_hint=spec.read_only,
            destructive_hint=False,
            idempotent_hint=spec.idempotent or spec.read_only,
            open_world_hint=False,
        ),
    )


def _result(said: Said) -> types.CallToolResult | types.InputRequiredResult:
    if not isinstance(said.result, str):
        return said.result
    return types.CallToolResult(content=[types.TextContent(text=said.result)], is_error=not said.ok)


def _contents(
    uri: str, mime_type: str, content: str | bytes
) -> types.TextResourceContents | types.BlobResourceContents:
    if isinstance(content, str):
        return types.TextResourceContents(uri=uri, mime_type=mime_type, text=content)
    return types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=b64encode(content).decode())


async def _close_when(stopping: trio.Event, listen: Any) -> None:
    await stopping.wait()
    listen.close()
