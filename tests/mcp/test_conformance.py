"""The protocol's own conformance suite against a real endpoint, on both wires.

Its fixtures are the tools, resources and prompts of a role that only exists here; they go through the same
server, identity, routing and sessions as an agent's own.  Every check is counted: a scenario without checks
would pass without having looked at anything.
"""

import base64
import json
import subprocess
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from attrs import frozen
from mcp import MCPError, types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import PromptsListChanged, ServerEvent, ToolsListChanged

from hive.mcp.app import EndpointApp
from hive.mcp.arguments import argument
from hive.mcp.desk import Call, Desk
from hive.mcp.identity import Caller
from hive.mcp.parts import McpParts
from hive.mcp.prompts import Occasion, PromptArgumentSpec, PromptSpec
from hive.mcp.resources import Entry, ResourceSpec, Values
from hive.mcp.server import Incarnation
from hive.mcp.tools import ToolSpec
from hive.protocol.errors import Refused
from hive.store import agents

if TYPE_CHECKING:
    from tests.mcp.conftest import House

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node@22"
COMMAND = ("npx", "--yes", "-p", NODE, "-p", SUITE, "conformance", "server")
SECONDS = 240

CONFORMANCE = frozenset({"conformance"})
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"
).decode()

Context = ServerRequestContext[Any, Any]
Native = types.CallToolResult | types.InputRequiredResult
Handler = Callable[[Call, Any], Awaitable["str | Native"]]


def context_of(call: Call) -> Context:
    """The SDK's context of a call."""
    return cast("Context", call.context)


# --- arguments -------------------------------------------------------------------------------------


@frozen
class Nothing:
    """No arguments."""


@frozen
class Asked:
    """What `test_sampling` takes."""

    prompt: str = argument("The prompt to send")


@frozen
class Shown:
    """What `test_elicitation` takes."""

    message: str = argument("The message to show")


ADDRESS = {
    "$anchor": "addressDef",
    "type": "object",
    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
}
EVERY_KEYWORD: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": ADDRESS},
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
MIRRORED: dict[str, object] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}
NO_ARGUMENTS: dict[str, object] = {"type": "object", "properties": {}}


# --- what tools answer -----------------------------------------------------------------------------


def text(words: str) -> types.TextContent:
    """Some text."""
    return types.TextContent(text=words)


def image() -> types.ImageContent:
    """A picture of one pixel."""
    return types.ImageContent(data=PNG, mime_type="image/png")


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> types.EmbeddedResource:
    """A resource inside an answer."""
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    )


def answering(*content: types.ContentBlock) -> Handler:
    """A tool that always answers the same."""

    async def handler(_call: Call, _arguments: object) -> Native:
        return types.CallToolResult(content=list(content))

    return handler


async def fail(_call: Call, _arguments: Nothing) -> str:
    """Fail as tools do."""
    raise Refused("This tool intentionally returns an error for testing")


async def say_in_the_log(call: Call, *lines: str) -> None:
    """Write lines into the client's log, which it may not have asked for."""
    context = context_of(call)
    for line in lines:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await context.session.send_log_message("info", line, related_request_id=context.request_id)
        await trio.sleep(0.05)


async def with_logging(call: Call, _arguments: Nothing) -> str:
    """Log three lines."""
    await say_in_the_log(call, "Tool execution started", "Tool processing data", "Tool execution completed")
    return "Logged."


async def with_progress(call: Call, _arguments: Nothing) -> str:
    """Report three steps."""
    for done in (0, 50, 100):
        await context_of(call).session.report_progress(done, 100)
        await trio.sleep(0.05)
    return "Done."


async def with_reconnection(call: Call, _arguments: Nothing) -> str:
    """Close the stream in the middle of the call."""
    await trio.sleep(0.2)
    close = context_of(call).close_sse_stream
    if close:
        await close()
    await trio.sleep(0.2)
    return "Reconnected."


async def sample(call: Call, arguments: Asked) -> str:
    """Have the client's model answer."""
    context = context_of(call)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = await context.session.create_message(
            [types.SamplingMessage(role="user", content=text(arguments.prompt))],
            max_tokens=100,
            related_request_id=context.request_id,
        )
    return f"LLM response: {result.content.text if isinstance(result.content, types.TextContent) else '?'}"


