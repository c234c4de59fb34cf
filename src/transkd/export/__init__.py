"""Students out: files that other programs run, each compared with its source."""

from transkd.export.exporting import ExportOptions, ExportReport, export_segmenter

__all__ = ["ExportOptions", "ExportReport", "export_segmenter"]
