"""The command line: ``napari-hagmil VERB …``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from napari_hagmil.cli.parser import build_parser
from napari_hagmil.errors import HagmilError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 done, 1 failed (one line on stderr), 2 wrong usage, 3 a batch with failures.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (HagmilError, OSError) as error:
        if arguments.debug:
            raise
        text = error.sentence("command line") if isinstance(error, HagmilError) else error
        print(f"napari-hagmil: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("napari-hagmil: stopped by the user", file=sys.stderr)
        return 1


__all__ = ["main"]
