"""Output for people: charts (`plots`), self-contained HTML pages (`pages`), number formats and tables (`format`).

The package takes plain values and returns text, SVG and HTML.
"""
