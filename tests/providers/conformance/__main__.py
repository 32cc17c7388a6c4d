"""Writes docs/providers/conformance.md and figures.md from the files that the tests left: see bin/conformance."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.providers.conformance import capabilities, figures, table

DOCS = Path(__file__).parents[3] / "docs" / "providers"
FIGURES_TITLE = "# Figures of the providers\n\nMade by `bin/conformance --figures`; do not edit.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("found", type=Path, help="the file that the tests wrote (JSON)")
    parser.add_argument("--figures", action="store_true", help="write the figures instead of the promises")
    arguments = parser.parse_args()
    found = json.loads(arguments.found.read_text(encoding="utf-8"))
    if arguments.figures:
        (DOCS / "figures.md").write_text(FIGURES_TITLE + figures.table(found["figures"]), encoding="utf-8")
    else:
        (DOCS / "conformance.md").write_text(table.page(found["promises"]), encoding="utf-8")
    readme = DOCS / "README.md"
    readme.write_text(capabilities.renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
