"""What a scripted agent does with mail that is not a script: a table of rules for each kind of agent.

A rule is a question about the mail and the steps that follow; the first that fits is taken.  The rule
kept by all of them: nothing here answers an answer, so two scripted agents never write to each other
for ever.
"""

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from hive.agents.directives import directives
from hive.agents.steps import Note, Say, Step, Tell, Wrong
from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed
from hive.protocol.mail import INLINE_BYTES, Kind, Mail, Provenance


@frozen
class Rule:
    """Where `fits`, do `steps`."""

    fits: Callable[[Mail], bool]
    steps: Callable[[Mail], tuple[Step, ...]]


Rules = Sequence[Rule]

ANSWER = "I have read your question and have nothing to add."
"""Holds no question mark: it must not ask for an answer itself."""


def is_from_somebody(mail: Mail) -> bool:
    """Whether the sender could be written to, and wrote to this agent alone."""
    return mail.kind is Kind.MESSAGE and mail.provenance is not Provenance.SYSTEM and not mail.broadcast


def asks(mail: Mail) -> bool:
    """Whether the sender waits for an answer."""
    return is_from_somebody(mail) and "?" in mail.body


def _answer(mail: Mail) -> tuple[Step, ...]:
    return (Tell(mail.sender, ANSWER, mail.id), Say(f"Answered {mail.sender}."))


def _note(mail: Mail) -> tuple[Step, ...]:
    return (Note(f"read {mail.id} from {mail.sender}"),)


PLAIN: Rules = (Rule(asks, _answer), Rule(lambda _mail: True, _note))
"""Answers who asks, and keeps quiet otherwise."""


def refusal(mail: Mail, wrong: Wrong) -> tuple[Step, ...]:
    """Tell whoever wrote a script what is wrong with it; nothing of it is carried out.

    The turn ends well: trying the same script again would not help anybody.
    """
    # Its first line is no directive, so no scripted agent takes the refusal for a script.
    text = "\n".join(("Nothing of your script was carried out:", *wrong.faults))
    said = Say(text)
    return (said,) if mail.sender == mail.recipient else (Tell(mail.sender, text, mail.id), said)


def _too_long(mail: Mail) -> str:
    """Of an attachment only the beginning is at hand, cut wherever it happens to be."""
    return (
        f"It has {mail.size} bytes, and mail with a script may have {INLINE_BYTES}: of longer mail only the"
        " beginning is at hand. Split it, or put it into a file and have that run: !sh sh FILE"
    )


def interpret(mail: Mail, settings: Settings, tables: Mapping[str, Rules]) -> tuple[Step, ...]:
    """The steps one message leads to: its directives if its sender may give any, else the rules.

    The sender is the identity hive has checked, never the label.  Raises `Malformed` for an unknown table.
    """
    if mail.sender in settings.directives_from:
        told = directives(mail.body, allow_shell=settings.allow_shell)
        if told and mail.attachment is not None:
            told = Wrong((_too_long(mail),))
        if isinstance(told, Wrong):
            return refusal(mail, told)
        if told:
            return told
    for rule in table(settings.rules, tables):
        if rule.fits(mail):
            return rule.steps(mail)
    return ()


def table(name: str, tables: Mapping[str, Rules]) -> Rules:
    """The rule table of that name; `Malformed` names the ones there are."""
    if name not in tables:
        raise Malformed(f"there are no rules {name[:40]!r}; choose one of {', '.join(sorted(tables))}.")
    return tables[name]
