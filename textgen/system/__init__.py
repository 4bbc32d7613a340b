"""Hides the differences between Linux, macOS and Windows.

Atomic file writes, flushes to disk, file locks, signal handling, terminal capabilities, cores and memory.
"""

from textgen.system.descriptors import allow_descriptors
from textgen.system.files import (
    PathLike,
    atomic_path,
    atomic_write,
    explain,
    flush_folder,
    flush_to_disk,
    open_regular,
    path_list,
    remove_leftovers,
)
from textgen.system.folders import downloads_folder
from textgen.system.lock import FileLock
from textgen.system.memory import give_back_memory, physical_memory
from textgen.system.processor import cores, whole_cores
from textgen.system.signals import Interruption, ending, interruptible
from textgen.system.stops import asked_to_stop, continued, counting_stops, stop_job, stopped
from textgen.system.terminal import (
    abandon_output,
    can_show,
    colours,
    is_closed_pipe,
    is_dumb,
    is_terminal,
    use_utf8,
    width,
)

__all__ = [
    "FileLock",
    "Interruption",
    "PathLike",
    "abandon_output",
    "allow_descriptors",
    "asked_to_stop",
    "atomic_path",
    "atomic_write",
    "can_show",
    "colours",
    "continued",
    "cores",
    "counting_stops",
    "downloads_folder",
    "ending",
    "explain",
    "flush_folder",
    "flush_to_disk",
    "give_back_memory",
    "interruptible",
    "is_closed_pipe",
    "is_dumb",
    "is_terminal",
    "open_regular",
    "path_list",
    "physical_memory",
    "remove_leftovers",
    "stop_job",
    "stopped",
    "use_utf8",
    "whole_cores",
    "width",
]
