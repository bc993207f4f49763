"""The fixtures that pytest finds by itself, in runs of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from hand_made import answer
from loopback import Connection, Server

pytest_plugins = ["pytester"]

QUIET = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio", "-W", "default")


def serve(connection: Connection) -> None:
    while connection.request():
        connection.answer(answer("Recorded.").raw, content_type="application/json")


def test_fixtures_make_clients_and_close_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import antiphon, pytest
        from antiphon.testing import Fault

        made = []

        def test_scripted(antiphon_scripted):
            client = antiphon_scripted("Hello!")
            made.append(client)
            assert client.responses("Hi", "openai/m").output_text == "Hello!"

        def test_closed():
            with pytest.raises(antiphon.SetupError, match="this client is closed"):
                made[0].responses("Hi", "openai/m")

        def test_faulty(antiphon_faulty, antiphon_no_network):
            client = antiphon_faulty(Fault(cut_after=0))
            with pytest.raises(antiphon.APIConnectionError):
                client.responses("Hi", "openai/m", num_retries=0)

        def test_network(antiphon_no_network):
            with pytest.raises(antiphon.NetworkForbidden):
                antiphon.responses("Hi", "openai/m", api_key="k")
        """
    )

    pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=4)


def test_a_cassette_is_recorded_once_and_replayed_ever_after(pytester: pytest.Pytester) -> None:
    with Server(serve) as server:
        pytester.makepyfile(
            test_talk=f"""
            import antiphon, pytest

            @pytest.mark.parametrize("said", ["Hi/there", "Ho"])
            def test_hello(antiphon_cassette, said):
                chain = antiphon.presets.responses.bind(model="openai/m", api_base="{server.url}/v1")
                nested = antiphon.Chain([chain]).bind(**chain.defaults)
                client, other = antiphon_cassette(chain), antiphon_cassette(nested)
                assert client.responses(said, metadata={{"canary": "sk-canary0123456789abcdef"}}).output_text
                assert other.chain.invoke(said).output_text == "Recorded."
            """
        )
        key = ("OPENAI_API_KEY", "canary-of-the-environment")

        missing = pytester.runpytest_inprocess(*QUIET)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(*key)
            recorded = pytester.runpytest_inprocess(*QUIET, "--antiphon-record=missing")
        asked = len(server.requests)

    replayed = pytester.runpytest_inprocess(*QUIET, "--antiphon-record=missing")

    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(
        ["*there is no recording *test_hello*", "*hint: record it: pytest --antiphon-record=*"]
    )
    recorded.assert_outcomes(passed=2)
    replayed.assert_outcomes(passed=2)
    assert asked == 4
    files = sorted((pytester.path / "cassettes" / "test_talk").iterdir())
    assert [path.name for path in files] == [
        "test_hello[Hi_there].2.jsonl",
        "test_hello[Hi_there].jsonl",
        "test_hello[Ho].2.jsonl",
        "test_hello[Ho].jsonl",
    ]
    assert not any("canary-of" in path.read_text() or "sk-canary" in path.read_text() for path in files)


def test_what_was_recorded_and_not_asked_for_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, antiphon

        def test_once(antiphon_cassette):
            client = antiphon_cassette()
            for said in os.environ["SAID"].split():
                client.responses(said, "scripted/echo")
            assert os.environ["SAID"] != "b a c"
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAID", "a b")
        patch.setenv("ANTIPHON_RECORD", "all")
        pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
        patch.delenv("ANTIPHON_RECORD")
        pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
        patch.setenv("SAID", "b")
        partly = pytester.runpytest_inprocess(*QUIET)
        patch.setenv("SAID", "b a c")
        failed = pytester.runpytest_inprocess(*QUIET)

    partly.assert_outcomes(passed=1, warnings=1)
    partly.stdout.fnmatch_lines(["*UnusedRecordings: *test_once.jsonl: 1 recorded exchanges were not asked for"])
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*CassetteMiss*"])


def test_it_loads_nothing_before_a_fixture_is_asked_for() -> None:
    program = (
        "import sys, antiphon.pytest_plugin\n"
        "ours = {name for name in sys.modules if name.startswith('antiphon')}\n"
        "assert ours == {'antiphon', 'antiphon.pytest_plugin'}, ours\n"
        "assert 'msgspec' not in sys.modules and 'anyio' not in sys.modules"
    )

    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr == ""
    (found,) = [point for point in entry_points(group="pytest11") if point.name == "antiphon"]
    assert found.value == "antiphon.pytest_plugin"
