from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cohort import Cohort, SlideRecord, holdout, k_fold, three_way
from napari_hagmil.errors import CohortError


@st.composite
def cohorts(draw, patients_per_class=6):
    """Patients with 1 to 4 slides of mostly one class, some of two."""
    n_classes = draw(st.integers(2, 4))
    classes = tuple("abcd"[:n_classes])
    records = []
    for c in range(n_classes):
        for p in range(draw(st.integers(patients_per_class, 20))):
            for s in range(draw(st.integers(1, 4))):
                label = classes[draw(st.sampled_from([c, c, c, (c + 1) % n_classes])) if s else c]
                records.append(SlideRecord(Path(f"{c}-{p}-{s}.svs"), label, f"{c}-{p}"))
    order = draw(st.permutations(range(len(records))))
    return Cohort(tuple(records[i] for i in order), classes)


def parts_of(split):
    return [list(part) for part in (split.train, split.val, split.test)]


def assert_sound(cohort, split):
    parts = parts_of(split)
    assert sorted(chain(*parts)) == list(range(len(cohort)))
    patients = [{cohort.records[i].patient for i in part} for part in parts]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]
    for part in parts:
        assert set(cohort.labels[part]) == set(range(len(cohort.classes)))


def assert_shares(cohort, split, shares):
    """No class is further from its share than two patients' slides (4 each), or so."""
    for part, share in zip(parts_of(split), shares, strict=True):
        found = np.bincount(cohort.labels[part], minlength=len(cohort.classes))
        wanted = share * np.bincount(cohort.labels)
        assert (np.abs(found - wanted) <= 6).all(), (found, wanted)


@settings(max_examples=40)
@given(cohorts(), st.integers(0, 1000))
def test_parts_share_no_patient_hold_every_class_and_keep_their_shares(cohort, seed):
    for split, shares in (
        (three_way(cohort, seed=seed), (0.6, 0.15, 0.25)),
        (holdout(cohort, seed=seed), (0.49, 0.21, 0.3)),
    ):
        assert_sound(cohort, split)
        assert_shares(cohort, split, shares)


@settings(max_examples=40)
@given(cohorts(), st.integers(3, 6), st.integers(0, 1000))
def test_each_slide_is_tested_once_and_validates_once(cohort, k, seed):
    splits = k_fold(cohort, k, seed=seed)
    for split in splits:
        assert_sound(cohort, split)
        assert_shares(cohort, split, ((k - 2) / k, 1 / k, 1 / k))
    for part in ("val", "test"):
        assert sorted(chain(*(getattr(s, part) for s in splits))) == list(range(len(cohort)))


@pytest.mark.parametrize("seed", range(6))
def test_a_patient_that_has_a_part_is_not_moved_to_another_for_another_class(seed):
    """Of three patients with a, one has b, too: the parts that lack b must take another."""
    slides = {"A": "ab", "B": "a", "C": "a", "D": "bbbbb", "E": "bbbbb"}
    records = [
        SlideRecord(Path(f"{patient}-{i}.svs"), label, patient)
        for patient, labels in slides.items()
        for i, label in enumerate(labels)
    ]
    for split in k_fold(Cohort(tuple(records), ("a", "b")), 3, seed=seed):
        assert_sound(Cohort(tuple(records), ("a", "b")), split)


@settings(max_examples=10)
@given(cohorts(), st.integers(0, 1000))
def test_a_seed_gives_the_same_split_whatever_else_is_drawn(cohort, seed):
    first = holdout(cohort, seed=seed)
    np.random.default_rng().random()
    assert holdout(cohort, seed=seed) == first


def simple(n=40, split=None):
    records = tuple(
        SlideRecord(Path(f"{i}.svs"), "ab"[i % 2], f"p{i}", split(i) if split else None)
        for i in range(n)
    )
    return Cohort(records, ("a", "b"))


def test_other_seeds_give_other_splits_of_exact_sizes():
    cohort = simple(400)
    splits = [three_way(cohort, seed=seed) for seed in range(5)]
    assert len({split.test for split in splits}) == 5
    assert [len(part) for part in parts_of(splits[0])] == [240, 60, 100]


def test_a_test_set_in_the_table_stays_whatever_the_seed():
    cohort = simple(split=lambda i: "test" if i < 10 else "train" if i < 20 else None)
    splits = [holdout(cohort, seed=seed) for seed in range(4)]
    assert {split.test for split in splits} == {tuple(range(10))}
    assert len({split.val for split in splits}) == 4
    # 7 : 3 of 15 slides of each class
    assert all(len(split.train) in (20, 21, 22) for split in splits)


def test_validation_slides_in_the_table_stay_too():
    cohort = simple(split=lambda i: ["train", "val", "test"][i % 3])
    split = holdout(cohort, seed=3)
    assert split.train == tuple(range(0, 40, 3))
    assert split.val == tuple(range(1, 40, 3))


def test_a_class_of_too_few_patients_is_named():
    records = [*simple(20).records, *(SlideRecord(Path(f"c{i}"), "c", "pc") for i in range(9))]
    cohort = Cohort(tuple(records), ("a", "b", "c"))
    with pytest.raises(CohortError, match="class 'c' has 1 patient, and 3 parts need one each"):
        three_way(cohort, seed=0)


def test_a_fixed_test_set_without_a_class_is_refused():
    cohort = simple(split=lambda i: "test" if i in (0, 2) else None)
    with pytest.raises(CohortError, match="test has no slide of class 'b'"):
        holdout(cohort, seed=0)


def test_two_folds_leave_nothing_to_train_on():
    with pytest.raises(CohortError, match="take 3 or more"):
        k_fold(simple(), 2, seed=0)


def test_rare_classes_that_share_patients_still_reach_every_part():
    """Class b's patients are those of the still rarer a, and two more: they must be spread."""
    rows = [("a", "q1"), ("b", "q1"), ("a", "q2"), ("b", "q2"), ("a", "q3"), ("b", "q4")]
    rows += [("c", f"r{i}") for i in range(12)]
    records = tuple(SlideRecord(Path(f"{i}.svs"), c, p) for i, (c, p) in enumerate(rows))
    cohort = Cohort(records, ("a", "b", "c"))
    for seed in range(10):
        assert_sound(cohort, three_way(cohort, seed=seed))
