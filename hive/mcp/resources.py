"""What an agent can read by address: its inbox, its messages and their attachments.

The rule kept here: what somebody may not read does not exist for them; both get the same answer.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import Factory, define, field, frozen

from hive.mcp.desk import Desk
from hive.mcp.identity import Caller
from hive.mcp.texts import describe_inbox, describe_mail
from hive.protocol.mail import UNFINISHED, Mail
from hive.protocol.names import OPERATOR

INBOX = "hive://inbox"
MESSAGE = "hive://message/{id}"
ATTACHMENT = "hive://attachment/{sha256}"

LISTED = 50
"""Messages listed as resources, and suggestions of a completion: the newest ones."""

_PLACE = re.compile(r"\\\{(\w+)\\\}")

Values = Mapping[str, str]
Content: TypeAlias = str | bytes


@frozen
class Entry:
    """One resource that can be listed."""

    uri: str
    name: str
    description: str = ""


def _no_entries(_desk: Desk, _caller: Caller) -> Sequence[Entry]:
    return ()


def _no_values(_desk: Desk, _caller: Caller) -> Sequence[str]:
    return ()


@frozen
class ResourceSpec:
    """One kind of resource: an address with or without places to fill in."""

    template: str
    name: str
    description: str
    read: Callable[[Desk, Caller, Values], Content | None]
    """What is there for this caller, or None."""

    mime_type: str = "text/plain"
    entries: Callable[[Desk, Caller], Sequence[Entry]] = _no_entries
    """What to list for this caller."""

    values: Callable[[Desk, Caller], Sequence[str]] = _no_values
    """What could fill the place in the address."""

    roles: frozenset[str] | None = None
    _pattern: re.Pattern[str] = field(
        init=False,
        repr=False,
        default=Factory(
            lambda self: re.compile(_PLACE.sub(r"(?P<\1>[^/]+)", re.escape(self.template))), takes_self=True
        ),
    )

    @property
    def is_template(self) -> bool:
        """Whether the address has a place to fill in."""
        return "{" in self.template

    def is_for(self, caller: Caller) -> bool:
        """Whether this caller has it."""
        return self.roles is None or caller.role in self.roles

    def match(self, uri: str) -> Values | None:
        """What fills the places of the template in this address, or None where it does not fit."""
        found = self._pattern.fullmatch(uri)
        return found.groupdict() if found else None


@define(eq=False)
class Shelf:
    """The resources of one endpoint."""

    specs: Sequence[ResourceSpec]
    desk: Desk

    def of(self, caller: Caller) -> Iterable[ResourceSpec]:
        """The kinds of resources a caller has."""
        return (spec for spec in self.specs if spec.is_for(caller))

    def entries(self, caller: Caller) -> Iterable[tuple[ResourceSpec, Entry]]:
        """What to list for a caller."""
        return ((spec, entry) for spec in self.of(caller) for entry in spec.entries(self.desk, caller))

    def read(self, caller: Caller, uri: str) -> tuple[ResourceSpec, Content] | None:
        """What is at this address for this caller."""
        for spec in self.of(caller):
            values = spec.match(uri)
            if values is not None:
                content = spec.read(self.desk, caller, values)
                return None if content is None else (spec, content)
        return None

    def complete(self, caller: Caller, template: str, begun: str) -> Sequence[str]:
        """What a value that begins so could be."""
        return [
            value
            for spec in self.of(caller)
            if spec.template == template
            for value in spec.values(self.desk, caller)
            if value.startswith(begun)
        ]


# --- hive's own ------------------------------------------------------------------------------------


def _inbox(desk: Desk, caller: Caller, _: Values) -> str:
    page = desk.reader.mailbox(caller.agent, states=tuple(UNFINISHED), limit=LISTED)
    return describe_inbox(page, desk.parts.wall())


def _inbox_entry(_desk: Desk, caller: Caller) -> Sequence[Entry]:
    return (Entry(INBOX, "inbox", f"The unfinished mail of {caller.agent}"),)


def _message(desk: Desk, caller: Caller, values: Values) -> str | None:
    mail = desk.reader.mail(values["id"])
    if mail is None or not may_read(mail, caller):
        return None
    return describe_mail(mail, desk.parts.wall(), whole=desk.reader.body(mail.id))


def may_read(mail: Mail, caller: Caller) -> bool:
    """Whether a message concerns this caller."""
    return caller.agent in {mail.sender, mail.recipient}


def _message_entries(desk: Desk, caller: Caller) -> Sequence[Entry]:
    page = desk.reader.mailbox(caller.agent, limit=LISTED)
    return [
        Entry(
            MESSAGE.format(id=mail.id),
            f"#{mail.number} from {_named(mail)}",
            f"{mail.state.value}, {mail.size} bytes",
        )
        for mail in page.mail
    ]


def _named(mail: Mail) -> str:
    return "the operator" if mail.sender == OPERATOR else mail.sender


def _message_ids(desk: Desk, caller: Caller) -> Sequence[str]:
    return [mail.id for mail in desk.reader.mailbox(caller.agent, limit=LISTED).mail]


def _attachment(desk: Desk, caller: Caller, values: Values) -> str | None:
    return attachment(desk, caller, values["sha256"])


def attachment(desk: Desk, caller: Caller, sha256: str) -> str | None:
    """The whole text of a long message, if it concerns this caller."""
    return desk.reader.attachment(sha256) if desk.reader.may_read_attachment(sha256, caller.agent) else None


def _attachment_names(desk: Desk, caller: Caller) -> Sequence[str]:
    mail = desk.reader.mailbox(caller.agent, limit=LISTED).mail
    return [one.attachment for one in mail if one.attachment]


RESOURCES: tuple[ResourceSpec, ...] = (
    ResourceSpec(INBOX, "inbox", "Your unfinished mail, newest first", _inbox, entries=_inbox_entry),
    ResourceSpec(
        MESSAGE,
        "message",
        "One message you sent or got, whole, by its id",
        _message,
        entries=_message_entries,
        values=_message_ids,
    ),
    ResourceSpec(
        ATTACHMENT,
        "attachment",
        "The whole text of a long message, by the handle its excerpt names",
        _attachment,
        values=_attachment_names,
    ),
)
