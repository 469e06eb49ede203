"""Writes the folder that vLLM loads from a Llama-family GGUF: config, tokenizer and dequantised float32 weights.

usage: gguf_to_transformers.py MODEL.gguf FOLDER

Independent of our own converter: the gguf package dequantises, transformers' model code runs the result. GGUF keeps the rows of the
query and key projections as interleaved pairs (llama.cpp's rotary layout); transformers wants the two halves of each head apart.
"""

import json
import os
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

source, folder = sys.argv[1:3]
os.makedirs(folder, exist_ok=True)
reader = gguf.GGUFReader(source)


def field(key, default=None):
    found = reader.fields.get(key)
    return default if found is None else found.contents()


if field("general.architecture") != "llama":
    sys.exit(f"{source} is of the family {field('general.architecture')}; this script knows llama only.")

HEADS = field("llama.attention.head_count")
KV_HEADS = field("llama.attention.head_count_kv", HEADS)
HIDDEN = field("llama.embedding_length")
EOS = field("tokenizer.ggml.eos_token_id")
TOKENS = field("tokenizer.ggml.tokens")


def rotate_half_rows(rows, heads):
    """[heads * head_dim, hidden], pairs interleaved within a head -> first halves, then second halves."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
weights = {}
for tensor in reader.tensors:
    rows = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    if tensor.name in OUTER:
        name = OUTER[tensor.name]
    else:
        _, layer, part, kind = tensor.name.split(".")
        name = f"model.layers.{layer}.{INNER[part]}.{kind}"
        if part == "attn_q":
            rows = rotate_half_rows(rows, HEADS)
        elif part == "attn_k":
            rows = rotate_half_rows(rows, KV_HEADS)
    weights[name] = torch.from_numpy(np.ascontiguousarray(rows))
save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})

config = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": field("llama.feed_forward_length"),
    "num_hidden_layers": field("llama.block_count"),
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HIDDEN // HEADS,
    "max_position_embeddings": field("llama.context_length"),
    "rms_norm_eps": field("llama.attention.layer_norm_rms_epsilon"),
    "rope_theta": field("llama.rope.freq_base"),
    "vocab_size": len(TOKENS),
    "tie_word_embeddings": "lm_head.weight" not in weights,
    "hidden_act": "silu",
    "bos_token_id": field("tokenizer.ggml.bos_token_id"),
    "eos_token_id": EOS,
    "torch_dtype": "float32",
}

# Digits first, then GPT-2's pattern: the "smollm" pre-tokenizer of llama.cpp.
tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(TOKENS)}, merges=[tuple(m.split(" ")) for m in field("tokenizer.ggml.merges")]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
)
tokenizer.decoder = decoders.ByteLevel()
CONTROL = 3  # gguf's TokenType
tokenizer.add_special_tokens(
    [AddedToken(t, special=True, normalized=False) for t, kind in zip(TOKENS, field("tokenizer.ggml.token_type")) if kind == CONTROL]
)
tokenizer.save(os.path.join(folder, "tokenizer.json"))


def write(name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)


write("config.json", config)
write("generation_config.json", {"eos_token_id": EOS})
write(
    "tokenizer_config.json",
    {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TOKENS[EOS],
        "chat_template": field("tokenizer.chat_template"),
        "model_max_length": config["max_position_embeddings"],
    },
)
