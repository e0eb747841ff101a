"""What every package uses: atomic files, log messages and progress, named random numbers, units, image grids."""
