"""report.html: one page that needs nothing else, to read, mail or print."""

from napari_hagmil.export.report.content import (
    MOST_REGIONS,
    ReportContent,
    ReportRegion,
    SignedReview,
    found_region,
    reviewed_region,
    with_overviews,
)
from napari_hagmil.export.report.facts import report_page

__all__ = [
    "MOST_REGIONS",
    "ReportContent",
    "ReportRegion",
    "SignedReview",
    "found_region",
    "report_page",
    "reviewed_region",
    "with_overviews",
]
