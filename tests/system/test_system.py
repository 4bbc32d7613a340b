import contextlib
import errno
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import Disk, Killed
from hypothesis import given
from hypothesis import strategies as st

from textgen import system
from textgen.system import lock as lock_module

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, modes and pipes")


def run_python(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, content: bytes) -> None:
    with system.atomic_write(path) as file:
        file.write(content[:5])
        file.flush()
        file.write(content[5:])


class TestAtomicWrite:
    @posix
    def test_an_error_in_a_deleted_folder_names_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        with pytest.raises(FileNotFoundError) as caught, system.atomic_write("poem.svg", follow_link=True):
            pass
        assert caught.value.filename == "poem.svg"

    def test_replaces_the_whole_file(self, tmp_path: Path) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(b"a much longer old text")
        write(path, b"new text")
        assert path.read_bytes() == b"new text"
        assert names(tmp_path) == ["poem.txt"]

    def test_old_contents_stay_until_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(b"old")
        with system.atomic_write(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
        assert path.read_bytes() == b"new"

    def test_an_error_in_the_body_leaves_no_trace(self, tmp_path: Path) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(b"old")
        with pytest.raises(KeyboardInterrupt), system.atomic_write(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["poem.txt"]

    @posix
    def test_modes_follow_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write(tmp_path / "poem.txt", b"text")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "poem.txt").stat().st_mode) == 0o640

    @posix
    def test_a_symbolic_link_is_replaced_and_what_it_points_to_stays(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        target, link = tmp_path / "elsewhere" / "real.txt", tmp_path / "link.txt"
        target.write_bytes(b"old")
        for place in (target, target.parent, tmp_path / "nowhere", link, "/dev/null"):
            link.unlink(missing_ok=True)
            link.symlink_to(place)
            write(link, b"new text")
            assert not link.is_symlink()
            assert link.read_bytes() == b"new text"
            assert target.read_bytes() == b"old"
        assert names(tmp_path) == ["elsewhere", "link.txt"]
        assert names(tmp_path / "elsewhere") == ["real.txt"]

    @posix
    def test_a_link_that_the_user_chose_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        target, link = tmp_path / "elsewhere" / "real.txt", tmp_path / "link.txt"
        target.write_bytes(b"old")
        link.symlink_to(target)
        with system.atomic_write(link, follow_link=True) as file:
            file.write(b"new text")
        assert link.is_symlink()
        assert target.read_bytes() == b"new text"

    @posix
    def test_a_second_name_keeps_the_old_contents(self, tmp_path: Path) -> None:
        (tmp_path / "victim.txt").write_bytes(b"old")
        os.link(tmp_path / "victim.txt", tmp_path / "poem.txt")
        write(tmp_path / "poem.txt", b"new text")
        assert (tmp_path / "victim.txt").read_bytes() == b"old"

    @posix
    def test_a_pipe_and_a_folder_are_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        for name, told in (("pipe", "a device or a pipe"), ("folder", "it is a folder")):
            with pytest.raises(OSError) as caught:
                write(tmp_path / name, b"new text")
            assert told in system.explain(caught.value)
            assert caught.value.filename == str(tmp_path / name)
        assert names(tmp_path) == ["folder", "pipe"]

    @pytest.mark.parametrize("path", [".", "..", "", "folder/.."])
    def test_a_folder_by_a_name_of_its_own_is_refused(
        self, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path)
        with pytest.raises(OSError), system.atomic_write(path, follow_link=True) as file:
            file.write(b"new text")
        assert names(tmp_path) == ["folder"]

    def test_the_longest_name_works(self, tmp_path: Path) -> None:
        path = tmp_path / ("n" * 251 + ".txt")
        write(path, b"new text")
        assert path.read_bytes() == b"new text"

    @pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES, errno.EIO, Killed], ids=str)
    def test_every_operation_may_fail_or_be_the_last(self, tmp_path: Path, fault: Any) -> None:
        path = tmp_path / "poem.txt"
        old, new = b"old text", b"new text" * 10_000

        def attempt(fail_at: int | None) -> tuple[Disk, BaseException | None]:
            path.write_bytes(old)
            with pytest.MonkeyPatch.context() as patch:
                make = Killed if fault is Killed else lambda: OSError(fault, "injected")
                disk = Disk(patch, fail_at=fail_at, error=make)
                try:
                    write(path, new)
                except (OSError, Killed) as error:
                    return disk, error
            return disk, None

        disk, error = attempt(None)
        assert error is None
        assert disk.operations == ["open", "write", "write", "open", "fsync", "replace", "open folder", "fsync"]
        moved = disk.operations.index("replace") + 1
        for n, operation in enumerate(disk.operations):
            tried, error = attempt(n)
            unreadable_folder = operation == "open folder" and fault == errno.EACCES
            assert (error is None) == (unreadable_folder or (fault == errno.EACCES and n == len(disk.operations) - 1))
            assert path.read_bytes() == (new if n >= moved else old)
            assert tried.operations[n] == operation
            if fault is not Killed:
                assert names(tmp_path) == ["poem.txt"]
            system.remove_leftovers(tmp_path)
            assert names(tmp_path) == ["poem.txt"]

    @posix
    def test_a_real_limit_on_file_size_is_explained(self, tmp_path: Path) -> None:
        code = """
import resource, sys
from textgen import system
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with system.atomic_write(sys.argv[1]) as file:
        file.write(b"x" * 5000)
except OSError as error:
    print(system.explain(error))
"""
        (tmp_path / "poem.txt").write_bytes(b"old")
        done = run_python(code, tmp_path / "poem.txt")
        assert done.stdout.startswith(b"the file would be larger than allowed here.")
        assert (tmp_path / "poem.txt").read_bytes() == b"old"
        assert names(tmp_path) == ["poem.txt"]

    @posix
    def test_kill_at_random_moments_never_tears_a_file(self, tmp_path: Path) -> None:
        code = """
import sys
from textgen import system
for n in range(10**9):
    with system.atomic_write(sys.argv[1]) as file:
        for _ in range(50):
            file.write(bytes([n % 256]) * 4000)
    if n == 0:
        print("started", flush=True)
"""
        path = tmp_path / "poem.txt"
        for delay in (0.0, 0.003, 0.011, 0.017, 0.029, 0.041):
            with subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT, stdout=subprocess.PIPE) as writer:
                assert writer.stdout is not None
                writer.stdout.readline()
                time.sleep(delay)
                os.kill(writer.pid, signal.SIGKILL)
            content = path.read_bytes()
            assert content == content[:1] * 200_000
        system.remove_leftovers(tmp_path)
        assert names(tmp_path) == ["poem.txt"]

    def test_leftovers_of_other_writers_are_spared_while_young(self, tmp_path: Path) -> None:
        with system.atomic_path(tmp_path / "poem.txt") as aside:
            aside.write_bytes(b"new")
            assert system.remove_leftovers(tmp_path, older_than=3600) == 0
        assert (tmp_path / "poem.txt").read_bytes() == b"new"
        assert system.remove_leftovers(tmp_path / "missing") == 0

    def test_macos_flushes_through_the_drive_and_falls_back(self, tmp_path: Path, monkeypatch: Any) -> None:
        fcntl = pytest.importorskip("fcntl")
        calls: list[str] = []
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, command: calls.append(f"fcntl {command}"))
        monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
        system.flush_to_disk(1)
        assert calls == ["fcntl 51"]

        def refuse(descriptor: int, command: int) -> None:
            raise OSError(errno.ENOTSUP, "no such call here")

        monkeypatch.setattr(fcntl, "fcntl", refuse)
        system.flush_to_disk(1)
        assert calls == ["fcntl 51", "fsync"]

    def test_windows_waits_for_a_reader_and_flushes_no_folder(self, tmp_path: Path, monkeypatch: Any) -> None:
        refusals = [PermissionError(errno.EACCES, "in use")] * 3
        real_replace = os.replace

        def replace(source: Any, target: Any) -> None:
            if refusals:
                raise refusals.pop()
            real_replace(source, target)

        def no_folders(*_: Any) -> int:
            raise AssertionError("a folder cannot be opened on Windows")

        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "open", no_folders)
        write(tmp_path / "poem.txt", b"new text")
        assert (tmp_path / "poem.txt").read_bytes() == b"new text"


