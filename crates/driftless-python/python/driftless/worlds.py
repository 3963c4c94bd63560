"""Where worlds are found by name."""

from __future__ import annotations

import os
from pathlib import Path

SIMULATORS = ("maze", "drive", "steer")
"""Names of the built-in simulators."""

_INCLUDED = Path(__file__).parent / "included"


def _folders() -> list[Path]:
    """Folders of worlds, the first with a name wins."""
    home = os.environ.get("DRIFTLESS_HOME")
    saved = [Path(home) / "worlds"] if home else []
    return [*saved, Path.cwd() / "checkpoints", _INCLUDED]


def _is_world(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "dynamics.safetensors").is_file()


def worlds() -> list[str]:
    """Names of the learned worlds that :func:`driftless.make` finds, sorted."""
    names = set()
    for folder in _folders():
        if folder.is_dir():
            names.update(world.name for world in folder.iterdir() if _is_world(world))
    return sorted(names)


def find_world(name: str | os.PathLike[str]) -> Path:
    """The checkpoint folder of a world: `name` itself, or that of the world with this name.

    Raises:
        ValueError: if there is none; the message lists the names.
    """
    folder = Path(name)
    if _is_world(folder):
        return folder
    for parent in _folders():
        if _is_world(parent / str(name)):
            return parent / str(name)
    known = ", ".join(worlds()) or "none"
    raise ValueError(f"no world {str(name)!r}, expected a checkpoint folder or one of: {known}")
