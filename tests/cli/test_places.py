"""Which hive is meant, as values."""

from pathlib import Path

import pytest

from hive.cli.places import SYSTEM_WIDE, Place, place_to_create, places


def test_a_named_place_is_the_only_one_tried() -> None:
    """Whoever names a hive does not want another one."""
    environment = {"HIVE_DIR": "/b", "XDG_DATA_HOME": "/c", "HOME": "/home/o"}
    assert places("/a", environment) == (Place(Path("/a"), "--dir"),)
    assert places(None, environment) == (Place(Path("/b"), "HIVE_DIR"),)


def test_without_a_name_the_persons_own_hive_comes_before_the_machines() -> None:
    """In the order in which `up` would choose."""
    assert [one.directory for one in places(None, {"XDG_DATA_HOME": "/c"})] == [Path("/c/hive"), SYSTEM_WIDE]
    home = places(None, {"HOME": "/home/o", "HIVE_DIR": ""})
    assert home[0].directory == Path("/home/o/.local/share/hive")


def test_a_hive_that_exists_is_preferred_to_a_new_one(tmp_path: Path) -> None:
    """Otherwise `up` makes the first of the places."""
    environment = {"XDG_DATA_HOME": str(tmp_path)}
    assert place_to_create(None, environment) == tmp_path / "hive"
    (tmp_path / "named").mkdir()
    assert place_to_create(str(tmp_path / "named"), environment) == tmp_path / "named"


def test_a_place_that_cannot_be_looked_into_holds_no_hive_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's hive may be closed to this person; their own can be made all the same."""
    environment = {"XDG_DATA_HOME": str(tmp_path)}
    monkeypatch.setattr("hive.cli.places.SYSTEM_WIDE", Path("/" + "x" * 300))
    assert place_to_create(None, environment) == tmp_path / "hive"


def test_names_are_made_absolute(tmp_path: Path) -> None:
    """A daemon that goes to the background keeps its directory."""
    assert places("x", {})[0].directory == Path.cwd() / "x"
