"""The editor of `textgen complete` on a real terminal: signals, job control, another size, and where the text goes."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

PROGRAM = """
import fcntl, os, sys, termios
if os.getsid(0) == os.getpid():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[0] = "textgen"
import textgen.cli.reading
from test_editor import Storyteller
class Endless(Storyteller):
    def stream(self, prompt, **_):
        import time
        yield " is"
        time.sleep(0.2)
        while True:
            yield "."
            time.sleep(0.05)
textgen.cli.reading.load_writer = lambda *_: (Endless(), "story")
from textgen.cli import main
main()
"""


class Pty:
    """A terminal of 60 by 10 with a program on it."""

    def __init__(self, command: list[str], folder: Path) -> None:
        here = Path(__file__).parent
        paths = os.pathsep.join(map(str, (here, here.parent / "support", here.parents[1])))
        environment = {**os.environ, "PYTHONPATH": paths, "TERM": "xterm-256color", "PS1": "$ "}
        self.leader, follower = os.openpty()
        self.sent = b""
        self.screen = pyte.Screen(60, 10)
        self._stream = pyte.ByteStream(self.screen)
        self.resize(60, 10)
        self.before = termios.tcgetattr(self.leader)
        self.story = folder / "story.txt"
        with self.story.open("wb") as story:
            self.process = subprocess.Popen(
                command, stdin=follower, stdout=story, stderr=follower, env=environment, cwd=folder,
                start_new_session=True,
            )  # fmt: skip
        os.close(follower)

    def press(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def see(self, *wanted: str) -> None:
        """Waits until the screen shows all of some texts."""
        self.wait(lambda: all(each in self.shown for each in wanted), wanted)

    def wait(self, until: Callable[[], bool], wanted: object) -> None:
        end = time.monotonic() + 60
        while not until():
            assert time.monotonic() < end, f"{wanted} never came; the screen shows\n{self.shown}"
            self.read()

    def read(self) -> None:
        with contextlib.suppress(OSError):
            if select.select([self.leader], [], [], 0.05)[0]:
                data = os.read(self.leader, 1 << 16)
                self.sent += data
                self._stream.feed(data)

    @property
    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ended(self) -> int:
        """The exit code, once the program has ended."""
        self.wait(lambda: self.process.poll() is not None, "the end")
        return self.process.returncode


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Pty]:
    made = Pty([sys.executable, "-c", PROGRAM, "complete"], tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    with contextlib.suppress(OSError):
        os.close(made.leader)


def test_the_text_goes_to_standard_output_and_stays_on_the_terminal(terminal: Pty) -> None:
    terminal.see("Tab word")
    terminal.press("the se\t")
    terminal.see("the sea\n")
    terminal.press("\x04")
    assert terminal.ended() == 0
    terminal.see("the sea\n")
    assert b"\x1b[?1049l" in terminal.sent
    assert terminal.story.read_text() == "the sea\n"
    assert termios.tcgetattr(terminal.leader) == terminal.before


@pytest.mark.parametrize(
    ("end", "code"),
    [("\x03", 130), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), ("hang up", 129)],
)
@pytest.mark.parametrize("writing", [False, True], ids=["idle", "writing"])
def test_what_ends_the_editor_keeps_the_text(
    terminal: Pty, end: str | signal.Signals, code: int, writing: bool
) -> None:
    terminal.see("Tab word")
    terminal.press("the se")
    terminal.see("the sea\n")
    if writing:
        terminal.press("\x0c")
        terminal.see("the se is")
        if code == 130:
            terminal.press("\x03")
            terminal.see("Tab word")
    if end == "hang up":
        os.close(terminal.leader)
        assert terminal.process.wait(60) == code
    else:
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.ended() == code
        assert termios.tcgetattr(terminal.leader) == terminal.before
        assert "Traceback" not in terminal.shown
    assert terminal.story.read_text().rstrip(".\n") == ("the se is" if writing else "the se")


def test_another_size_is_followed(terminal: Pty) -> None:
    terminal.see("Tab word")
    terminal.press("abcdefghijklmnopqrstuvwxyz")
    terminal.see("abcdefghijklmnopqrstuvwxyz\n")
    terminal.resize(20, 6)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.see("abcdefghijklmnopqrst\nuvwxyz\n")
    terminal.press("\x04")
    assert terminal.ended() == 0


def test_a_stop_that_nobody_prepared_gives_the_terminal_back_when_it_is_over(terminal: Pty) -> None:
    terminal.see("Tab word")
    terminal.press("the se")
    terminal.see("the sea\n")
    raw = termios.tcgetattr(terminal.leader)
    assert raw != terminal.before
    terminal.process.send_signal(signal.SIGSTOP)
    os.waitpid(terminal.process.pid, os.WUNTRACED)
    # What a shell does to the terminal meanwhile.
    termios.tcsetattr(terminal.leader, termios.TCSANOW, terminal.before)
    terminal.screen.reset()
    terminal.screen.draw("other output")
    terminal.process.send_signal(signal.SIGCONT)
    terminal.see("the sea\n", "Tab word")
    assert "other output" not in terminal.shown
    assert termios.tcgetattr(terminal.leader) == raw
    terminal.press("\tx")
    terminal.see("the seax")
    terminal.press("\x04")
    assert terminal.ended() == 0
    assert termios.tcgetattr(terminal.leader) == terminal.before
    assert terminal.story.read_text() == "the seax\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="job control needs bash")
def test_ctrl_z_stops_the_editor_and_fg_brings_it_back(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    # A shell that leads a session on a terminal: only there can a job be stopped.
    take = "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.dup2(2, 1)"
    shell = f"{take}; os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])"
    terminal = Pty([sys.executable, "-c", shell], tmp_path)
    try:
        terminal.see("$")
        terminal.press(f"{sys.executable} program.py complete > told.txt; echo code $?\r")
        terminal.see("Tab word")
        terminal.press("the se")
        terminal.see("the sea\n")
        terminal.press("\x1a")
        terminal.see("Stopped")
        terminal.press("echo typed $((20 + 3))\r")
        terminal.see("typed 23")
        terminal.press("fg\r")
        terminal.see("the sea\n", "Tab word")
        # A signal from elsewhere stops it in the same way.
        terminal.press("\x1a")
        terminal.see("Stopped")
        terminal.press("echo pid $(jobs -p)\r")
        terminal.wait(lambda: re.search(r"^pid (\d+)", terminal.shown, re.MULTILINE), "the job's number")
        process = int(re.search(r"^pid (\d+)", terminal.shown, re.MULTILINE)[1])
        terminal.press("fg\r")
        terminal.see("the sea\n", "Tab word")
        os.kill(process, signal.SIGTSTP)
        terminal.see("Stopped")
        terminal.press("echo typed $((20 + 5))\r")
        terminal.see("typed 25")
        terminal.press("fg\r")
        terminal.see("the sea\n", "Tab word")
        # One that cannot be prepared leaves the screen to the shell as it is.
        os.kill(process, signal.SIGSTOP)
        terminal.see("Stopped")
        terminal.press("echo typed $((20 + 6))\r")
        terminal.see("typed 26")
        terminal.press("fg\r")
        terminal.see("the sea\n", "Tab word")
        terminal.wait(lambda: "typed" not in terminal.shown, "a screen of its own")
        terminal.press("\tx")
        terminal.see("the seax")
        terminal.press("\x04")
        terminal.wait(lambda: (tmp_path / "told.txt").read_text() == "the seax\n", "the text")
        terminal.press("echo typed $((20 + 4))\r")
        terminal.see("typed 24")
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.leader)
