"""Rewrites lines with a run on pairs, each in several ways with their probabilities.

    python examples/text-to-text/alternatives.py checkpoints/modern_spelling < letters.txt

TensorFlow is not needed.
"""

import argparse
import sys

import textgen


def main() -> None:
    """Writes each line of standard input, and below it what the run makes of it, the best first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run's name or folder, or a .keras file")
    parser.add_argument("--count", type=int, default=3, help="alternatives for each line")
    given = parser.parse_args()
    rewriter = textgen.load_rewriter(given.run)
    lines = (line.rstrip("\n") for line in sys.stdin)
    # Many lines are written at once; characters that the run never saw are copied where it looks at them.
    for found in rewriter.stream(lines, count=given.count, copy_unknown=True):
        print(found[0].source)
        for each in found:
            print(f"  {each.probability:.3f}  {each.text}")


if __name__ == "__main__":
    main()
