"""Makes gpt2, llama and qwen3: `python tests/hub/golden/make_causal.py`.

Needs torch and transformers 5. For each family a model of random weights as
`transformers` saves it, in float16, and the logits that it gives after some tokens, in
float32.
"""

import json
from pathlib import Path

import torch
import transformers

HERE = Path(__file__).parent
LENGTH, VOCAB = 7, 12
SMALL = {
    "vocab_size": VOCAB,
    "max_position_embeddings": LENGTH,
    "hidden_size": 8,
    "intermediate_size": 10,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "rms_norm_eps": 0.01,
    "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
}
MODELS = {
    "gpt2": transformers.GPT2Config(
        vocab_size=VOCAB,
        n_positions=LENGTH,
        n_embd=8,
        n_layer=2,
        n_head=2,
        n_inner=10,
        activation_function="gelu",
        layer_norm_epsilon=0.01,
    ),
    "llama": transformers.LlamaConfig(**SMALL, num_key_value_heads=1),
    "qwen3": transformers.Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=4),
}

for name, config in MODELS.items():
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    for p in model.parameters():
        p.data = (p.data + 0.3 * torch.randn_like(p)).half().float()
    ids = torch.randint(VOCAB, (2, LENGTH))
    with torch.no_grad():
        logits = model(ids).logits
    model.half().save_pretrained(HERE / name)
    (HERE / name / "generation_config.json").unlink()
    kind = {"kind": "chars", "alphabet": "abcdefghijk", "specials": []}
    (HERE / name / "tokenizer.json").write_text(json.dumps(kind), "utf-8")
    found = {"ids": ids.tolist(), "logits": logits.numpy().round(6).tolist()}
    (HERE / name / "logits.json").write_text(json.dumps(found), "utf-8")
