"""Archives as readers see them: members of zips, tars and folders, checked before they are read."""
