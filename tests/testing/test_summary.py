"""Many runs, added up: in words for a person, as data for a program."""

import pytest

from hive.testing.summary import Shrunk, Summary, Told, duration, progress, replay

WELL = Told(0, "some", ("crash@3:0.5", "delay@1:0.25"), 100, 90.0, 7, 2)
BAD = Told(
    5, "some", ("crash@8:0.5",), 50, 30.0, 3, 1, 1, "AssertionError: no", "kind a", "all of it\nreplay: …"
)
WORSE = Told(3, "some", error="it died", kind="kind b", text="it died")


def summary(*told: Told) -> Summary:
    """These, added up."""
    found = Summary("my story.py:story")
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
    told = Told(4, "none", error="they differ", kind="difference")
    assert summary().replay(told).endswith(" --seeds 4..4 --faults none --twice")


@pytest.mark.parametrize(
    ("shrunk", "said"),
    [
        (Shrunk(9, ("crash@8:0.5",), 7), "1 of 9 faults are enough: hive sim "),
        (Shrunk(9, (), 2), "it fails without any fault: hive sim "),
        (Shrunk(9, None, 1), "it does not fail again in a fresh process"),
    ],
    ids=["fewer", "none", "not again"],
)
def test_what_became_of_making_it_smaller_is_said(shrunk: Shrunk, said: str) -> None:
    """Below the failure it is about."""
    found = summary(WELL, BAD)
    found.shrunk[5] = shrunk
    assert list(found.lines())[-1].startswith(f"  {said}")


def test_of_each_kind_of_failure_the_smallest_seed_is_looked_into() -> None:
    """One of a kind is enough."""
    again = Told(9, "some", error="AssertionError: no", kind="kind a")
    assert summary(again, BAD, WORSE).firsts() == [WORSE, BAD]


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
    assert failure["replay"] == replay("my story.py:story", 5, "some")
    assert failure["shrunk"]["replay"] == replay("my story.py:story", 5, "crash@8:0.5")
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
