"""Lanes, frames and bodies as values: what is held, what fits, what is cut."""

import gc
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from hive.protocol.errors import Malformed, Refused
from hive.protocol.views import JournalRow, StreamView
from hive.web import lanes as lanes_module, wire
from hive.web.ancestry import descends_from_agent, parent_of
from hive.web.bodies import BODIES_AT_ONCE, BODIES_BYTES, Bodies
from hive.web.files import load
from hive.web.incoming import Part, position
from hive.web.lanes import Lane, Lanes
from hive.web.login import Codes, host_allowed, origin_allowed, session_secret
from hive.web.snapshot import _newest

# --- lanes -----------------------------------------------------------------------------------------


@given(
    numbers=st.lists(st.integers(1, 40), max_size=40),
    after=st.integers(0, 45),
    most=st.integers(1, 60),
)
def test_a_lane_holds_a_run_of_numbers_without_a_hole(numbers: Sequence[int], after: int, most: int) -> None:
    """Whatever comes in whatever order: what it tells after a number is what follows that number."""
    lane = Lane(0)
    for n in numbers:
        lane.append(n, f"event {n}")
    assert lane.base <= lane.head
    if lane.holds_after(after):
        told = lane.after(after, most)
        assert list(told) == [f"event {n}" for n in range(after + 1, after + 1 + len(told))]
        assert bool(told) == (after < lane.head)
        assert len(told) <= 1 or sum(wire.size(one) + 1 for one in told) <= most
        events, size = lane.beyond(after)
        assert events == max(0, lane.head - after)
        assert size == sum(wire.size(f"event {n}") + 1 for n in range(after + 1, lane.head + 1))


def test_a_lane_forgets_its_oldest_events_and_never_its_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """In strides, by number and by size."""
    monkeypatch.setattr(lanes_module, "KEPT_EVENTS", 10)
    monkeypatch.setattr(lanes_module, "KEPT_BYTES", 1_000)
    monkeypatch.setattr(lanes_module, "TRIMMED_AT_ONCE", 4)
    lane = Lane(0)
    for n in range(1, 12):
        lane.append(n, "x")
    assert (lane.base, lane.head) == (4, 11)
    lane.append(12, "x" * 2_000)
    assert (lane.base, lane.head) == (8, 12)
    lane.append(13, "x" * 2_000)
    lane.append(14, "x" * 2_000)
    assert (lane.base, lane.head) == (13, 14)
    assert lane.after(13, 10) == ["x" * 2_000]


def test_a_stream_that_nobody_watches_is_not_kept() -> None:
    """Its lane goes with its last client, and whoever comes later begins where the store stands."""
    lanes = Lanes(Lane(0))
    row = StreamView(1, None, 1.0, "say", {"text": "hello"})
    watched = lanes.stream("iris", 0)
    lanes.on_commit([JournalRow(1, 1, 1.0, "hive.booted", None, None)], [("iris", row), ("rosa", row)])
    assert (lanes.journal.head, watched.head, lanes.stream("iris", 9) is watched) == (1, 1, True)
    del watched
    gc.collect()
    assert lanes.stream("iris", 9).head == 9


# --- frames ----------------------------------------------------------------------------------------


def nested(depth: int) -> object:
    """A list in a list in a list."""
    return [nested(depth - 1)] if depth else "x"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(value=values)
def test_a_small_item_is_told_whole(value: object) -> None:
    """Whatever JSON can say; giant numbers too, which one of the encoders refuses."""
    text = wire.item(value)
    assert orjson.loads(text) == value or text == wire.encoded(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        ["x" * 10_000] * 200,
        {f"{n}": "\N{HONEYBEE}" * 9_000 for n in range(200)},
        [1, 2.0, "say", {"rows": [["x" * 100] * 100] * 100}],
        ["\ud800" * 100_000],
        [1, 2.0, "say", {"x" * 10**6: 1, "text": "y" * 10**6}],
        [1, 2.0, "say", {f"\x00{n}" * 99: {"\x00" * 99: ["\x00" * 99]} for n in range(99)}],
        [1, 2.0, "say", {f"{n}": nested(200) for n in range(999)}],
    ],
)
def test_a_large_item_is_cut_until_it_fits(value: object) -> None:
    """A text, a list, an object, what nests, half a surrogate pair, and names."""
    assert wire.size(wire.item(value)) <= wire.ITEM_BYTES


@settings(max_examples=30)
@given(value=st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_what_is_cut_keeps_what_its_reader_knows_it_by(value: object) -> None:
    """Whatever an agent puts into a row: the row has its number, its kind and its fields."""
    much = [[value, "x" * 100] * 30] * 30
    cut = orjson.loads(wire.item([7, 1.5, "tool", {"arguments": much, "subject": "m-" + "1" * 30}]))
    assert cut[:3] == [7, 1.5, "tool"]
    assert cut[3].keys() == {"arguments", "subject"}
    assert cut[3]["subject"] == "m-" + "1" * 30


@given(sizes=st.lists(st.integers(1, wire.ITEM_BYTES), min_size=1, max_size=12), most=st.integers(1, 12))
def test_a_run_of_items_fits_its_frame(sizes: Sequence[int], most: int) -> None:
    """None is left out, none is split, and a frame takes as many as it can."""
    items, start = ["x" * size for size in sizes], 0
    while start < len(items):
        end = wire.fitting(items, most, start)
        assert start < end <= start + most
        assert wire.size(wire.rows("j", "agents", items[start:end])) <= wire.FRAME_BYTES
        start = end


def test_of_the_rows_of_a_stream_the_newest_are_shown() -> None:
    """As many as its bytes allow, without a hole."""
    rows = ["x" * 600_000, "y" * 900_000, "z" * 900_000]
    assert _newest(rows) == rows[1:]
    assert _newest(rows[1:]) == rows[1:]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([3, 1], (3, 1)),
        ([0, None], (0, None)),
        ([-1, 1], None),
        ([2**53, 1], None),
        ([1], None),
        ("1", None),
        ([1.5, 1], None),
        (None, None),
    ],
)
def test_a_position_is_a_number_and_a_boot_or_nothing(value: object, expected: object) -> None:
    """What is none means a snapshot, never an error: clients may remember nonsense."""
    assert position(value) == expected


