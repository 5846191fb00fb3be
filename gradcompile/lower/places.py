"""Where in the user's expression a mistake is: text for messages, made only when there is one."""

from __future__ import annotations

from typing import Any

LONGEST = 400  # characters of an objective that a graph keeps
LARGEST = 3000  # objects beyond which an expression is described and not printed


def text_of(expr: Any) -> str:
    """Return an expression as text; "" if it is nested too deeply to print."""
    try:
        return str(expr)
    except RecursionError:
        return ""


def shown(root: Any, part: Any) -> dict[str, Any]:
    """Return what an error needs to point at `part` inside of `root`."""
    text, place = text_of(root), text_of(part)
    if place in text:
        return {"text": text, "place": place}
    return {"text": place, "place": place}


def summary(expr: Any, count: int) -> str:
    """Return an objective as text, or how large it is where nobody would read it."""
    if count > LARGEST:
        return f"an objective of {count} operations"
    text = text_of(expr)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
