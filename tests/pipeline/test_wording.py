"""Values and misfits as messages say them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from antiphon.pipeline.wording import known_values, misfit, quoted


class Row(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=1)]
    share: float | None = None
    names: list[str] = []
    mode: Literal["a", "b"] = "a"
    limits: dict[str, int] = {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("many", '"many"'),
        ('say "so"\nnow', r'"say \"so\"\nnow"'),
        ("half \ud83d", r'"half \ud83d"'),
        ("ж", '"ж"'),
        ("x" * 300, f'"{"x" * 200}…"'),
        (None, "None"),
        (["x" * 300], f"['{'x' * 198}…"),
    ],
)
def test_text_is_quoted_on_one_line_and_all_else_is_its_repr(value: object, said: str) -> None:
    assert quoted(value) == said
    assert said.encode()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (5, "row is 5; an object is expected"),
        ({"count": "x"}, "row.count is str; int is expected"),
        ({"count": 0}, "row.count: int >= 1 is expected"),
        ({"count": 1, "share": "x"}, "row.share is str; float is expected"),
        ({"count": 1, "names": 5}, "row.names is int; a list is expected"),
        ({"count": 1, "names": ["x", 5]}, "row.names[1] is int; str is expected"),
        ({"count": 1, "mode": "c"}, 'row.mode is "c", which is not known'),
        ({"count": 1, "limits": {5: 1}}, "a key of row.limits is int; str is expected"),
        ({}, 'row has no "count"'),
        ({"count": 1, "cuont": 1}, 'row has "cuont", which is not known'),
    ],
)
def test_a_misfit_says_what_is_there_and_what_is_expected(given: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Row)

    assert misfit(caught.value, "row", given) == said


def test_what_nobody_has_foreseen_keeps_its_words() -> None:
    assert misfit(ValueError("odd"), "row", 5) == "row: odd"


def test_a_type_that_lists_its_values_is_a_hint() -> None:
    assert known_values(Annotated[Literal["a", 1] | None, "note"]) == 'known: "a", 1'
    assert known_values(int | str) is None
