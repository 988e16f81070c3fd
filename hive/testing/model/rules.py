"""A brain made of rules: what to answer to which requests, and how often.

The rule kept here: a rule counts what it has answered and remembers nothing else of an agent.
"""

import re
from collections import Counter
from collections.abc import Sequence

from attrs import define, field, frozen

from hive.testing.model.conversation import Asked, Brain, Item, Reply, UserText
from hive.testing.model.script import answer, read_script


@frozen
class Rule:
    """Where every pattern that is given is found, `reply`: an answer, or the lines of a script.

    Patterns are regular expressions on the newest user text, the system text, the last tool result since
    that text, the key's name and the model.  A script goes on over the requests of its turn, as one in a
    prompt does; where `result` is given it begins anew with each answer.
    """

    reply: Reply | str
    user: str | None = field(default=None, kw_only=True)
    system: str | None = field(default=None, kw_only=True)
    result: str | None = field(default=None, kw_only=True)
    key: str | None = field(default=None, kw_only=True)
    model: str | None = field(default=None, kw_only=True)
    times: int | None = field(default=None, kw_only=True)
    """How often it answers, a script's turn being one time; None is always."""

    without_tools: bool = field(default=False, kw_only=True)
    """Whether it is for side calls too, which offer no tools: titles, summaries."""

    def __attrs_post_init__(self) -> None:
        """See that a script can be read, before anybody waits for it."""
        if isinstance(self.reply, str):
            read_script(self.reply)

    def fits(self, asked: Asked) -> bool:
        """Whether it is about this request, however often it has answered."""
        wanted = (
            (self.user, asked.user),
            (self.system, asked.system),
            (self.result, asked.result),
            (self.key, asked.key),
            (self.model, asked.model),
        )
        return bool(asked.tools or self.without_tools) and all(
            pattern is None or (text is not None and re.search(pattern, text) is not None)
            for pattern, text in wanted
        )


@define(eq=False)
class Ruled:
    """A brain: the first rule that fits answers, else `otherwise`."""

    rules: Sequence[Rule]
    otherwise: Brain
    _answered: Counter[int] = field(factory=Counter, init=False)
    _turns: list[tuple[int, str, tuple[Item, ...]]] = field(factory=list, init=False)
    """Turns whose script is a rule's with a number of times."""

    def __call__(self, asked: Asked) -> Reply:
        """Answer, and count."""
        for number, rule in enumerate(self.rules):
            if rule.fits(asked) and self._may_answer(number, rule, asked):
                if isinstance(rule.reply, Reply):
                    return rule.reply
                return answer(read_script(rule.reply), asked.finished if rule.result is None else 0)
        return self.otherwise(asked)

    def _may_answer(self, number: int, rule: Rule, asked: Asked) -> bool:
        if rule.times is None:
            return True
        turn = (number, asked.key, _turn(asked))
        if isinstance(rule.reply, str) and rule.result is None and asked.finished:
            return turn in self._turns
        if self._answered[number] >= rule.times:
            return False
        self._answered[number] += 1
        self._turns.append(turn)
        return True


def _turn(asked: Asked) -> tuple[Item, ...]:
    """What stays the same over the requests of a turn: all up to its user text."""
    last = max((place for place, item in enumerate(asked.items) if isinstance(item, UserText)), default=-1)
    return asked.items[: last + 1]
