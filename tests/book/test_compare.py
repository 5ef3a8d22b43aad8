"""Protects the promise that a number behind ≈ moves only a little, and a time as it likes."""

import pytest

from tools.compare import moved


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("AUC ≈ 0.931", "AUC ≈ 0.931"),
        ("AUC ≈ 0.900", "AUC ≈ 0.944"),
        ("AUC ≈ 0.900 ± 0.010", "AUC ≈ 0.919 ± 0.017"),
        ("gap ≈ 0.001 (within 0.005)", "gap ≈ -0.004 (within 0.005)"),
        ("≈ 0", "≈ 0"),
        ("≈ 3", "≈ 3"),
        ("≈ 0.0", "≈ 0.1"),
        ("≈ 0.50 ± 0.00010", "≈ 0.50 ± 0.00090"),
        ("≈ 1.2e-5", "≈ 1.3e-5"),
        ("takes ◷ 3.1 ms", "takes ◷ 77 ms"),
        ("no number", "no number"),
    ],
)
def test_a_number_that_stays_near_is_the_same(stored, fresh):
    assert list(moved(stored, fresh)) == []


@pytest.mark.parametrize(
    ("stored", "fresh", "complaint"),
    [
        ("≈ 0.900", "≈ 0.950", "stored ≈ 0.900, computed ≈ 0.950: moved by more than 0.045"),
        ("≈ 0.900", "≈ -0.900", "moved by more than"),
        ("≈ 0.900 ± 0.010", "≈ 0.922 ± 0.010", "moved by more than 0.02"),
        ("≈ 0.900 ± 0.010", "≈ 0.900 ± 0.040", "standard deviations differ by more than a factor of 3"),
        ("≈ 0.900 ± 0.040", "≈ 0.900 ± 0.010", "standard deviations differ by more than a factor of 3"),
        ("≈ 0.001 (within 0.005)", "≈ 0.0071 (within 0.005)", "moved by more than 0.005"),
        ("≈ 0.9 ± 0.1", "≈ 0.9", "one has a spread or a tolerance, the other has not"),
        ("≈ 3", "≈ 4", "moved by more than 0.15"),
        ("≈ 1.2e-5", "≈ 1.5e-5", "moved by more than"),
        ("≈ 0.9, ≈ 0.8", "≈ 0.9", "2 measured numbers are stored, 1 were computed"),
        ("≈ 0.9, ≈ 0.5", "≈ 0.5, ≈ 0.9", "stored ≈ 0.9, computed ≈ 0.5"),
    ],
)
def test_a_number_that_moved_is_named(stored, fresh, complaint):
    assert any(complaint in found for found in moved(stored, fresh)), list(moved(stored, fresh))
