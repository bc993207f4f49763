"""The machinery: knows no vendor, no stage and no MCP."""
