"""Names of LiteLLM that are not here, or another here, say so, and what to do instead."""

from __future__ import annotations

import pytest

import antiphon as litellm
from antiphon.litellm_names import ERRORS, GLOBALS, NAMES


def test_a_name_that_is_not_here_says_the_next_move() -> None:
    for name in (*NAMES, *GLOBALS):
        with pytest.raises(AttributeError, match=f"no attribute '{name}', which is of LiteLLM\n  hint: .") as caught:
            getattr(litellm, name)

        assert (caught.value.name, caught.value.obj) == (name, litellm)


def test_a_setting_of_the_module_is_refused_instead_of_having_no_effect() -> None:
    for name in GLOBALS:
        with pytest.raises(AttributeError, match=f"antiphon.{name} cannot be set: .*\n  hint: ."):
            setattr(litellm, name, ["langfuse"])

        assert not hasattr(litellm, name)


def test_other_names_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "Client", dict)
    monkeypatch.setattr(litellm, "my_own", 1, raising=False)

    assert vars(litellm)["Client"] is dict
    assert vars(litellm)["my_own"] == 1


def test_no_name_of_litellm_hides_one_of_ours() -> None:
    ours = {*dir(litellm), *litellm.errors.__dict__}

    assert ours.isdisjoint({*NAMES, *GLOBALS, *ERRORS})
    assert {*NAMES}.isdisjoint(GLOBALS)
    assert {*ERRORS.values()} <= ours


@pytest.mark.parametrize("name", ["model_dump", "model_dump_json", "_hidden_params"])
def test_what_litellms_response_has_beside_says_where_it_is_here(name: str) -> None:
    response = litellm.responses("Hi", "scripted/echo")

    with pytest.raises(AttributeError, match=f"no attribute '{name}'\n  hint: ."):
        getattr(response, name)
    litellm.close()
