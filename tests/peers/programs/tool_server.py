"""An MCP server with one tool that works and one that fails; takes a port."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("library")


@server.tool()
def read_document(name: str) -> str:
    """Reads a document."""
    return f"the text of {name}"


@server.tool()
def break_down(part: int) -> str:
    """Fails."""
    raise ValueError(f"part {part} is broken")


server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
