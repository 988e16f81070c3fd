"""Faults are told by name, strike by the seed alone, and can be had again one by one."""

import math

import pytest
from attrs import evolve

from hive.testing import Fault, Faults, Site
from hive.testing.faults import STEP_SITES, Injector


def strikes(plan: Faults, seed: int, passes: int = 2_000) -> list[Fault]:
    """What strikes where every site is passed so often."""
    injector = Injector(plan, seed)
    injector.active = True
    for _ in range(passes):
        for site in Site:
            injector.at(site)
    return injector.injected


def test_by_default_nothing_goes_wrong() -> None:
    """A simulation without faults is a calm one."""
    assert Faults().none
    assert strikes(Faults(), 0) == []


def test_the_same_seed_strikes_at_the_same_passes() -> None:
    """And another seed at others."""
    assert strikes(Faults.some(), 1) == strikes(Faults.some(), 1) != strikes(Faults.some(), 2)


@pytest.mark.parametrize("site", Site)
def test_a_site_strikes_as_often_as_it_is_told(site: Site) -> None:
    """Each for itself: at half of its passes, or nearly."""
    found = strikes(Faults(**{site.value: 0.5}), 3)  # type: ignore[arg-type]
    assert {one.site for one in found} == {site}
    assert 900 < len(found) < 1_100


def test_leaving_a_site_out_changes_no_other() -> None:
    """What is dropped from a failing run must not move what is left."""
    everything = strikes(Faults.some(), 5)
    quiet = evolve(Faults.some(), crash=0.0)
    assert strikes(quiet, 5) == [one for one in everything if one.site is not Site.CRASH]


def test_named_faults_strike_again_and_nothing_else() -> None:
    """The way a run is repeated."""
    found = strikes(Faults.some(), 7)
    assert strikes(Faults(exactly=tuple(found)), 99) == found
    assert strikes(Faults(exactly=tuple(found[1:])), 99) == found[1:]


def test_an_injector_that_sleeps_counts_no_passes() -> None:
    """The start of a simulation, before anybody acts, is no site."""
    injector = Injector(Faults.some(1_000), 0)
    assert [injector.at(site) for site in STEP_SITES] == [None] * len(STEP_SITES)
    assert injector.injected == []


@pytest.mark.parametrize(
    "plan",
    [
        Faults(),
        Faults.some(),
        Faults.some(0.5),
        Faults(crash=0.25, hang=1.0),
        Faults(exactly=(Fault(Site.CRASH, 12, 1 / 3), Fault(Site.JUMP_CLOCK, 3, 0.0))),
    ],
    ids=str,
)
def test_what_is_written_can_be_read(plan: Faults) -> None:
    """A replay line is exact, to the last bit of its chances."""
    assert Faults.parse(str(plan)) == plan


def test_some_can_be_scaled() -> None:
    """By a factor for all, up to certainty."""
    assert Faults.parse("some*2") == Faults.some(2)
    assert Faults.parse("some") == Faults.some()
    assert set(Faults.some(1e9).rates.values()) == {1.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crush=1", "'crush=1' says nothing about a site"),
        ("crash", "'crash' says nothing about a site"),
        ("crash=often", "'often' is no number"),
        ("crash=2", "crash is a probability"),
        ("crash=nan", "'nan' is no number to reckon with"),
        ("some*x", "'x' is no number"),
        ("some*nan", "'nan' is no number to reckon with"),
        ("some*1e999", "'1e999' is no number to reckon with"),
        ("crash@1", "'crash@1' names no fault"),
        ("crush@1:0.5", "'crush@1:0.5' names no fault"),
        ("crash@0:0.5", "'crash@0:0.5' names no fault: NTH counts from 1"),
        ("crash@-3:0.5", "'crash@-3:0.5' names no fault"),
        ("crash@1:9", "'crash@1:9' names no fault: NTH counts from 1, and CHANCE is from 0 to 1"),
        ("crash@1:-0.1", "'crash@1:-0.1' names no fault"),
        ("crash@1:nan", "'crash@1:nan' names no fault"),
        ("crash=0.1,hang=0.1,crash=0.2", "crash is there twice"),
        ("crash@1:0.5,hang@1:0.5,crash@1:0.6", "crash@1 is there twice"),
    ],
)
def test_what_cannot_be_read_says_what_can_be_written(text: str, said: str) -> None:
    """The sites there are, and the forms."""
    with pytest.raises(ValueError, match=r"write|probability") as caught:
        Faults.parse(text)
    assert said in str(caught.value)
    assert "from 0 to 1" in str(caught.value) or "drop_hint" in str(caught.value)


def test_no_probability_is_not_a_number() -> None:
    """It would strike never, and say nothing."""
    with pytest.raises(ValueError, match="probability"):
        Faults(crash=math.nan)
