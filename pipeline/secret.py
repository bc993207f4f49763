"""Values that must never be shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NoReturn

from .errors import MissingKey

# Key shapes of the large vendors, for text that comes from elsewhere (error bodies, exception texts).
_SHAPES = re.compile(r"\b(?:sk|rk|pk|gsk|xai|hf|AIza|AKIA|ASIA|ghp|glpat|eyJ)[-_A-Za-z0-9./+=]{16,}")
# What names of headers and of a query's fields say when their values are to be hidden.
_WORDS = "auth|key|token|secret|passw|credential|signature"
_SECRET_NAME = re.compile(f"{_WORDS}|cookie", re.IGNORECASE)
_QUERY = re.compile(f"([?&][^=&#]*(?:{_WORDS})[^=&#]*=)[^&#]*", re.IGNORECASE)
MASK = "***"
_SHORT = 4  # shorter ones are masked as whole words only, since they are a part of many
# What people give where a host wants no key; in the text of others it means what it says.
_NO_KEYS = frozenset({"none", "null", "empty", "dummy", "unused", "not-needed", "no-key"})


class Secret:
    """Text that shows itself only through `reveal()`: never in a repr, a format, a log, a pickle or JSON."""

    __slots__ = ("_bearer", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._bearer: Secret | None = None

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._value

    def as_bearer(self) -> Secret:
        """Return the value of the header `authorization` for this token; made once, for every call wants it."""
        if self._bearer is None:
            is_whole = self._value.startswith("Bearer ")
            self._bearer = self if is_whole else Secret(f"Bearer {self._value}")
        return self._bearer

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; name the environment variable that holds it instead")


class FromEnv:
    """A key that stands in an environment variable, looked up anew whenever it is needed.

    Unlike a key itself it may be pickled and written to a chain file.

    Args:
        name: of the variable, e.g. "OPENAI_API_KEY".

    Raises:
        MissingKey: when called, and the variable is not set.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> Secret:
        if value := os.environ.get(self.name, "").strip():
            return Secret(value)
        raise MissingKey(f"the environment variable {self.name} is not set", hint=f"set {self.name}")

    def __repr__(self) -> str:
        return f"FromEnv({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromEnv) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[object, ...]:
        return FromEnv, (self.name,)


def mask(text: str, secrets: Iterable[Secret | str | None] = ()) -> str:
    """Return `text` without the given secrets and without anything that looks like a vendor's key.

    A key that means that there is none, such as "none", stays.
    """
    for secret in secrets:
        value = secret.reveal() if isinstance(secret, Secret) else secret
        if not value or value.lower() in _NO_KEYS:
            continue
        if len(value) < _SHORT:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
        else:
            text = text.replace(value, MASK)
    return _SHAPES.sub(MASK, text)


def mask_url(url: str, secrets: Iterable[Secret | str | None] = ()) -> str:
    """Return an address as `mask` does, and without the values of a query whose names speak of a secret."""
    return _QUERY.sub(rf"\1{MASK}", mask(url, secrets))


def is_credential(header: str) -> bool:
    """Tell whether a header's name speaks of a secret."""
    return _SECRET_NAME.search(header) is not None
