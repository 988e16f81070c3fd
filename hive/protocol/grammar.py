"""What a verb, its arguments, a command of the page and a question consist of.

`hive.protocol.verbs` is the table of them all.

The rule kept here: an entry of the table is a frozen value, and names everything that is known of it.
"""

from enum import IntEnum

from attrs import frozen

from hive.protocol.commands import Command


class Role(IntEnum):
    """What a login may do; each role may do what the lower ones may."""

    VIEWER = 1
    OPERATOR = 2
    OWNER = 3


@frozen
class Argument:
    """One argument of a verb."""

    name: str
    help: str
    option: bool = False
    """`--name` instead of a position."""

    switch: bool = False
    required: bool = True
    many: bool = False
    number: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None


@frozen
class WireCommand:
    """A command of the page's protocol.

    Its arguments are the fields of `command` that hive does not fill in.
    """

    name: str
    command: type[Command[object]] | None
    """None where the server does it itself, without the store."""

    role: Role = Role.OPERATOR
    filled: tuple[str, ...] = ("by",)
    """Fields that come from the login, never from the client."""


@frozen
class Get:
    """Read-only detail on demand."""

    name: str
    help: str
    role: Role = Role.VIEWER


@frozen
class Verb:
    """One verb of the command line."""

    name: str
    summary: str
    section: str
    arguments: tuple[Argument, ...] = ()
    wire: str | None = None
    get: str | None = None
    also: tuple[str, ...] = ()
    """Further commands and gets this verb uses."""

    local: bool = False
    """Whether it works without a daemon."""

    details: str = ""
    """What its summary leaves out, as whole sentences."""


def option(name: str, text: str, *, number: bool = False, default: str | None = None) -> Argument:
    """`--name VALUE`, which can be left out."""
    return Argument(name, text, option=True, required=False, number=number, default=default)


def switch(name: str, text: str) -> Argument:
    """`--name`, which is there or is not."""
    return Argument(name, text, option=True, required=False, switch=True)
