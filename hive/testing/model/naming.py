"""Which of the offered tools is meant.  Pure.

Every CLI names the same MCP tool otherwise; scripts say `SERVER/TOOL`.
"""

import re
from collections.abc import Callable, Sequence

from attrs import evolve

from hive.testing.model.conversation import Asked, Block, Reply, Tool, ToolCall
from hive.testing.model.wire import decoded, encoded

SHOWN = 20
"""So many offered tools are named to whoever asked for one that is not there."""


class NotOfferedError(Exception):
    """A tool that the CLI did not offer with its request; the text names those it did."""


def offered(name: str, tools: Sequence[Tool]) -> Tool:
    """The tool meant by a name, `SERVER/TOOL` or the CLI's own; raises `NotOfferedError`."""
    server, _, short = name.rpartition("/")
    found = next((tool for tool in tools if _is_meant(tool, server, short)), None)
    if found is None:
        known = ", ".join(f"{tool.namespace} {tool.name}".strip() for tool in tools[:SHOWN])
        raise NotOfferedError(f"no tool {name!r} was offered; there are: {known or 'none at all'}")
    return found


def _is_meant(tool: Tool, server: str, short: str) -> bool:
    if not server:
        return tool.name == short
    server, short, name, namespace = map(_plain, (server, short, tool.name, tool.namespace))
    if namespace:
        return name == short and namespace.strip("_") in {server, f"mcp__{server}"}
    return name in {f"mcp__{server}__{short}", f"mcp_{server}_{short}", f"{server}_{short}"}


def _plain(name: str) -> str:
    """A name as CLIs write it that allow few characters in one."""
    return re.sub(r"\W", "_", name)


def finished(reply: Reply, asked: Asked, new_id: Callable[[], str]) -> Reply:
    """The reply with everything a wire needs: real names of tools, ids, the model's name."""

    def named(block: Block) -> Block:
        if not isinstance(block, ToolCall):
            return block
        tool = offered(block.name, asked.tools)
        return ToolCall(
            name=tool.name,
            # What cannot be sent is refused here, where its brain can still be told.
            arguments=decoded(encoded(dict(block.arguments))),
            id=block.id or f"call_{new_id()}",
            namespace=tool.namespace,
        )

    blocks = () if reply.error else tuple(named(block) for block in reply.blocks)
    return evolve(
        reply, blocks=blocks, id=reply.id or f"msg_{new_id()}", model=reply.model or asked.model or "model"
    )
