"""What the package shows, and what it leaves out."""

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp

import textgen
from textgen import errors


def test_the_exported_names_are_sorted_and_all_there() -> None:
    assert textgen.__all__ == sorted(textgen.__all__)
    for name in textgen.__all__:
        assert getattr(textgen, name) is not None
    assert dir(textgen) == textgen.__all__


def test_every_error_is_exported() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert kinds <= set(textgen.__all__)
    assert all(issubclass(getattr(errors, name), textgen.TextgenError) for name in kinds)


def test_the_package_is_marked_as_typed() -> None:
    assert (Path(textgen.__file__).parent / "py.typed").is_file()


def test_every_module_says_what_it_is_for() -> None:
    for module in pkgutil.walk_packages(textgen.__path__, "textgen."):
        if module.name != "textgen.__main__":
            assert importlib.import_module(module.name).__doc__, module.name


def test_importing_the_package_brings_in_neither_tensorflow_nor_keras() -> None:
    program = (
        "import sys, textgen; textgen.load; textgen.CharTokenizer; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_distribution_has_its_own_name_and_the_command_keeps_its() -> None:
    path = Path(textgen.__file__).parent.parent / "pyproject.toml"
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    assert values["project"]["name"] == "textgen-chars"
    assert values["project"]["scripts"] == {"textgen": "textgen.__main__:program"}


def test_no_module_imports_the_package_s_face() -> None:
    """The face imports from the rooms; a room that imported it would depend on all of them."""
    assert grimp.build_graph("textgen", cache_dir=None).find_modules_that_directly_import("textgen") == set()


def test_the_distribution_takes_its_version_from_where_the_package_does() -> None:
    root = Path(textgen.__file__).parent.parent
    values = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (root / values["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8").splitlines()
    assert f'VERSION = "{textgen.__version__}"' in lines
