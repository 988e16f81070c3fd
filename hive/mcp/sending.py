"""The tools that send, and what makes a repeated call one message.

The rule kept here: a send either answers or can be repeated.  What identifies a call comes from the call
itself: the argument `key`, the client's id of the tool use, or request and session together; never the bare
id of a request, because ids restart in every client.
"""

import hashlib
import json

from attrs import evolve, frozen

from hive.mcp.arguments import argument
from hive.mcp.desk import Call
from hive.protocol.commands import Once, Send
from hive.protocol.mail import ATTACHMENT_BYTES, Kind
from hive.protocol.names import MANAGER, OPERATOR
from hive.protocol.wording import describe_send

TITLE_CHARACTERS = 64
NOTIFY_CHARACTERS = 200
LABEL_CHARACTERS = 64
KEY_CHARACTERS = 200
REASON_CHARACTERS = 1000


@frozen
class SendArguments:
    """What `send` takes."""

    to: str = argument(
        f"Who gets it: an agent's name (see agents), '{MANAGER}', '{OPERATOR}', or '*' for all other agents.",
        least=1,
        most=40,
    )
    body: str = argument(
        "The text. A long one becomes an attachment by itself.", least=1, most=ATTACHMENT_BYTES
    )
    in_reply_to: str | None = argument(
        "Id or number of the message this answers; keeps the thread together.", default=None, most=64
    )
    label: str | None = argument(
        "A few words shown beside your name. It is not an identity.", default=None, most=LABEL_CHARACTERS
    )
    key: str | None = argument(
        "A word of your own for this very message: sending it again under the same key is one message.",
        default=None,
        least=1,
        most=KEY_CHARACTERS,
    )


@frozen
class NotifyArguments:
    """What `notify` takes."""

    title: str = argument("What it is about, in a few words.", least=1, most=TITLE_CHARACTERS)
    body: str = argument("One or two sentences.", least=1, most=NOTIFY_CHARACTERS)


@frozen
class NextTurnArguments:
    """What `request_next_turn` takes."""

    reason: str | None = argument(
        "What you will go on with; you will read it then.", default=None, most=REASON_CHARACTERS
    )


@frozen
class WakeArguments:
    """What `wake` takes."""

    label: str = argument(
        "Where this comes from, for example 'cron' or 'ci'.", least=1, most=LABEL_CHARACTERS
    )
    body: str = argument("What happened.", least=1, most=ATTACHMENT_BYTES)


async def send(call: Call, arguments: SendArguments) -> str:
    """Send mail to an agent, the manager, the operator or everybody."""
    sent = evolve(
        _from(call, arguments.to, arguments.body), label=arguments.label, in_reply_to=arguments.in_reply_to
    )
    return await _post(call, sent, arguments.key)


async def notify(call: Call, arguments: NotifyArguments) -> str:
    """Tell the operator something worth a glance."""
    sent = _from(call, OPERATOR, f"{arguments.title}\n\n{arguments.body}")
    return await _post(call, evolve(sent, kind=Kind.NOTIFY))


async def request_next_turn(call: Call, arguments: NextTurnArguments) -> str:
    """Leave oneself a note that starts another turn."""
    sent = _from(call, call.agent, arguments.reason or "Go on.")
    return await _post(call, evolve(sent, kind=Kind.NEXT_TURN))


async def wake(call: Call, arguments: WakeArguments) -> str:
    """Tell the agent of something that happened outside hive."""
    sent = _from(call, call.agent, arguments.body)
    return await _post(call, evolve(sent, kind=Kind.WAKE, label=arguments.label))


def _from(call: Call, to: str, body: str) -> Send:
    """What this caller sends, with what hive knows of it and nobody can claim."""
    caller = call.caller
    return Send(
        sender=caller.agent,
        to=to,
        body=body,
        provenance=caller.provenance,
        turn=caller.turn,
        cause=f"client:{caller.agent}" if caller.client else None,
        own_token=True,
    )


async def _post(call: Call, command: Send, key: str | None = None) -> str:
    digest = digest_of(command)
    once = once_for(call, key, digest)
    # Only without a key: with one the store itself repeats its answer.
    answer = None if once else call.desk.take_unread(call.caller, digest)
    if answer is None:
        answer = describe_send(await call.desk.perform(command, once), call.now)
    unread = answer
    await call.delivery.hand_over(lambda: call.desk.keep_unread(call.caller, digest, unread))
    return answer


def once_for(call: Call, key: str | None, digest: str) -> Once | None:
    """What makes this call one with its repetitions, or None where nothing identifies it."""
    who = f"mcp/{call.agent}/{'client' if call.caller.client else 'agent'}"
    if key is not None:
        return Once(f"{who}/key", key, digest)
    if call.tool_use:  # an empty one names no call, and would make all of them one
        return Once(f"{who}/tool-use", fingerprint(call.tool_use), digest)
    if call.mcp_session is not None and call.request is not None:
        return Once(f"{who}/request", fingerprint(call.mcp_session, call.request), digest)
    return None


def fingerprint(*content: object) -> str:
    """Of what clients make up: their ids may be of any length, and JSON spells what no text may hold."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def digest_of(command: Send) -> str:
    """A fingerprint of what somebody meant to send."""
    return fingerprint(command.kind, command.to, command.body, command.in_reply_to, command.label)
