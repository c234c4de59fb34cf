"""Published archives to the folders that the datasets are read from."""

from transkd.data.convert.nyuv2 import convert_nyuv2
from transkd.data.convert.writing import ConvertReport

__all__ = ["ConvertReport", "convert_nyuv2"]