# --- bodies ----------------------------------------------------------------------------------------


def test_parts_out_of_order_are_refused_and_part_0_begins_anew() -> None:
    """A body is whole or it is not there."""
    bodies = Bodies()
    bodies.take(Part("a", 0, "lost", last=False))
    bodies.take(Part("a", 0, "one ", last=False))
    for wrong in (Part("a", 2, "", last=True), Part("a", 0 + 3, "", last=False), Part("b", 1, "", last=True)):
        with pytest.raises(Malformed):
            bodies.take(wrong)
    assert Bodies().assembled("a") is None
    bodies.take(Part("a", 1, "two", last=True))
    with pytest.raises(Malformed):
        bodies.take(Part("a", 2, "more", last=True))
    assert bodies.assembled("a") == "one two"
    assert bodies.assembled("a") is None


def test_an_unfinished_body_is_none_and_is_forgotten() -> None:
    """Whoever names it too early has to send it again."""
    bodies = Bodies()
    bodies.take(Part("a", 0, "half", last=False))
    assert bodies.assembled("a") is None
    with pytest.raises(Malformed):
        bodies.take(Part("a", 1, "rest", last=True))


def test_what_waits_for_its_command_is_bounded() -> None:
    """By number and by bytes."""
    many, large = Bodies(), Bodies()
    for n in range(BODIES_AT_ONCE):
        many.take(Part(f"{n}", 0, "x", last=True))
    with pytest.raises(Refused):
        many.take(Part("one more", 0, "x", last=True))
    large.take(Part("a", 0, "x" * BODIES_BYTES, last=False))
    with pytest.raises(Refused):
        large.take(Part("a", 1, "x", last=True))


# --- who comes in ----------------------------------------------------------------------------------


def line(*pids: int) -> Callable[[int], int | None]:
    """Processes, each the child of the next."""
    return dict(itertools.pairwise(pids)).get


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [({5}, True), ({3}, True), ({9}, False), (set(), False)],
)
def test_a_process_descends_from_an_agent_through_any_number_of_parents(
    recorded: set[int], *, expected: bool
) -> None:
    """Itself included."""
    assert descends_from_agent(5, recorded, line(5, 4, 3, 2, 1)) is expected


def test_a_line_too_long_to_follow_is_taken_for_an_agents() -> None:
    """Better to refuse a person than to let an agent pass."""
    assert descends_from_agent(1_000, set(), lambda pid: pid - 1)


def test_parents_are_read_from_the_system_whatever_a_program_is_called(tmp_path: Path) -> None:
    """Names may hold spaces and brackets; a process that is gone has no parent."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a (b) c) S 3 7 7 0")
    assert parent_of(7, tmp_path) == 3
    assert parent_of(8, tmp_path) is None


def test_only_our_own_names_and_origins_are_known() -> None:
    """Exactly; a missing header is nobody's."""
    ours = ("http://127.0.0.1:7700", "http://localhost:7700")
    hosts = ("LOCALHOST:7700", "localhost", None)
    assert [host_allowed(host, ours) for host in hosts] == [True, False, False]
    assert [origin_allowed(origin, ours) for origin in (*ours, "http://127.0.0.1:7701", None)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [("a=1; b=2", "1"), ("b=2", None), (None, None), ("", None), ("odd@name=1; a=1", "1"), ("aa=2", None)],
)
def test_a_session_is_read_from_its_own_cookie(header: str | None, expected: str | None) -> None:
    """Whatever else a browser sends, and however broken."""
    assert session_secret(header, "a") == expected


def test_a_code_works_once_and_within_ten_minutes() -> None:
    """One that is too old is as wrong as any other."""
    now = [0.0]
    secrets = iter("abc")
    codes = Codes(lambda: next(secrets), lambda: now[0])
    assert codes.new() == "a"
    assert (codes.take("a"), codes.take("a")) == (True, False)
    codes.new()
    now[0] = 600.0
    assert not codes.take("b")


# --- files -----------------------------------------------------------------------------------------


def test_the_page_is_served_whole_or_says_what_is_missing(tmp_path: Path) -> None:
    """Other people's modules are laid over the page's own, and change the address of everything."""
    here, vendor = tmp_path / "here", tmp_path / "vendor"
    for file, text in {
        here / "shell.html": '<script src="/static/{{hash}}/app/main.js"></script><!-- modulepreload -->',
        here / "app" / "main.js": "1",
        here / "vendor" / "old.js": "2",
        vendor / "htm.js": "3",
        vendor / "font.woff2": "4",
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    whole, lacking = load(vendor, here), load(None, here)
    assert set(whole.files) == {"app/main.js", "vendor/htm.js", "vendor/font.woff2"}
    assert f'href="/static/{whole.digest}/app/main.js"' in whole.shell
    assert "vendor" not in whole.shell
    assert "{{hash}}" not in whole.shell
    assert whole.digest != lacking.digest
    assert set(lacking.files) == {"app/main.js"}
    assert "modules are missing" in lacking.shell
    assert load(tmp_path / "nowhere", here) == lacking
    kinds = [whole.kind(name) for name in ("a.js", "a.woff2", "a.png", "a.unheard")]
    assert kinds == ["text/javascript; charset=utf-8", "font/woff2", "image/png", "application/octet-stream"]
