"""A traced call tells the stages' own work from the wait for the host."""

from __future__ import annotations

import time
from typing import Any

from conftest import Mode

from antiphon.testing import scripted


def slow(body: dict[str, Any]) -> str:
    time.sleep(0.1)
    return "at last"


def test_the_wait_for_the_host_is_no_stages_own_work(mode: Mode, streamed: bool) -> None:
    client = scripted(slow)

    async def body() -> None:
        response = await mode.response(client.chain, model="openai/gpt-5", streamed=streamed, trace=True)

        assert response.meta is not None
        times = {stage.name: stage for stage in response.meta.stages}
        assert list(times) == [stage.name for stage in client.chain.flat()]
        assert times["dispatch"].waited_s >= 0.1
        assert max(stage.own_s for stage in times.values()) < 0.1
        waiting = {name for name, stage in times.items() if stage.waited_s > 0}
        assert waiting == ({"retry", "dispatch"} if streamed else {"dispatch"})
        await mode.close(client)

    mode.run(body)
