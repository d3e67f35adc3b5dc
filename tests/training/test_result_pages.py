"""What the scripts of docs/results count, and the pages that they write it into."""

from types import SimpleNamespace

import ablation
import blind_cohort
import blind_sizes
import figure4
import mosaic_cohort
import numpy as np
import pytest
from pages import put_table


def test_the_blind_cohort_has_no_patch_of_a_patient_of_the_mosaic(data_dir, monkeypatch):
    everyone = mosaic_cohort.by_patient(data_dir / "idc_patches.npz")
    for module in (mosaic_cohort, blind_cohort):
        monkeypatch.setattr(module, "by_patient", lambda path: everyone)
    laid = [own for part in mosaic_cohort.palettes(data_dir, 0).values() for own in part]
    blind = blind_cohort.never_laid(data_dir)
    assert (len(laid), len(blind)) == (144, 36)
    seen, fresh = (
        {patch.tobytes() for own in some for patches in own for patch in patches}
        for some in (laid, blind)
    )
    assert not seen & fresh
    planned = list(blind_cohort.planned(blind, 0))
    assert len({slide.name for slide in planned}) == len(planned) == 168
    alone = [slide for slide in planned if slide.name.startswith("alone")]
    assert {len(slide.patients) for slide in alone} == {1}
    assert sum(slide.shares is not None for slide in alone) == len(alone) / 2


def test_slides_of_one_patient_are_compared_with_others_of_one_patient():
    rows = [
        {"slide": name, "p_tumor": p, "called": "tumor" if float(p) > 0.5 else "normal"}
        for name, p in {
            "normal-00": "0.6", "small-00": "0.5", "small-01": "0.7",
            "alone-00-tumour": "0.3", "alone-00-normal": "0.1",
        }.items()
    ]  # fmt: skip
    lesions = [{"slide": "small-00", "met_depth0": "1", "met_depth1": "0"}]
    assert blind_sizes.line("small", rows, lesions) == "| small | 2 | 0.500 | 0.50 | 1.00, 0.00 |"
    assert blind_sizes.line("alone", rows, lesions) == "| alone | 1 | 1.000 | 0.00 |  |"
    assert blind_sizes.line("large", rows, lesions) == "| large | 0 | | | |"


def stage(attention, probability=1.0):
    nodes = np.array([(0, 0), (0, 1), (0, 2), (5, 5)])
    return SimpleNamespace(
        nodes=nodes, attention=np.array(attention), probabilities=np.array([0, probability])
    )


def test_of_nodes_beside_each_other_the_one_with_most_attention_is_a_detection():
    inside = np.array([[True], [False], [False], [False]])
    found = figure4.detections_of(stage([0.4, 0.3, 0.1, 0.2], 0.5), inside, n_tissue=10)
    assert found.scores == pytest.approx([2.0, 1.0, 0.5])
    assert found.lesions[:, 0].tolist() == [True, False, False]


def test_froc_counts_lesions_met_above_the_score_of_so_many_false_detections():
    positive = figure4.Detections(
        np.array([5.0, 3.0, 1.0]), np.array([[1, 0], [0, 0], [0, 1]], bool)
    )
    negative = figure4.Detections(np.array([4.0, 2.0]), np.zeros((2, 0), bool))
    # False: 4, 3, 2. At 1/4 and none per slide only what lies above 4 counts.
    assert figure4.froc([positive, negative]) == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0]


def test_a_table_takes_the_place_of_the_old_one_and_the_page_stays(tmp_path):
    page = tmp_path / "page.md"
    put_table(page, "| a |\n|---|\n| 1 |\n")
    page.write_text("# Title\n\n| b |\n|---|\n\n" + page.read_text() + "\nText.\n")
    put_table(page, "| a |\n|---|\n| 2 |\n| 3 |\n")
    assert page.read_text() == "# Title\n\n| b |\n|---|\n\n| a |\n|---|\n| 2 |\n| 3 |\n\nText.\n"


def test_cells_of_what_was_not_run_stay_empty_and_differences_are_paired(tmp_path):
    header = "method,seed,key,auc,pointing,share\n"
    rows = ("IAT, hagmil", "hagmil, other")
    lines = [f'"{name}",{seed},k,{0.9 - 0.1 * i * seed},0.5,0.1\n'
             for i, name in enumerate(rows) for seed in (0, 1)]  # fmt: skip
    (tmp_path / "cue.csv").write_text(header + "".join(lines))
    table = ablation.table([*rows, "hagmil, never"], tmp_path).splitlines()
    assert table[3].startswith("| hagmil, other | 0.850 | -0.050 ± 0.635 | 0.500 |  |")
    assert set(table[4].removeprefix("| hagmil, never ")) == {"|", " "}
    (tmp_path / "cue.csv").write_text(header + lines[0] + lines[1].replace(",k,", ",other,"))
    with pytest.raises(SystemExit, match="several settings"):
        ablation.table(rows, tmp_path)
