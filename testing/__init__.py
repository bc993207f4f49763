"""The kit for users' tests: scripted and faulty hosts, cassettes, checks of streams and stages. See docs/testing.md."""

from __future__ import annotations

from ..pipeline.network.offline import no_network
from ..pipeline.streams.grammar import check_grammar
from ..providers.scripted import Answer, ScriptedHost, function_call, message
from .cassettes import CassetteClients, UnusedRecordings
from .fault_host import Fault, FaultHost, FaultyClient, faulty, http_error
from .scripted_client import ScriptedClient, scripted
from .stage_check import StageProblem, check_stage

__all__ = [
    "Answer",
    "CassetteClients",
    "Fault",
    "FaultHost",
    "FaultyClient",
    "ScriptedClient",
    "ScriptedHost",
    "StageProblem",
    "UnusedRecordings",
    "check_grammar",
    "check_stage",
    "faulty",
    "function_call",
    "http_error",
    "message",
    "no_network",
    "scripted",
]
