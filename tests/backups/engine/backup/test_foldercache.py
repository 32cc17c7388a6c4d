from __future__ import annotations

import sqlite3
from pathlib import Path

from backups.engine.backup.foldercache import CachedFolder, FolderCache, pack_nodes, usable_nodes

ROW = CachedFolder(b"signature", b"t" * 32, b"c" * 64, pack_nodes([b'{"name":"a"}', b'{"name":"b"}']), 123, True)


def test_what_was_committed_is_there_next_time(tmp_path: Path) -> None:
    path = str(tmp_path / "cache")
    cache = FolderCache(path, "vault")
    cache.put(b"/a", ROW)
    cache.commit()
    cache.put(b"/b", ROW)
    cache.close()
    again = FolderCache(path, "vault")
    assert again.get(b"/a") == ROW and usable_nodes(again.get(b"/a")) == [b'{"name":"a"}', b'{"name":"b"}']
    assert again.get(b"/b") is None


def test_forgetting_a_folder_forgets_what_is_below_and_nothing_beside(tmp_path: Path) -> None:
    cache = FolderCache(str(tmp_path / "cache"), "vault")
    for path in (b"/a", b"/a/b", b"/a/b/c", b"/a.b", b"/a0"):
        cache.put(path, ROW)
    cache.forget(b"/a")
    assert [cache.get(path) is None for path in (b"/a", b"/a/b", b"/a/b/c", b"/a.b", b"/a0")] == [True] * 3 + [
        False
    ] * 2


def test_another_vaults_cache_and_an_older_versions_are_not_believed(tmp_path: Path) -> None:
    path = str(tmp_path / "cache")
    cache = FolderCache(path, "vault")
    cache.put(b"/a", ROW)
    cache.commit()
    cache.close()
    other = FolderCache(path, "another vault")
    assert other.get(b"/a") is None
    other.put(b"/a", ROW)
    other.commit()
    other.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    assert FolderCache(path, "another vault").get(b"/a") is None


def test_a_broken_locked_or_unusable_file_is_an_empty_cache(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"no database" * 500)
    broken = FolderCache(str(path), "vault")
    broken.put(b"/a", ROW)
    assert broken.get(b"/a") == ROW
    for unusable in (None, str(tmp_path / "no such folder" / "cache"), str(tmp_path)):
        cache = FolderCache(unusable, "vault")
        cache.put(b"/a", ROW)
        cache.commit()
        assert cache.get(b"/a") is None
        cache.close()


def test_two_runs_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "cache")
    first, second = FolderCache(path, "vault"), FolderCache(path, "vault")
    first.put(b"/a", ROW)
    second.put(b"/b", ROW)
    second.commit()
    first.commit()
    assert FolderCache(path, "vault").get(b"/a") == ROW


def test_documents_are_kept_while_anybody_has_them(tmp_path: Path) -> None:
    cache = FolderCache(str(tmp_path / "cache"), "vault")
    cache.put_document("aa", b"sealed")
    cache.put_document("bb", b"sealed too")
    cache.keep_documents({"bb", "cc"})
    assert (cache.document("aa"), cache.document("bb"), cache.document("cc")) == (None, b"sealed too", None)


def test_damaged_nodes_are_no_nodes() -> None:
    assert usable_nodes(ROW._replace(nodes=b"rot")) == [] and usable_nodes(None) == []
