"""Reasoning of a host, sealed into `encrypted_content` and read again."""

from __future__ import annotations

import pytest

from antiphon.providers.dialects.envelope import Envelope, seal, unseal

WHOLE = Envelope(
    provider="acme",
    model="m",
    dialect="chat",
    form="reasoning_details",
    blocks=({"type": "reasoning.text", "text": "Hm", "index": 0}, {"data": ["é", 1.5, None]}),
)


@pytest.mark.parametrize(
    "envelope",
    [
        WHOLE,
        Envelope(provider="acme", model="m", dialect="chat", form="reasoning"),
        Envelope(provider="acme", model="m", dialect="chat", form="reasoning", blocks=("half \ud83d",)),
    ],
    ids=["blocks", "none", "half a character"],
)
def test_an_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    assert unseal(seal(envelope)) == envelope


@pytest.mark.parametrize(
    "text",
    [None, 1, "", "gAAAAABo", "antiphon.r1.", "antiphon.r1.e30", "antiphon.r1.W10", "antiphon.r1.é", seal(WHOLE)[:-9]],
)
def test_what_is_none_or_damaged_reads_as_none(text: object) -> None:
    assert unseal(text) is None
