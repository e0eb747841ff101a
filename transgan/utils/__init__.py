"""What every package uses: files written atomically, lines for a person, random numbers by name, grids of images."""
