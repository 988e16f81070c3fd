"""The sockets hive listens on: whom they refuse, what they say then, and who is at the other end."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hive.sockets import (
    BACKLOG,
    TCP_STALL,
    UNIX_PATH_BYTES,
    CannotListen,
    Credentials,
    PortInUse,
    listening_inodes,
    open_tcp,
    open_unix,
    peer_credentials,
    port_holder,
)

HOST = "127.0.0.1"
LISTEN = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def private() -> Iterator[Path]:
    """A directory of ours alone, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hive-") as folder:
        yield Path(folder)


def test_a_tcp_socket_gives_up_a_peer_that_acknowledges_nothing() -> None:
    """The kernel's own timeout is set before anyone can connect, and accepted sockets inherit it."""
    with open_tcp(HOST, 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            stall = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert stall == TCP_STALL * 1000


def test_ipv6_is_understood() -> None:
    """An address with colons is an IPv6 address."""
    try:
        socket.socket(socket.AF_INET6).close()
        listening = open_tcp("::1", 0)
    except (OSError, CannotListen):
        pytest.skip("this machine has no IPv6")
    with listening:
        assert listening.family == socket.AF_INET6


def test_a_port_in_use_names_its_holder_and_the_option() -> None:
    """The text tells which process to stop, or what to change."""
    with open_tcp(HOST, 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(PortInUse) as refused:
            open_tcp(HOST, port, option="--mcp-port")

    command = Path("/proc/self/comm").read_text().strip()
    assert f"{command} (process {os.getpid()})" in str(refused.value)
    assert "--mcp-port" in str(refused.value)


def test_another_process_is_found_as_the_holder() -> None:
    """Not only our own descriptors are searched."""
    listen = [sys.executable, "-c", LISTEN]
    with subprocess.Popen(listen, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        holder = port_holder(int(other.stdout.readline()))
        other.communicate()

    assert holder is not None
    assert other.pid == holder.pid


def test_a_holder_we_may_not_look_into_is_nobody(private: Path) -> None:
    """Where /proc shows the socket and no process of ours, the text says so instead of failing."""
    (private / "net").mkdir()
    (private / "net" / "tcp").write_text(f"{HEADER}\n{ROW}\n")
    (private / "4711").mkdir()

    assert port_holder(0x1F90, proc=private) is None


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
ROW = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100"
CONNECTED = (
    "   1: 0100007F:1F90 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0        0 778 1 0 20"
)
OTHER = (
    "   2: 1F900000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 779 1 0 100"
)


def test_only_listening_sockets_of_the_very_port_count() -> None:
    """Connections through the port, and other ports, hold nothing."""
    assert listening_inodes(f"{HEADER}\n{ROW}\n{CONNECTED}\n{OTHER}", 0x1F90) == {"777"}


def test_an_address_that_is_not_ours_is_refused_in_words() -> None:
    """Anything but a taken port says what the kernel said, and which option to change."""
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1 port 0: .+ --port") as refused:
        open_tcp("192.0.2.1", 0)

    assert not isinstance(refused.value, PortInUse)


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_a_unix_socket_has_the_mode_it_was_given_whatever_the_umask(private: Path, mode: int) -> None:
    """The umask neither widens nor narrows it."""
    before = os.umask(0o177)
    try:
        with open_unix(private / "s", mode):
            found = stat.S_IMODE((private / "s").lstat().st_mode)
    finally:
        os.umask(before)

    assert mode == found


def test_a_stale_socket_is_replaced(private: Path) -> None:
    """What a killed daemon left behind is in nobody's way."""
    open_unix(private / "s").close()

    with open_unix(private / "s"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(private / "s"))


@pytest.mark.parametrize("waiting", [0, BACKLOG + 1])
def test_a_socket_somebody_serves_is_left_alone(private: Path, waiting: int) -> None:
    """A second daemon does not take a running one's socket away, even when its backlog is full."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(waiting)]
    with open_unix(private / "s"), ExitStack() as connected:
        for client in clients:
            connected.enter_context(client).settimeout(1)
            client.connect(str(private / "s"))
        with pytest.raises(PortInUse, match="already in use"):
            open_unix(private / "s")

        assert (private / "s").is_socket()


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_what_is_no_socket_is_neither_followed_nor_removed(private: Path, kind: str) -> None:
    """A link at the socket's place might lead anywhere."""
    target, path = private / "target", private / "s"
    match kind:
        case "link":
            open_unix(target).close()
            path.symlink_to(target)
        case "dangling":
            path.symlink_to(target)
        case _:
            path.write_text("precious")

    with pytest.raises(CannotListen, match="in the way"):
        open_unix(path)
    assert path.is_symlink() or path.read_text() == "precious"


def test_a_directory_open_to_others_is_refused(private: Path) -> None:
    """Whoever may write there could put another socket in its place."""
    private.chmod(0o755)

    with pytest.raises(CannotListen, match="0700"):
        open_unix(private / "s")


def test_a_linked_directory_is_refused(private: Path) -> None:
    """The directory itself is no link either."""
    (private / "real").mkdir(mode=0o700)
    (private / "link").symlink_to(private / "real")

    with pytest.raises(CannotListen, match="no link"):
        open_unix(private / "link" / "s")


def test_a_missing_directory_is_named(private: Path) -> None:
    """Creating it is the caller's business, and the text says with which mode."""
    with pytest.raises(CannotListen, match="0700"):
        open_unix(private / "missing" / "s")


def test_a_path_too_long_for_the_kernel_is_refused_by_length(private: Path) -> None:
    """107 bytes fit, 108 do not, and the text names both numbers."""
    fitting = private / ("s" * (UNIX_PATH_BYTES - len(os.fsencode(private)) - 1))

    open_unix(fitting).close()
    with pytest.raises(CannotListen, match=r"108 bytes.* 107"):
        open_unix(fitting.with_name(fitting.name + "s"))


def test_a_place_where_no_socket_can_be_is_refused_in_words() -> None:
    """What the kernel said reaches the person."""
    with pytest.raises(CannotListen, match=r"Cannot listen on /proc/self/fd/s: .+\."):
        open_unix(Path("/proc/self/fd/s"))


def test_the_peer_of_a_unix_socket_is_known() -> None:
    """The kernel says who opened the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_credentials(ours) == Credentials(os.getpid(), os.getuid(), os.getgid())
