"""`python -m transgan` is `transgan`."""

from transgan.cli import main

if __name__ == "__main__":
    main()
