"""The one error that a person sees."""


class SeedbedError(Exception):
    """A bad input or state, told in one line that ends with what to do; exit code 2."""
