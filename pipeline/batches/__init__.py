"""Many calls of one chain as one run: in order, a few at a time, on from where it broke off, in other processes."""
