"""Which hive is meant, as values."""

from pathlib import Path

import pytest

from hive.cli.main import main
from hive.cli.places import SYSTEM_WIDE, Place, place_to_create, places
from hive.cli.status import Failed, Status


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


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), ("\udcff", "is not valid UTF-8")])
def test_what_names_no_directory_is_refused(text: str, words: str) -> None:
    """Nobody means the current directory by nothing at all."""
    with pytest.raises(Failed, match=f"--dir {words}"):
        places(text, {})


def test_a_hive_is_made_neither_on_a_file_nor_behind_a_dangling_link(tmp_path: Path) -> None:
    """A sentence says which it is."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to("nowhere")
    for path, words in ((file, "is no directory"), (link, "a link that leads nowhere")):
        with pytest.raises(Failed, match=words):
            place_to_create(str(path), {})


def test_a_restore_that_fails_leaves_no_folder_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was there stays."""
    (tmp_path / "there").mkdir()
    for folder in ("there", "new/inner", "\udcff", ""):
        target = str(tmp_path / folder) if folder else ""
        assert main(["restore", str(tmp_path / "no"), target]) in (Status.REFUSED, Status.USAGE)
        assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
