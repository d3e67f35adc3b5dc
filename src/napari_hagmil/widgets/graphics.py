"""What draws: Qt's OpenGL on this display, asked in a process of its own, since drivers can crash.

``python -m napari_hagmil.widgets.graphics`` prints the version and the driver, or ends with 1.
"""

from __future__ import annotations

import sys


def describe_graphics() -> str:
    """OpenGL's version and driver, as a context that no window needs says them; empty for none."""
    from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
    from vispy.gloo import gl

    application = QGuiApplication.instance() or QGuiApplication(sys.argv[:1])
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if not (context.create() and context.makeCurrent(surface)):
        return ""
    version, driver = (gl.glGetParameter(name) for name in (gl.GL_VERSION, gl.GL_RENDERER))
    context.doneCurrent()
    del application
    return f"OpenGL {version}, {driver}"


if __name__ == "__main__":
    found = describe_graphics()
    sys.stdout.write(found + "\n")
    sys.exit(not found)
