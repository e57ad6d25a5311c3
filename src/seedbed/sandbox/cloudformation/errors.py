"""What goes wrong in a template or a stack, with CloudFormation's own code."""

from __future__ import annotations


class StackError(Exception):
    """A refused request; `code` is CloudFormation's error code on the wire."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ResourceError(Exception):
    """A resource that could not be made, changed or removed.

    `ambiguous` says that the call may have taken effect all the same (a 5xx, a timeout).
    """

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.ambiguous = ambiguous


def refused(what: str) -> StackError:
    """Return the error for a feature that the sandbox does not have."""
    return StackError(f"{what} is not emulated by the sandbox", "NotImplementedInSandbox")
