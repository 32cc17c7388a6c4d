"""A backup that went through is not believed when one of its sources looks wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backups.policy.suspicion import Baseline, PlaceFound, files_suspicion, place_reasons, tell

BEFORE = Baseline(300, 500_000_000, frozenset({7}))
CARD = "/media/card"


def places_suspicion(pairs: Sequence[tuple[PlaceFound, Baseline | None]]) -> str:
    return tell(place_reasons(pairs), [place.path for place, _ in pairs])


def found(files: int, size_bytes: int, device: int = 7, *, mounted: bool = False) -> PlaceFound:
    return PlaceFound(CARD, files, size_bytes, device, mounted)


@pytest.mark.parametrize(
    ("place", "before", "said"),
    [
        (found(0, 0), None, "card: it is empty"),
        (found(0, 0), BEFORE, "card: 0 of 300 files are there. Is its card or disk connected?"),
        (found(149, 490_000_000), BEFORE, "card: 149 of 300 files are there. Check whether that was meant."),
        (found(300, 240_000_000), BEFORE, "card: 48 % of its bytes are left"),
        (found(200, 400_000_000, device=8), BEFORE, "200 of 300 files are there, on another disk than before"),
        (PlaceFound(CARD, 0, 0, missing="the folder is not there"), BEFORE, "card: the folder is not there. Connect"),
        (PlaceFound(CARD, 0, 0, missing="the folder is not there"), None, "card: the folder is not there. Connect"),
    ],
)
def test_it_is_said_which_place_looks_wrong_and_how(place: PlaceFound, before: Baseline | None, said: str) -> None:
    assert said in places_suspicion([(place, before)])


def test_a_place_that_grew_or_lost_a_little_is_trusted() -> None:
    assert places_suspicion([(found(300, 500_000_000), None)]) == ""
    assert places_suspicion([(found(310, 520_000_000), BEFORE)]) == ""
    assert places_suspicion([(found(151, 251_000_000), BEFORE)]) == ""


@pytest.mark.parametrize("device", [8, 1 << 40])
def test_another_number_of_the_same_disk_is_no_alarm(device: int) -> None:
    """NFS, USB and automounters give a file system a new number at each connection (restic #3041)."""
    assert places_suspicion([(found(300, 500_000_000, device), BEFORE)]) == ""
    assert places_suspicion([(found(241, 401_000_000, device), BEFORE)]) == ""


def test_a_disk_that_is_not_mounted_any_more_is_an_alarm_only_when_its_files_are_gone() -> None:
    mounted = Baseline(300, 500_000_000, frozenset({9}), mounted=True)
    said = places_suspicion([(found(120, 500_000_000, 7), mounted)])
    assert "120 of 300 files are there, and the disk that was connected there is not" in said
    assert places_suspicion([(found(300, 500_000_000, 7), mounted)]) == ""


def test_no_place_hides_another() -> None:
    """restic #4467, duplicati #6149: the sum of both was hardly less than before."""
    other = PlaceFound("/srv/photos", 100_000, 10**12)
    said = places_suspicion([(other, Baseline(90_000, 10**12)), (found(0, 0), Baseline(60, 10**9))])
    assert said == "card: 0 of 60 files are there. Is its card or disk connected?"


def test_a_card_that_was_not_in_at_the_first_backup_is_asked_for_also_beside_others() -> None:
    """The sum was not empty, so the wedding was safe without the second card."""
    others = (PlaceFound("/srv/photos", 3, 30), None)
    assert places_suspicion([(found(0, 0), None), others]) == "card: it is empty. Is its card or disk connected?"
    assert places_suspicion([(PlaceFound("/srv/photos/spare", 0, 0, mounted=True), None), others]) == ""


def test_what_a_person_said_is_right_is_no_alarm_again() -> None:
    assert places_suspicion([(found(0, 0), Baseline(0, 0))]) == ""
    gone = PlaceFound(CARD, 0, 0, missing="the folder is not there")
    assert places_suspicion([(gone, Baseline(0, 0, missing=True))]) == ""


def test_folders_of_the_same_name_are_told_apart_and_many_are_not_all_listed() -> None:
    places = [PlaceFound(f"/media/{number}/DCIM", 0, 0) for number in range(5)]
    said = places_suspicion([(place, BEFORE) for place in places])
    assert "/media/1/DCIM: 0 of 300" in said and said.endswith("And 2 more.")


def test_files_that_are_missing_from_a_snapshot_are_counted() -> None:
    assert "1 file or folder was not stored" in files_suspicion(unstable=3, unreadable=1)
    assert "belongs to it" in files_suspicion(unstable=0, unreadable=0, partly=1)
    assert "2 files kept changing" in files_suspicion(unstable=2, unreadable=0)
    assert files_suspicion(unstable=0, unreadable=0) == ""
