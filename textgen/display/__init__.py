"""How things are shown: charts (`plots`), pages of one file (`pages`), and figures in words (`format`).

Plain values go in, text, SVG and HTML come out. The package knows no model and no run.
"""
