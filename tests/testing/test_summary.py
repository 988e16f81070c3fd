"""Many runs, added up: in words for a person, as data for a program."""

import pytest

from hive.testing.summary import Shrunk, Summary, again, progress, replay
from hive.testing.tally import Told, duration

STORY = "my story.py:story"

WELL = Told(STORY, 0, "some", ("crash@3:0.5", "delay@1:0.25"), 100, 90.0, 7, 2)
BAD = Told(
    STORY,
    5,
    "some",
    ("crash@8:0.5",),
    50,
    30.0,
    3,
    1,
    1,
    "AssertionError: no",
    "kind a",
    "all of it\nreplay: …",
)
WORSE = Told(STORY, 3, "some", error="it died", kind="kind b", text="it died")


def summary(*told: Told) -> Summary:
    """These, added up."""
    found = Summary((STORY,))
    for one in told:
        found.add(one)
    return found


def test_runs_are_added_up() -> None:
    """Each number, and the faults by their sites."""
    assert list(summary(WELL, BAD).lines())[:8] == [
        "story         my story.py:story",
        "seeds         2, of which 1 failed",
        "virtual time  2 min 0 s",
        "steps         150",
        "faults        3: crash 2, delay 1",
        "messages      10",
        "daemons       3",
        "violations    1",
    ]


def test_several_stories_have_a_row_each_and_one_for_all() -> None:
    """Of numbers, and of the faults by their sites; a story that no seed has told is there too."""
    found = Summary(("ring", "chatter", "storm"))
    found.add(Told("ring", 0, "some", ("crash@3:0.5", "delay@1:0.25"), 100, 90.0, 7, 2))
    found.add(Told("chatter", 1, "some", ("crash@8:0.5",), 50, 30.0, 3, 1, 1, "AssertionError: no"))
    assert list(found.lines()) == [
        "story    seeds  failed  virtual time  steps  daemons  messages  faults  violations",
        "ring         1       0    1 min 30 s    100        2         7       2           0",
        "chatter      1       1          30 s     50        1         3       1           1",
        "storm        0       0           0 s      0        0         0       0           0",
        "all          2       1     2 min 0 s    150        3        10       3           1",
        "",
        "faults   crash  delay",
        "ring         1      1",
        "chatter      1      0",
        "storm        0      0",
        "all          2      1",
        "",
        "seed 1 of chatter: AssertionError: no",
        "  replay: hive sim --story chatter --seeds 1..1 --faults some",
    ]
    data = found.data()
    assert (data["story"], data["told"], data["failed"]) == (None, 2, 1)
    assert [(row["story"], row["told"]) for row in data["stories"]] == [
        ("ring", 1),
        ("chatter", 1),
        ("storm", 0),
    ]
    assert data["stories"][1]["faults"] == {"crash": 1}


def test_several_stories_that_were_ended_by_hand_say_so() -> None:
    """Below the tables."""
    found = Summary(("ring", "chatter"))
    found.interrupted = True
    assert list(found.lines())[-1] == "ended by hand"


def test_each_failure_shows_its_first_line_and_how_to_have_it_again() -> None:
    """In the order of the seeds, whichever process was first."""
    assert list(summary(BAD, WELL, WORSE).lines())[8:] == [
        "",
        "seed 3: it died",
        "  replay: hive sim --story 'my story.py:story' --seeds 3..3 --faults some",
        "",
        "seed 5: AssertionError: no",
        "  replay: hive sim --story 'my story.py:story' --seeds 5..5 --faults some",
    ]


def test_a_single_seed_shows_all_that_is_known_and_nothing_twice() -> None:
    """Somebody has asked for it."""
    assert list(summary(BAD).lines())[8:] == ["", "all of it\nreplay: …"]
    assert "\n".join(summary(WORSE).lines()).count("it died") == 1


def test_a_difference_is_repeated_by_telling_it_twice() -> None:
    """Once would show nothing."""
    told = Told(STORY, 4, "none", error="they differ", kind="difference")
    assert again(told).endswith(" --seeds 4..4 --faults none --twice")


@pytest.mark.parametrize(
    ("shrunk", "said"),
    [
        (Shrunk(9, ("crash@8:0.5",), 7), "1 of 9 faults are enough: hive sim "),
        (Shrunk(9, (), 2), "it fails without any fault: hive sim "),
        (Shrunk(9, None, 1), "it does not fail again in a fresh process"),
        (Shrunk(9, (), 2, (WORSE,)), f"with fewer faults it also fails otherwise, it died: {again(WORSE)}"),
    ],
    ids=["fewer", "none", "not again", "otherwise"],
)
def test_what_became_of_making_it_smaller_is_said(shrunk: Shrunk, said: str) -> None:
    """Below the failure it is about."""
    found = summary(WELL, BAD)
    found.shrunk[5] = shrunk
    assert list(found.lines())[-1].startswith(f"  {said}")


def test_of_each_kind_of_failure_the_smallest_seed_is_looked_into() -> None:
    """One of a kind is enough."""
    same = Told(STORY, 9, "some", error="AssertionError: no", kind="kind a")
    assert summary(same, BAD, WORSE).firsts() == [WORSE, BAD]


def test_a_kind_of_failure_is_looked_into_in_each_story() -> None:
    """Two stories may fail at one line for two reasons."""
    one, other = (
        Told("ring", 0, "some", error="no", kind="k"),
        Told("chatter", 1, "some", error="no", kind="k"),
    )
    found = Summary(("ring", "chatter"))
    found.add(one)
    found.add(other)
    assert found.firsts() == [one, other]


def test_the_same_is_had_as_data() -> None:
    """For a program that asked for JSON."""
    found = summary(WELL, BAD)
    found.shrunk[5] = Shrunk(1, ("crash@8:0.5",), 3)
    found.interrupted = True
    data = found.data()
    assert (data["told"], data["failed"], data["interrupted"]) == (2, 1, True)
    assert data["faults"] == {"crash": 2, "delay": 1}
    (failure,) = data["failures"]
    assert failure["seed"] == 5
    assert failure["replay"] == replay(STORY, 5, "some")
    assert failure["shrunk"]["replay"] == replay(STORY, 5, "crash@8:0.5")
    assert "then ended by hand" in "\n".join(found.lines())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_a_stretch_of_time_has_two_units(seconds: float, said: str) -> None:
    """The two greatest."""
    assert duration(seconds) == said


def test_progress_says_how_fast_it_goes_and_what_is_left() -> None:
    """As soon as there is a rate."""
    assert progress(summary(), 4, 0.0) == "0 of 4 seeds, 0.0/s"
    assert progress(summary(WELL, BAD), 6, 4.0) == "2 of 6 seeds, 0.5/s, 1 failed, 8 s left"
