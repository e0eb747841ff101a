"""Where the published files come from: the catalog, downloads, and the files on this disk."""
