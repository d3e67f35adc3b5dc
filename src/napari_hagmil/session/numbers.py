"""Numbers as people read them."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """``"1 region"``, ``"2 regions"``, ``"3 patches"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def percent(share: float) -> str:
    """A probability or share: never rounded to a certainty."""
    if 0.995 <= share < 1:
        return "> 99 %"
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{100 * share:.0f} %"


def millimetres(height: int, width: int, mpp: float) -> str:
    """Size of a slide: ``"4.1 × 3.0 mm"``, width first as people say it."""
    return f"{width * mpp / 1000:.1f} × {height * mpp / 1000:.1f} mm"


def duration(seconds: float) -> str:
    """A length of time: ``"3.0 s"``, ``"45 s"``, ``"2 min"``, ``"1.5 h"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
