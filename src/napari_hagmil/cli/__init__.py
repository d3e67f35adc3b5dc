"""The command line: ``napari-hagmil VERB …``.

To add a verb: in the module of its family declare its options as a frozen dataclass, write the
function that takes them and returns the exit status, and bind both in a `Verb`; name that in
`parser.VERBS`. Heavy packages are imported inside functions, so that ``--help`` stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_hagmil.cli.parser import build_parser
from napari_hagmil.cli.terminal import bear_any_encoding, complain
from napari_hagmil.errors import HagmilError
from napari_hagmil.permission import go_offline
from napari_hagmil.process import (
    StoppedError,
    end_at_once,
    end_by_raising,
    is_out_of_memory,
    prepare_process,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 done, 1 failed (one line on stderr), 2 wrong usage, 3 a batch with failures or a slide
        of which too much could not be read.
    """
    prepare_process()
    end_by_raising()
    bear_any_encoding()
    arguments = build_parser().parse_args(argv)
    if arguments.offline:
        go_offline()
    try:
        return int(arguments.run(arguments))
    except (HagmilError, OSError) as error:
        if arguments.debug:
            raise
        complain(error.sentence("command line") if isinstance(error, HagmilError) else error)
        return 1
    except StoppedError as stopped:
        complain(f"stopped by the system ({stopped})")
        return 1
    except KeyboardInterrupt:
        complain("stopped by the user")
        return 1
    except (MemoryError, RuntimeError) as error:
        if arguments.debug or not is_out_of_memory(error):
            raise
        complain(f"the memory is too small for this: {_LESS}")
        return 1
    finally:
        end_at_once()


#: What to do when memory is short.
_LESS = "close other programs, or give a smaller --budget, a table of fewer slides, fewer --workers"


__all__ = ["main"]
