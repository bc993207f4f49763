"""Names of one's own for models."""

from __future__ import annotations

import pytest
from conftest import Mode

from antiphon import Rename, presets
from antiphon.pipeline.errors import ChainError, InvalidModel
from antiphon.testing import scripted

NAMES = Rename({"fast": "groq/openai/gpt-oss-20b", "smart": "openai/gpt-5"})


def test_a_name_stands_for_its_model(mode: Mode, streamed: bool) -> None:
    client = scripted("Hello.", chain=presets.responses.before("validate", NAMES))

    async def body() -> None:
        for name, provider, model in (("fast", "groq", "openai/gpt-oss-20b"), ("xai/grok", "xai", "grok")):
            meta = (await mode.response(client.chain, "Hi", streamed=streamed, model=name)).meta
            assert meta is not None
            assert (meta.provider, meta.model) == (provider, model)

    mode.run(body)


def test_other_models_may_be_refused(mode: Mode) -> None:
    client = scripted("Hello.", chain=presets.responses.before("validate", Rename(NAMES.models, strict=True)))

    async def body() -> None:
        with pytest.raises(InvalidModel, match='"smrt" is none of those that may be asked; did you mean "smart"'):
            await mode.call(client.chain, "Hi", model="smrt")
        assert (await mode.call(client.chain, "Hi", model="smart")).meta.model == "gpt-5"

    mode.run(body)

    assert len(client.requests) == 1


def test_inside_resolve_it_is_refused() -> None:
    with pytest.raises(ChainError, match="rename stands inside resolve"):
        presets.responses.after("resolve", NAMES).check()
