"""Providers, their dialects and credentials."""
