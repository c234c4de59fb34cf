"""Datasets that can be downloaded without an account: addresses, checksums, and how they get to their folder."""

from transkd.data.download.dataset import DownloadReport, download_dataset
from transkd.data.download.fetching import RemoteFile
from transkd.data.download.recipes import RECIPES, Recipe
from transkd.data.download.unpacking import Silent, Watcher

__all__ = ["RECIPES", "DownloadReport", "Recipe", "RemoteFile", "Silent", "Watcher", "download_dataset"]
