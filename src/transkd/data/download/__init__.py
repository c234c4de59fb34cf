"""Datasets that can be had without an account: from where, with which checksums, and how they get to their folder."""

from transkd.data.download.downloading import DownloadReport, download_dataset
from transkd.data.download.recipes import RECIPES, Recipe, RemoteFile
from transkd.data.download.unpacking import Silent, Watcher

__all__ = ["RECIPES", "DownloadReport", "Recipe", "RemoteFile", "Silent", "Watcher", "download_dataset"]
