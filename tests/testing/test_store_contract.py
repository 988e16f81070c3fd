"""The contract of stores finds out the ones that break it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import cast

import pytest

from hive.protocol.commands import Command, Once
from hive.store.port import Subscriber, Ticket
from hive.store.sqlite import SqliteStore, open_store
from hive.testing.contracts import StoreContract
from hive.testing.store_world import ServedStore, World


class Wrapped:
    """A store that behaves like the one in it."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> object:
        """Whatever it has."""
        return getattr(self.store, name)


class Twice(Wrapped):
    """Tells subscribers everything twice."""

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe them twice."""
        first, second = self.store.subscribe(subscriber), self.store.subscribe(subscriber)

        def end() -> None:
            first()
            second()

        return end


class Keyless(Wrapped):
    """Does not know a repeat."""

    def submit(self, command: Command[object], once: Once | None = None) -> Ticket[object]:
        """Lose the key."""
        del once
        return self.store.submit(command)


class Expecting(Wrapped):
    """Does not look at what a caller expects."""

    def submit(self, command: Command[object], once: Once | None = None) -> Ticket[object]:
        """Lose the expectation."""
        return self.store.submit(command, once and Once(once.scope, once.key, once.digest))


class Unsettling(Wrapped):
    """Begins a boot without settling the last one."""

    def recover(self, version: str) -> int:
        """Only the first time."""
        before = self.store.reader.head().boot
        return before + 1 if before else self.store.recover(version)


class Deaf(Wrapped):
    """Tells subscribers nothing."""

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Forget them."""
        del subscriber
        return lambda: None


class Wrong(StoreContract):
    """The suite, given a wrong store; no test class, so only run on purpose."""

    def __init__(
        self, kind: type[Wrapped] = Wrapped, *, forgets: bool = False, unfailing: bool = False
    ) -> None:
        self.kind, self.forgets, self.unfailing = kind, forgets, unfailing
        self.opens = 0

    def opened(self, path: Path, world: World) -> AbstractContextManager[ServedStore]:
        """See `StoreContract`."""
        return self._opened(path, world)

    @contextmanager
    def _opened(self, path: Path, world: World) -> Iterator[ServedStore]:
        self.opens += 1
        name = f"{self.opens}.sqlite3" if self.forgets else "hive.sqlite3"
        faults = (lambda: None) if self.unfailing else world.faults
        with open_store(
            path / name, wall=world.wall, random_=world.random, inline=True, pauses=world, faults=faults
        ) as store:
            yield cast("ServedStore", self.kind(store))


@pytest.mark.parametrize(
    ("contract", "test"),
    [
        (Wrong(forgets=True), "test_a_keyed_command_holds_once_and_answers_the_same"),
        (Wrong(forgets=True), "test_what_survives_a_crash_is_a_prefix"),
        (Wrong(Keyless), "test_a_keyed_command_holds_once_and_answers_the_same"),
        (Wrong(Keyless), "test_a_key_used_for_something_else_is_a_conflict"),
        (Wrong(Expecting), "test_an_expectation_is_checked_where_nothing_can_come_between"),
        (Wrong(Twice), "test_subscribers_hear_every_row_once_in_order_before_the_caller"),
        (Wrong(Deaf), "test_nothing_is_readable_or_told_before_its_commit"),
        (Wrong(Unsettling), "test_a_boot_settles_what_the_last_one_left"),
        (Wrong(unfailing=True), "test_a_failing_commit_is_told_and_leaves_nothing"),
    ],
)
def test_a_store_that_breaks_the_contract_is_found_out(contract: Wrong, test: str, tmp_path: Path) -> None:
    """Each wrong in a test of its own."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(contract, test)(tmp_path)


@pytest.mark.parametrize(
    "test",
    [
        "test_a_keyed_command_holds_once_and_answers_the_same",
        "test_what_survives_a_crash_is_a_prefix",
        "test_a_boot_settles_what_the_last_one_left",
    ],
)
def test_the_right_store_in_the_same_clothes_is_not(test: str, tmp_path: Path) -> None:
    """It is the wrong that is found, not the wrapping."""
    getattr(Wrong(), test)(tmp_path)
