"""What a person at a real terminal sees of the verbs that go on, and how they end them."""

import http.client
import signal
import socket
from contextlib import closing
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from hive.directory import Directory, short_run_directory
from tests.cli.person import PATIENCE_SECONDS, Person, processes_of, until

pytestmark = pytest.mark.slow

CTRL_C = "\x03"


@frozen
class Answer:
    """What came back for one request."""

    status: int
    headers: Message
    body: bytes


def fetched(url: str, cookie: str = "") -> Answer:
    """The answer to a GET, whatever its status; no redirection is followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
    connection.request("GET", url.partition(parts.netloc)[2], headers={"Cookie": cookie} if cookie else {})
    with closing(connection):
        found = connection.getresponse()
        return Answer(found.status, found.headers, found.read())


def test_ctrl_c_ends_a_demo_and_all_it_began(person: Person, tmp_path: Path) -> None:
    """Every process and every file of it is gone, and the last three lines say what to type next."""
    tree, scratch = tmp_path / "tree", person.root.parent / "t"
    for folder in (tree, scratch):
        folder.mkdir()
    (tree / "file").write_text("one\ntwo\n")
    visitor = Person(person.root, {"TMPDIR": str(scratch)})
    with visitor.at_a_terminal("demo", "--on", str(tree), "--no-open") as terminal:
        root = Path(terminal.shows("Their files:").partition(": ")[2].partition(";")[0])
        terminal.shows("Ctrl-C ends it.")
        until(lambda: len(processes_of(root)) > 5)
        assert Directory(root).operator_socket.is_socket()
        terminal.types(CTRL_C)
        assert terminal.ends() == 0
    assert [
        word in line
        for word, line in zip(("hive up", "hive spawn", "hive send"), terminal.lines[-3:], strict=True)
    ] == [True] * 3
    assert "Traceback" not in terminal.text
    assert processes_of(root) == []
    assert list(scratch.iterdir()) == []
    assert not short_run_directory(root).exists()


def test_a_terminal_is_given_a_link_that_logs_in_once(person: Person) -> None:
    """It sets a cookie, and the cookie gives the page; without one there is none."""
    with person.at_a_terminal("up") as terminal:
        link = terminal.shows("page (logs in once): ").partition(": ")[2]
        page = link.partition("login")[0]
        assert fetched(page).status == 401
        login = fetched(link)
        assert login.status == 303
        cookie = login.headers["Set-Cookie"].partition(";")[0]
        shown = fetched(page, cookie)
        assert shown.status == 200
        assert b"<script" in shown.body
        assert fetched(link).status == 403
        terminal.types(CTRL_C)
        assert terminal.ends() == 0
    assert terminal.lines[-1] == "stopped; nothing is running"


def test_without_a_terminal_no_code_is_written_down(person: Person) -> None:
    """Neither on standard output nor in any file: logs are read by others."""
    with person.in_a_pipe("up") as daemon:
        assert "hive open" in daemon.shows("page")
        daemon.child.send_signal(signal.SIGTERM)
        assert daemon.ends() == 0
    assert daemon.lines[-1] == "stopped; nothing is running"
    person.types("up", "--detach")
    person.types("down")
    assert "code=" not in daemon.text
    files = [file for file in person.root.rglob("*") if file.is_file()]
    assert person.root / "hive.log" in files
    assert [file for file in files if b"code=" in file.read_bytes()] == []


def sleepers(root: Path) -> list[str]:
    """The processes of this hive that sleep for long, as their turn told them."""
    return [
        pid for pid in processes_of(root) if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00300\x00"
    ]


def half_a_request(url: str, token: str) -> socket.socket:
    """A request whose end never comes: whoever stops in order waits for it a while."""
    host, _, port = url.split("/")[2].partition(":")
    connected = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
    path = url.partition(f":{port}")[2]
    head = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: Bearer {token}",
        *("Content-Type: application/json", "Accept: application/json, text/event-stream"),
        *("Content-Length: 1000", "", '{"jsonrpc":'),
    )
    connected.sendall("\r\n".join(head).encode())
    return connected


def test_a_second_signal_does_not_wait_while_a_turn_goes_on(person: Person) -> None:
    """It comes in the midst of an orderly stop; whatever ran is killed, and the status tells of it."""
    with person.in_a_pipe("up") as daemon:
        page = urlsplit(daemon.shows("page: ").split()[1])
        person.types("spawn", "boss", "--backend", "scripted", "--allow-shell")
        endpoint = person.asks("endpoint", "boss")
        person.types("send", "boss", "!sh trap '' TERM HUP; sleep 300; sleep 300")
        until(lambda: sleepers(person.root))
        idle = socket.create_connection((page.hostname, page.port), timeout=PATIENCE_SECONDS)
        with idle, half_a_request(endpoint["url"], endpoint["token"]):
            daemon.child.send_signal(signal.SIGTERM)
            daemon.shows("stopping (SIGTERM)")
            assert idle.recv(1) == b""  # the page's server has begun to leave
            assert sleepers(person.root)
            daemon.child.send_signal(signal.SIGTERM)
            assert daemon.ends() == 130
    assert "stopped at once" in daemon.text
    assert "Traceback" not in daemon.text
    assert processes_of(person.root) == []
