"""`python -m transgan`, and the script `transgan`: the command line, with signals handled while it is imported."""

from typing import NoReturn

from transgan.utils.exit_codes import one_line_exit
from transgan.utils.secrets import mask_streams


def main() -> NoReturn:
    """Run the command line and exit."""
    mask_streams()
    with one_line_exit():
        from transgan import cli

        cli.main()


if __name__ == "__main__":
    main()
