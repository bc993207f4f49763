"""Marks of the prompt cache in a request's body: where hosts keep what comes before for the next call.

Hosts read a prompt in the order tools, instructions, messages, and keep it up to each mark; the next call pays a
tenth for what it shares with one that is kept, and the first one a quarter more. Up to four marks, and none before so
many tokens as the model wants at least; a mark there would be ignored.

    tools          after the last one
    instructions   after the last block
    messages       after what the user, or a tool, said last, and the time before that: there the turn before has
                   put its last mark, which hosts find by themselves only some twenty blocks back

Sources: Anthropic documentation, Prompt caching (least lengths as quoted in issue 1194 of its Python package; four
marks; twenty blocks); Amazon Bedrock user guide, Prompt caching (cachePoint; Claude in tools, system and messages,
Nova in system and messages); one hour at Bedrock from Claude 4.5 on, as users report. All read 2026-11. OpenAI
documentation, Prompt caching: 1,024 tokens, read 2026-11.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ..pipeline.api.wire import Raw, merge, read_list, read_object
from ..pipeline.token_estimate import BYTES_OF_A_TOKEN
from .dialects.converse_models import name_of

_LEAST_OF_CLAUDE: Final = {
    "claude-3-haiku": 2048,
    "claude-3-5-haiku": 2048,
    "claude-3": 1024,
    "claude-haiku-4-5": 4096,
    "claude-opus-4": 1024,
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-opus-4-7": 4096,
    "claude-opus-4-8": 4096,
    "claude-sonnet-4": 1024,
    # The documentation says 1,024; issue 1194 of the package measures 2,048.
    "claude-sonnet-4-6": 2048,
}
_LEAST_OF_A_NEW_CLAUDE: Final = 4096
LEAST_OF_OPENAI: Final = 1024
_LEAST_OF_NOVA: Final = 1024

KEYED: Final = frozenset({"openai", "azure", "mistral", "xai"})
"""Hosts that send calls with the same `prompt_cache_key` where their prompt is kept. Source: their API references."""


class Marker(msgspec.Struct, frozen=True):
    """How marks are put for one model.

    Args:
        tools: where the body has its tools.
        put: returns a list of blocks with a mark at its end; takes the list and the time to keep it, "" for the usual.
        least: tokens that must come before a mark.
        in_tools: whether there may be one behind the tools.
        keeps_long: whether it may be kept for an hour.
    """

    tools: tuple[str, ...]
    put: Callable[[Sequence[Raw], str], list[Raw]]
    least: int
    in_tools: bool = True
    keeps_long: bool = True


def _put_field(blocks: Sequence[Raw], ttl: str) -> list[Raw]:
    mark = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    return [*blocks[:-1], Raw(merge(bytes(blocks[-1]), {"cache_control": mark}))]


def _put_block(blocks: Sequence[Raw], ttl: str) -> list[Raw]:
    point = {"type": "default", **({"ttl": ttl} if ttl else {})}
    return [*blocks, Raw(msgspec.json.encode({"cachePoint": point}))]


def marker_of(dialect: str, model: str) -> Marker | None:
    """Return how marks are put for a model in an API format; None where there are none."""
    if dialect == "anthropic" and "claude" in model:
        return Marker(("tools",), _put_field, _least(model[model.index("claude") :]))
    if dialect == "converse":
        name = name_of(model)
        if name.startswith("anthropic.claude"):
            least = _least(name.removeprefix("anthropic."))
            old = least < _LEAST_OF_A_NEW_CLAUDE and "sonnet-4-5" not in name and "sonnet-4-6" not in name
            return Marker(("toolConfig", "tools"), _put_block, least, keeps_long=not old)
        if name.startswith("amazon.nova"):
            return Marker(("toolConfig", "tools"), _put_block, _LEAST_OF_NOVA, in_tools=False, keeps_long=False)
    return None


def _least(name: str) -> int:
    name = name.lower().replace(".", "-")
    for length in range(len(name), 0, -1):
        if (found := _LEAST_OF_CLAUDE.get(name[:length])) is not None:
            return found
    return _LEAST_OF_A_NEW_CLAUDE


class Prompt:
    """A request's body of a host with marks, taken apart as far as marks are put.

    Attributes:
        beginning: a digest of tools and instructions; "" without any.
    """

    def __init__(self, data: bytes, marker: Marker) -> None:
        self._data, self._marker = data, marker
        self._body = read_object(data)
        self._tools = _list_at(data, marker.tools)
        self._system = _list_at(data, ("system",))
        self._messages = [read_object(message) for message in _list_at(data, ("messages",))]
        said = b"\n".join(bytes(block) for block in (*self._tools, *self._system))
        self.beginning = hashlib.sha256(said).hexdigest() if said else ""

    def marked(self, *, beginning: bool, conversation: bool, ttl: str) -> bytes:
        """Return the body with marks.

        Args:
            beginning: whether behind tools and instructions.
            conversation: whether in the messages, where there is more than one question.
            ttl: how long it is kept, e.g. "1h"; "" for the usual time.
        """
        marker, changes = self._marker, dict[str, Raw]()
        ttl = ttl if marker.keeps_long else ""
        tokens = _tokens(self._tools)
        if beginning and marker.in_tools and self._tools and tokens >= marker.least:
            changes.update(self._with_tools(marker.put(self._tools, ttl)))
        tokens += _tokens(self._system)
        if beginning and self._system and tokens >= marker.least:
            changes["system"] = _encoded(marker.put(self._system, ttl))
        if conversation and (messages := self._with_marks(tokens, ttl)) is not None:
            changes["messages"] = messages
        return msgspec.json.encode({**self._body, **changes}) if changes else self._data

    def _with_tools(self, tools: list[Raw]) -> dict[str, Raw]:
        *outer, last = self._marker.tools
        if not outer:
            return {last: _encoded(tools)}
        return {outer[0]: Raw(merge(bytes(self._body[outer[0]]), {last: tools}))}

    def _with_marks(self, tokens: int, ttl: str) -> Raw | None:
        asked = [at for at, message in enumerate(self._messages) if message.get("role") == Raw(b'"user"')]
        if len(asked) < 2 and not self._tools:
            return None  # a single question, which may never be asked again
        places, messages = set(asked[-2:]), list[dict[str, Raw]]()
        for at, message in enumerate(self._messages):
            content = _members(message.get("content", Raw(b"null")))
            tokens += _tokens(content)
            if at in places and content and tokens >= self._marker.least:
                message = {**message, "content": _encoded(self._marker.put(content, ttl))}
            messages.append(message)
        return Raw(msgspec.json.encode(messages)) if messages != self._messages else None


def _list_at(data: bytes, path: tuple[str, ...]) -> list[Raw]:
    """Return the members of a list in the body; [] where there is none."""
    for name in path:
        data = bytes(read_object(data).get(name, b"null"))
        if not data.startswith(b"{"):
            break
    return _members(data)


def _members(data: bytes | Raw) -> list[Raw]:
    return read_list(data) if bytes(data).startswith(b"[") else []


def _tokens(blocks: Sequence[Raw]) -> int:
    return sum(len(bytes(block)) for block in blocks) // BYTES_OF_A_TOKEN


def _encoded(blocks: list[Raw]) -> Raw:
    return Raw(msgspec.json.encode(blocks))


def key_of_prompt(data: bytes, tenant: str | None) -> str | None:
    """Return a `prompt_cache_key` for a body of OpenAI's formats: one for each beginning; None for one too short.

    The beginning is what calls share: model, instructions, tools, system and developer messages at the front.
    """
    body = read_object(data)
    parts = [bytes(body[name]) for name in ("instructions", "tools") if name in body]
    for item in _members(body.get("input", body.get("messages", Raw(b"null")))):
        if read_object(item).get("role") not in _OF_INSTRUCTIONS:
            break
        parts.append(bytes(item))
    if sum(map(len, parts)) // BYTES_OF_A_TOKEN < LEAST_OF_OPENAI:
        return None
    whose = [(tenant or "").encode("utf-8", "surrogatepass"), bytes(body.get("model", b""))]
    digest = hashlib.sha256(b"\0".join([*whose, *parts])).hexdigest()
    return f"antiphon-{digest[:32]}"


_OF_INSTRUCTIONS = (Raw(b'"system"'), Raw(b'"developer"'))
