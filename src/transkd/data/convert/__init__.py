"""Published archives to the folders that the datasets are read from."""

from transkd.data.convert.nyuv2 import ConvertReport, convert_nyuv2

__all__ = ["ConvertReport", "convert_nyuv2"]
