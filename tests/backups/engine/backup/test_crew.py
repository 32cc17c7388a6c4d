from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backups.engine.backup import crew as backup_crew
from backups.engine.backup.run import BackupResult
from backups.engine.errors import Cancelled, WorkerDied
from backups.engine.progress import CancelToken, Progress
from tests.backups.engine.backing import Interposed, Studio

noise = random.Random(4)
ROOT = Path(__file__).parents[4]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(backup_crew, "PROCESSES_FROM_BYTES", -1)
    studio = Studio(tmp_path)
    for i in range(60):
        studio.write({f"{i}.raw": noise.randbytes(2_000_000)})
    return studio


def children(pid: int) -> list[int]:
    """Return the reading processes that `pid` has started and that are not ended, not the servers of other tests."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    started = [int(child) for file in found for child in file.read_text().split()]
    return [child for child in started if _reads(child)]


def _reads(pid: int) -> bool:
    try:
        return b"backups.engine" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process; it is a failure if that takes a minute."""
    patience = threading.Event()
    for _ in range(6000):
        if condition():
            return
        patience.wait(0.01)
    raise AssertionError("it never happened")


def at_first(step: str, action: Callable[[], None]) -> Callable[[Progress], None]:
    done: list[bool] = []

    def listener(progress: Progress) -> None:
        if progress.step == step and progress.bytes_done and not done:
            done.append(True)
            action()

    return listener


def test_a_small_run_and_an_unchanged_one_start_no_process(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.backup()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    studio.backup()
    monkeypatch.undo()
    monkeypatch.setattr(subprocess, "Popen", refuse)
    studio.write({"late.raw": noise.randbytes(1_000_000)})
    assert studio.backup().files_new == 1


def test_a_killed_worker_ends_the_run_with_a_clear_error_and_the_next_run_is_whole(studio: Studio) -> None:
    def kill_one() -> None:
        os.kill(children(os.getpid())[0], signal.SIGKILL)

    with pytest.raises(WorkerDied, match="killed by signal 9"):
        studio.backup(at_first("read", kill_one))
    assert not studio.names("a", "snapshots")
    assert not children(os.getpid())
    studio.backup()
    studio.check()


def test_no_process_is_left_after_a_cancel(studio: Studio) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        studio.backup(at_first("read", cancel.cancel), cancel)
    assert not children(os.getpid())


def test_a_worker_that_does_not_listen_is_killed(studio: Studio) -> None:
    cancel = CancelToken()
    stopped: list[int] = []

    def freeze() -> None:
        stopped.extend(children(os.getpid()))
        for child in stopped:
            os.kill(child, signal.SIGSTOP)
        cancel.cancel()

    with pytest.raises(Cancelled):
        studio.backup(at_first("read", freeze), cancel)
    assert stopped and not any(map(alive, stopped))


def test_workers_run_from_any_thread(studio: Studio) -> None:
    results: list[BackupResult] = []
    thread = threading.Thread(target=lambda: results.append(studio.backup()))
    thread.start()
    thread.join()
    assert results[0].files_total == 60


def test_stores_that_cannot_travel_keep_the_run_in_its_own_process(studio: Studio) -> None:
    store = Interposed(studio.places["a"].store, lambda _: None)
    store.lock = threading.Lock()  # type: ignore[attr-defined]  # no pickle takes that
    result = studio.backup(stores={"a": store})
    assert result.files_total == 60 and len(store.put_names) > 5
    studio.check()


SCRIPT = """
import pickle, sys
from pathlib import Path
from backups.engine.backup import crew as backup_crew
from backups.engine.backup.run import backup
backup_crew.PROCESSES_FROM_BYTES = -1
request = pickle.loads(sys.stdin.buffer.read())
def listener(progress):
    print(progress.step, progress.bytes_done, progress.location_bytes["a"], flush=True)
result = backup(request, listener)
print("result", result.bytes_stored, flush=True)
"""


@pytest.fixture
def program(studio: Studio) -> Iterator[subprocess.Popen[bytes]]:
    """A backup in a process of its own, to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(pickle.dumps(studio.request()))
    process.stdin.close()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def kill_after(process: subprocess.Popen[bytes], stored: int) -> None:
    """Kill the program once the place has confirmed so much, and wait until its workers are gone too."""
    assert process.stdout is not None
    for line in process.stdout:
        _, _, confirmed = line.split()
        if int(confirmed) >= stored:
            break
    workers = children(process.pid)
    assert workers
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(map(alive, workers)))


def test_after_kill_9_workers_end_and_what_was_stored_is_not_sent_again(
    studio: Studio, program: subprocess.Popen[bytes]
) -> None:
    kill_after(program, 50_000_000)
    stored = sum(len(content) for content in studio.places["a"].files("data").values())
    assert stored >= 50_000_000
    result = studio.backup()
    assert result.bytes_stored < 120_000_000 - stored + 1_000_000
    assert len(studio.read_back(result)) == 60
    studio.check()


@pytest.mark.parametrize(
    "code",
    [
        "backup_worker.main()",
        "ours, theirs = os.pipe(); os.close(ours); backup_worker._Pipe(os.fdopen(theirs, 'wb')).send(None)",
    ],
    ids=["before it was told what to do", "when it reports"],
)
def test_a_worker_whose_parent_was_killed_ends_without_a_word(code: str) -> None:
    command = [
        sys.executable,
        "-c",
        f"import os; from backups.engine.backup import worker as backup_worker; {code}; os._exit(0)",
    ]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_memory_stays_bounded_whatever_the_size_of_the_file(studio: Studio) -> None:
    """Peak of two workers that read one long and many short files; measured as what is theirs alone (PSS)."""
    with open(studio.source / "film.mov", "wb") as film:
        for _ in range(25):
            film.write(noise.randbytes(10_000_000))
    peaks: list[int] = [0]

    def listener(_: Progress) -> None:
        sizes = []
        for child in children(os.getpid()):
            try:
                rollup = Path(f"/proc/{child}/smaps_rollup").read_text()
            except OSError:
                continue
            sizes.append(next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")))
        peaks.append(sum(sizes) * 1024)

    studio.backup(listener)
    assert 50_000_000 < max(peaks) < 400_000_000


def test_a_worker_process_knows_no_django(studio: Studio) -> None:
    code = "import sys, backups.engine.backup.worker, providers.stores.local; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"django", "celery", "boto3", "multiprocessing"} & set(loaded.split())
