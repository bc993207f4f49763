"""The folder of a file that is still to be written."""

from __future__ import annotations

from pathlib import Path

from .errors import InvalidParameter


def check_folder(path: Path, owner: str, param: str) -> None:
    """Say before any call that a file has no folder to stand in, since afterwards an answer would be lost.

    Args:
        owner: what writes the file, as a message begins.

    Raises:
        InvalidParameter: there is none.
    """
    if not path.parent.is_dir():
        raise InvalidParameter(f"{owner}: there is no folder {path.parent}", param=param, hint="make the folder first")
