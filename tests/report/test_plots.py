"""What the plots draw, read off the figures before they are text."""

import dataclasses

import pytest

from bench.report import drawing
from bench.report.plots import plots
from tests.data.measurements import case, measured, samples
from tests.data.records import CPU_RECORD


@pytest.fixture
def figures(monkeypatch):
    """Draws a record's plots and returns their figures by name."""

    def draw(record):
        made = {}
        monkeypatch.setattr(drawing, "svg", lambda figure, name: made.setdefault(name, figure) and "svg")
        assert not [plot.problem for plot in plots([record]) if plot.problem]
        return made

    return draw


def of(*measurements):
    return dataclasses.replace(CPU_RECORD, measurements=list(measurements), unmeasured=[])


def test_nothing_is_drawn_between_two_points_where_others_were_measured(figures):
    plain = [measured(case(batch=batch), 1e-5 * batch) for batch in (16, 64, 256, 4096)]
    far = [measured(case(batch=batch, precision="bf16"), 2e-5 * batch) for batch in (64, 4096)]
    near = [measured(case(batch=batch, precision="fp16"), 3e-5 * batch) for batch in (64, 256)]
    (axes,) = figures(of(*plain, *far, *near))["steps"].axes
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert styles["cpu bf16"] == "None"
    assert "None" not in (styles["cpu fp32"], styles["cpu fp16"])


def test_whiskers_end_within_the_plot_of_epochs(figures):
    wide = [
        measured(case("epoch", feed=feed), time, samples_seconds=samples(feed, time, 6, 0.4))
        for feed, time in (("resident", 0.5), ("loader", 5.0))
    ]
    (axes,) = figures(of(*wide))["epochs"].axes
    ends = [point for bars in axes.collections for path in bars.get_paths() for point, _ in path.vertices]
    assert max(ends) > 5.0
    assert max(ends) < axes.get_xlim()[1]
