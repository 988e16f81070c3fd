"""Supervision beside OTP's: what its `supervisor` does, what ours does, and why where they differ.

Each row is a case.  `bench/otp.escript` asks it of OTP, `tests.actors.otp_stories` of hive, and both answer
in the same words: what the children a, b, c said, in order, and what came of it.  The source is where OTP
says or tests it; the answers of OTP are those of release 25, run.

Print the tables of docs/proof.md with: python -m tests.actors.otp
"""

from collections.abc import Iterator
from typing import Final

from attrs import field, frozen


@frozen
class Case:
    """One question, OTP's answer, and ours: the same one unless a reason says why not."""

    name: str
    source: str
    otp: str
    ours: str = field()
    why: str = ""

    @ours.default
    def _like_otp(self) -> str:
        return self.otp


CASES: Final = (
    Case(
        "one_for_one, b of three crashes",
        "`supervisor_SUITE`: one_for_one",
        "b down, b up",
    ),
    Case(
        "one_for_all, b of three crashes",
        "`supervisor_SUITE`: one_for_all",
        "b down, c down, a down, a up, b up, c up",
    ),
    Case(
        "rest_for_one, b of three crashes",
        "`supervisor_SUITE`: rest_for_one",
        "b down, c down, b up, c up",
    ),
    Case(
        "one_for_all, a temporary bystander",
        "`supervisor_SUITE`: temporary_bystander",
        "c down, b down, a down, a up, c up; b forgotten",
    ),
    Case(
        "one_for_all, b had left for good",
        "manual of `supervisor`, Restart Strategies",
        "a down, c down, a up, b up, c up",
        "a down, c down, a up, c up",
        "A child that has left for good has done its work; a sibling's crash does not undo that.",
    ),
    Case(
        "one_for_all, b had been stopped by request",
        "manual of `supervisor`, Restart Strategies",
        "a down, c down, a up, b up, c up",
        "a down, c down, a up, c up",
        "What a person has stopped stays stopped until a person starts it.",
    ),
    Case(
        "one_for_all, b is stopped by request",
        "manual of `supervisor`, terminate_child/2",
        "b down",
    ),
    Case(
        "permanent, leaves",
        "`supervisor_SUITE`: permanent_normal",
        "a down, a up; running",
    ),
    Case(
        "permanent, shuts itself down",
        "`supervisor_SUITE`: permanent_shutdown",
        "a down, a up; running",
    ),
    Case(
        "permanent, crashes",
        "`supervisor_SUITE`: permanent_abnormal",
        "a down, a up; running",
    ),
    Case(
        "transient, leaves",
        "`supervisor_SUITE`: transient_normal",
        "a down; listed, not running",
    ),
    Case(
        "transient, shuts itself down",
        "`supervisor_SUITE`: transient_shutdown",
        "a down; listed, not running",
    ),
    Case(
        "transient, crashes",
        "`supervisor_SUITE`: transient_abnormal",
        "a down, a up; running",
    ),
    Case(
        "temporary, leaves",
        "`supervisor_SUITE`: temporary_normal",
        "a down; forgotten",
    ),
    Case(
        "temporary, shuts itself down",
        "`supervisor_SUITE`: temporary_shutdown",
        "a down; forgotten",
    ),
    Case(
        "temporary, crashes",
        "`supervisor_SUITE`: temporary_abnormal",
        "a down; forgotten",
    ),
    Case(
        "pause before a restart",
        "`supervisor.erl`: restart/2",
        "none",
        "some",
        "What a child died of is often still there; a pause that doubles spares the machine. "
        "`Backoff.none()` is OTP's way.",
    ),
    Case(
        "what waits when a child crashes",
        "Erlang Reference Manual, Processes",
        "a down, a up",
        "a down, a up, a got the note",
        "The mailbox belongs to the slot, not to the process: what was accepted is handled.",
    ),
    Case(
        "two restarts allowed, two crashes",
        "`supervisor_SUITE`: multiple_restarts",
        "it runs",
    ),
    Case(
        "two restarts allowed, three crashes",
        "`supervisor_SUITE`: one_for_one_escalation",
        "b down, c down, a down; it ended",
    ),
    Case(
        "no restart allowed",
        "manual of `supervisor`, Restart intensity and period",
        "a down, c down, b down; it ended",
        "refused",
        "A message has an attempt that may crash its actor; a budget that one message can spend is "
        "refused where it is written.",
    ),
    Case(
        "what a supervisor allows unless told otherwise",
        "manual of `supervisor`, Restart intensity and period",
        "gives up at crash 2",
        "gives up at crash 6",
        "5 in 30 s rather than 1 in 5 s: a message has three attempts before it is buried, and they "
        "must fit.",
    ),
    Case(
        "crashes of siblings count together",
        "manual of `supervisor`, Restart intensity and period",
        "it ended",
    ),
    Case(
        "restart of a group counts once",
        "`supervisor.erl`: restart/2, add_restart/1",
        "it runs",
    ),
    Case(
        "a permanent child that leaves too often",
        "`supervisor.erl`: do_restart/3",
        "it ended",
    ),
    Case(
        "crashes outside the window are forgotten",
        "manual of `supervisor`, Restart intensity and period",
        "it runs",
    ),
    Case(
        "crashes one and a half windows ago",
        "`supervisor.erl`: add_restart/3",
        "it ended",
        "it runs",
        "OTP counts whole seconds, both ends included, so a window of 1 s reaches back nearly 2 s; "
        "hive's clock is exact.",
    ),
    Case(
        "how a supervisor ends that gave up",
        "manual of `supervisor`, Restart intensity and period",
        "shutdown",
        "a crash, caused by that of the child",
        "A failure is called one, and names its cause; OTP's `shutdown` counts as a normal end.",
    ),
    Case(
        "how a supervisor ends that was asked to",
        "`supervisor_SUITE`: sup_start_normal",
        "shutdown; a down",
    ),
    Case(
        "a permanent supervisor gave up",
        "OTP Design Principles, Supervisor Behaviour: Maximum Restart Intensity",
        "b down, c down, b up, c up; running",
    ),
    Case(
        "a transient supervisor gave up",
        "manual of `supervisor`, restart",
        "b down; listed, not running",
        "b down, b up; running",
        "It follows from the row before: it has crashed, so it comes back, and its parent's budget decides.",
    ),
    Case(
        "a supervisor below stops in its place",
        "`supervisor_SUITE`: tree",
        "d down, c down, b down, a down",
    ),
    Case(
        "a supervisor is killed, its child takes a while to leave",
        "OTP Design Principles, Supervisor Behaviour: Child Specification (the warning on `shutdown`)",
        "a up, a down",
        "a down, a up",
        "A supervisor's end waits for its children, whatever ended it, so no two lives of a child overlap.",
    ),
    Case(
        "a supervisor below whose children take long to leave",
        "manual of `supervisor`, shutdown",
        "waited for; a down",
        "told of after a while, and waited for; a down",
        "The limit of a spec is 5 s for supervisors too, unless it says "
        "`Grace.unbounded_shutdown()`, as all of hive's do; its children get their time all the "
        "same.",
    ),
    Case(
        "pool, b of three crashes",
        "`supervisor_SUITE`: simple_one_for_one",
        "b down, b up",
    ),
    Case(
        "pool, all are stopped",
        "manual of `supervisor`, Restart Strategies",
        "together",
    ),
    Case(
        "pool, one crashes too often",
        "`supervisor_SUITE`: simple_one_for_one_escalation",
        "a down, b down; it ended",
        "a down; it runs and a is parked",
        "Strangers do not fail each other: one agent that crashes too often is parked with its "
        "mail, visibly.",
    ),
    Case(
        "pool, each crashes once",
        "manual of `supervisor`, Restart intensity and period",
        "it ended",
        "it runs",
        "Strangers have a budget each.",
    ),
    Case(
        "children start in order and stop in reverse",
        "manual of `supervisor`, Supervision Principles",
        "a up, b up, c up, c down, b down, a down",
    ),
    Case(
        "a slow start",
        "manual of `supervisor`, Supervision Principles",
        "a begins, a up, b up",
    ),
    Case(
        "the second of three cannot start",
        "manual of `supervisor`, start_link/2,3",
        "a up, b fails, a down; refused",
    ),
    Case(
        "one added later cannot start",
        "`supervisor_SUITE`: sup_start_child_returns_error",
        "b fails; refused; forgotten",
    ),
    Case(
        "one added later starts",
        "`supervisor_SUITE`: order_of_children",
        "ok; d up, d down, c down, b down, a down",
    ),
    Case(
        "a child that does not want to run",
        "`supervisor_SUITE`: sup_start_ignore_child",
        "ok; listed, not running",
        "refused; forgotten",
        "A child that is not there although nothing failed would be mail that waits for nobody.",
    ),
    Case(
        "a start that never ends",
        "manual of `supervisor`, start (no limit is named)",
        "waited for",
        "refused",
        "Every start has a limit, 10 s unless told otherwise; who starts the rest is not held up for ever.",
    ),
    Case(
        "the first restart fails",
        "`supervisor_SUITE`: hanging_restart_loop",
        "a down, a fails, a up; it runs",
    ),
    Case(
        "every restart fails, three are allowed",
        "`supervisor.erl`: try_again_restart",
        "a down, a fails, a fails, a fails; it ended",
    ),
    Case(
        "one_for_all, another one fails at the restart",
        "`supervisor_SUITE`: one_for_all_other_child_fails_restart",
        "a down, c down, b down, a up, b fails, a down, a up, b up, c up",
    ),
    Case(
        "rest_for_one, a later one fails at the restart",
        "`supervisor_SUITE`: rest_for_one_other_child_fails_restart",
        "b down, c down, b up, c fails, c up",
    ),
    Case(
        "asked while a restart fails again and again",
        "`supervisor_SUITE`: hanging_restart_loop",
        "waiting for its restart; ok; listed, not running",
    ),
    Case(
        "stop: no time is given",
        "`supervisor_SUITE`: sup_stop_brutal_kill",
        "gone at once; no cleanup",
        "gone at once; cleaned up",
        "There is no kill on Trio, only a cancellation: the child's cleanup runs. What must be "
        "killable is a process.",
    ),
    Case(
        "stop: it finishes within its limit",
        "`supervisor_SUITE`: sup_stop_timeout",
        "gone when it had finished; cleaned up",
    ),
    Case(
        "stop: it is busy beyond its limit",
        "`supervisor_SUITE`: sup_stop_timeout",
        "gone after the limit; no cleanup",
        "gone after the limit; cleaned up",
        "As above.",
    ),
    Case(
        "stop: no limit",
        "`supervisor_SUITE`: sup_stop_infinity",
        "gone when it had finished; cleaned up",
    ),
    Case(
        "stop: it cannot be made to leave",
        "manual of `supervisor`, shutdown",
        "gone after the limit; no cleanup",
        "told of, with where it is; it leaves when it can",
        "As above: a child that ignores its cancellation is announced with its stack, and the "
        "others are stopped meanwhile.",
    ),
    Case(
        "stop: one fails while it leaves",
        "`supervisor.erl`: shutdown/1",
        "c down, b fails, a down; shutdown",
    ),
    Case(
        "how long a child may take to leave unless told otherwise",
        "`supervisor_SUITE`: sup_start_map",
        "5 s",
    ),
    Case(
        "when a child comes back unless told otherwise",
        "`supervisor_SUITE`: sup_start_map",
        "always",
    ),
    Case(
        "two children of one name",
        "`supervisor_SUITE`: child_specs",
        "refused",
    ),
    Case(
        "a spec that makes no sense",
        "`supervisor_SUITE`: child_specs",
        "refused",
    ),
    Case(
        "add one whose name runs",
        "`supervisor_SUITE`: child_adm",
        "refused",
    ),
    Case(
        "add one whose name is stopped",
        "`supervisor_SUITE`: child_adm",
        "refused",
    ),
    Case(
        "the same name under two supervisors",
        "manual of `supervisor`, Child specification (`id` is internal to its supervisor)",
        "a up, a up; running",
        "a up, a down; refused",
        "A name is an address in the whole hive, for mail, and OTP's is not.",
    ),
    Case(
        "stop one",
        "`supervisor_SUITE`: child_adm",
        "a down; ok; listed, not running",
    ),
    Case(
        "stop one that is stopped",
        "`supervisor_SUITE`: child_adm",
        "ok",
    ),
    Case(
        "stop a temporary one",
        "manual of `supervisor`, terminate_child/2",
        "ok; forgotten",
        "ok; listed, not running",
        "Its mail is still there, and to be shown; `DropChild` forgets both.",
    ),
    Case(
        "stop one that is unknown",
        "`supervisor_SUITE`: child_adm",
        "refused",
    ),
    Case(
        "restart one that is stopped",
        "`supervisor_SUITE`: child_adm",
        "a up; ok; running",
    ),
    Case(
        "restart one that runs",
        "`supervisor_SUITE`: child_adm",
        "refused; running",
        "a down, a up; ok; running",
        "It is what a person asks for who restarts something: stopped, then started.",
    ),
    Case(
        "restart one that cannot start",
        "`supervisor_SUITE`: sup_start_restart_child_returns_error",
        "a fails; refused; listed, not running",
    ),
    Case(
        "restarts by request, four where two are allowed",
        "manual of `supervisor`, restart_child/2",
        "it runs",
    ),
    Case(
        "delete one that is stopped",
        "`supervisor_SUITE`: child_adm",
        "ok; forgotten",
    ),
    Case(
        "delete one that runs",
        "`supervisor_SUITE`: child_adm",
        "refused; running",
        "a down; ok; forgotten",
        "Dropping stops first: one request, and nothing can start it in between.",
    ),
    Case(
        "delete one that is unknown",
        "`supervisor_SUITE`: child_adm",
        "refused",
    ),
    Case(
        "the order in which children are listed",
        "`supervisor_SUITE`: sup_start_ignore_child",
        "c b a",
        "a b c",
        "In the order in which they start.",
    ),
    Case(
        "children are counted",
        "`supervisor_SUITE`: count_children_supervisor",
        "3 2 1 2",
    ),
    Case(
        "the last transient child leaves",
        "manual of `supervisor`, Automatic Shutdown (never)",
        "it runs",
    ),
    Case(
        "a significant child leaves",
        "manual of `supervisor`, Automatic Shutdown (any_significant)",
        "a down, b down; it ended",
        "a down; it runs",
        "hive has no such setting: its trees do not end because work is done. Who wants it watches "
        "the child and stops its supervisor.",
    ),
    Case(
        "all significant children have left",
        "manual of `supervisor`, Automatic Shutdown (all_significant)",
        "a down; it runs; b down, c down; it ended",
        "a down; it runs; b down; it runs",
        "As above.",
    ),
)


def tables() -> Iterator[str]:
    """The lines of the section "Supervision beside OTP's" that follow from the rows."""
    different = [case for case in CASES if case.why]
    yield f"{len(CASES)} cases: {len(CASES) - len(different)} the same, {len(different)} different."
    yield ""
    yield "| Different | OTP | hive | Why | Source |"
    yield "|---|---|---|---|---|"
    for case in different:
        yield f"| {case.name} | {case.otp} | {case.ours} | {case.why} | {case.source} |"
    yield ""
    yield "| The same | OTP and hive | Source |"
    yield "|---|---|---|"
    for case in CASES:
        if not case.why:
            yield f"| {case.name} | {case.otp} | {case.source} |"


if __name__ == "__main__":
    print("\n".join(tables()))  # noqa: T201 - to be pasted
