"""What needs the user's word: the network, files that can run code, and names in a window.

``HAGMIL_OFFLINE=1`` or ``--offline`` forbids the network, ``HAGMIL_ALLOW_CODE=1`` or
``--allow-code`` allows code, ``HAGMIL_PSEUDONYMS=1`` or ``view --pseudonymise`` hides names. All
are environment variables, which the processes that a command starts inherit.
"""

from __future__ import annotations

import os
import re

from napari_hagmil.errors import EncoderError, OfflineError, Remedy

OFFLINE = "HAGMIL_OFFLINE"
CODE = "HAGMIL_ALLOW_CODE"
PSEUDONYMS = "HAGMIL_PSEUDONYMS"

_OFF = ("", "0", "false", "no", "off")
_HERE = ("localhost", "::1")
_HOST = re.compile(r"[A-Za-z][\w+.-]*://(?:[^/@]*@)?(\[[^\]/]*\]|[^/:]*)")


def go_offline() -> None:
    """Refuse every use of the network from now on, in this process and in those it starts."""
    os.environ[OFFLINE] = "1"


def is_offline() -> bool:
    """Whether the user wants no use of the network."""
    return os.environ.get(OFFLINE, "").strip().lower() not in _OFF


def hide_names() -> None:
    """Let windows open slides by their pseudonyms from now on."""
    os.environ[PSEUDONYMS] = "1"


def are_names_hidden() -> bool:
    """Whether windows open slides by their pseudonyms, whatever is preferred."""
    return os.environ.get(PSEUDONYMS, "").strip().lower() not in _OFF


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
            f"needs the network, which {OFFLINE} forbids",
            remedy=Remedy(
                f"unset {OFFLINE}, or use a local file",
                command_line=f"leave --offline out and unset {OFFLINE}, or use a local file",
                window=f"use a local file, or start napari without {OFFLINE}",
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


def allow_code() -> None:
    """Load such files from now on, in this process and in those it starts."""
    os.environ[CODE] = "1"


def require_trust(subject: str) -> None:
    """Call this before a file or repository is loaded that can run code.

    Parameters
    ----------
    subject : str
        What would be loaded: "encoder own.pt2".

    Raises
    ------
    EncoderError
        Unless the user said that it is trusted.
    """
    if os.environ.get(CODE) == "1":
        return
    raise EncoderError(
        subject,
        "is a program: loading it can run any code with your rights",
        remedy=Remedy(
            f"set {CODE}=1 if you trust where it is from, or export it to ONNX",
            command_line="give --allow-code if you trust where it is from, or export it to ONNX",
            window="start with napari-hagmil view --allow-code if you trust where it is from",
        ),
    )
