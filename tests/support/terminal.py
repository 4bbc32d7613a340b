"""A terminal to look at: it understands line breaks, carriage returns and colours, and nothing else."""

import io
import re


class Terminal(io.StringIO):
    """Keeps the lines that a user would see, without colours and blanks at their ends."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        lines = [""]
        column = 0
        for token in re.findall(r"\x1b\[[0-9;]*[a-zA-Z]|\x1b\[A|[\s\S]", self.getvalue()):
            if token == "\n":
                lines.append("")
                column = 0
            elif token == "\r":
                column = 0
            elif token == "\x1b[A":
                raise AssertionError("the cursor went up")
            elif len(token) == 1:
                line = lines[-1].ljust(column)
                lines[-1] = line[:column] + token + line[column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]
