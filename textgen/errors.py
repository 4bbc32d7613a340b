"""The exceptions that textgen raises.

    TextgenError
    +-- ConfigError (also ValueError)      a setting is out of its range
    +-- CorpusError                        a text is missing, empty, too small, binary or not decodable
    +-- UnknownCharacterError              a text holds characters that are not in the vocabulary
    +-- CheckpointError                    a checkpoint is missing, damaged, not by textgen or of another version
    +-- RunError                           a run folder is missing, taken, locked or does not match the corpus
    +-- TrainingError                      training could not continue, or its last state could not be saved
        +-- WorkerLostError                one of several workers that train a run together is no longer there

Every message is one sentence or two: what is wrong, what was expected, what to do.
The command line prints it and exits with 1; scripts catch `TextgenError`.
"""


class TextgenError(Exception):
    """The base class of all errors that textgen raises on purpose."""


class ConfigError(TextgenError, ValueError):
    """A setting is out of its range.

    Args:
        message: the sentence for the user, which begins with the setting's name if it is about one.
        field: the setting's name; the command line writes its option instead.
        others: the names of further settings in the message, for which it writes theirs.
    """

    def __init__(self, message: str, *, field: str = "", others: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.field, self.others = field, others


class CorpusError(TextgenError):
    """A text is missing, empty, too small, binary, or not valid in its encoding."""


class UnknownCharacterError(TextgenError):
    """A text holds characters that are not in the vocabulary.

    Args:
        message: the sentence for the user: what is wrong.
        characters: the distinct unknown characters, in code-point order.
        remedy: what to do, in a sentence that is part of the error's text; the command line writes its own instead.
    """

    def __init__(self, message: str, *, characters: str = "", remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".rstrip())
        self.message, self.characters, self.remedy = message, characters, remedy


class CheckpointError(TextgenError):
    """A checkpoint is missing, damaged, not by textgen, or of another format version."""


class RunError(TextgenError):
    """A run folder is missing, taken, locked, or does not match what was asked for."""


class TrainingError(TextgenError):
    """Training could not continue, or its last state could not be saved."""


class WorkerLostError(TrainingError):
    """One of several workers that train a run together died, left or was cut off.

    Args:
        message: the sentence for the user.
        worker: which one it was; None where that is not known.
    """

    def __init__(self, message: str, *, worker: int | None = None) -> None:
        super().__init__(message)
        self.worker = worker
