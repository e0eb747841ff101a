"""Where datasets come from: the catalog of published files, downloads, and the verified files on this machine."""
