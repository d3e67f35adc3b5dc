"""Errors and warnings in the words of the window."""

from __future__ import annotations

from napari_hagmil.errors import HagmilError, Problem
from napari_hagmil.process import is_out_of_memory


def error_sentence(error: BaseException) -> str:
    """An error as one sentence, with the remedy that the user of a window can reach."""
    if isinstance(error, HagmilError):
        return problem_sentence(error.problem)
    if is_out_of_memory(error):
        return "The memory is too small for this; lower the budget, or close other programs"
    return f"Unexpected {type(error).__name__}: {error}"


def problem_sentence(problem: Problem) -> str:
    """A problem as one sentence, with the remedy that the user of a window can reach."""
    return _capitalized(problem.sentence("window"))


def _capitalized(text: str) -> str:
    """A sentence with a capital letter; a file's name at its beginning keeps its case."""
    return text if "." in text.partition(" ")[0] else text[:1].upper() + text[1:]
