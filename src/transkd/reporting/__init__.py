"""Reports over many runs: those that compare are gathered into a table, and a mix is refused."""

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.reporting.build import Report, ReportOptions, build_report, report
    from transkd.reporting.collect import collect_runs
    from transkd.reporting.files import draw_plot, report_files

__all__ = ["Report", "ReportOptions", "build_report", "collect_runs", "draw_plot", "report", "report_files"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "build": ["Report", "ReportOptions", "build_report", "report"],
        "collect": ["collect_runs"],
        "files": ["draw_plot", "report_files"],
    },
)
