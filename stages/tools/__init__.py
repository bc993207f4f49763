"""The Tools stage: MCP servers' tools and Python functions, offered to the model, run and answered inside the chain."""
