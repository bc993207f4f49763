"""The objects of the Responses API: the JSON as it came, with a typed view."""
