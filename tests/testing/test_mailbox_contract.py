"""The contract of mailboxes finds out the ones that break it."""

from collections.abc import Callable, Iterator

import pytest
import trio
from attrs import define

from hive.actors import HiveError, Kinds, Mailbox, Overflow, Verdict
from hive.actors._core.messages import Envelope, Reply
from hive.testing.contracts import MailboxContract

WELL = "test_urgent_mail_goes_first_and_otherwise_the_first_come"


@define(eq=False)
class Backwards(Mailbox):
    """Serves the last come first."""

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Turn the lane around first."""
        self._normal.reverse()
        found = super().claim(kinds, now)
        self._normal.reverse()
        return found


@define(eq=False)
class Unhurried(Mailbox):
    """Knows no urgent mail."""

    def put(self, envelope: Envelope) -> Envelope | None:
        """Put all into one lane."""
        if envelope.urgent:
            self.put_own(envelope)
            return None
        return super().put(envelope)


@define(eq=False)
class Unbounded(Mailbox):
    """Takes whatever comes."""

    def put(self, envelope: Envelope) -> Envelope | None:
        """Never refuse."""
        self.put_own(envelope)
        return None


@define(eq=False)
class Impatient(Mailbox):
    """Never asks anybody to wait."""

    @property
    def must_wait(self) -> bool:
        """Whether there is room does not matter."""
        return False


@define(eq=False)
class Indiscriminate(Mailbox):
    """Hands out what was not asked for."""

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Take any."""
        return super().claim(None if kinds else kinds, now)


@define(eq=False)
class Forgetful(Mailbox):
    """Loses what was in hand at a crash."""

    def give_back(self) -> list[Reply]:
        """Drop it."""
        self._held.clear()
        return []


@define(eq=False)
class Charging(Mailbox):
    """Charges bystanders of a crash."""

    def give_back(self) -> list[Reply]:
        """Charge them all."""
        for envelope in self._held.values():
            envelope.attempts += 1
        return super().give_back()


@define(eq=False)
class Lenient(Mailbox):
    """Lets a verdict hold that is late."""

    def settle(self, envelope: Envelope, claim: int, verdict: Verdict, now: float) -> None:
        """Whatever the claim."""
        del claim
        if envelope.id in self._held:
            super().settle(envelope, envelope.claim, verdict, now)


@define(eq=False)
class Restless(Mailbox):
    """Does not wait until a snoozed message is due."""

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Claim as though it were later."""
        return super().claim(kinds, now + 1)


@define(eq=False)
class Grabbing(Mailbox):
    """Takes out what is in hand."""

    def take_out(self, wanted: Callable[[Envelope], bool]) -> list[Envelope]:
        """That, too."""
        grabbed = [envelope for envelope in self._held.values() if wanted(envelope)]
        for envelope in grabbed:
            del self._held[envelope.id]
        return [*super().take_out(wanted), *grabbed]


@define(eq=False)
class Silent(Mailbox):
    """Does not tell who asks."""

    def finish(self, envelope: Envelope, answer: object) -> None:
        """Only end the claim."""
        envelope.reply = None
        super().finish(envelope, answer)


@define(eq=False)
class Hiding(Mailbox):
    """Does not show what waits, so it is lost when the cell is closed."""

    def waiting(self) -> Iterator[Envelope]:
        """Nothing."""
        return iter(())


@define(eq=False)
class Stuttering(Mailbox):
    """Gives out its oldest message twice."""

    def claim(self, kinds: Kinds | None, now: float) -> Envelope | None:
        """Leave it in its place the first time."""
        found = super().claim(kinds, now)
        if found is not None and found.claim == 1 and found.reply is None:
            self._normal.appendleft(found)
        return found


class Wrong(MailboxContract):
    """The suite, given a wrong mailbox; no test class, so only run on purpose."""

    def __init__(self, kind: type[Mailbox]) -> None:
        self.kind = kind

    def make(self, capacity: int, overflow: Overflow) -> Mailbox:
        """See `MailboxContract`."""
        return self.kind(capacity, overflow)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Backwards, WELL),
        (Backwards, "test_a_crash_leaves_the_mail_as_it_was"),
        (Backwards, "test_who_can_wait_waits_for_room_and_who_cannot_is_told"),
        (Unhurried, WELL),
        (Unbounded, "test_who_can_wait_waits_for_room_and_who_cannot_is_told"),
        (Impatient, "test_who_can_wait_waits_for_room_and_who_cannot_is_told"),
        (Indiscriminate, "test_a_wanted_kind_is_taken_from_among_others_which_keep_their_places"),
        (Forgetful, "test_what_was_in_hand_comes_back_uncharged_and_in_order"),
        (Charging, "test_what_was_in_hand_comes_back_uncharged_and_in_order"),
        (Lenient, "test_only_the_latest_claim_may_settle_and_only_once"),
        (Restless, "test_what_is_snoozed_waits_for_its_time_goes_first_then_and_takes_up_room"),
        (Grabbing, "test_what_waits_can_be_taken_out_and_what_is_in_hand_cannot"),
        (Silent, "test_a_finished_question_is_answered"),
        (Hiding, "test_closing_makes_dead_letters_of_what_waits_and_tells_who_asks"),
        (Stuttering, "test_a_crash_leaves_the_mail_as_it_was"),
    ],
)
def test_a_mailbox_that_breaks_the_contract_is_found_out(kind: type[Mailbox], test: str) -> None:
    """Each wrong in a test of its own."""
    with pytest.raises((AssertionError, pytest.fail.Exception, trio.TooSlowError, HiveError)):
        getattr(Wrong(kind), test)()


@pytest.mark.parametrize(
    "kind", [Backwards, Unhurried, Unbounded, Indiscriminate, Forgetful, Restless, Grabbing, Stuttering]
)
def test_the_model_finds_it_out_too(kind: type[Mailbox]) -> None:
    """Under one of its seeds, whatever is wrong with what goes in and out."""
    with pytest.raises(AssertionError):
        Wrong(kind).test_nothing_is_lost_whatever_is_done_to_it()


@pytest.mark.parametrize("overflow", list(Overflow))
def test_one_without_bounds_is_found_out_whatever_its_overflow(overflow: Overflow) -> None:
    """Nothing loses its place in it."""
    with pytest.raises(AssertionError):
        Wrong(Unbounded).test_a_full_mailbox_does_what_its_overflow_says(overflow)


def test_a_right_mailbox_in_the_same_clothes_is_not_found_out() -> None:
    """It is the wrong that is found, not the wrapping."""
    right = Wrong(Mailbox)
    getattr(right, WELL)()
    right.test_a_crash_leaves_the_mail_as_it_was()
