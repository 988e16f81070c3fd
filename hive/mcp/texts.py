"""What the tools answer, written for a model to act on.

The rule kept here: an identity is named as such, a label only as somebody's words, and no body can be
mistaken for hive's own text, because every line of it is indented.
"""

from collections.abc import Iterable, Sequence
from textwrap import indent

from hive.protocol.commands import Settings
from hive.protocol.mail import ClaimedMail, Mail, Priority, Provenance
from hive.protocol.names import OPERATOR
from hive.protocol.parking import EXITS, Parked
from hive.protocol.views import AgentView, MailPage
from hive.protocol.wording import clock, count, duration, read_call, why_sentence

EXCERPT_CHARACTERS = 240
"""Of a body in a list."""


def flat(text: str) -> str:
    """Somebody's words on one line, so that they cannot begin one of ours."""
    return " ".join(text.split())


# --- receiving -------------------------------------------------------------------------------------


def describe_received(
    mail: Sequence[ClaimedMail], now: float, *, waiting: int, lease_seconds: float | None
) -> str:
    """Claimed mail, newest last, and what its reader owes for it."""
    owed = (
        f"Held for you for {duration(lease_seconds)}, longer with every call. Call ack(message) for each one "
        "you have handled, or release(message) to give it back."
        if lease_seconds is not None
        else "They belong to the turn you are running; nothing needs to be acknowledged."
    )
    heading = f"{count(len(mail), 'message')}; {waiting or 'no'} more waiting. {owed}"
    return "\n\n".join([heading, *(_claimed(one, now) for one in mail)])


def nothing_received(view: AgentView | None, now: float, *, stopping: bool) -> str:
    """Why `recv` came back empty."""
    if stopping:
        return "Nothing was taken: hive is restarting this endpoint. Call again in a few seconds."
    if view and view.deliverable and view.parked:
        return f"Nothing can be taken at the moment: {why_sentence(view, now)}"
    return "No mail is waiting."


def _claimed(one: ClaimedMail, now: float) -> str:
    notes = [
        f"Turn {past.turn} had this message before and ended as {past.outcome}; "
        + (f"it had sent: {'; '.join(map(flat, past.sent))}." if past.sent else "it had sent nothing.")
        for past in one.redeliveries
    ]
    if notes:
        notes.append("It may be handled already.")
    return describe_mail(one.mail, now, notes)


def describe_mail(mail: Mail, now: float, notes: Iterable[str] = (), *, whole: str | None = None) -> str:
    """One message with everything hive knows of it, and its body or excerpt."""
    body = mail.body if whole is None else whole
    tail = []
    if mail.attachment and whole is None:
        tail.append(
            f"Only the beginning of {mail.size} bytes. To read all of it: {read_call(f'#{mail.number}')} "
            f"(also the resource hive://attachment/{mail.attachment})"
        )
    return "\n".join([describe_head(mail, now), *notes, quoted(body), *tail])


def describe_head(mail: Mail, now: float) -> str:
    """Everything hive knows of a message but its body."""
    head = [f"#{mail.number} ({mail.id}) from {_sender(mail)}, {duration(now - mail.created_at)} ago"]
    if mail.in_reply_to:
        head.append(f"In reply to {mail.in_reply_to}.")
    if mail.broadcast:
        head.append("A broadcast to every agent; it may not need any action.")
    return "\n".join(head)


def quoted(text: str) -> str:
    """Somebody's text, so that no line of it can be taken for hive's own."""
    return indent(text, "  ", lambda _: True)


def _sender(mail: Mail) -> str:
    label = f", labelled {mail.label!r}" if mail.label else ""
    outside = ", from outside hive" if mail.provenance is Provenance.OUTSIDE else ""
    urgent = ", urgent" if mail.priority is Priority.URGENT else ""
    return f"{mail.sender}{label}{outside}{urgent}"


# --- looking ---------------------------------------------------------------------------------------


def describe_inbox(page: MailPage, now: float) -> str:
    """A list of mail, newest first, with excerpts."""
    if not page.mail:
        return "Nothing found."
    lines = [_listed(mail, now) for mail in page.mail]
    if page.more:
        lines.append("There is more; narrow it with text or state, or raise limit.")
    return "\n".join(lines)


def _listed(mail: Mail, now: float) -> str:
    excerpt = flat(mail.body)
    cut = mail.attachment or len(excerpt) > EXCERPT_CHARACTERS
    shown = f"{excerpt[:EXCERPT_CHARACTERS]}… (all of it: {read_call(f'#{mail.number}')})" if cut else excerpt
    age = duration(now - mail.created_at)
    return f"#{mail.number} ({mail.id}) {mail.state.value}, from {_sender(mail)}, {age} ago: {shown}"


def describe_agents(views: Iterable[AgentView], me: str, now: float) -> str:
    """Everybody one can write to, one line each."""
    lines = [_agent(view, me, now) for view in views if view.removed_at is None]
    return "\n".join([*lines, f"{OPERATOR}: the person in charge. You can write to them."])


def _agent(view: AgentView, me: str, now: float) -> str:
    mine = " (you)" if view.name == me else ""
    purpose = f"; {flat(view.settings.purpose)}" if view.settings.purpose else ""
    said = (
        f'; says "{flat(view.status)}" ({duration(now - (view.status_at or now))} ago)' if view.status else ""
    )
    return f"{view.name}{mine}: {view.settings.role}, {state_words(view, now)}{purpose}{said}"


def state_words(view: AgentView, now: float) -> str:
    """What an agent is doing, in a few words."""
    if view.open_turn:
        return f"at work on turn {view.open_turn.number}"
    if view.parked:
        return f"parked: {parked_words(view.parked, now)}"
    return "about to wake" if view.deliverable else "idle"


def parked_words(parked: Iterable[Parked], now: float) -> str:
    """Why an agent does not wake, all reasons joined."""
    return " and ".join(
        EXITS[one.reason].words + (f" until {clock(one.until, now)}" if one.until else "") for one in parked
    )


def describe_self(name: str, settings: Settings, operator: str, pronouns: str, version: str) -> str:
    """Who a caller is."""
    purpose = f"Your purpose: {settings.purpose}\n" if settings.purpose else ""
    return (
        f"You are {name}, role {settings.role}, in hive {version}.\n{purpose}"
        f"The operator, who is a person, is {operator} ({pronouns}). Mail to 'operator' reaches them."
    )
