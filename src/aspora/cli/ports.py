"""Port numbers as words of a command line."""

import argparse


def port(text: str) -> int:
    """A port, or 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a whole number from 0 to 65535")
    return int(text)
