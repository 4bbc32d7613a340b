"""Checks and derives run names that are valid folder names on every operating system."""

from __future__ import annotations

import re

from textgen.errors import RunError

_MAX_NAME = 80
_UNFIT = re.compile(r'[<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def check_name(name: str) -> None:
    """Checks that a name is a valid folder name on every operating system.

    >>> check_name("poems/sea")
    Traceback (most recent call last):
    ...
    textgen.errors.RunError: 'poems/sea' cannot be a run's name: it holds '/'. Use for instance 'poems-sea'.
    """
    reasons = {
        "it is empty": not name,
        f"it holds {(_UNFIT.findall(name) or [''])[0]!r}": bool(_UNFIT.search(name)),
        "it holds characters that cannot be printed": not name.isprintable(),
        f"it begins with {name[:1]!r}": name[:1] in (".", "-"),
        "it begins or ends with a space or a full stop": name != name.strip() or name.endswith("."),
        "it is too long": len(name.encode("utf-8", "surrogatepass")) > 2 * _MAX_NAME,
        "Windows keeps that name for itself": bool(_RESERVED.fullmatch(name)),
        "it looks like a checkpoint's file": name.endswith(".keras"),
    }
    for reason, holds in reasons.items():
        if holds:
            raise RunError(
                f"{name[:_MAX_NAME]!r} cannot be a run's name: {reason}. Use for instance {safe_name(name)!r}."
            )


def safe_name(text: str) -> str:
    """Derives a valid run name from any text.

    >>> safe_name("Poems / of the sea?"), safe_name("con"), safe_name("..")
    ('Poems-of-the-sea', 'con-run', 'run')
    """
    plain = "".join(c if c.isprintable() and not _UNFIT.match(c) else "-" for c in text.removesuffix(".keras"))
    plain = plain.replace(".keras", "-keras")
    plain = re.sub(r"[\s-]*-[\s-]*|\s+", "-", plain).encode()[:_MAX_NAME].decode(errors="ignore").strip(" .-") or "run"
    return f"{plain}-run" if _RESERVED.fullmatch(plain) else plain
