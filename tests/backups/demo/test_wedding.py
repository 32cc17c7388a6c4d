"""The generator keeps its word: the same seed, the same bytes; sizes and counts as promised."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from backups.demo.plan import plan_wedding
from backups.demo.scenario import imagine
from backups.demo.wedding import DEMO, SMALL, Size, WeddingFiles, add_late_photos, make_wedding

from .conftest import SEED

MB = 1_000_000


def contents(root: Path) -> dict[str, tuple[str, float]]:
    """Return path -> (SHA-256, time of last change) of every file below `root`."""
    return {
        path.relative_to(root).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_times(wedding: WeddingFiles, tmp_path: Path) -> None:
    again = make_wedding(tmp_path, seed=SEED, size=SMALL)
    assert again.scenario == wedding.scenario
    assert contents(tmp_path) == contents(wedding.root)


def test_another_seed_gives_other_bytes_in_every_picture_and_list(wedding: WeddingFiles, tmp_path: Path) -> None:
    other = make_wedding(tmp_path, seed=SEED + 1, size=SMALL)
    assert other.scenario.guests != wedding.scenario.guests
    ours = {digest for digest, _ in contents(wedding.root).values()}
    theirs = {path: digest for path, (digest, _) in contents(tmp_path).items()}
    # The shot list names no one but the couple, and two seeds may draw the same one.
    assert [path for path, digest in theirs.items() if digest in ours and path != "documents/shot-list.md"] == []


def test_no_two_files_are_alike(wedding: WeddingFiles) -> None:
    digests = [digest for digest, _ in contents(wedding.root).values()]
    assert len(set(digests)) == len(digests)


def test_the_small_wedding_has_thirty_files_of_about_eight_megabytes(wedding: WeddingFiles) -> None:
    found = contents(wedding.root)
    assert sorted(found) == list(wedding.paths)
    assert len(found) == SMALL.files == 30
    assert wedding.bytes_total == sum((wedding.root / path).stat().st_size for path in found)
    assert 7 * MB < wedding.bytes_total < 10 * MB


def test_every_class_has_its_own_source_folder(wedding: WeddingFiles) -> None:
    assert set(wedding.sources) == {"media", "documents", "guests"}
    assert {path.split("/")[0] for path in wedding.paths} == set(wedding.sources)
    assert all(folder.is_dir() for folder in wedding.sources.values())


def test_the_plan_foretells_the_size_of_what_is_written(wedding: WeddingFiles) -> None:
    planned = plan_wedding(wedding.scenario, SMALL)
    assert sum(file.bytes_expected for file in planned) == pytest.approx(wedding.bytes_total, rel=0.12)


def test_the_demo_plan_has_over_300_files_and_about_500_megabytes() -> None:
    planned = plan_wedding(imagine(SEED, guests=DEMO.guests, suppliers=DEMO.suppliers), DEMO)
    assert len({file.path for file in planned}) == len(planned) == DEMO.files >= 300
    assert 450 * MB < sum(file.bytes_expected for file in planned) < 600 * MB
    assert 120 <= DEMO.guests <= 180


@pytest.mark.parametrize("files", [60, 100, 1000])
def test_a_custom_wedding_has_exactly_the_files_asked_for(files: int) -> None:
    size = Size.custom(files)
    planned = plan_wedding(imagine(SEED, guests=size.guests, suppliers=size.suppliers), size)
    assert len({file.path for file in planned}) == size.files == files


def test_a_custom_wedding_that_is_too_small_says_what_to_use_instead() -> None:
    with pytest.raises(ValueError, match="SMALL"):
        Size.custom(59)


def test_times_lie_between_the_first_contract_and_the_delivery_of_proofs(wedding: WeddingFiles) -> None:
    noon = wedding.scenario.on_the_day(0).timestamp()
    days = {path: (changed - noon) / 86400 for path, (_, changed) in contents(wedding.root).items()}
    for path, day in days.items():
        if path.startswith("documents/contracts/"):
            assert -310 < day < -150, path
        elif path.startswith("media/photos/proofs/"):
            assert 3 < day < 4, path
        elif path.startswith("media/"):
            assert -0.2 < day < 0.5, path
        else:
            assert -15 < day < 0, path


def test_late_photos_are_added_and_nothing_else_changes(wedding: WeddingFiles, tmp_path: Path) -> None:
    make_wedding(tmp_path, seed=SEED, size=SMALL)
    before = contents(tmp_path)
    first = add_late_photos(tmp_path, SEED, 2, size=SMALL)
    second = add_late_photos(tmp_path, SEED, 1, size=SMALL)
    after = contents(tmp_path)
    assert len(first) == 2 and len({*first, *second}) == 3
    assert {path: after[path] for path in before} == before
    added = {path: after[path] for path in after.keys() - before.keys()}
    assert {tmp_path / path for path in added} == {*first, *second}
    assert len({digest for digest, _ in added.values()} - {digest for digest, _ in before.values()}) == 3
    assert min(changed for _, changed in added.values()) > max(changed for _, changed in before.values())


def test_progress_counts_every_file_and_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    made = make_wedding(tmp_path, seed=1, size=SMALL, on_progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == list(range(1, 31))
    assert seen[-1] == (30, 30, made.bytes_total)


def test_an_interruption_ends_the_work_at_once_and_a_second_run_completes_it(
    wedding: WeddingFiles, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int, size_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_wedding(tmp_path, seed=SEED, size=SMALL, on_progress=interrupt)
    assert 0 < len(contents(tmp_path)) < 30
    make_wedding(tmp_path, seed=SEED, size=SMALL)
    assert contents(tmp_path) == contents(wedding.root)


def test_an_unwritable_target_is_told_with_its_path(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, not a folder")
    with pytest.raises(OSError, match="blocked"):
        make_wedding(blocked, seed=1, size=SMALL)


def test_importing_the_generator_needs_none_of_its_packages_and_no_django() -> None:
    script = (
        "import sys, backups.demo.wedding\nprint(sorted({'PIL', 'av', 'fpdf', 'numpy', 'django'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
