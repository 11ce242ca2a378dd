"""Makes the pictures of the app: ``python docs/make_screenshots.py`` writes docs/*.svg.

The home they show is made up, the same every time, so that a picture changes only when the app
does.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "tests" / "tui")]

import gallery  # noqa: E402
import sample_home  # noqa: E402

from diffinv.storage.store import Library  # noqa: E402
from diffinv_tui.app import DiffinvApp  # noqa: E402

WIDE, SMALL = (120, 40), (80, 24)
PICTURES = {
    "welcome": (gallery.welcome, WIDE),
    "library": (gallery.library, WIDE),
    "library-small": (gallery.library, SMALL),
    "table": (gallery.table, WIDE),
    "detail": (gallery.detail, WIDE),
    "new": (gallery.new, WIDE),
    "picker": (gallery.picker, WIDE),
    "jobs": (gallery.jobs, WIDE),
    "results": (gallery.job_results, WIDE),
    "large": (gallery.large, WIDE),
    "apply": (gallery.apply, WIDE),
    "models": (gallery.models, WIDE),
    "plugins": (gallery.plugins, WIDE),
    "settings": (gallery.settings, WIDE),
}


async def shoot(name: str, folder: Path) -> None:
    """One picture, in a home of its own."""
    visit, size = PICTURES[name]
    os.environ["HOME"] = str(folder)
    os.environ["DIFFINV_HOME"] = str(folder / "diffinv")
    os.chdir(folder)
    data, pictures, jobs = folder / "diffinv", folder / "pictures", []
    if name != "welcome":
        sample_home.make(folder)
        jobs = sample_home.sample_jobs(data, pictures)
    app = DiffinvApp(
        library=Library(data / "library"),
        store=sample_home.SampleJobs(data, jobs),
        plugins=sample_home.sample_registry,
        launcher=lambda _store: None,
    )
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await visit(pilot, folder)
        await gallery.settled(pilot)
        svg = app.export_screenshot(title="diffinv-tui")
    svg = re.sub(r"\bterminal-\d+-", f"{name}-", svg)
    (DOCS / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"docs/{name}.svg", file=sys.stderr)


def main() -> None:
    """All of them, or those named."""
    os.environ["COLORTERM"] = "truecolor"
    os.environ.pop("NO_COLOR", None)
    os.environ["HF_HUB_CACHE"] = str(DOCS / "no-cache")  # what is fetched here is not shown
    for name in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(shoot(name, Path(folder)))
            os.chdir(DOCS)


if __name__ == "__main__":
    main()