async def elicit(call: Call, message: str, properties: Mapping[str, object], *required: str) -> str:
    """Ask the client's user."""
    context = context_of(call)
    schema = {"type": "object", "properties": dict(properties), "required": list(required)}
    result = await context.session.elicit_form(message, schema, related_request_id=context.request_id)
    return f"Elicitation completed: action={result.action}, content={json.dumps(result.content)}"


async def elicit_user(call: Call, arguments: Shown) -> str:
    """Ask for a name and an address."""
    fields = {name: {"type": "string", "description": name} for name in ("username", "email")}
    return await elicit(call, arguments.message, fields, *fields)


async def elicit_defaults(call: Call, _arguments: Nothing) -> str:
    """Ask with a default for every type."""
    fields = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await elicit(call, "Who are you?", fields)


async def elicit_choices(call: Call, _arguments: Nothing) -> str:
    """Ask with every kind of choice."""
    options = ["option1", "option2", "option3"]
    titled = [{"const": option, "title": option.title()} for option in options]
    fields = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": options,
            "enumNames": [option.title() for option in options],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await elicit(call, "Which?", fields)


# --- several rounds --------------------------------------------------------------------------------

Ask = types.CreateMessageRequest | types.ListRootsRequest | types.ElicitRequest


def ask_form(message: str, name: str, kind: str = "string") -> Ask:
    """Ask the user for one value."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    params = types.ElicitRequestFormParams(message=message, requested_schema=schema)
    return types.ElicitRequest(params=params)


def ask_model(question: str) -> Ask:
    """Ask the client's model."""
    message = types.SamplingMessage(role="user", content=text(question))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=100)
    )


ASK_ROOTS = types.ListRootsRequest()


def round_of(context: Context) -> tuple[Mapping[str, Any], str | None]:
    """What a client sent with this round: its answers and the state it was given."""
    params = context.params or {}
    return params.get("inputResponses") or {}, params.get("requestState")


def understood(answers: Mapping[str, Any], asked: Mapping[str, Ask]) -> bool:
    """Whether every question was answered in its own form."""

    def fits(answer: object, question: Ask) -> bool:
        match question:
            case types.ElicitRequest():
                return isinstance(answer, dict) and isinstance(answer.get("content"), dict)
            case types.CreateMessageRequest():
                return isinstance(answer, dict) and "content" in answer
            case _:
                return isinstance(answer, dict) and isinstance(answer.get("roots"), list)

    return all(name in answers and fits(answers[name], question) for name, question in asked.items())


def asking(*rounds: Mapping[str, Ask], state: bool = False) -> Handler:
    """A tool that asks in one or more rounds and then says what it heard."""

    async def handler(call: Call, _arguments: object) -> "str | Native":
        answers, told = round_of(context_of(call))
        at = int(told or 0)
        if understood(answers, rounds[at]) and (told is not None or not state):
            at += 1
        if at == len(rounds):
            return f"state-ok: {json.dumps(answers)}"
        return types.InputRequiredResult(
            input_requests=dict(rounds[at]), request_state=str(at) if state else None
        )

    return handler


async def ask_what_the_client_can(call: Call, _arguments: Nothing) -> Native:
    """Ask only in ways the client said it knows."""
    known = capabilities(context_of(call))
    questions = {"elicitation": ask_form("Who?", "name"), "sampling": ask_model("Who?"), "roots": ASK_ROOTS}
    return types.InputRequiredResult(
        input_requests={name: questions[name] for name in questions if name in known}
    )


async def need_sampling(call: Call, _arguments: Nothing) -> str:
    """Refuse a client that has no model."""
    if "sampling" not in capabilities(context_of(call)):
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "sampling is needed",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return "It has it."


def capabilities(context: Context) -> Mapping[str, object]:
    """What the client of this request can do."""
    meta = (context.params or {}).get("_meta") or {}
    return cast("Mapping[str, object]", meta.get(types.CLIENT_CAPABILITIES_META_KEY) or {})


# --- resources and prompts -------------------------------------------------------------------------


def fixed(uri: str, content: str | bytes, mime_type: str = "text/plain") -> ResourceSpec:
    """A resource that never changes."""

    def listed(_desk: Desk, _caller: Caller) -> Sequence[Entry]:
        return (Entry(uri, uri, "for the conformance suite"),)

    def read(_desk: Desk, _caller: Caller, _values: Values) -> str | bytes:
        return content

    return ResourceSpec(uri, uri, "for the conformance suite", read, mime_type, listed, roles=CONFORMANCE)


