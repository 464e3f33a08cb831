"""The keys of somebody's config.json: each is read, must have a value that our models
have, or does not matter. Any other is refused."""

import math
from pathlib import Path
from typing import Any

from minillm.errors import DataError
from minillm.json_files import read_object
from minillm.reading import SETTINGS

# Names, training, and what a program prints: no number of a forward pass.
NO_MATTER = {
    *("architectures", "_name_or_path", "transformers_version", "model_type"),
    *("dtype", "torch_dtype", "use_cache", "initializer_range", "return_dict"),
    *("output_attentions", "output_hidden_states", "gradient_checkpointing"),
    *("id2label", "label2id", "_num_labels", "num_labels", "problem_type"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "task_specific_params"),
    *("chunk_size_feed_forward", "attn_pdrop", "embd_pdrop", "resid_pdrop"),
    *("summary_type", "summary_use_proj", "summary_activation"),
    *("summary_first_dropout", "summary_proj_to_labels"),
    *("n_ctx", "attention_dropout", "pretraining_tp"),
    *("sliding_window", "max_window_layers"),  # of Qwen's that use none
    # BERT's: the library reads nothing of its poolers.
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
    *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers"),
    *("pooler_size_per_head", "pooler_type", "directionality", "finetuning_task"),
    *("tokenizer_class", "sep_token_id", "cls_token_id", "mask_token_id"),
    # Marian's: how it is trained, and how `generate` would search.
    *("dropout", "activation_dropout", "classif_dropout", "init_std"),
    *("encoder_layerdrop", "decoder_layerdrop", "forced_eos_token_id", "num_beams"),
    *("max_length", "bad_words_ids", "extra_pos_embeddings"),
}
MOST = 10**8


class Keys:
    """The keys of a config.json, each taken once."""

    def __init__(self, path: Path, content: dict | None = None, within: str = ""):
        self.path = path
        self._left = read_object(path, most=SETTINGS) if content is None else content
        self._within = within
        if self._left.get("auto_map"):
            raise DataError(
                f"{path}: its model needs code that comes with it (auto_map), which "
                f"minillm never runs"
            )

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number. Raises DataError where there is none."""
        value = self._taken(name, default)
        if type(value) is not int or not 0 < value <= MOST:
            raise DataError(f"{self._of(name)} is {value!r}, not a whole number")
        return value

    def real(self, name: str, default: float | None = None) -> float | None:
        """A number above 0; None where there is none, and no default."""
        value = self._taken(name, default)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise DataError(f"{self._of(name)} is {value!r}, not a number above 0")
        return float(value)

    def inner(self, name: str) -> "Keys":
        """The keys of the object that a key has, to be taken as these are."""
        return Keys(self.path, {**self.object(name, {})}, f"{name}.")

    def index(self, name: str) -> int:
        """The number of a token. Raises DataError where there is none."""
        value = self._taken(name, None)
        if type(value) is not int or not 0 <= value < MOST:
            raise DataError(f"{self._of(name)} is {value!r}, not the id of a token")
        return value

    def object(self, name: str, default: dict) -> dict:
        """An object of JSON."""
        value = self._taken(name, default)
        if not isinstance(value, dict):
            raise DataError(f"{self._of(name)} is {value!r}, not an object")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Yes or no."""
        value = self._taken(name, default)
        if type(value) is not bool:
            raise DataError(f"{self._of(name)} is {value!r}, not true or false")
        return value

    def must(self, name: str, *values, default: Any = None) -> Any:
        """A key whose value must be one of these. Raises DataError, which names it."""
        value = self._taken(name, default)
        if not any(value == each and type(value) is type(each) for each in values):
            known = " or ".join(map(repr, values))
            raise DataError(
                f"{self._of(name)} is {value!r}, and minillm's models have {known}"
            )
        return value

    def done(self) -> None:
        """Raises DataError for a key that nobody has taken and that may matter."""
        for name, value in sorted(self._left.items()):
            if name not in NO_MATTER and value is not None:
                raise DataError(
                    f"{self._of(name)} is {value!r}, which minillm does not know: "
                    f"it may change what the model computes"
                )

    def _of(self, name: str) -> str:
        return f"{self.path}: {self._within}{name}"

    def _taken(self, name: str, default: Any) -> Any:
        value = self._left.pop(name, None)
        return default if value is None else value
