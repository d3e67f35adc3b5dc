"""TCGA barcodes: patient, sample type, and the disease of the tissue source site.

``TCGA-KL-8323-01Z-00-DX1``: project, tissue source site, participant, sample and vial, portion,
slide. Facts of the code tables of the Genomic Data Commons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BARCODE = re.compile(
    r"(?P<patient>TCGA-(?P<site>[A-Z0-9]{2})-[A-Z0-9]{4})-(?P<sample>\d{2})[A-Z]-\d{2}-"
    r"(?P<slide>(?P<kind>DX|TS|BS|MS)[A-Z0-9]*)(?=\.|_|$)",
    re.IGNORECASE,
)

_PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}(?![A-Z0-9])", re.IGNORECASE)

SLIDE_KINDS = {
    "DX": "a diagnostic slide",
    "TS": "a frozen section of the top",
    "BS": "a frozen section of the bottom",
    "MS": "a frozen section of the middle",
}

#: Tissue source sites of the five projects of the paper; a site sent tissue of one disease.
_SITES = {
    "KICH": "KL KM KN KO NP UW",
    "KIRC": "3Z 6D A3 AK AS B0 B2 B4 B8 BP CB CJ CW CZ DV EU G6 GK MM MW T7 V8 WM",
    "KIRP": (
        "2K 2Z 4A 5P A4 AL AT B1 B3 B9 BQ DW DZ EV F9 G7 GL HE IA IZ J7 KV L8 MH O9 P4 PJ Q2 SX "
        "UN UZ V9 WN Y8"
    ),
    "LUAD": (
        "05 17 35 38 44 49 4B 50 53 55 62 64 67 69 71 73 75 78 80 83 86 91 93 95 97 99 J2 L4 L9 "
        "ME MN MP NB NJ O1 S2 T6"
    ),
    "LUSC": (
        "11 18 21 22 33 34 37 39 43 46 51 52 56 58 60 63 66 68 6A 70 77 79 82 85 90 92 94 96 98 "
        "J1 L3 LA MF ML NC NK O2 OC UJ WG XC ZE"
    ),
}

_PROJECTS = {site: f"TCGA-{name}" for name, sites in _SITES.items() for site in sites.split()}


@dataclass(frozen=True, slots=True)
class Barcode:
    """What a slide's barcode says.

    Attributes
    ----------
    patient : str
        "TCGA-KL-8323".
    site : str
        The tissue source site's code.
    sample : int
        1 … 9 tumour (1 primary, 2 recurrent, 6 metastatic), 10 … 19 normal tissue.
    kind : str
        "DX", "TS", "BS" or "MS": see `SLIDE_KINDS`.
    """

    patient: str
    site: str
    sample: int
    kind: str

    @property
    def project(self) -> str | None:
        """``TCGA-KICH``, -KIRC, -KIRP, -LUAD or -LUSC; None for a site of another project."""
        return _PROJECTS.get(self.site)


def read_barcode(name: str) -> Barcode | None:
    """Read the barcode that a slide's file name begins with; None where it begins with none."""
    match = _BARCODE.match(name)
    if match is None:
        return None
    return Barcode(
        match["patient"].upper(), match["site"].upper(), int(match["sample"]), match["kind"].upper()
    )


def patient_of(name: str) -> str | None:
    """``TCGA-XX-XXXX`` where a file name begins with it, of whatever slide."""
    match = _PATIENT.match(name)
    return match[0].upper() if match else None
