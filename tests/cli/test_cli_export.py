"""`textgen export`: where the file goes, what is said, and what is refused."""

from pathlib import Path

import pytest
from front_door import Outcome, judge, run


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checkpoints").symlink_to(home / "checkpoints", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def export(*arguments: str, code: int = 0) -> Outcome:
    return judge(run("export", *arguments), code)


def test_a_page_gets_the_run_s_name_and_what_to_do_is_said_on_standard_error(here: Path) -> None:
    done = export("tiny")
    assert (here / "tiny.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert done.out == ""
    assert done.err == "The page is in tiny.html (0.1 MB); open it in a browser.\n"


def test_output_names_the_file_and_weights_the_numbers_in_it(here: Path) -> None:
    export("tiny", "--to", "html", "-o", "int8.html")
    export("tiny", "--to", "html", "--output", "float32.html", "--weights", "float32")
    assert (here / "int8.html").stat().st_size < (here / "float32.html").stat().st_size


def test_weights_that_a_format_does_not_store_are_refused_in_the_options_words(here: Path) -> None:
    done = export("tiny", "--to", "keras", "--weights", "int8", code=1)
    assert done.err == "Error: --weights must be float32 for keras; got 'int8'.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing argument 'RUN'"),
        (("tiny", "--to", "pdf"), 2, "'pdf' is not one of 'html'"),
        (("tony", "--to", "html"), 1, "tiny"),
        (("tiny", "--to", "html", "-o", "no/page.html"), 1, "Error: no/page.html: there is no such file or folder"),
    ],
)
def test_what_cannot_be_is_refused_and_writes_nothing(
    here: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in export(*arguments, code=code).err
    assert [path.name for path in here.iterdir()] == ["checkpoints"]
