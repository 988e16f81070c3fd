"""The endpoints of all agents as one supervised child, on their TCP port and their own sockets."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from hypercorn.typing import ASGIFramework

from hive.asgi import Endpoint, HttpServer
from hive.mcp.app import EndpointApp
from hive.mcp.parts import McpParts
from hive.mcp.sockets import AgentSockets, admit

CHILD = "mcp"
"""What the supervised child is called."""


@contextmanager
def endpoint_server(
    parts: McpParts,
    tcp: Sequence[socket.socket],
    run: Path | None,
    *,
    owner: Callable[[str], int] | None = None,
) -> Iterator[HttpServer]:
    """Make the server for a child's spec: `ChildSpec(CHILD, lambda: server, ...)`.

    The TCP sockets stay their opener's.  With a run directory (of this user alone, and short enough for a
    socket's path) each agent has its own socket below it, until the block is left.
    """
    app = EndpointApp(parts)
    # hypercorn and the SDK spell the same protocol in different types.
    server = HttpServer(
        cast("ASGIFramework", app), [Endpoint(one) for one in tcp], admit=admit, on_error=parts.on_error
    )
    if run is None:
        yield server
        return
    sockets = AgentSockets(run, parts.store, server, parts.on_error)
    if owner:
        sockets.owner = owner
    with closing(sockets):
        sockets.reconcile()
        app.background = (sockets.keep,)
        yield server
