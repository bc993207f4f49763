"""Choose one of several targets for a call."""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from ..pipeline.aim import Aim, named
from ..pipeline.errors import InvalidParameter, StageError, did_you_mean
from ..pipeline.reply import Outcome, Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..pipeline.streams.event_stream import finally_
from ..pipeline.wording import quoted


class Route(Stage, frozen=True):
    """Choose one of several targets for a call: by weight, in turn, by latency, or by a function of yours.

    Stages before it see the name that was asked for, stages after it the target's model. A target whose call failed for
    a passing reason (time limits, 429, 5xx, no connection) rests for a while, unless all of them do. It chooses once a
    call; for another try elsewhere place a Fallback outside it, with the same name again as its target.

    Args:
        routes: targets by the model name that stands for them, e.g. {"smart": ["openai/gpt-5", "azure/gpt-5"]}. A
            target is "provider/model", or a dict with `model`, what else is particular there, and `weight` (1).
        by: "weight" by chance, as often as the weights say; "turn" one after the other; "latency" mostly the one that
            began to answer soonest lately, now and then another, to learn of it.
        choose: takes the request and the model strings of the targets, returns one of the latter; it decides alone.
        rest_s: how long a target that failed is left alone, seconds.

    Raises:
        InvalidParameter, StageError: when the chain is first run, for a target that is none.
    """

    routes: Mapping[str, Sequence[str | Mapping[str, Any]]]
    by: Literal["weight", "turn", "latency"] = "weight"
    choose: Callable[[Request, list[str]], str] | None = None
    rest_s: Annotated[float, Meta(ge=0)] = 30.0

    outside = ("target",)
    sets = ()

    def setup(self, scope: Scope) -> object:
        routes: dict[str, list[_Target]] = {}
        for name, targets in self.routes.items():
            if not targets:
                raise StageError(
                    f'stage Route: "{name}" has no targets', hint=f'e.g. Route({{"{name}": ["openai/gpt-5"]}})'
                )
            routes[name] = [_Target.of(target, scope) for target in targets]
        return _Routes(routes)

    def ways_on(self) -> Iterable[tuple[str, str]]:
        return [(f'model "{name}"', named(target)) for name, targets in self.routes.items() for target in targets]

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        targets = request.context.state_of(self, _Routes).targets.get(request.model or "")
        if targets is None or request.operation != "create":
            return await call_next(request)
        target = self._chosen(targets, request)
        began = request.context.runtime.now()
        try:
            reply = await call_next(target.aim.at(request, "it belongs to the target that was asked for"))
        except Exception as error:
            self._note(target, Outcome.of_error(error), request, began)
            raise
        finally_(reply, lambda outcome: self._note(target, outcome, request, began))
        return reply

    def _chosen(self, targets: _Targets, request: Request) -> _Target:
        if self.choose is not None:
            names = [target.aim.model for target in targets.all]
            chosen = self.choose(request, names)
            if chosen not in names:
                raise StageError(
                    f"stage Route: choose returned {quoted(chosen)}, which is none of the targets"
                    f"{did_you_mean(str(chosen), names)}",
                    hint=f"they are: {', '.join(names)}",
                )
            return targets.all[names.index(chosen)]
        now = request.context.runtime.now()
        awake = [target for target in targets.all if target.rests_until <= now] or targets.all
        match self.by:
            case "weight":
                return random.choices(awake, [target.weight for target in awake])[0]  # noqa: S311  spreading load
            case "turn":
                return awake[next(targets.turn) % len(awake)]
            case "latency":
                unknown = [target for target in awake if target.latency_s is None]
                if unknown or random.random() < _CURIOSITY:  # noqa: S311
                    return random.choice(unknown or awake)  # noqa: S311
                return min(awake, key=lambda target: target.latency_s or 0.0)

    def _note(self, target: _Target, outcome: Outcome, request: Request, began: float) -> None:
        context = request.context
        now = context.runtime.now()
        if outcome.kind == "failed":
            if getattr(outcome.error, "retryable", True):
                target.rests_until = now + self.rest_s
        elif outcome.kind in ("completed", "incomplete"):
            first_s = context.first_event_s
            target.learn(now - began if first_s is None else first_s + context.started_at - began)


_CURIOSITY = 0.05  # how often "latency" tries another than the quickest
_NEWEST = 0.3  # the weight of the newest latency in the average


class _Target:
    """A target, and what is known of it. Shared by all calls of a client."""

    __slots__ = ("_lock", "aim", "latency_s", "rests_until", "weight")

    def __init__(self, aim: Aim, weight: float) -> None:
        self.aim = aim
        self.weight = weight
        self.latency_s: float | None = None
        self.rests_until = 0.0
        self._lock = threading.Lock()

    @classmethod
    def of(cls, target: Any, scope: Scope) -> _Target:
        weight: Any = 1.0
        if isinstance(target, Mapping):
            weight = target.get("weight", 1.0)
            target = {name: value for name, value in target.items() if name != "weight"}
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise InvalidParameter(
                f"the weight of a target is {quoted(weight)}; a number over 0 is expected", param="weight"
            )
        return cls(Aim.of(target, scope.options), weight)

    def learn(self, latency_s: float) -> None:
        with self._lock:
            known = self.latency_s
            self.latency_s = latency_s if known is None else (1 - _NEWEST) * known + _NEWEST * latency_s


class _Targets:
    __slots__ = ("all", "turn")

    def __init__(self, targets: list[_Target]) -> None:
        self.all = targets
        self.turn = itertools.count()


class _Routes:
    __slots__ = ("targets",)

    def __init__(self, routes: dict[str, list[_Target]]) -> None:
        self.targets = {name: _Targets(targets) for name, targets in routes.items()}
