"""What scripted agents do with ordinary mail: enough to be alive, never enough to chatter for ever."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hive.agents.demo_rules import (
    FINDING,
    MANAGER,
    ORDER,
    QUESTION,
    ROUND,
    ROUND_SECONDS,
    SURVEYOR,
    demo_round,
)
from hive.agents.rules import ANSWER, PLAIN, interpret, table
from hive.agents.scripted import RULES
from hive.agents.steps import Call, Note, Say, Shell, Step, Tell
from hive.protocol.commands import Settings
from hive.protocol.errors import Malformed
from hive.protocol.mail import PAIR_MESSAGES, PAIR_SECONDS, Kind, Mail, Provenance

FOUR = ("iris", "juno", "kai", "lena")


def mail(text: str, **more: Any) -> Mail:
    """A message from juno."""
    fields: dict[str, Any] = {
        "number": 8,
        "id": "m-8",
        "sender": "juno",
        "recipient": "iris",
        "thread": "m-8",
        "provenance": Provenance.AGENT,
        "created_at": 0.0,
        **more,
    }
    return Mail(body=text, **fields)


def steps(one: Mail, **settings: Any) -> tuple[Step, ...]:
    """What an agent with these settings does with it."""
    return interpret(one, Settings(**settings), RULES)


def tells(one: Mail, rules: str) -> list[Tell]:
    """The mail it sends."""
    return [step for step in steps(one, rules=rules) if isinstance(step, Tell)]


def test_a_question_is_answered_to_its_sender_in_its_thread() -> None:
    """The only thing a plain agent sends."""
    assert tells(mail("are you there?"), "plain") == [Tell("juno", ANSWER, "m-8")]


@pytest.mark.parametrize(
    "one",
    [
        mail("thank you"),
        mail(ANSWER),
        mail("who is there?", broadcast=True),
        mail("undelivered: hello?", kind=Kind.UNDELIVERED, provenance=Provenance.SYSTEM, sender="system"),
        mail("was it lost?", provenance=Provenance.SYSTEM, sender="system"),
        mail("go on?", kind=Kind.NEXT_TURN, sender="iris"),
    ],
)
def test_whatever_asks_for_no_answer_gets_none(one: Mail) -> None:
    """Not an answer, not a broadcast, not system mail: no agent can keep another busy for ever."""
    assert steps(one) == (Note(f"read m-8 from {one.sender}"),)


@pytest.mark.parametrize("rules", RULES)
def test_every_table_has_something_to_do_with_any_mail(rules: str) -> None:
    """The last rule always fits."""
    assert steps(mail("whatever"), rules=rules)


def test_a_table_may_leave_mail_alone() -> None:
    """Nothing fits, nothing is done."""
    assert interpret(mail("hello"), Settings(rules="mute"), {"mute": ()}) == ()


def test_directives_are_obeyed_from_whom_the_settings_name() -> None:
    """The identity counts; a label that says `operator` does not."""
    script = "!say hello"
    assert steps(mail(script, sender="operator", provenance=Provenance.OPERATOR)) == (Say("hello"),)
    assert steps(mail(script), directives_from=("juno",)) == (Say("hello"),)
    assert steps(mail(script, label="operator")) == (Note("read m-8 from juno"),)


def test_a_shell_directive_needs_permission_too() -> None:
    """Being obeyed is not enough."""
    from_operator = mail("!sh id", sender="operator", provenance=Provenance.OPERATOR)
    assert steps(from_operator, allow_shell=True) == (Shell("id"),)
    tell, said = steps(from_operator)
    assert isinstance(tell, Tell)
    assert (tell.to, tell.in_reply_to) == ("operator", "m-8")
    assert "--allow-shell" in tell.text
    assert said == Say(tell.text)


def test_a_refused_script_leads_to_no_other() -> None:
    """Its sender, scripted too and obeying whoever refused, only reads the refusal; nobody tells himself."""
    tell, _ = steps(mail("!frobnicate"), directives_from=("juno",))
    assert isinstance(tell, Tell)
    answer = mail(tell.text, id="m-9", sender="iris", recipient="juno", in_reply_to="m-8")
    assert steps(answer, directives_from=("iris",)) == (Note("read m-9 from iris"),)
    own = steps(mail("!frobnicate", sender="iris", kind=Kind.NEXT_TURN), directives_from=("iris",))
    assert [type(step) for step in own] == [Say]


def test_an_unknown_table_lists_the_known_ones() -> None:
    """So that a typo in settings can be mended."""
    with pytest.raises(
        Malformed, match=r"no rules 'plane'; choose one of demo-manager, demo-surveyor, plain"
    ):
        table("plane", RULES)
    assert table("plain", RULES) is PLAIN


# --- the demo ------------------------------------------------------------------------------------


def a_round(number: int, tree: str = "/tree") -> Mail:
    """What the demo sends the manager."""
    return mail(demo_round(number, tree, FOUR), sender="operator", provenance=Provenance.OPERATOR)


def test_each_round_goes_to_the_next_surveyor() -> None:
    """Who it is depends on the round alone, so a restarted manager goes on where it was."""
    assert [tells(a_round(number), "demo-manager")[0].to for number in range(5)] == [*FOUR, "iris"]


def test_only_the_operator_starts_a_round() -> None:
    """An agent that sends the same words has the rule for ordinary mail."""
    assert steps(mail(demo_round(1, "/tree", FOUR)), rules="demo-manager") == (Note("read m-8 from juno"),)


def test_every_second_lap_a_surveyor_compares_with_the_next_colleague() -> None:
    """All others in turn, so that no pair is busier than another."""
    orders = [tells(a_round(number), "demo-manager")[0].text for number in range(0, 32, 4)]
    compared = ["", "juno", "", "kai", "", "lena", "", "juno"]
    assert orders == [
        f"Please survey {{where}}, then compare with {name}." if name else "Please survey {where}."
        for name in compared
    ]


def test_a_surveyor_alone_compares_with_nobody() -> None:
    """One surveyor has no colleagues."""
    alone = mail(demo_round(1, "/t", ["iris"]), sender="operator", provenance=Provenance.OPERATOR)
    assert tells(alone, "demo-manager") == [Tell("iris", "Please survey {where}.")]


def test_a_surveyor_reports_to_whoever_asked_and_asks_whom_it_is_told_to() -> None:
    """The report is a reply; the question begins a thread of its own."""
    (report,) = tells(mail("Please survey /tree/a.", sender="queen"), "demo-surveyor")
    assert (report.to, report.in_reply_to) == ("queen", "m-8")
    _, question = tells(
        mail("Please survey /tree/a, then compare with kai.", sender="queen"), "demo-surveyor"
    )
    assert (question.to, question.in_reply_to) == ("kai", None)


def filled(step: Tell, **outputs: str) -> str:
    """The body as it is sent."""
    return re.sub(r"\{(\w+)\}", lambda name: outputs.get(name[1], ""), step.text)


def test_what_one_table_writes_the_other_reads() -> None:
    """Round, order, finding and question fit the rule they are meant for, and nothing answers an answer."""
    (order,) = tells(a_round(4), "demo-manager")
    asked = filled(order, where="/tree/a b")
    assert ORDER.match(asked)
    finding, question = tells(mail(asked), "demo-surveyor")
    counted = {"files": "3", "lines": "40", "size": "12"}
    assert FINDING.match(filled(finding, **counted))
    assert QUESTION.match(filled(question, **counted))
    (answer,) = tells(mail(filled(question, **counted)), "demo-surveyor")
    assert tells(mail(filled(answer, largest="9 files in /tree/b")), "demo-surveyor") == []
    assert ROUND.match(a_round(3).body)


def test_every_sixth_finding_is_summed_up_for_everybody() -> None:
    """The others are only written down."""
    text = "Finding: /tree/a holds 3 files, 40 lines, 12 KiB."
    assert [step.to for step in tells(mail(text, number=12), "demo-manager")] == ["*"]
    assert tells(mail(text, number=13), "demo-manager") == []


def test_ten_minutes_of_the_demo_stay_under_the_loop_guard() -> None:
    """Each question is two messages between its pair; the busiest pair has half of what is allowed."""
    between: Counter[frozenset[str]] = Counter()
    for number in range(int(PAIR_SECONDS / ROUND_SECONDS)):
        (order,) = tells(a_round(number), "demo-manager")
        for told in tells(mail(filled(order, where="/t"), sender="queen"), "demo-surveyor")[1:]:
            between[frozenset({order.to, told.to})] += 2
    assert len(between) == 6
    assert max(between.values()) <= PAIR_MESSAGES / 2


def run(step: Step, state: Path, shared: Path) -> str:
    """Carry out a shell step as the box would."""
    assert isinstance(step, Shell)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HIVE_STATE": str(state),
        "HIVE_SHARED": str(shared),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", step.command],
        cwd=state,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three directories, one with a name made to hurt."""
    tree = tmp_path / "a $(touch pwned) tree's"
    for name in ("src", "it's; touch pwned", ".git"):
        (tree / name).mkdir(parents=True)
    (tree / "src" / "one").write_text("1\n2\n3\n")
    (tree / "src" / "two").write_text("4\n")
    for name in ("state", "shared"):
        (tmp_path / name).mkdir()
    return tree


