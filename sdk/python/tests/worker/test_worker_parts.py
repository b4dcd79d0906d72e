"""The parts that decide, each by itself: journal, lease, log store, masking, capture, loading, backoff."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from glidepath.errors import GlidepathError
from glidepath.worker import state_dir
from glidepath.worker.backoff import Backoff
from glidepath.worker.body import NOTHING, OutputLimits, call
from glidepath.worker.capture import LINE_CHARS_MAX, Capture
from glidepath.worker.context import NotInTask, TaskContext, current, running
from glidepath.worker.journal import SEGMENT_BYTES, Journal, sync
from glidepath.worker.kept import BYTES, Kept
from glidepath.worker.leases import Lease
from glidepath.worker.loading import Loader
from glidepath.worker.logs import ATTEMPT_BYTES_MAX, CHUNK_BYTES_MAX, LogStore
from glidepath.worker.masking import Masker, secrets_of
from glidepath.worker.outbox import Outbox
from glidepath.worker.pipes import FRAME_BYTES_MAX, BrokenFrame, FrameReader, pack
from glidepath.worker.sources import SourceRefused, SourceStore
from glidepath.worker.state_dir import WorkerSettingsError, claim
from glidepath_proto.worker.v1.task_pb2 import AttemptResult, LogChunk, LogEntry, Progress, Success
from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest


def record_of(*tokens: bytes) -> bytes:
    return WorkRequest(results=[AttemptResult(task_token=t, success=Success()) for t in tokens]).SerializeToString()


def pending(journal: Journal) -> list[bytes]:
    return [result.task_token for request in journal.pending() for result in request.results]


class TestJournal:
    def test_what_was_not_acknowledged_is_there_after_a_restart(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        journal.append(record_of(b"a", b"b"), [b"a", b"b"], 0)
        journal.append(record_of(b"c"), [b"c"], 0)
        journal.forget(b"b")
        assert pending(journal) == [b"a", b"c"]
        again = Journal(tmp_path)  # the first one was never closed, as after a kill
        assert pending(again) == [b"a", b"b", b"c"]
        assert set(again.tokens()) == {b"a", b"b", b"c"}

    def test_it_takes_no_room_when_nothing_is_wanted(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        for number in range(3 * SEGMENT_BYTES // 20_000):
            token = str(number).encode()
            journal.append(record_of(token) + b"\x00" * 0, [token], 0)
            journal.append(WorkRequest(results=[AttemptResult(
                task_token=token, success=Success(output={"data": b"x" * 20_000}))]).SerializeToString(), [token], 0,
            )  # fmt: skip
            journal.forget(token)
        journal.tidy(0)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
        journal.close()
        assert list(tmp_path.iterdir()) == []

    def test_it_is_full_at_its_limit_and_has_room_again(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path, bytes_max=1000)
        tokens = [bytes([number]) * 40 for number in range(30)]
        for token in tokens:
            journal.append(record_of(token), [token], 0)
        assert journal.full
        for token in tokens:
            journal.forget(token)
        journal.tidy(0)
        assert not journal.full

    def test_a_disk_that_cannot_be_written_leaves_results_in_memory(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        os.close(journal._file)
        journal._file = os.open("/dev/full", os.O_WRONLY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "ftruncate", lambda *_: None)
            journal.append(record_of(b"a"), [b"a"], 0)
        assert b"a" in journal and journal.full
        assert pending(journal) == [b"a"]
        journal.forget(b"a")
        assert not journal.full

    def test_a_damaged_record_hides_what_is_behind_it_only(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        for token in (b"a", b"b"):
            journal.append(record_of(token), [token], 0)
        (segment,) = tmp_path.iterdir()
        content = bytearray(segment.read_bytes())
        content[-1] ^= 0xFF
        segment.write_bytes(content)
        assert pending(Journal(tmp_path)) == [b"a"]

    def test_what_waits_for_long_belongs_on_the_disk_once(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path)
        journal.append(record_of(b"a"), [b"a"], 10.0)
        assert journal.tidy(10.1) == []
        (late,) = journal.tidy(11.0)
        assert journal.tidy(12.0) == []
        sync([late, tmp_path / "gone"])


class TestLease:
    def test_it_runs_from_when_the_confirmed_echo_was_sent(self) -> None:
        lease = Lease(15, hello_sent_at=100, now=100.2)
        assert lease.ends_at == 115
        assert not lease.heard(b"1", b"", 105)
        assert lease.heard(b"2", b"1", 110)
        assert lease.ends_at == 120

    def test_a_server_that_confirms_nothing_renews_nothing(self) -> None:
        lease = Lease(15, hello_sent_at=0, now=0)
        for second in range(5, 100, 5):
            assert not lease.heard(str(second).encode(), b"unknown", second)
        assert (lease.ends_at, lease.heard_at) == (15, 95)

    def test_an_old_confirmation_moves_nothing_back(self) -> None:
        lease = Lease(15, 0, 0)
        lease.heard(b"1", b"", 5)
        lease.heard(b"2", b"", 10)
        assert lease.heard(b"3", b"2", 15)
        assert not lease.heard(b"4", b"1", 20)
        assert lease.ends_at == 25


class TestLogStore:
    def test_chunks_are_sent_once_and_again_on_a_new_stream(self) -> None:
        store = LogStore()
        store.add(b"t", [(1.0, "stdout", "one")])
        store.add(b"t", [(2.0, "stdout", "two")])
        assert [chunk.sequence_number for chunk in store.take(10**6)] == [0, 1]
        assert not store.waiting
        store.acknowledge(b"t", 0)
        store.rewind()
        assert [chunk.entries[0].text for chunk in store.take(10**6)] == ["two"]

    def test_attempts_take_turns(self) -> None:
        store = LogStore()
        for _ in range(3):
            for token in (b"a", b"b"):
                store.add(token, [(0.0, "stdout", "x" * 1000)])
        assert [chunk.task_token for chunk in store.take(3500)] == [b"a", b"b", b"a", b"b"]

    def test_the_oldest_goes_first_and_its_lines_are_counted(self) -> None:
        store = LogStore()
        lines = 4 * ATTEMPT_BYTES_MAX // 1000
        for number in range(lines):
            store.add(b"t", [(0.0, "stdout", f"{number} {'x' * 1000}")])
        assert store.bytes <= ATTEMPT_BYTES_MAX
        entries = [entry for chunk in store.take(10**9) for entry in chunk.entries]
        dropped = int(entries[0].text.split()[1])
        assert dropped + len(entries) - 1 == lines
        assert entries[-1].text.startswith(f"{lines - 1} ")

    def test_no_chunk_is_over_the_limit(self) -> None:
        store = LogStore()
        store.add(b"t", [(0.0, "stdout", "y" * 1000)] * 1000)
        assert max(chunk.ByteSize() for chunk in store.take(10**9)) <= CHUNK_BYTES_MAX

    def test_it_forgets_an_attempt_with_its_last_acknowledgement(self) -> None:
        store = LogStore()
        store.add(b"t", [(0.0, "stdout", "one")])
        store.end(b"t")
        store.take(10**6)
        store.acknowledge(b"t", 0)
        assert store.bytes == 0 and not store._logs


class TestStateDir:
    def test_workers_of_one_host_take_a_folder_each(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        first, second = claim("", None), claim("", None)
        assert first.path != second.path and first.identity != second.identity
        first.close()
        again = claim("", None)
        assert (again.path, again.identity) == (first.path, first.identity)
        again.close()
        second.close()

    def test_what_is_in_use_names_its_holder_and_what_to_give_instead(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        holders = [claim("edge", None), claim("", tmp_path / "own")]
        with pytest.raises(WorkerSettingsError, match=f"process {os.getpid()} on .* another --identity"):
            claim("edge", None)
        with pytest.raises(WorkerSettingsError, match=f"process {os.getpid()} on .* another --state-dir"):
            claim("other", tmp_path / "own")
        for holder in holders:
            holder.close()

    def test_a_folder_that_is_named_from_here_stays_the_same_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        state = claim("", Path("own"))
        assert state.path == tmp_path / "own"
        state.close()

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(WorkerSettingsError, match="file/state cannot be used: Not a directory"):
            claim("", tmp_path / "file" / "state")

    def test_what_was_fetched_before_the_machine_started_is_forgotten_also_through_a_link(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        (disk / "halved").mkdir(parents=True)
        (tmp_path / "sources").symlink_to(disk)
        state = claim("", tmp_path)
        state.forget_fetched()
        assert (list(disk.iterdir()), (tmp_path / "sources").is_dir()) == ([], True)
        (disk / "whole").mkdir()
        state.forget_fetched()
        assert [each.name for each in disk.iterdir()] == ["whole"]
        state.close()

    def test_a_system_that_does_not_say_when_it_was_started_counts_as_started_each_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(state_dir, "BOOT_ID", tmp_path / "missing")
        state = claim("", tmp_path)
        for _ in range(2):
            (tmp_path / "sources" / "perhaps-half").mkdir(parents=True)
            state.forget_fetched()
            assert not list((tmp_path / "sources").iterdir())
        state.close()


class TestMasking:
    def test_names_say_what_is_secret(self) -> None:
        environment = {"DB_PASSWORD": "one-two", "GITHUB_TOKEN": "three", "PWD": "/home", "TOKENIZER": "bert", "AWS_SECRET_ACCESS_KEY": "k"}  # fmt: skip  # noqa: E501
        assert secrets_of(environment) == {"one-two", "three", "k"}

    @pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
    def test_encoded_forms_are_secrets_too(self, before: str) -> None:
        secret = "p@ss word/+42"
        masker = Masker([secret])
        for text in (secret, quote(secret), base64.b64encode((before + secret).encode()).decode()):
            assert "***" in masker.mask(f"<{text}>")
        assert secret not in masker.mask(f"x{secret}y")

    def test_short_values_and_lines_are_left_alone(self) -> None:
        assert Masker(["1", "dev"]).mask("dev 1") == "dev 1"
        assert Masker(["first-line\nab\nthird-line"]).mask("first-line ab third-line") == "*** ab ***"


class TestCapture:
    def test_lines_are_joined_over_pieces_and_characters(self) -> None:
        capture = Capture(Masker())
        data = "größe 1\nrest".encode()
        for index in range(len(data)):
            capture.feed("stdout", data[index : index + 1], 1.0)
        capture.finish(2.0)
        assert [text for _, _, text in capture.take()] == ["größe 1", "rest"]
        assert capture.last_line == "rest"

    def test_a_secret_is_masked_wherever_an_endless_line_is_cut(self) -> None:
        secret = "very-secret-value"
        for offset in range(2 * len(secret)):
            capture = Capture(Masker([secret]))
            capture.feed("stdout", b"x" * (LINE_CHARS_MAX - offset), 1.0)
            for piece in (secret[:5], secret[5:], "y" * LINE_CHARS_MAX):
                capture.feed("stdout", piece.encode(), 1.0)
            capture.finish(1.0)
            written = "".join(text for _, _, text in capture.take())
            assert "very" not in written and "secret" not in written and "***" in written

    def test_bytes_that_are_no_text_are_shown(self) -> None:
        capture = Capture(Masker())
        capture.feed("stderr", b"\xff\xfe ok\r\n", 1.0)
        assert capture.take() == [(1.0, "stderr", "\ufffd\ufffd ok")]


class TestKept:
    def test_parts_of_a_chunk_are_one_again_until_they_are_told(self) -> None:
        file = os.memfd_create("test")
        os.ftruncate(file, BYTES)
        kept, seen = Kept(file), Kept(file)
        parts = [(b"a", 0, "one"), (b"a", 0, "two"), (b"a", 1, "three"), (b"b", 1, "four")]
        for token, number, text in parts:
            assert kept.add(untold(token, number, text))
        chunks = seen.untold().log_chunks
        assert [
            (chunk.task_token, chunk.sequence_number, [each.text for each in chunk.entries]) for chunk in chunks
        ] == [
            (b"a", 0, ["one", "two"]),
            (b"a", 1, ["three"]),
            (b"b", 1, ["four"]),
        ]
        assert not kept.add(untold(b"b", 1, "x" * BYTES))
        kept.clear()
        assert not seen.untold().log_chunks
        os.close(file)


def untold(token: bytes, number: int, text: str) -> WorkRequest:
    chunk = LogChunk(task_token=token, sequence_number=number, entries=[LogEntry(text=text)])
    return WorkRequest(log_chunks=[chunk])


class TestOutbox:
    def test_frames_carry_credits_with_results_and_are_bounded(self) -> None:
        outbox = Outbox(LogStore())
        batch = WorkRequest(results=[AttemptResult(task_token=b"t", success=Success(output={"data": b"x" * 60_000}))])
        for _ in range(20):
            outbox.results(batch, batch.ByteSize(), 1)
        frames = []
        while (frame := outbox.take()) is not None:
            frames.append(frame)
        assert sum(len(frame.results) for frame in frames) == 20
        assert sum(credit.amount for frame in frames for credit in frame.credits) == 20
        assert max(frame.ByteSize() for frame in frames) < 1024 * 1024
        assert not outbox.waiting.is_set()

    def test_a_checkpoint_stays_until_a_newer_one_comes(self) -> None:
        outbox = Outbox(LogStore())
        outbox.progress(Progress(task_token=b"t", percent=1, checkpoint=b"c"))
        outbox.progress(Progress(task_token=b"t", percent=2))
        frame = outbox.take()
        assert frame is not None
        assert [(each.percent, each.checkpoint) for each in frame.progress] == [(2, b"c")]

    def test_a_new_stream_begins_empty(self) -> None:
        outbox = Outbox(LogStore())
        outbox.accepted([b"t"])
        outbox.credit(3)
        outbox.clear()
        assert outbox.take() is None


def test_frames_are_found_in_any_pieces() -> None:
    data = b"".join(pack(payload) for payload in (b"", b"one", b"x" * 70_000))
    for size in (1, 3, 65_536):
        reader = FrameReader()
        frames = [frame for start in range(0, len(data), size) for frame in reader.feed(data[start : start + size])]
        assert frames == [b"", b"one", b"x" * 70_000]
    with pytest.raises(BrokenFrame):
        FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "little"))


def test_versions_keep_their_modules_apart(tmp_path: Path) -> None:
    for name, text in (("v1", "one"), ("v2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flow.py").write_text("def late():\n    import part\n    return part.NAME\n")
        (tmp_path / name / "part.py").write_text(f"NAME = {text!r}\n")
    import sys

    before = list(sys.path)
    try:
        loader = Loader(sys.path)
        folders = [str(tmp_path / "v1"), str(tmp_path / "v2")]
        loader.prepare("python:flow:late", folders[0])
        told = [loader.load("python:flow:late", folder)() for folder in folders * 2]
        assert told == ["one", "two", "one", "two"]
    finally:
        sys.path[:] = before
        for name in ("flow", "part"):
            sys.modules.pop(name, None)


def test_source_outside_its_folder_is_refused(tmp_path: Path) -> None:
    import hashlib
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.py", "")
    content_hash = hashlib.sha256(buffer.getvalue()).hexdigest()
    store = SourceStore(tmp_path / "sources")
    with pytest.raises(SourceRefused, match="outside"):
        store.add(content_hash, buffer.getvalue())
    assert store.path(content_hash) is None
    assert not (tmp_path / "evil.py").exists()


def test_a_body_that_returns_nothing_has_no_output() -> None:
    assert call(lambda: None, {}, OutputLimits()) == (NOTHING, b"")


def test_causes_are_told_outermost_first_and_cycles_end() -> None:
    def fails() -> None:
        first, second = ValueError("first"), KeyError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    end, _ = call(fails, {}, OutputLimits())
    assert [cause["type"] for cause in end["failure"]["causes"]] == ["KeyError"]


def test_the_context_belongs_to_its_block() -> None:
    context = TaskContext("default", "dag", 1, "run", "key", "task", None, 1, "idem", {})
    with pytest.raises(NotInTask):
        current()
    with running(context):
        assert current() is context
        with pytest.raises(GlidepathError, match="no worker behind it"):
            current().progress(1)
    with pytest.raises(NotInTask):
        current()


def test_delays_grow_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(first=1, most=8)
    for ceiling in (1, 2, 4, 8, 8):
        assert ceiling / 2 <= backoff.next() <= ceiling
    backoff.reset()
    assert backoff.next() <= 1
