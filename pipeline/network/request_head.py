"""Headers as they are sent: checked, completed, in bytes."""

from __future__ import annotations

import re

from ..errors import InvalidParameter
from ..http import HttpRequest
from ..secret import Secret
from ..wording import quoted
from .address import Address

_NOT_IN_NAME = re.compile(r"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_NOT_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})

Pairs = list[tuple[bytes, bytes]]


def encode_head(request: HttpRequest, address: Address) -> Pairs:
    """Return the headers to send: the request's, and `host`, `accept-encoding` and `content-length`.

    Raises:
        InvalidParameter: a method, name or value that would change the meaning of the message. The value is not shown.
    """
    if not request.method.isalpha() or not request.method.isascii():
        raise InvalidParameter("the HTTP method has characters that HTTP does not allow", param="method")
    pairs: Pairs = [(b"host", address.authority)]
    names: set[str] = set()
    for name, value in request.headers:
        lower = name.lower()
        if lower == "content-length":
            continue  # ours is right by construction
        text = _checked(name, lower, value)
        if lower == "host":
            pairs[0] = (b"host", text)
            continue
        names.add(lower)
        pairs.append((name.encode("ascii"), text))
    if "accept-encoding" not in names:
        pairs.append((b"accept-encoding", b"identity"))
    if request.body is not None:
        pairs.append((b"content-length", b"%d" % len(request.body)))
    elif request.method in _BODY_METHODS:
        pairs.append((b"content-length", b"0"))
    return pairs


def _checked(name: str, lower: str, value: str | Secret) -> bytes:
    if not name or _NOT_IN_NAME.search(name):
        raise InvalidParameter("a header's name has characters that HTTP does not allow", param="headers")
    if lower == "transfer-encoding":
        raise InvalidParameter("the header transfer-encoding is the transport's own", param="headers")
    # A key read from a file often ends in a newline; anywhere else one is an attempt to add headers.
    text = value.reveal().strip() if isinstance(value, Secret) else value.strip(" \t")
    if _NOT_IN_VALUE.search(text):
        raise InvalidParameter(
            f"the value of header {quoted(lower)} has control characters or letters outside latin-1",
            param="headers",
            hint="look for a line break or a typographic quote or dash in the key or header",
        )
    return text.encode("latin-1")
