"""Every file of a dataset read, and what was found told."""

from transkd.data.check.findings import Finding, Kind
from transkd.data.check.split_survey import SplitSurvey
from transkd.data.check.survey import Survey, survey

__all__ = ["Finding", "Kind", "SplitSurvey", "Survey", "survey"]
