"""Pictures of chains and calls: their shape as values, and what is drawn of it."""
