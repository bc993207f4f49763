"""How a batch is to run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from ..errors import InvalidParameter
from ..wording import quoted

Order: TypeAlias = Literal["input", "completed"]
OnError: TypeAlias = Literal["raise", "return"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of `Chain.map`, where they are explained."""

    concurrency: int = 8
    order: Order = "input"
    on_error: OnError = "return"
    progress: bool | Callable[[Any], object] = False
    checkpoint: str | os.PathLike[str] | None = None
    retry_failed: bool = True
    executor: Any = None
    chunk_size: int | None = None

    @classmethod
    def split(cls, given: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
        """Return the settings among these keywords, and the others, which are for the calls."""
        own = {name: value for name, value in given.items() if name in cls.__struct_fields__}
        return cls(**own), {name: value for name, value in given.items() if name not in own}

    def __post_init__(self) -> None:
        for name in ("concurrency", "chunk_size"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
                raise InvalidParameter(f"{name} is {type(number).__name__}; int is expected", param=name)
        if self.concurrency < 1:
            raise InvalidParameter(f"concurrency is {self.concurrency}; at least 1 is expected", param="concurrency")
        path: Any = self.checkpoint
        if path is not None and (not path or not isinstance(path, str | os.PathLike)):
            raise InvalidParameter(
                f"checkpoint is {self.checkpoint!r}; the path of a file is expected", param="checkpoint"
            )
        for name, value, known in (
            ("order", self.order, ("input", "completed")),
            ("on_error", self.on_error, ("raise", "return")),
        ):
            if value not in known:
                raise InvalidParameter(
                    f'{name} is {quoted(value)}; "{known[0]}" or "{known[1]}" is expected', param=name
                )
        if self.progress is not True and self.progress is not False and not callable(self.progress):
            raise InvalidParameter(
                f"progress is {type(self.progress).__name__}; True, False or a function is expected", param="progress"
            )
        if self.executor is None and self.chunk_size is not None:
            raise InvalidParameter(
                "chunk_size is given without an executor",
                param="chunk_size",
                hint="leave it out, or give executor= too",
            )
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            raise InvalidParameter(
                f"executor is {type(self.executor).__name__}; an executor of concurrent.futures is expected",
                param="executor",
                hint="Dask: client.get_executor(); Ray: see docs/batches.md",
            )
        if self.chunk_size is not None and not 1 <= self.chunk_size <= self.concurrency:
            raise InvalidParameter(
                f"chunk_size is {self.chunk_size}; 1 to {self.concurrency}, the concurrency, is expected",
                param="chunk_size",
                hint="the rows of a chunk run side by side; raise concurrency too",
            )
