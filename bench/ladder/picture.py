"""The ladder's picture: a bar per step, seconds on a logarithmic axis, the roofline bound as a line."""

from __future__ import annotations

from typing import Any

from bench.analyse.ladder import Ladder
from bench.errors import reason_of
from bench.ladder.show import CAPTION
from bench.profile.plain import plain_texts
from bench.report import units
from bench.report.plot import INK, SERIES, SOFT, Plot


def picture(ladder: Ladder) -> Plot | None:
    """The picture, or why it could not be drawn, which costs nothing else; None where nothing was measured."""
    ladder = plain_texts(ladder)
    name = f"ladder-{ladder.device}"
    if not any(step.seconds for step in ladder.steps):
        return None
    try:
        return Plot(name, CAPTION, _svg(ladder, name))
    except Exception as error:
        return Plot(name, CAPTION, "", f"it could not be drawn: {reason_of(error)}")


def _svg(ladder: Ladder, name: str) -> str:
    from bench.report import drawing  # here, since matplotlib may not be importable

    climbed = [step for step in ladder.steps if step.median is not None]
    with drawing.rc():
        figure, axes = drawing.figure(0.42 * len(climbed) + 1.0)
        places = range(len(climbed), 0, -1)
        medians: list[Any] = [step.median for step in climbed]
        colours = [SERIES[1] if step.is_peer else SERIES[0] for step in climbed]
        axes.barh(list(places), medians, color=colours, height=0.62)
        for place, median in zip(places, medians, strict=True):
            axes.annotate(units.duration(median), (median, place), (4, 0), textcoords="offset points", va="center")
        if bound := ladder.roofline_seconds:
            axes.axvline(bound, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate("roofline bound", (bound, len(climbed) + 0.55), ha="center", color=SOFT)
        axes.set_ylim(0.4, len(climbed) + 0.95)
        axes.set_xscale("log")
        axes.set_xlim(min([bound or medians[0], *medians]) / 2, max(medians) * 4)
        axes.set_yticks(list(places), [step.name for step in climbed])
        axes.xaxis.set_major_formatter(drawing.FuncFormatter(lambda value, _: units.round_duration(value)))
        axes.set_xlabel("time per epoch")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return drawing.svg(figure, name)
