"""A record whose keys are attributes too: `record.results.val_loss`.

It is a dictionary all the same: `record["results"]`, `json.dumps(record)`, `==`.
"""

WIDTH, LINES = 88, 32  # that a record takes on the screen


class Keyed(dict):
    """A dictionary with attributes, and so are the dictionaries that it holds.

    A key that is no name, or that dictionaries have a method of, is an item only.
    """

    def __init__(self, record=(), **more):
        found = dict(record, **more)
        super().__init__({key: _keyed(value) for key, value in found.items()})

    def __getattr__(self, name: str):
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self))
            raise AttributeError(
                f"no {name!r} in this record, which has: {known}"
            ) from None

    def __setattr__(self, name: str, value) -> None:
        self[name] = value

    def __dir__(self) -> list[str]:
        names = (key for key in self if isinstance(key, str) and key.isidentifier())
        return sorted({*super().__dir__(), *names})

    def __repr__(self) -> str:
        """As a dictionary's, but a long one has a line for each key, which is cut."""
        whole = repr(_plain(self))
        if len(whole) <= 4 * WIDTH:
            return whole
        lines = [f"{key!r}: {_plain(value)!r}" for key, value in self.items()]
        if len(lines) > LINES:
            lines[LINES - 1 :] = [f"… and {len(lines) - LINES + 1} more keys"]
        room = WIDTH - 2
        lines = [x if len(x) <= room else f"{x[: room - 1]}…" for x in lines]
        return "{" + ",\n ".join(lines) + "}"


def _keyed(value):
    if isinstance(value, dict):
        return value if isinstance(value, Keyed) else Keyed(value)
    if isinstance(value, list):
        return [_keyed(one) for one in value]
    return value


def _plain(value):
    """The same of dictionaries that are no more than that."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
