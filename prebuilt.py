"""The one-call functions: the calls of the API through the stock chain, with LiteLLM's names and parameters."""

from __future__ import annotations

from .calls import Calls
from .stages import presets

_stock = Calls(presets.responses)

responses, aresponses = _stock.responses, _stock.aresponses
get_responses, aget_responses = _stock.get_responses, _stock.aget_responses
delete_responses, adelete_responses = _stock.delete_responses, _stock.adelete_responses
cancel_responses, acancel_responses = _stock.cancel_responses, _stock.acancel_responses
list_input_items, alist_input_items = _stock.list_input_items, _stock.alist_input_items
compact_responses, acompact_responses = _stock.compact_responses, _stock.acompact_responses
count_input_tokens, acount_input_tokens = _stock.count_input_tokens, _stock.acount_input_tokens
poll_responses, apoll_responses = _stock.poll_responses, _stock.apoll_responses
# LiteLLM has a call of its own for tools of MCP servers; here it is the same call.
responses_api_with_mcp, aresponses_api_with_mcp = _stock.responses, _stock.aresponses
