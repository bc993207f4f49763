"""All that waits: sockets, sleep, threads, child processes and tasks, in sync and in async calls."""
