"""The codec of response ids."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from antiphon.pipeline.errors import InvalidParameter
from antiphon.providers.response_ids import ResponseId, decode_id, deployment_of, encode_id

KEY = b"canary key"
ALPHABET = string.ascii_letters + string.digits + "-_"

ids = st.text(min_size=1).filter(lambda text: not text.startswith(("resp_ap1_", "resp_ap1s_")))
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
keys = st.one_of(st.none(), st.binary(min_size=1))
anything = st.text(st.characters())  # lone surrogates too


def litellm(provider: str, upstream: str, model_id: str = "None") -> str:
    text = f"litellm:custom_llm_provider:{provider};model_id:{model_id};response_id:{upstream}"
    return "resp_" + base64.b64encode(text.encode()).decode()


@given(ids, names, st.text(st.characters(codec="utf-8", exclude_characters="\0")), keys)
@example("resp_1;x;y", "openai", "", None)
@example("a\0b\0", "openai", "abc", KEY)
@example("\0", "p", "", None)
@example("ü👋/../?%2F", "openai", "", None)
@example("half \ud83d", "openai", "", KEY)
def test_an_id_comes_back_as_it_went(upstream: str, provider: str, deployment: str, key: bytes | None) -> None:
    public = encode_id(upstream, provider, deployment, key)

    assert decode_id(public, key) == ResponseId(upstream, provider, deployment)
    assert public.startswith("resp_")
    assert set(public) <= set(ALPHABET)  # whole in a URL, a file name, a log line


@given(ids, names, keys)
def test_a_public_id_is_not_encoded_again(upstream: str, provider: str, key: bytes | None) -> None:
    public = encode_id(upstream, provider, "", key)

    assert encode_id(public, "another", "deployment", key) == public
    assert encode_id(public, "another", "", b"another key") == public


@given(ids, names, keys)
def test_the_same_id_is_encoded_the_same(upstream: str, provider: str, key: bytes | None) -> None:
    assert encode_id(upstream, provider, "", key) == encode_id(upstream, provider, "", key)


def test_no_id_stays_no_id() -> None:
    assert encode_id("", "openai") == ""


def test_the_form_of_version_1_is_fixed() -> None:
    payload = base64.urlsafe_b64encode(b"openai\0\0resp_up_123").rstrip(b"=").decode()

    assert encode_id("resp_up_123", "openai") == f"resp_ap1_{payload}"
    assert len(encode_id("resp_up_123", "openai", "", KEY)) == len(f"resp_ap1s_{payload}") + 22


def test_provider_deployment_and_id_each_make_another_id() -> None:
    made = {encode_id("a", "b"), encode_id("b", "a"), encode_id("a", "b", "c"), encode_id("c", "b", "a")}

    assert len(made) == 4


# --- other libraries' ids and hosts' own --------------------------------------------------------------------------


def test_an_id_that_litellm_encoded_is_read() -> None:
    # The bytes as LiteLLM 1.106 to 1.109 made them, 2026-11.
    said = b"litellm:custom_llm_provider:openai;model_id:None;response_id:resp_up_123"
    public = "resp_" + base64.b64encode(said).decode()

    assert public == litellm("openai", "resp_up_123")
    assert public.startswith("resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDpOb25l")
    assert decode_id(public) == ResponseId("resp_up_123", "openai")


@pytest.mark.parametrize(
    ("provider", "upstream", "model_id"),
    [
        ("openai", "resp_1;with;semicolons", "None"),
        ("openai", "resp_1", "gpt-5-deployment"),
        ("openai", "chatcmpl-1", ""),
        ("openai", "a\0b\nc", "None"),
        ("azure", "resp_1", "None"),
    ],
)
def test_odd_ids_of_litellm_are_read_whole(provider: str, upstream: str, model_id: str) -> None:
    assert decode_id(litellm(provider, upstream, model_id)) == ResponseId(upstream, provider)


@pytest.mark.parametrize("provider", ["None", ""])
def test_an_id_of_litellm_may_not_know_its_provider(provider: str) -> None:
    assert decode_id(litellm(provider, "resp_1")) == ResponseId("resp_1")


def test_with_a_key_an_id_of_litellm_does_not_choose_a_provider() -> None:
    with pytest.raises(InvalidParameter, match="not signed"):
        decode_id(litellm("openai", "resp_1"), KEY)


@pytest.mark.parametrize(
    "foreign",
    [
        "resp_68a1b2c3d4",
        "chatcmpl-123",
        "resp_",
        "resp_ap2_b3BlbmFp",
        "resp_ap1",
        "r/../a?b",
        "ü",
        "\0",
        # base64 with two semicolons, which is no id of LiteLLM for all that
        "resp_" + base64.b64encode(b"x;y;z").decode(),
        "resp_" + base64.b64encode(b"litellm:custom_llm_provider:openai;model_id:None").decode(),
        "resp_" + base64.b64encode(b"litellm:custom_llm_provider:openai;model_id:None;response_id:").decode(),
        "resp_" + base64.b64encode(b"\xff\xfe").decode(),
    ],
)
@pytest.mark.parametrize("key", [None, KEY])
def test_any_other_id_stays_as_it_is(foreign: str, key: bytes | None) -> None:
    assert decode_id(foreign, key) == ResponseId(foreign, None, None)


# --- damage and signatures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged",
    [
        "resp_ap1_",
        "resp_ap1_A",
        "resp_ap1_AAAAA",
        "resp_ap1_!!!!",
        "resp_ap1_b3BlbmFp",  # one field
        "resp_ap1_" + base64.urlsafe_b64encode(b"openai\0resp_1").decode().rstrip("="),
        "resp_ap1_" + base64.urlsafe_b64encode(b"\0\0resp_1").decode().rstrip("="),
        "resp_ap1_" + base64.urlsafe_b64encode(b"openai\0\0").decode().rstrip("="),
        "resp_ap1_" + base64.urlsafe_b64encode(b"\xff\0\0\xff").decode().rstrip("="),
        encode_id("resp_1", "openai") + "=",
        encode_id("resp_1", "openai") + "\n",
        encode_id("resp_1", "openai") + " ",
        encode_id("resp_1", "openai") + "é",
        "resp_ap1_\ud800",
    ],
)
def test_a_damaged_id_is_refused(damaged: str) -> None:
    with pytest.raises(InvalidParameter, match="the response id is damaged") as caught:
        decode_id(damaged)

    assert caught.value.param == "response_id"


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="response_id is empty"):
        decode_id("")


def test_the_right_key_reads_a_signed_id_and_no_other_does() -> None:
    signed = encode_id("resp_1", "openai", "", KEY)

    assert decode_id(signed, KEY) == ResponseId("resp_1", "openai", "")
    with pytest.raises(InvalidParameter, match="signature is wrong"):
        decode_id(signed, b"another")
    with pytest.raises(InvalidParameter, match="signature is wrong"):
        decode_id(signed, b"")
    with pytest.raises(InvalidParameter, match="is signed, and no key is set") as caught:
        decode_id(signed)
    assert "key_env" in str(caught.value)
    assert KEY.decode() not in str(caught.value)


def test_an_unsigned_id_is_refused_where_a_key_is_set() -> None:
    with pytest.raises(InvalidParameter, match="is not signed, and a key is set"):
        decode_id(encode_id("resp_1", "openai"), KEY)


@pytest.mark.parametrize("length", range(24))
def test_a_cut_signature_is_wrong(length: int) -> None:
    signed = encode_id("resp_1", "openai", "", KEY)

    with pytest.raises(InvalidParameter):
        decode_id(signed[: len("resp_ap1s_") + length], KEY)


def test_the_signature_of_one_id_does_not_serve_another() -> None:
    one, other = (encode_id(upstream, "openai", "", KEY) for upstream in ("resp_1", "resp_2"))

    with pytest.raises(InvalidParameter, match="signature is wrong"):
        decode_id(one[:-22] + other[-22:], KEY)


PREFIX = len("resp_ap1s_")


@pytest.mark.parametrize("position", range(PREFIX, len(encode_id("resp_up_123", "openai", "0123456789ab", KEY))))
def test_every_change_of_one_character_of_a_signed_id_is_refused(position: int) -> None:
    signed = encode_id("resp_up_123", "openai", "0123456789ab", KEY)

    for other in ALPHABET.replace(signed[position], "") + "=é\0 ":
        with pytest.raises(InvalidParameter, match="signature is wrong"):
            decode_id(signed[:position] + other + signed[position + 1 :], KEY)


@pytest.mark.parametrize("position", range(PREFIX))
def test_a_change_in_the_prefix_of_a_signed_id_never_leads_to_a_provider(position: int) -> None:
    signed = encode_id("resp_up_123", "openai", "", KEY)

    for other in ALPHABET.replace(signed[position], ""):
        changed = signed[:position] + other + signed[position + 1 :]
        try:
            found = decode_id(changed, KEY)
        except InvalidParameter:
            continue
        assert found == ResponseId(changed)  # an id of nobody we know


@given(ids, names, st.binary(min_size=1), st.data())
def test_any_edit_of_a_signed_id_is_refused(upstream: str, provider: str, key: bytes, data: st.DataObject) -> None:
    signed = encode_id(upstream, provider, "", key)
    start = data.draw(st.integers(PREFIX, len(signed)))
    end = data.draw(st.integers(start, len(signed)))
    changed = signed[:start] + data.draw(anything) + signed[end:]
    assume(changed != signed)

    with pytest.raises(InvalidParameter):
        decode_id(changed, key)


@given(st.one_of(anything, anything.map("resp_ap1_{}".format), anything.map("resp_ap1s_{}".format)), keys)
@example("resp_ap1s_" + "\ud800" * 22, KEY)
@example("resp_ap1s_" + "\ud800" * 40, KEY)
@example("resp_ap1s_", KEY)
@example("resp_\ud800", None)
def test_no_input_crashes_the_decoder(text: str, key: bytes | None) -> None:
    try:
        found = decode_id(text, key)
    except InvalidParameter:
        return
    assert found.upstream


@given(st.binary(), keys)
def test_no_base64_crashes_the_decoder(data: bytes, key: bytes | None) -> None:
    encoded = base64.urlsafe_b64encode(data).decode()
    for text in (f"resp_ap1_{encoded.rstrip('=')}", f"resp_ap1s_{encoded}", "resp_" + base64.b64encode(data).decode()):
        try:
            decode_id(text, key)
        except InvalidParameter:
            continue


def test_no_error_shows_the_id_or_the_key() -> None:
    for text, key in (("resp_ap1_canary", None), ("resp_ap1s_canary", KEY), ("resp_ap1_canary", KEY)):
        with pytest.raises(InvalidParameter) as caught:
            decode_id(text, key)
        assert "canary" not in str(caught.value)


# --- deployments --------------------------------------------------------------------------------------------------


def test_the_usual_address_has_no_fingerprint() -> None:
    usual = "https://api.openai.com/v1"

    assert deployment_of(usual, usual) == ""
    assert deployment_of("http://anything", "") == ""


def test_another_address_has_a_fingerprint_of_its_own() -> None:
    usual = "https://api.openai.com/v1"
    one, other = deployment_of("https://eu.example/v1", usual), deployment_of("https://us.example/v1", usual)

    assert one != other
    assert one == deployment_of("https://eu.example/v1", usual)
    assert "example" not in one
    assert len(one) == 12