def read_template(_desk: Desk, _caller: Caller, values: Values) -> str:
    """Fill in a template."""
    return json.dumps({"id": values["id"], "templateTest": True, "data": f"Data for ID: {values['id']}"})


RESOURCES = (
    fixed("test://static-text", "This is the content of the static text resource."),
    fixed("test://static-binary", base64.b64decode(PNG), "image/png"),
    fixed("test://watched-resource", "Watch me."),
    ResourceSpec(
        "test://template/{id}/data",
        "template",
        "for the suite",
        read_template,
        "application/json",
        roles=CONFORMANCE,
    ),
)


def shown(*content: types.ContentBlock) -> types.GetPromptResult:
    """A prompt of these parts."""
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=part) for part in content]
    )


def with_arguments(occasion: Occasion) -> str:
    """Fill in two arguments."""
    return "Prompt with arguments: arg1='{arg1}', arg2='{arg2}'".format(**occasion.arguments)


def with_resource(occasion: Occasion) -> types.GetPromptResult:
    """Embed the resource that was named."""
    resource = embedded(occasion.arguments["resourceUri"], "Embedded resource content for testing.")
    return shown(resource, text("Please process the embedded resource above."))


def with_question(occasion: Occasion) -> "types.GetPromptResult | types.InputRequiredResult":
    """Ask before showing."""
    asked = {"user_context": ask_form("What context should the prompt use?", "context")}
    answers, _ = round_of(cast("Context", occasion.context))
    if understood(answers, asked):
        return shown(text(f"In the context of {answers['user_context']['content']}"))
    return types.InputRequiredResult(input_requests=asked)


def prompt(name: str, render: Callable[[Occasion], Any], *arguments: str) -> PromptSpec:
    """A prompt of the suite."""
    described = [PromptArgumentSpec(argument, "for the suite") for argument in arguments]
    return PromptSpec(name, "for the conformance suite", render, described, roles=CONFORMANCE)


PROMPTS = (
    prompt("test_simple_prompt", lambda _: "This is a simple prompt for testing."),
    prompt("test_prompt_with_arguments", with_arguments, "arg1", "arg2"),
    prompt("test_prompt_with_embedded_resource", with_resource, "resourceUri"),
    prompt("test_prompt_with_image", lambda _: shown(image(), text("Please analyze the image above."))),
    prompt("test_input_required_result_prompt", with_question),
)


# --- the server ------------------------------------------------------------------------------------

NAME = {"user_name": ask_form("What is your name?", "name")}
CAPITAL = {"capital_question": ask_model("What is the capital of France?")}
EVERYTHING = {**NAME, "greeting": ask_model("Generate a greeting"), "client_roots": ASK_ROOTS}
STEPS = (
    {"step1": ask_form("Step 1: What is your name?", "name")},
    {"step2": ask_form("Step 2: Colour?", "color")},
)
CONFIRM = {"confirm": ask_form("Please confirm", "ok", "boolean")}
MIXED = (
    text("Multiple content types test:"),
    image(),
    embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
)

