"""Where a file that is still to be written is to stand."""

from __future__ import annotations

from pathlib import Path

from .errors import InvalidParameter


def check_folder(path: Path, owner: str, param: str) -> None:
    """Say before any call that a file cannot be where it is to be, since afterwards an answer would be lost.

    Args:
        owner: what writes the file, as a message begins.

    Raises:
        InvalidParameter: there is no folder for it, or a folder in its place.
    """
    if path.is_dir():
        raise InvalidParameter(f"{owner}: {path} is a folder", param=param, hint="name a file in it")
    if not path.parent.is_dir():
        raise InvalidParameter(f"{owner}: there is no folder {path.parent}", param=param, hint="make the folder first")
