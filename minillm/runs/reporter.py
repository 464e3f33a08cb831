"""Reporter: it is told how a run is going."""


class Silent:
    """A reporter that says nothing: the methods a reporter has."""

    def start(self, record: dict) -> None:
        """The record as far as it is known before the first step."""

    def step(self, line: dict) -> None:
        """A line of metrics.jsonl."""

    def evaluated(self, step: int, result: dict) -> None:
        """The figures of an evaluation."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def finish(self, record: dict) -> None:
        """The whole record."""

    def close(self) -> None:
        """No more will come: the run is over, or an error ended it."""
