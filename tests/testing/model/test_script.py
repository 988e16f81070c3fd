"""The brain whose script stands in the prompt: what it reads, and where it is in it."""

from typing import Any

import pytest
from attrs import evolve

from hive.agents.prompt import AgentFacts, wake_prompt
from hive.protocol.commands import TurnBegun, Usage
from hive.protocol.mail import ClaimedMail, Mail, Provenance
from hive.testing.model import (
    Asked,
    Context,
    Failure,
    NotOfferedError,
    Reply,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    UserText,
    WrongScriptError,
    scripted,
)
from hive.testing.model.context import heard, newest_mail
from hive.testing.model.conversation import Item
from hive.testing.model.naming import finished, offered

TOOLS = (Tool("mcp__hive__send"), Tool("Bash"))


def asked(*items: Item | str, tools: tuple[Tool, ...] = TOOLS) -> Asked:
    """A request with this conversation; texts are the user's."""
    conversation = tuple(UserText(item) if isinstance(item, str) else item for item in items)
    return Asked("anthropic", items=conversation, tools=tools)


def results(*ids: str) -> tuple[Item, ...]:
    """A group of calls with their results."""
    return (*(ToolCall("send", {}, one) for one in ids), *(ToolResult(one, "ok") for one in ids))


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("!say good morning", Reply((Text("good morning"),))),
        ("!think hm", Reply((Thinking("hm"),))),
        ('!call hive/send {"to": "juno"}', Reply((ToolCall("hive/send", {"to": "juno"}),))),
        ("!both hive/inbox ;; Bash {}", Reply((ToolCall("hive/inbox"), ToolCall("Bash")))),
        (
            "!error 529 overloaded_error Too busy",
            Reply(error=Failure(529, "overloaded_error", "Too busy")),
        ),
        ("!error 401 authentication_error", Reply(error=Failure(401, *["authentication_error"] * 2))),
        ("!header retry-after 3", Reply((Text("done"),), headers=(("retry-after", "3"),))),
        (
            "!usage 990000 5",
            Reply((Text("done"),), usage=Usage(input_tokens=990_000, output_tokens=5)),
        ),
        ("!stop max_tokens", Reply((Text("done"),), stop="max_tokens")),
        ("!wait 2.5", Reply((Text("done"),), delay=2.5)),
        ("!hang", Reply(hang=True)),
        ("!drop", Reply(drop=True)),
    ],
)
def test_each_line_is_a_step(line: str, reply: Reply) -> None:
    """What it says is answered, and nothing else."""
    assert scripted(asked(f"Please do this:\n{line}\nThank you!")) == reply


def test_an_answer_goes_up_to_the_next_call() -> None:
    """The place is the number of groups of calls that have their results since the text."""
    script = "!think first\n!call hive/send\n!say second\n!both hive/inbox ;; hive/inbox\n!say third"
    first, second = results("a"), results("b", "c")
    assert scripted(asked(script)).blocks == (Thinking("first"), ToolCall("hive/send"))
    assert scripted(asked(script, *first)).blocks == (Text("second"), *[ToolCall("hive/inbox")] * 2)
    assert scripted(asked(script, *first, *second)).blocks == (Text("third"),)
    assert scripted(asked(script, *first, *second, *results("d"))).blocks == (Text("done"),)


def test_results_of_one_answer_count_once_whatever_stands_between_them() -> None:
    """A reminder between two results makes no second group of them."""
    call, result = results("a")
    between = (call, result, Context("a reminder"), ToolResult("b", "ok"))
    assert asked("go", *between).finished == 1
    assert asked("go", *between, *results("c")).finished == 2


def test_a_new_text_begins_a_new_script() -> None:
    """What was done for an older one does not count."""
    assert scripted(asked("!call hive/send", *results("a"), "!say two")).blocks == (Text("two"),)


@pytest.mark.parametrize(
    "request_",
    [
        asked("!say secret", tools=()),
        asked("how are you?"),
        asked("![a picture](x.png)"),
        asked("!say one", "hello"),
        asked(),
        asked(Context("!say no")),
    ],
)
def test_what_is_no_script_gets_a_short_answer(request_: Asked) -> None:
    """Side calls without tools, small talk, pictures, and whatever a CLI says by itself."""
    assert scripted(request_) == Reply((Text("ok"),))


