"""Where a version's report and pictures lie in its directory: written after training, read by serving."""

from __future__ import annotations

REPORT_FILE = "report.html"
PLOT_FOLDER = "plots"
INDEX_FILE = "index.json"
"""In the folder of the pictures: the name and title of each, in the order in which they are to be seen."""
