"""Names of tools in front of a model."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from antiphon.stages.tools.names import public_names


def test_a_name_that_is_unique_and_allowed_is_kept() -> None:
    assert public_names([("docs", "find"), ("clock", "now")], ()) == ["find", "now"]


def test_one_that_several_servers_have_gets_their_labels() -> None:
    assert public_names([("a", "find"), ("b", "find"), ("b", "now")], ()) == ["a__find", "b__find", "now"]


def test_one_that_the_caller_has_gets_its_label() -> None:
    assert public_names([("docs", "find")], {"find"}) == ["docs__find"]


def test_letters_that_hosts_refuse_are_replaced() -> None:
    assert public_names([("my docs", "find.page")], ()) == ["my_docs__find_page"]


def test_what_is_too_long_or_still_the_same_ends_in_a_hash() -> None:
    long, one, other = public_names([("docs", "x" * 100), ("a", "b.c"), ("a", "b/c")], ())

    assert len(long) == 64
    assert one != other
    assert re.fullmatch(r"a__b_c_[0-9a-f]{8}", one)


LABELS = st.text(min_size=1, max_size=30)


@given(
    st.lists(st.tuples(LABELS, st.text(min_size=1, max_size=80)), unique=True, max_size=20),
    st.frozensets(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), max_size=5),
)
def test_names_are_always_allowed_different_and_the_same_again(
    tools: list[tuple[str, str]], taken: frozenset[str]
) -> None:
    names = public_names(tools, taken)

    assert len(set(names)) == len(tools)
    assert not taken & set(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert names == public_names(tools, taken)
