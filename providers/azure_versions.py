"""Azure's older form of addresses, in which an `api-version` says how requests are read.

Source: the sources of OpenAI's Python package 3.54 (`AzureOpenAI`, which puts chat completions under the deployment and
Responses not) and of LiteLLM 1.106 (for "preview" and "latest", which belong to the v1 form); read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from .addresses import first_set
from .rows import Provider

_OF_V1: Final = frozenset({"v1", "latest", "preview"})


def find_version(row: Provider, options: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the API version that call or environment name, "" for none."""
    if not row.version_env:
        return ""
    return str(options.get("api_version") or first_set(row.version_env, environ)[1]).strip()


def versioned(base_url: str, version: str, dialect: str, deployment: str) -> tuple[str, dict[str, str]]:
    """Return the address and the query of a call with this API version.

    Args:
        base_url: with or without the path of the v1 form, or of a deployment.
        deployment: the model's name at the host.
    """
    if version in _OF_V1:
        return base_url, {} if version == "v1" else {"api-version": version}
    root = base_url.partition("/openai/deployments/")[0].removesuffix("/openai/v1").removesuffix("/openai")
    place = f"/deployments/{quote(deployment, safe='')}" if dialect == "chat" else ""
    return f"{root}/openai{place}", {"api-version": version}
