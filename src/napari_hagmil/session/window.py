"""The one session of each window."""

from __future__ import annotations

from weakref import WeakValueDictionary, finalize

from napari_hagmil.session.session import Session

#: By the window's id. A session lives as long as something that shows it.
_SESSIONS: WeakValueDictionary[int, Session] = WeakValueDictionary()


def session_of(window: object) -> Session:
    """The session of a window; whoever asks first makes it.

    Parameters
    ----------
    window : object
        The viewer, or the proxy of it that napari hands to plugins.
    """
    window = getattr(window, "__wrapped__", window)
    key = id(window)
    session = _SESSIONS.get(key)
    if session is None:
        session = _SESSIONS[key] = Session()
        # Python gives the id of a window that is gone to the next object.
        finalize(window, _SESSIONS.pop, key, None).atexit = False
    return session
