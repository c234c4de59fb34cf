"""Datasets from their servers: fetched over HTTP, unpacked, checked and moved to their folder."""

from transkd.data.download.datasets import RECIPES, DownloadReport, Recipe, download_dataset
from transkd.data.download.fetch import RemoteFile
from transkd.data.download.unpack import Silent, Watcher

__all__ = ["RECIPES", "DownloadReport", "Recipe", "RemoteFile", "Silent", "Watcher", "download_dataset"]