TOOLS: Mapping[str, Handler] = {
    "test_simple_text": answering(text("This is a simple text response for testing.")),
    "test_image_content": answering(image()),
    "test_audio_content": answering(types.AudioContent(data=WAV, mime_type="audio/wav")),
    "test_embedded_resource": answering(
        embedded("test://embedded-resource", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": answering(*MIXED),
    "test_error_handling": fail,
    "test_tool_with_logging": with_logging,
    "test_logging_tool": with_logging,
    "test_tool_with_progress": with_progress,
    "test_reconnection": with_reconnection,
    "test_elicitation_sep1034_defaults": elicit_defaults,
    "test_elicitation_sep1330_enums": elicit_choices,
    "test_missing_capability": need_sampling,
    "test_streaming_elicitation": asking(NAME),
    "test_input_required_result_elicitation": asking(NAME),
    "test_input_required_result_sampling": asking(CAPITAL),
    "test_input_required_result_list_roots": asking({"client_roots": ASK_ROOTS}),
    "test_input_required_result_request_state": asking(CONFIRM, state=True),
    "test_input_required_result_multiple_inputs": asking(EVERYTHING, state=True),
    "test_input_required_result_multi_round": asking(*STEPS, state=True),
    "test_input_required_result_tampered_state": asking(CONFIRM, state=True),
    "test_input_required_result_capabilities": ask_what_the_client_can,
}


def tool(name: str, handler: Handler, arguments: type = Nothing, **more: Any) -> ToolSpec:
    """A tool of the suite."""
    return ToolSpec(name, arguments, handler, "For the conformance suite.", roles=CONFORMANCE, **more)


class ConformanceIncarnation(Incarnation):
    """The endpoint with the suite's fixtures beside hive's own tools."""

    def __attrs_post_init__(self) -> None:
        """Add the fixtures, and the one method hive itself has no use for."""
        ok = answering(text("ok"))
        self.tools = (
            *self.tools,
            *(tool(name, handler) for name, handler in TOOLS.items()),
            tool("test_sampling", sample, Asked),
            tool("test_elicitation", elicit_user, Shown),
            tool("json_schema_2020_12_tool", ok, dict, schema=EVERY_KEYWORD),
            tool("test_mirrored_argument", ok, dict, schema=MIRRORED),
            tool("test_trigger_tool_change", self.announcing(ToolsListChanged())),
            tool("test_trigger_prompt_change", self.announcing(PromptsListChanged())),
        )
        self.resources = (*self.resources, *RESOURCES)
        self.prompts = (*self.prompts, *PROMPTS)
        super().__attrs_post_init__()
        self.server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, accept_level)

    def announcing(self, event: ServerEvent) -> Handler:
        """A tool that has the client told of a change."""

        async def handler(call: Call, _arguments: object) -> str:
            self.notifier.announce(call.agent, event)
            return "announced"

        return handler


async def accept_level(_context: Context, _params: types.SetLevelRequestParams) -> types.EmptyResult:
    """Accept any level."""
    return types.EmptyResult()


def with_token(app: EndpointApp, token: str) -> Callable[..., Awaitable[None]]:
    """The suite shows no token."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [*scope["headers"], (b"authorization", f"Bearer {token}".encode())]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    return asgi


# --- the suite -------------------------------------------------------------------------------------

Checks = Mapping[str, Counter[str]]
MAY_FAIL = "tasks-"
"""An extension of the protocol that hive does not offer."""

PASSED: Mapping[str, int] = {"2025-11-25": 84, "2026-07-28": 152}
"""Checks that pass on each wire.  A smaller number means that something was not looked at."""

WRONG = ("FAILURE", "WARNING")


def run_suite(port: int, version: str, results: Path) -> subprocess.CompletedProcess[str]:
    """Run every scenario of one wire."""
    options = ("--suite", "all", "--spec-version", version, "-o", str(results))
    return subprocess.run(
        (*COMMAND, "--url", f"http://127.0.0.1:{port}/mcp/conformance", *options),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=results.parent,
    )


def checks_in(results: Path) -> Checks:
    """How the checks of each scenario went."""
    found: dict[str, Counter[str]] = {}
    for path in sorted(results.rglob("checks.json")):
        scenario = path.parent.name
        found[scenario] = Counter(check["status"] for check in json.loads(path.read_text()))
    return found


@pytest.mark.slow
@pytest.mark.needs("npm")
@pytest.mark.parametrize("version", PASSED)
async def test_the_endpoint_conforms(
    house: "House",
    tmp_path: Path,
    version: str,
    need: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every scenario passes but those of an extension we do not offer; as many checks as ever are made."""
    monkeypatch.setattr(agents, "ROLES", (*agents.ROLES, "conformance"))
    await house.add("conformance", role="conformance")
    app = EndpointApp(
        house.parts, incarnate=cast("Callable[[McpParts], Incarnation]", ConformanceIncarnation)
    )
    results = tmp_path / "results"
    async with house.serving(with_token(app, "conformance-token")) as port:
        with trio.CancelScope(shield=True):
            suite = await trio.to_thread.run_sync(partial(run_suite, port, version, results))

    if not results.exists():
        need(f"{SUITE} by npx: {suite.stderr[-300:]}")
    checks = checks_in(results)
    failed = {
        name: dict(counts)
        for name, counts in checks.items()
        if any(counts[status] for status in WRONG) or not counts["SUCCESS"]
    }
    unexpected = {name: counts for name, counts in failed.items() if MAY_FAIL not in name}
    passed = sum(counts["SUCCESS"] for name, counts in checks.items() if MAY_FAIL not in name)
    assert unexpected == {}, suite.stdout[-4000:]
    assert passed >= PASSED[version]
