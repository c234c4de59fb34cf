"""Students out: files that other programs run, each compared with its source."""

from transkd.export.exporting import ExportReport, export_segmenter
from transkd.export.options import ExportOptions

__all__ = ["ExportOptions", "ExportReport", "export_segmenter"]
