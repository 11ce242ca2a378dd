"""A run as one page of HTML: the table, and every triplet with each method's answer."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING

from jinja2 import Environment

from ..errors import DiffinvError
from ..pictures.reading import open_image
from .tables import Table, cell, shown_scores

if TYPE_CHECKING:
    from PIL.Image import Image

    from .runs import Run

_SIDE = 160

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{{ title }}</title><style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .7rem;text-align:left}
tr+tr{border-top:1px solid #ddd}td{font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto}.row{display:flex;gap:.6rem;overflow-x:auto;margin:.4rem 0 1.2rem}
figure{margin:0;flex:none;width:{{ side }}px}img{width:100%;border-radius:4px;display:block}
figcaption{font-size:.8rem;color:#555;overflow-wrap:anywhere}h3{font-size:.95rem;margin:.8rem 0 0}
@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}tr+tr{border-color:#333}
figcaption{color:#aaa}}</style>
<h1>{{ title }}</h1><p>{{ subtitle }}</p>
<div class="scroll"><table><tr><th>method</th>{% for s in scores %}<th>{{ s }}</th>{% endfor %}</tr>
{% for name, cells in rows %}<tr><td>{{ name }}</td>{% for c in cells %}<td>{{ c }}</td>{% endfor %}
</tr>{% endfor %}</table></div>
<p>Mean and 95 % interval. * differs from difference-inversion by more than chance (paired test,
corrected for the number of methods, p &lt; .05).</p>
{% if faults %}<h2>Left out</h2>
<ul>{% for f in faults %}<li>{{ f }}</li>{% endfor %}</ul>{% endif %}
<h2>Pictures</h2>
{% for id, note, figures in grids %}<h3>{{ id }}</h3>{{ note }}<div class="row">
{% for name, source, why in figures %}<figure>{% if source %}<img src="{{ source }}"
alt="{{ name }}">{% endif %}<figcaption>{{ name }}{% if why %}: {{ why }}{% endif %}</figcaption>
</figure>{% endfor %}</div>{% endfor %}</html>
"""


def page_of(run: Run, table: Table, title: str, at_most: int = 60) -> str:
    """The page, with the pictures of the first ``at_most`` triplets in it."""
    scores = shown_scores(table)
    rows = [(c, [cell(table, c, s) for s in scores]) for c in table["columns"]]
    errors = [
        f"{c} on {t}: {why}"
        for c, of in table["columns"].items()
        for t, why in of["errors"].items()
    ]
    grids = [_grid(run, i) for i in range(min(at_most, len(run.data.entries)))]
    page = Environment(autoescape=True).from_string(_PAGE)
    return page.render(
        title=title,
        subtitle=f"{len(run.data.entries)} triplets of {run.data.name}, seed {run.seed}",
        scores=scores,
        rows=rows,
        faults=[*run.data.faults, *errors],
        grids=grids,
        side=_SIDE,
    )


def _grid(run: Run, index: int) -> tuple[str, str, list[tuple[str, str, str]]]:
    entry = run.data.entries[index]
    try:
        triplet = entry.open()
    except DiffinvError as error:
        return entry.id, str(error), []
    figures = [("A", data_uri(triplet.a), ""), ("A′", data_uri(triplet.a_prime), "")]
    figures.append(("B", data_uri(triplet.b), ""))
    for column in run.columns:
        place = run.picture_of(column.name, entry.id)
        answer = run.answers.get((column.name, entry.id))
        why = (answer.error or "") if answer else "not made yet"
        source = data_uri(open_image(place)) if place.is_file() and not why else ""
        figures.append((column.name, source, why))
    if triplet.b_prime is not None:
        figures.append(("true B′", data_uri(triplet.b_prime), ""))
    return entry.id, triplet.instruction, figures


def data_uri(image: Image, side: int = 2 * _SIDE) -> str:
    """A picture as a data URI, its longer side at most ``side`` pixels."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
