"""The pictures of the documentation: ``make screenshots`` makes them anew, in ``docs/images``."""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.reports.html import render
from tests.page.conftest import start_browser
from tests.reports.cohorts import BEGAN, failed, page_of, record

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"cohort-report": (1200, 1000), "cohort-report-phone": (500, 900)}


def cohort() -> Iterator[dict[str, Any]]:
    """Make 500 samples in waves of 100 at a time: 15 failed for two causes, a few took long."""
    chance = random.Random(8)
    for number in range(500):
        started = BEGAN + timedelta(minutes=8 + 310 * (number // 100) + chance.random() * 20)
        minutes = chance.gauss(300, 14) * (1.6 if number % 149 == 9 else 1)
        row = {"population": chance.choice(["GBR", "FIN", "YRI"])}
        of: dict[str, Any] = {"run_setting_id": f"NA{12_000 + number}", "row": row}
        if number % 33 == 5:
            out_of_memory = number % 2
            of["cause"] = "OUT_OF_MEMORY_ERROR in ALIGN" if out_of_memory else "INPUT_URI_NOT_FOUND"
            of["message"] = "exit 137" if out_of_memory else f"The input s3://reads/{number}.fastq.gz was not found."
            minutes *= 0.5 if out_of_memory else 0.05
        times = {
            "started_at": started.isoformat(),
            "stopped_at": (started + timedelta(minutes=minutes)).isoformat(),
        }
        yield (failed if "cause" in of else record)(number, **of, **times)


def main() -> None:
    """Make the pictures."""
    html = render(page_of(cohort(), title="germline / scheduled__2026-06-22T12:00:00+00:00 / cohort"))
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html, encoding="utf-8")
        chrome = start_browser(Path(folder) / "profile", "--hide-scrollbars")
        try:
            for name, (width, height) in SIZES.items():
                chrome.set_window_size(width, height)
                chrome.get(page.as_uri())
                chrome.save_screenshot(str(IMAGES / f"{name}.png"))
        finally:
            chrome.quit()


if __name__ == "__main__":
    main()
