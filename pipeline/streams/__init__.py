"""Events: from bytes to the stream that a caller reads, and back."""
