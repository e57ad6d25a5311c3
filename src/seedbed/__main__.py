"""`seedbed` and `python -m seedbed`."""

import sys


def main() -> None:
    """Run the command line; who interrupts it while it is read gets a line, no traceback."""
    try:
        from seedbed.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("seedbed: interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
