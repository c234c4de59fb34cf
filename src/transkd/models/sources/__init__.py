"""Where segmenters come from: folders, files and the hub, recognised by what they hold."""