def test_the_commands_of_the_demo_do_what_they_say(tree: Path, tmp_path: Path) -> None:
    """Run for real on a real tree, with names that would break an unquoted command."""
    state, shared = tmp_path / "state", tmp_path / "shared"
    picked = [run(steps(a_round(n, str(tree)), rules="demo-manager")[0], state, shared) for n in range(4)]
    assert picked == [str(tree), str(tree / "it's; touch pwned"), str(tree / "src"), str(tree)]

    order = mail(f"Please survey {tree / 'src'}.")
    counts = {
        step.keep: run(step, state, shared)
        for step in steps(order, rules="demo-surveyor")
        if isinstance(step, Shell)
    }
    assert counts["files"] == "2"
    assert counts["lines"] == "4"
    assert int(counts["size"] or "0") > 0

    question = mail("/t holds 2 files. What is the largest you have met?")
    largest = run(steps(question, rules="demo-surveyor")[0], state, shared)
    assert largest == f"2 files in {tree / 'src'}"

    for place, known in (("/b", "1"), ("/a", "2"), ("/a", "2")):
        finding = mail(f"Finding: {place} holds 2 files, 4 lines, 8 KiB.")
        assert run(steps(finding, rules="demo-manager")[0], state, shared) == known
    report = (shared / "report.md").read_text()
    lines = "- /a: 2 files, 4 lines, 8 KiB\n- /b: 2 files, 4 lines, 8 KiB\n"
    assert report == f"# What the survey found\n\n{lines}"
    assert not list(tmp_path.rglob("pwned"))


def test_a_hostile_finding_is_only_text(tree: Path, tmp_path: Path) -> None:
    """What another agent writes never becomes a command."""
    finding = mail("Finding: /x'; touch pwned; '$(touch pwned) holds 1 files, 1 lines, 1 KiB.")
    run(steps(finding, rules="demo-manager")[0], tmp_path / "state", tmp_path / "shared")
    assert not list(tmp_path.rglob("pwned"))
    assert "touch pwned" in (tmp_path / "shared" / "report.md").read_text()


def test_the_status_of_a_surveyor_is_short_enough() -> None:
    """Whatever the path is."""
    status = next(
        step
        for step in steps(mail(f"Please survey /{'x' * 900}."), rules="demo-surveyor")
        if isinstance(step, Call)
    )
    assert len(str(status.arguments["text"])) == 200


def test_the_demo_tables_are_the_registered_ones() -> None:
    """Under the names the demo uses."""
    assert RULES["demo-manager"] is MANAGER
    assert RULES["demo-surveyor"] is SURVEYOR