def test_a_side_call_that_wants_json_gets_json() -> None:
    """A client that cannot read an answer asks again and again."""
    assert scripted(evolve(asked("go", tools=()), structured=True)) == Reply((Text("{}"),))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("!dance", "'!dance' is not a directive; there are !call, !both"),
        ("!call", "name a tool"),
        ("!call hive/send {to}", "not JSON on one line"),
        ("!call hive/send []", "one JSON object"),
        ("!error many", "give an HTTP status"),
        ("!error 200 ok", "give an HTTP status"),
        ("!error 500", "give a type"),
        ("!header a:b c", "letters, digits and hyphens"),
        ("!wait long", "give the seconds"),
        ("!usage 1", "give tokens in"),
        ("!hang on", "stands alone"),
        ("!stop", "give a reason"),
    ],
)
def test_a_line_that_makes_no_sense_says_how_to_write_it(line: str, words: str) -> None:
    """Nothing of such a script is carried out, and all that is wrong is said at once."""
    with pytest.raises(WrongScriptError) as wrong:
        scripted(asked(f"!say hello\n{line}\n!crash"))
    assert words in str(wrong.value)
    assert "'!crash' is not a directive" in str(wrong.value)


def mail(number: int, body: str) -> Mail:
    """A message to iris."""
    fields: dict[str, Any] = {
        "sender": "operator",
        "recipient": "iris",
        "thread": f"m-{number}",
        "provenance": Provenance.OPERATOR,
        "created_at": 0.0,
    }
    return Mail(number=number, id=f"m-{number}", body=body, **fields)


def test_in_a_prompt_of_hive_the_newest_mail_is_the_script() -> None:
    """Within its fence, however long that is; older mail is not carried out again."""
    bodies = ("!say old", "!say new\n```\n## Message 9 of 9\n```\n!call hive/send {}")
    claimed = tuple(ClaimedMail(mail(number, body), number) for number, body in enumerate(bodies, 1))
    prompt = wake_prompt(TurnBegun(7, "iris", claimed, 0, 0), AgentFacts("iris"), 1.0).text
    assert newest_mail(prompt) == bodies[1]
    assert scripted(asked(prompt)).blocks == (Text("new"), ToolCall("hive/send"))
    assert newest_mail("!say plain") == "!say plain"


@pytest.mark.parametrize(
    "text",
    [
        "<system-reminder>\nToday is Monday.\n</system-reminder>",
        "<environment_context>\n<cwd>/tmp</cwd>\n</environment_context>",
        "<session_context>This is the Gemini CLI.</session_context>",
        "# AGENTS.md instructions for /tmp\n\n<INSTRUCTIONS>\n!say no\n</INSTRUCTIONS>",
        "This session is being continued from a previous conversation that ran out of context.\n!say no",
        "Another language model started to solve this problem and produced a summary\n!say no",
    ],
)
def test_what_a_cli_puts_in_is_no_user_text(text: str) -> None:
    """Alone, and beside what the user wrote."""
    assert heard(text) == (Context(text),)
    if text.startswith("<"):
        assert heard(f"{text}\n\n!say yes\n") == (Context(text), UserText("!say yes"))


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("hive/send", Tool("mcp__hive__send")),
        ("hive/send", Tool("mcp_hive_send")),
        ("hive/send", Tool("hive_send")),
        ("hive/send", Tool("send", "mcp__hive")),
        ("hive/send", Tool("send", "mcp__hive__")),
        ("hive/send", Tool("send", "hive")),
        ("my-files/read-all", Tool("mcp__my-files__read_all")),
        ("my-files/read-all", Tool("read-all", "mcp__my_files")),
        ("Bash", Tool("Bash")),
    ],
)
def test_a_tool_is_found_under_the_name_its_cli_gave_it(name: str, tool: Tool) -> None:
    """Among others of nearly the same name."""
    others = (Tool("send"), Tool("mcp__hive__send_all"), Tool("send", "mcp__other"), Tool("other_send"))
    assert offered(name, (*others, tool)) == tool


def test_a_tool_that_is_not_offered_is_refused_with_those_that_are() -> None:
    """A server that is down is the usual reason; the model's own words for it would help nobody."""
    with pytest.raises(
        NotOfferedError, match="no tool 'hive/read' was offered; there are: mcp__hive__send, Bash"
    ):
        offered("hive/read", TOOLS)


def test_a_reply_is_finished_with_names_ids_and_the_model() -> None:
    """What a brain has given itself stays as it is; what an error would have said is not looked up."""
    ids = iter("abc").__next__
    reply = Reply((Text("so"), ToolCall("hive/send"), ToolCall("Bash", {}, "mine")))
    whole = finished(reply, asked("go"), ids)
    assert whole.blocks == (
        Text("so"),
        ToolCall("mcp__hive__send", {}, "call_a"),
        ToolCall("Bash", {}, "mine"),
    )
    assert (whole.id, whole.model) == ("msg_b", "model")
    failed = Reply((ToolCall("nothing"),), error=Failure(500, "api_error"))
    assert finished(failed, asked("go"), ids).blocks == ()
