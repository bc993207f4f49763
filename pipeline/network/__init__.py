"""HTTP over connections of our own, or through the caller's own client."""
