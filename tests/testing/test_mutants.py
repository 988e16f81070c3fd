"""The list of seeded bugs stays true, and planting one does find out whether the tests notice."""

import ast
import shlex
from pathlib import Path

import pytest
from attrs import evolve

from bench import mutants
from bench.mutants import Broken, attempt, main, plant
from bench.seeded_bugs import MUTANTS, SWARM, Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
PROOF = ROOT / "docs" / "proof.md"
POLICY = ("tests/actors/core/test_policy.py",)
NOTHING = Mutant("nothing", "hive/actors/_core/policy.py", "class Left:", "class Left:", POLICY, "Nothing.")


def named(name: str) -> Mutant:
    """The mutant of that name."""
    (found,) = (one for one in MUTANTS if one.name == name)
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_each_bug_can_still_be_planted(mutant: Mutant) -> None:
    """Its text stands once in its file, what comes out is another program, and its tests exist."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")

    assert text.count(mutant.before) == 1
    assert ast.dump(ast.parse(text.replace(mutant.before, mutant.after))) != ast.dump(ast.parse(text))
    assert all((ROOT / shlex.split(suite)[0]).exists() for suite in mutant.tests)


def test_a_third_of_the_bugs_is_looked_for_by_stories_that_know_nothing_of_them() -> None:
    """And there are enough of them, each with a name of its own."""
    assert len({one.name for one in MUTANTS}) == len(MUTANTS) >= 24
    assert 3 * sum(one.tests == SWARM for one in MUTANTS) >= len(MUTANTS)


def test_the_page_tells_of_every_bug_and_of_no_survivor() -> None:
    """One row each, with the test that found it."""
    _, _, after = PROOF.read_text(encoding="utf-8").partition("## Seeded bugs\n")
    section, _, _ = after.partition("\n## ")
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]

    assert [row[0].removeprefix("| ") for row in rows] == [one.name for one in MUTANTS]
    assert [row[0] for row in rows if row[3] == "nobody"] == []


def test_a_bug_whose_text_has_moved_is_no_bug(tmp_path: Path) -> None:
    """The list is to be corrected: to plant it nowhere or twice would prove nothing."""
    (tmp_path / "twice.py").write_text("old\nold\n", encoding="utf-8")

    for before in ("old", "gone"):
        with pytest.raises(Broken, match="correct the list"):
            plant(Mutant("moved", "twice.py", before, "new", POLICY, "Nothing."), tmp_path)


def test_a_name_that_nobody_has_is_an_error() -> None:
    """Else a check of nothing would succeed."""
    with pytest.raises(SystemExit, match="no such mutant"):
        main(["--only", "nobody"])


@pytest.mark.slow
def test_bugs_are_found_and_nothing_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three that must be found, and one that changes nothing: it survives, so finding one means something."""
    found = [
        attempt(evolve(named("one restart too many"), tests=POLICY)),
        attempt(evolve(named("attempts not counted"), tests=("tests/actors/core/test_handling.py",))),
        attempt(evolve(named("verdict without a fence"), tests=("tests/store/mail/test_turns.py",))),
    ]
    assert all(one.test is not None and "::test_" in one.test for one in found)

    monkeypatch.setattr(mutants, "MUTANTS", (NOTHING,))
    assert main(["--json", str(tmp_path / "found.json")]) == 1
    assert '"test": null' in (tmp_path / "found.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_tests_that_cannot_run_prove_nothing() -> None:
    """A copy that cannot be collected is an error of the list, and not a bug that was found."""
    with pytest.raises(Broken, match="cannot run"):
        attempt(evolve(NOTHING, after="class Right:"))
