"""A process that tells stories, seed after seed, to the process that has started it.

The rule kept here: what a story prints, reads or breaks is not in the way of what is told about it.  Orders
come as lines of JSON on standard input; answers leave by a pipe of their own.
"""

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TextIO

from attrs import asdict, evolve

from hive.retelling import AGAIN

from . import swarm  # noqa: F401 - so that the first seed does not spend its time on importing it
from .faults import Faults
from .kinds import kind_of, leaves
from .lookup import NoStory, find
from .recorder import Journalled
from .simulate import Run, run
from .summary import replay
from .tally import Told

if TYPE_CHECKING:
    from .lookup import Story

YOUNG_OBJECTS = 50_000
"""After so many the collector looks through the new ones: a run makes ten times as many."""


def main(descriptor: int, *names: str) -> None:
    """Serve until nobody orders any more."""
    # Ctrl-C is for the one who started us: it ends us when it has taken in what we said.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(0)) as orders, os.fdopen(descriptor, "w") as answers:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        try:
            stories = {name: find(name) for name in names}
        except NoStory as wrong:
            _answer(answers, {"wrong": str(wrong)})
            return
        _answer(answers, {})
        # What was imported stays; looking through it again and again took a tenth of the time.
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        for line in orders:
            order = json.loads(line)
            _answer(answers, asdict(tell(story=stories[order["name"]], **order)))


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def tell(name: str, story: "Story", seed: int, faults: str, *, traced: bool) -> Told:
    """Tell a story once."""
    AGAIN.set(replay(name, seed, faults))
    try:
        told = run(story, seed, faults=Faults.parse(faults))
    except Exception as error:  # noqa: BLE001 - the kit itself has failed
        return _failed(Told(name, seed, faults), error, ())
    found = _seen(name, told, faults, traced=traced)
    if told.error is None:
        return found
    agents = {fact.agent for fact in told.facts.of(Journalled) if fact.agent is not None}
    return _failed(found, told.error, agents)


def _seen(name: str, told: Run[object], faults: str, *, traced: bool) -> Told:
    return Told(
        story=name,
        seed=told.seed,
        faults=faults,
        injected=tuple(map(str, told.injected)),
        steps=told.steps,
        seconds=told.seconds,
        messages=told.messages,
        boots=told.boots,
        violations=len(told.violations),
        trace=tuple(told.trace()) if traced else (),
    )


def _failed(told: Told, error: BaseException, names: Collection[str]) -> Told:
    leaf = next(leaves(error))
    first = str(leaf).strip().splitlines()
    return evolve(
        told,
        error=f"{type(leaf).__name__}: {first[0]}" if first else type(leaf).__name__,
        kind=kind_of(error, names),
        text="".join(traceback.format_exception(error)).rstrip(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
