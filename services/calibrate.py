"""``consentry packs calibrate``: an operator's own pictures say which similarity means what."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.table import Table

from pipeline import plugins
from pipeline.errors import Invalid
from pipeline.packs import _install as packs
from pipeline.packs._manifest import Calibration, Threshold
from services.packs import home

if TYPE_CHECKING:
    from pipeline.packs._model import PackModel
    from services.bench._rates import Roc
    from services.bench.faces import Pairs

out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)

LEAST = 1e-6
RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
SEEN = 10
"""A rate is believed from so many false accepts on: fewer are luck."""


def calibrate(
    name: str,
    pairs: Annotated[Path, typer.Option(help="Lines path_a,path_b,same (1 or 0).")],
    root: Annotated[Path, typer.Option(help="The folder that the paths are under.")] = Path(),
    review_at: Annotated[
        float, typer.Option(min=LEAST, max=0.5, help="False-accept rate to review from.")
    ] = 1e-4,
    strong_at: Annotated[
        float, typer.Option(min=LEAST, max=0.5, help="False-accept rate that counts as strong.")
    ] = 1e-5,
) -> None:
    """Measure an installed pack on your own pairs of pictures and keep what they say.

    A calibration that is there is not replaced by one that may be wrong more often than you ask.
    """
    from services.bench._rates import roc
    from services.bench.faces import read_pairs, similarities, templates_of

    model = cast("PackModel", plugins.build("packs", name, home()))
    compared = read_pairs(pairs)
    templates = templates_of(model, compared.pictures, root, _said)
    said = similarities(compared, templates)
    curve = roc(said[compared.same], said[~compared.same])
    found = calibration_of(curve, compared, pairs.name, review_at, strong_at)
    there = model.manifest.calibration
    if there is not None and found.review_at > review_at:
        raise Invalid(
            f"{pairs.name} can vouch for a rate of {found.review_at:g} at best, and the pack is"
            f" calibrated for {there.review_at:g}: nothing was changed. Compare more pairs of two"
            f" people ({SEEN / review_at:,.0f} for {review_at:g}), or ask for less with"
            f" --review-at {found.review_at:g} --strong-at {found.review_at:g}"
        )
    packs.recalibrate(name, home(), found)
    table = Table("false-accept rate", "similarity", "same pairs accepted", "")
    for one in found.thresholds:
        means = (("review", found.review_at), ("strong", found.strong_at))
        table.add_row(
            f"{one.false_accept_rate:g}", f"{one.similarity:.3f}",
            f"{curve.at(one.false_accept_rate)[1]:.1%}",
            " and ".join(word for word, rate in means if rate == one.false_accept_rate),
        )  # fmt: skip
    out.print(table)
    if review_at < found.review_at or strong_at < found.strong_at:
        out.print(
            "[yellow]There are too few pairs of strangers for the rates asked for; what is kept is"
            f" the strictest that {SEEN} of them can vouch for.[/]"
        )


def calibration_of(
    curve: Roc, pairs: Pairs, dataset: str, review_at: float, strong_at: float
) -> Calibration:
    """What a curve says, at the rates that its pairs of strangers can vouch for.

    Raises ``Invalid`` when they cannot vouch for any.
    """
    different = int((~pairs.same).sum())
    thresholds = list(_rising(curve, different))
    if not thresholds:
        raise Invalid(
            f"{different:,} pairs of two people cannot vouch for a rate of {RATES[0]:g}; at least"
            f" {SEEN / RATES[0]:,.0f} are needed"
        )
    rates = [one.false_accept_rate for one in thresholds]
    review = min((rate for rate in rates if rate >= review_at), default=rates[-1])
    strong = min((rate for rate in rates if rate >= strong_at), default=rates[-1])
    return Calibration(
        dataset=f"the operator's own {dataset}",
        pairs=f"{int(pairs.same.sum()):,} of the same person, {different:,} of different people",
        thresholds=tuple(thresholds),
        review_at=review,
        strong_at=min(strong, review),
    )


def _rising(curve: Roc, different: int) -> Iterable[Threshold]:
    last = -math.inf
    for rate in RATES:
        similarity, _ = curve.at(rate)
        if different * rate < SEEN or not math.isfinite(similarity) or similarity <= last:
            continue
        last = similarity
        yield Threshold(false_accept_rate=rate, similarity=min(1.0, max(-1.0, similarity)))


def _said(what: str) -> None:
    err.print(what, style="dim", highlight=False)
