"""Every file of a dataset read, and every problem listed."""

from transkd.data.check.scenes import Kind
from transkd.data.check.survey import Finding, SplitSurvey, Survey, survey

__all__ = ["Finding", "Kind", "SplitSurvey", "Survey", "survey"]
