"""About how many tokens something has."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.pipeline.api.items import Message
from antiphon.pipeline.token_estimate import IMAGE_TOKENS, about_tokens


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        (None, 0),
        ("", 0),
        ("a", 1),
        ("four letters", 3),
        ("日本語です", 4),
        ([], 0),
        ([None, "abcd", "efgh"], 2),
        ({"type": "input_image", "image_url": "data:image/png;base64," + "A" * 9999}, IMAGE_TOKENS),
        ("\ud800", 1),
    ],
)
def test_four_bytes_are_a_token_and_an_image_is_an_image(value: Any, tokens: int) -> None:
    assert about_tokens(value) == tokens


def test_files_count_by_their_length_and_far_less_than_text() -> None:
    file = {"type": "input_file", "file_data": "A" * 64_000}

    assert 1_000 < about_tokens(file) < 1_100


def test_objects_count_as_what_they_are_on_the_wire() -> None:
    fields = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "word " * 50}]}

    assert about_tokens(fields) == about_tokens(Message.new(**fields))
    assert about_tokens(fields) > about_tokens("word " * 50)
