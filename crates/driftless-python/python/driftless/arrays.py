"""What Python passes on: frames, actions and settings, checked before they are converted."""

from __future__ import annotations

import json
import operator
from typing import Any

import numpy as np


def as_count(name: str, value: Any) -> int:
    """A whole number from 0 to 2**64 - 1.

    Args:
        name: what it is, for the error.
        value: the number.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if it is out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a whole number") from None
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value}, expected a whole number")
    if not 0 <= number < 2**64:
        raise ValueError(f"{name} is {number}, expected 0 to {2**64 - 1}")
    return number


def as_action(value: Any) -> int:
    """One action.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if it is negative, or more than any world has.
    """
    action = as_count("the action", value)
    if action >= 2**32:
        raise ValueError(f"action {action} is unknown, expected 0 to {2**32 - 1}")
    return action


def as_frames(images: Any) -> np.ndarray:
    """Frames as contiguous uint8.

    Raises:
        TypeError: if they have another type. Values from 0 to 1, for example, would all become black.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"frames are {images.dtype}, expected uint8")
    return np.ascontiguousarray(images)


def as_actions(actions: Any) -> np.ndarray:
    """Actions as contiguous uint32.

    Raises:
        TypeError: if they are no whole numbers.
        ValueError: if one is negative, or more than any world has.
    """
    actions = np.asarray(actions)
    if not np.issubdtype(actions.dtype, np.number) or (actions != np.round(actions)).any():
        raise TypeError(f"actions are {actions.dtype}, expected whole numbers")
    beyond = (actions < 0) | (actions >= 2**32)
    if beyond.any():
        raise ValueError(f"action {actions[beyond][0]} is unknown, expected 0 to {2**32 - 1}")
    return np.ascontiguousarray(actions, np.uint32)


def as_json(settings: dict[str, Any]) -> str:
    """Settings as JSON, NumPy's numbers too."""

    def number(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"a setting is {value!r}, expected a number, a string or a list")

    return json.dumps(settings, default=number)
