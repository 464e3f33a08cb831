"""Download: the files of a repository of the Hugging Face Hub that an import reads.

The library `huggingface_hub` fetches them into its own cache, and takes what lies there
where it may not, or cannot, ask (HF_HUB_OFFLINE=1). A pickled file is never fetched.
"""

from pathlib import Path

from minillm.errors import DataError, UsageError, install
from minillm.hub.sentence import MODULES, files_of_modules
from minillm.hub.shards import INDEX, WEIGHTS, files_of_index, refuse_pickled
from minillm.json_files import read_object
from minillm.reading import SETTINGS

PREFIX = "hf:"
# Beside the weights: the tokenizer, and which of its tokens end a text.
TOKENS = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


def is_remote(folder: str | Path) -> bool:
    """Whether a folder is named as one of the Hub."""
    return str(folder).startswith(PREFIX)


def download(name: str, note=None) -> Path:
    """The folder in the cache of a repository that is named hf:OWNER/NAME, or
    hf:OWNER/NAME@REVISION, with all that an import reads. `note(text)` hears what the
    cache cannot tell.

    Raises UsageError without the extra `hub` and for a name that is none, DataError for
    what cannot be had.
    """
    repository = Repository(name, note)
    config = repository.file("config.json", needed=True)
    folder = config.parent
    repository.settle(folder.name)
    for file in TOKENS:
        repository.file(file)
    if not repository.file(WEIGHTS):
        if not (index := repository.file(INDEX)):
            refuse_pickled(name, repository.files())
            raise DataError(f"{name}: there is no {WEIGHTS} in it")
        for file in files_of_index(index):
            repository.file(file, needed=True)
    if read_object(config, most=SETTINGS).get("model_type") == "bert":
        _fetch_modules(repository)
    return folder


def _fetch_modules(repository: "Repository") -> None:
    """What is beside the weights of a sentence encoder, where it is one."""
    if modules := repository.file(MODULES):
        for file in files_of_modules(modules):
            repository.file(file)


class Repository:
    """A repository of the Hub, and the revision of it that files are asked of."""

    def __init__(self, name: str, note=None):
        try:
            import huggingface_hub
            import huggingface_hub.errors
        except ImportError:
            raise UsageError(
                f"{name}: to download needs huggingface_hub: {install('hub')}, or give "
                f"a folder"
            ) from None
        self._library = huggingface_hub
        self._note = note
        self.name = name
        self.id, _, revision = name.removeprefix(PREFIX).partition("@")
        self.revision = revision or None
        self._commit_known = False

    def file(self, file: str, needed: bool = False) -> Path | None:
        """The path of a file in the cache; None where the repository has none and it is
        not needed. Raises UsageError or DataError."""
        errors = self._library.errors
        given = {"repo_id": self.id, "filename": file, "revision": self.revision}
        try:
            cached = self._library.try_to_load_from_cache(**given)
            if self._commit_known and cached is not None:  # a path, or: it has no such
                return Path(cached) if isinstance(cached, str) else None
            return Path(self._library.hf_hub_download(**given))
        except errors.LocalEntryNotFoundError as error:
            if needed:
                raise DataError(f"{self.name}: {_unreachable(error, file)}") from None
            if self._note:
                self._note(f"{self.name}: {file} is not in the cache: read without it")
            return None
        except errors.EntryNotFoundError:
            if needed:
                raise DataError(f"{self.name}: there is no {file} in it") from None
            return None
        except Exception as error:  # of several libraries, which share no class
            raise self._refused(error) from None

    def settle(self, commit: str) -> None:
        """Ask for files of this commit alone from now on. What the cache knows of it
        never changes."""
        self.revision, self._commit_known = commit, True

    def files(self) -> list[str]:
        """The names of all files there; none where that cannot be asked."""
        try:
            hub = self._library.HfApi()
            return hub.list_repo_files(self.id, revision=self.revision)
        except Exception:  # as above; what is told without them is true as well
            return []

    def _refused(self, error: Exception) -> UsageError | DataError:
        errors = self._library.errors
        if isinstance(error, errors.HFValidationError):
            return UsageError(f"{self.name}: is not of the form {PREFIX}OWNER/NAME")
        return DataError(f"{self.name}: {_reason(error, errors)}")


def _reason(error: Exception, errors) -> str:
    """Why the Hub gives nothing, in one line."""
    # Each is a RepositoryNotFoundError, too.
    if isinstance(error, errors.GatedRepoError):
        return (
            "is gated: accept its terms on its page, then `hf auth login`, or set "
            "HF_TOKEN"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no such repository, or it is private (then `hf auth login`, or "
            "set HF_TOKEN)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return "there is no such revision"
    return f"cannot be downloaded ({_first_line(error)})"


def _unreachable(error: Exception, file: str) -> str:
    """Why a file cannot be had that is not in the cache."""
    cause = error.__cause__ or error
    said = _first_line(cause)
    if "offline" in said:
        said = "HF_HUB_OFFLINE is set"
    return f"{file} is not in the cache, and cannot be downloaded ({said})"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
