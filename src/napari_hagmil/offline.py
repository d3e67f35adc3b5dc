"""The switch that keeps everything on this machine: ``HAGMIL_OFFLINE=1``, or ``--offline``."""

from __future__ import annotations

import os
import re

from napari_hagmil.errors import OfflineError, Remedy

#: The environment variable; the processes that a command starts inherit it.
VARIABLE = "HAGMIL_OFFLINE"

_OFF = ("", "0", "false", "no", "off")
_HERE = ("localhost", "::1")
_HOST = re.compile(r"[A-Za-z][\w+.-]*://(?:[^/@]*@)?(\[[^\]/]*\]|[^/:]*)")


def go_offline() -> None:
    """Refuse every use of the network from now on, in this process and in those it starts."""
    os.environ[VARIABLE] = "1"


def is_offline() -> bool:
    """Whether the user wants no use of the network."""
    return os.environ.get(VARIABLE, "").strip().lower() not in _OFF


def require_network(subject: str) -> None:
    """Call this before anything that goes online.

    Parameters
    ----------
    subject : str
        What needs the network, and whom it would reach: "the slide at https://host".

    Raises
    ------
    OfflineError
        When the switch is on.
    """
    if is_offline():
        raise OfflineError(
            subject,
            f"needs the network, which {VARIABLE} forbids",
            remedy=Remedy(
                f"unset {VARIABLE}, or use a local file",
                command_line=f"leave --offline out and unset {VARIABLE}, or use a local file",
                window=f"use a local file, or start napari without {VARIABLE}",
            ),
        )


def hosts_of(address: str) -> list[str]:
    """The hosts of a URL: "https://host:80/a" → ["host"]; of each part of a chain with "::"."""
    return [host.strip("[]").lower() for host in _HOST.findall(address)]


def is_this_machine(address: str) -> bool:
    """Whether a URL leads to this machine itself."""
    return all(
        host in _HERE or (host.startswith("127.") and host.replace(".", "").isdecimal())
        for host in hosts_of(address)
    )
