"""The errors a user can cause, each with the exit code the command line gives it."""


class MinillmError(Exception):
    """Something failed that the user can do something about. One line, no traceback."""

    exit_code = 1


class UsageError(MinillmError, ValueError):
    """An option, an argument or a setting does not make sense."""

    exit_code = 2


class DataError(MinillmError):
    """A file is missing, damaged, or does not hold what was asked of it."""

    exit_code = 3


class DeviceError(MinillmError):
    """The device is not there, cannot be used, or has too little memory."""

    exit_code = 4


class DivergedError(MinillmError):
    """The loss or a gradient stopped being a finite number.

    `step` counts from 1; `figures` are what it came to, by name.
    """

    exit_code = 5

    def __init__(self, message: str, step: int = 0, figures: dict | None = None):
        super().__init__(message)
        self.step = step
        self.figures = figures or {}


class Interrupted(MinillmError):
    """Stopped by Ctrl-C (130) or a request to terminate (143), its work saved."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code
