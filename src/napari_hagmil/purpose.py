"""The research-use sentences that appear wherever a result is shown or exported."""

from __future__ import annotations

#: For files that programs read, and for the end of what people read.
RESEARCH_USE = (
    "Research use only, not for diagnosis. Attention says where the model looked, not where "
    "disease is."
)
