"""Which limit bounds which wait."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from antiphon.pipeline.errors import InvalidParameter
from antiphon.pipeline.timeouts import Pace, Timeouts

LIMITS = Timeouts(total=100, connect=5, first_event=20, idle=10)


def pace(*, streamed: bool = True) -> Pace:
    return Pace(LIMITS, ends_at=100.0, now=0.0, streamed=streamed)


def test_a_number_limits_the_whole_call() -> None:
    assert Timeouts.of(7) == Timeouts(total=7.0)
    assert Timeouts.of(0.5).idle == Timeouts().idle


def test_timeouts_stay_as_they_are() -> None:
    assert Timeouts.of(LIMITS) is LIMITS


def test_limits_of_httpx_are_read() -> None:
    assert Timeouts.of(httpx.Timeout(9, connect=2)) == Timeouts(connect=2, first_event=9, idle=9)
    assert Timeouts.of(httpx.Timeout(None)).idle == math.inf
    assert Timeouts.of(SimpleNamespace(connect=1, read=2)).connect == 1


@pytest.mark.parametrize("value", ["7", None, True, [1]])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"a number of seconds or antiphon\.Timeouts is expected"):
        Timeouts.of(value)


@pytest.mark.parametrize("value", [0, -1, math.nan, Timeouts(idle=0), Timeouts(connect="5")])  # type: ignore[arg-type]
def test_limits_are_above_zero(value: Any) -> None:
    with pytest.raises(InvalidParameter, match="seconds above zero are expected"):
        Timeouts.of(value)


def test_infinity_switches_a_limit_off() -> None:
    endless = Pace(Timeouts(total=math.inf, idle=math.inf), ends_at=math.inf, now=0.0, streamed=False)

    assert endless.next_read(1e9) == (math.inf, "total")


def test_a_stream_must_show_its_first_event_in_time() -> None:
    assert pace().next_read(0.0) == (20.0, "first_event")
    assert pace().next_read(15.0) == (5.0, "first_event")
    assert pace().next_read(25.0) == (0.0, "first_event")


def test_a_plain_answer_may_be_silent_until_the_total_limit() -> None:
    assert pace(streamed=False).next_read(30.0) == (70.0, "total")


def test_idle_holds_from_the_first_event_on() -> None:
    started = pace()
    started.started()

    assert started.next_read(50.0) == (10.0, "idle")


def test_the_total_limit_wins_near_the_end() -> None:
    started = pace()
    started.started()

    assert started.next_read(95.0) == (5.0, "total")
    assert started.next_read(105.0) == (0.0, "total")


def test_connecting_has_a_limit_of_its_own() -> None:
    assert pace().next_connect(0.0) == (5.0, "connect")
    assert pace().next_connect(98.0) == (2.0, "total")
    assert pace().next_connect(101.0) == (0.0, "total")
