"""Every file of a dataset read, and what was found told."""

from transkd.data.check.split_survey import Finding, Kind, SplitSurvey
from transkd.data.check.survey import Survey, survey

__all__ = ["Finding", "Kind", "SplitSurvey", "Survey", "survey"]
