"""Chains as TOML and JSON."""