@given(number=st.integers(0, 200))
def test_every_refusal_becomes_a_sentence(number: int) -> None:
    text = system.explain(OSError(number, os.strerror(number)))
    assert text.endswith(".")
    assert not text.endswith("..")
    assert "\n" not in text


def test_an_error_without_a_number_is_explained_by_its_text() -> None:
    assert system.explain(OSError("the tape is torn")) == "the tape is torn."
    assert system.explain(OSError()) == "OSError."


class TestFileLock:
    def test_only_one_holds_it(self, tmp_path: Path) -> None:
        first, second = system.FileLock(tmp_path / "lock"), system.FileLock(tmp_path / "lock")
        assert not first.held
        assert first.acquire()
        assert first.acquire()
        assert not second.acquire()
        assert first.held
        assert second.held
        assert f"process {os.getpid()} on " in second.holder
        with pytest.raises(BlockingIOError, match="is locked by process"), second:
            pass
        first.release()
        first.release()
        assert not second.held
        assert second.holder == ""
        assert names(tmp_path) == []
        assert second.acquire()
        second.release()

    @posix
    def test_it_ends_with_its_process(self, tmp_path: Path) -> None:
        code = """
import sys, time
from textgen import system
assert system.FileLock(sys.argv[1]).acquire()
lock = system.FileLock(sys.argv[1] + "2")
assert lock.acquire()
print("locked", flush=True)
time.sleep(60)
"""
        lock = system.FileLock(tmp_path / "lock2")
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "lock"], cwd=ROOT, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert lock.held
            assert not lock.acquire()
            assert f"process {other.pid} on " in lock.holder
            other.kill()
        assert lock.path.exists()
        assert not lock.held
        assert lock.acquire()
        lock.release()

    @posix
    def test_many_processes_never_share_it(self, tmp_path: Path) -> None:
        (tmp_path / "count").write_text("0")
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_count_up, args=(tmp_path, 60)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert (tmp_path / "count").read_text() == "180"

    @posix
    def test_a_lock_released_while_it_is_opened_is_not_taken_twice(self, tmp_path: Path) -> None:
        holder, second, third = (system.FileLock(tmp_path / "lock") for _ in range(3))
        assert holder.acquire()
        real_open = os.open

        def slow_open(*arguments: Any) -> int:
            descriptor = real_open(*arguments)
            holder.release()
            return descriptor

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", slow_open)
            assert second.acquire()
        assert not third.acquire()
        second.release()

    def test_a_missing_folder_is_an_error_to_take_and_none_to_ask(self, tmp_path: Path) -> None:
        lock = system.FileLock(tmp_path / "missing" / "lock")
        assert not lock.held
        with pytest.raises(FileNotFoundError):
            lock.acquire()

    @posix
    def test_a_disk_without_locks_is_an_error(self, tmp_path: Path, monkeypatch: Any) -> None:
        import fcntl

        def refuse(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        with pytest.raises(OSError, match="No locks available"):
            system.FileLock(tmp_path / "lock").acquire()

    @posix
    @pytest.mark.parametrize("kind", ["link", "dangling link", "link to a device", "pipe", "folder"])
    def test_only_a_regular_file_is_locked(self, tmp_path: Path, kind: str) -> None:
        victim, path = tmp_path / "victim", tmp_path / "lock"
        victim.write_text("precious")
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to({"link": victim, "dangling link": tmp_path / "nowhere"}.get(kind, Path("/dev/null")))
        lock = system.FileLock(path)
        assert not lock.held
        assert lock.holder == ""
        with pytest.raises(OSError) as caught:
            lock.acquire()
        assert system.explain(caught.value) == "lock is a link, a folder or a pipe, not a file. Remove it."
        assert names(tmp_path) == ["lock", "victim"]
        assert victim.read_text() == "precious"

    @posix
    def test_what_becomes_a_link_or_a_pipe_meanwhile_is_not_opened(self, tmp_path: Path) -> None:
        victim, path = tmp_path / "victim", tmp_path / "lock"
        victim.write_text("precious")
        for become in (lambda: path.symlink_to(victim), lambda: os.mkfifo(path)):
            path.write_text("")
            before = path.lstat()
            path.unlink()
            become()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Path, "lstat", lambda path, before=before: before)
                with pytest.raises(OSError):
                    system.FileLock(path).acquire()
            path.unlink()
        assert victim.read_text() == "precious"

    @posix
    def test_a_file_with_a_second_name_is_locked_and_not_written(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("precious")
        os.link(victim, tmp_path / "lock")
        with system.FileLock(tmp_path / "lock") as lock:
            assert system.FileLock(lock.path).held
        assert names(tmp_path) == ["victim"]
        assert victim.read_text() == "precious"

    @posix
    def test_those_who_ask_at_once_do_not_take_each_other_for_the_holder(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        path.write_text("")
        asking = os.open(path, os.O_RDWR)
        lock_module._lock(asking)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "sleep", lambda seconds: os.close(asking))
            assert not system.FileLock(path).held

    @posix
    def test_a_lock_that_cannot_be_written_can_be_asked_about(self, tmp_path: Path, monkeypatch: Any) -> None:
        real_open = os.open

        def read_only(path: Any, flags: int, *mode: int) -> int:
            if flags & os.O_RDWR:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real_open(path, flags, *mode)

        with system.FileLock(tmp_path / "lock"):
            monkeypatch.setattr(os, "open", read_only)
            other = system.FileLock(tmp_path / "lock")
            assert other.held
            with pytest.raises(PermissionError):
                other.acquire()


def _count_up(folder: Path, times: int) -> None:
    lock, count = system.FileLock(folder / "lock"), folder / "count"
    for _ in range(times):
        while not lock.acquire():
            pass
        count.write_text(str(int(count.read_text()) + 1))
        lock.release()


class TestInterruptible:
    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", pytest.param("SIGHUP", marks=posix)])
    def test_the_first_signal_sets_a_flag_and_handlers_are_restored(self, name: str) -> None:
        number = getattr(signal, name)
        before = signal.getsignal(number)
        with system.interruptible() as interruption:
            assert not interruption
            assert interruption.signal is None
            signal.raise_signal(number)
            assert interruption
            assert interruption.signal == number
            assert signal.getsignal(number) == before
        assert signal.getsignal(number) == before

    def test_the_second_ctrl_c_raises_keyboard_interrupt(self) -> None:
        with pytest.raises(KeyboardInterrupt), system.interruptible() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert interruption.requested
            signal.raise_signal(signal.SIGINT)

    def test_handlers_are_restored_after_an_error(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with contextlib.suppress(ValueError), system.interruptible():
            assert signal.getsignal(signal.SIGINT) != before
            raise ValueError
        assert signal.getsignal(signal.SIGINT) == before

    def test_ignored_signals_stay_ignored(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with system.interruptible() as interruption:
                signal.raise_signal(signal.SIGINT)
                assert not interruption
        finally:
            signal.signal(signal.SIGINT, before)

    def test_other_threads_run_it_without_signals(self) -> None:
        seen: list[bool] = []

        def work() -> None:
            with system.interruptible() as interruption:
                seen.append(interruption.requested)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [False]

    @posix
    def test_a_real_process_finishes_first_and_dies_of_the_second(self) -> None:
        code = """
import time
from textgen import system
with system.interruptible() as interruption:
    print("ready", flush=True)
    while not interruption:
        time.sleep(0.01)
    print("saved", flush=True)
    time.sleep(60)
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"saved\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert b"KeyboardInterrupt" in errors
        assert process.returncode == -signal.SIGINT


class TestTerminal:
    @pytest.fixture
    def terminal(self) -> Iterator[Any]:
        pty = pytest.importorskip("pty")
        leader, follower = pty.openpty()
        with os.fdopen(follower, "w") as stream:
            yield stream
        os.close(leader)

    def test_files_pipes_and_missing_streams_are_not_terminals(self, tmp_path: Path) -> None:
        with (tmp_path / "out").open("w") as file:
            assert not system.is_terminal(file)
        assert not system.is_terminal(file)
        assert not system.is_terminal(None)
        assert system.colours(None, environment={"TERM": "xterm-256color"}) == 0

    @posix
    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({"TERM": "xterm-256color"}, 256),
            ({"TERM": "xterm", "COLORTERM": "truecolor"}, 256),
            ({"TERM": "xterm"}, 16),
            ({"TERM": "dumb"}, 0),
            ({"TERM": "unknown"}, 0),
            ({"TERM": "xterm-256color", "NO_COLOR": "1"}, 0),
            ({"TERM": "xterm-256color", "NO_COLOR": ""}, 256),
        ],
    )
    def test_a_terminal_shows_what_its_environment_says(
        self, terminal: Any, environment: dict[str, str], expected: int
    ) -> None:
        assert system.is_terminal(terminal)
        assert system.colours(terminal, environment=environment) == expected

    @posix
    def test_utf8_is_written_in_any_locale(self) -> None:
        code = (
            "import sys; from textgen import system; system.use_utf8(sys.stdout, sys.stderr, None);"
            r"print('\u03a9\u00fc\U0001f30a\ud800')"
        )
        environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        done = run_python(code, env=environment)
        assert (done.returncode, done.stdout) == (0, "Ωü🌊\\ud800\n".encode())

    @posix
    def test_a_closed_pipe_ends_quietly(self) -> None:
        code = """
import sys
from textgen import system
try:
    while True:
        print("text " * 1000)
except OSError as error:
    assert system.is_closed_pipe(error)
    system.abandon_output()
"""
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0

    def test_other_errors_are_not_a_closed_pipe(self) -> None:
        assert not system.is_closed_pipe(OSError(errno.ENOSPC, "No space left on device"))
