"""The command `antiphon`: one module a command, loaded when that one is asked for."""
