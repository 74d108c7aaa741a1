"""A GGUF file of the Llama architecture (SmolLM2) or Gemma 3 becomes a Hugging Face directory: config.json,
generation_config.json, model.safetensors in bfloat16, tokenizer.json, tokenizer_config.json.

    gguf_to_hf.py FILE.gguf DIR       needs gguf, ml_dtypes, numpy, safetensors

Weights are those that transformers loads from the same file. The tokenizer's frame (normalizer, pre-tokenizer, decoder) is
that of the published tokenizer.json; vocabulary, merges and control tokens come from the file.
"""
import json
import pathlib
import sys

import gguf
import ml_dtypes
import numpy as np
import safetensors.numpy

SPACE = "\u2581"
CONTROL, USER_DEFINED = 3, 4
LAYER_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
NORMS = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
               "post_ffw_norm": "post_feedforward_layernorm"},
}


class Source:
    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.architecture = self.get("general.architecture")
        if self.architecture not in NORMS:
            sys.exit(f"{path}: architecture {self.architecture}; this script knows {', '.join(NORMS)}")

    def get(self, key, default=None):
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def shape(self, key, default=None):
        value = self.get(f"{self.architecture}.{key}", default)
        if value is None:
            sys.exit(f"the GGUF file has no {self.architecture}.{key}")
        return value


def hugging_face_name(architecture, name):
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in whole:
        return whole[name]
    _, layer, tensor, kind = name.split(".")
    return f"model.layers.{layer}.{(LAYER_NAMES | NORMS[architecture])[tensor]}.{kind}"


def rotary_halves(weight, num_heads):
    """Rows in GGUF's order, pairs beside each other, to Hugging Face's, halves."""
    rows, columns = weight.shape
    return weight.reshape(num_heads, rows // num_heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(source):
    for tensor in source.reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if source.architecture == "llama" and ".attn_q." in tensor.name:
            values = rotary_halves(values, source.shape("attention.head_count"))
        elif source.architecture == "llama" and ".attn_k." in tensor.name:
            values = rotary_halves(values, source.shape("attention.head_count_kv"))
        elif source.architecture == "gemma3" and tensor.name.endswith("norm.weight"):
            values = values - 1  # GGUF stores 1 + w
        yield hugging_face_name(source.architecture, tensor.name), values.astype(ml_dtypes.bfloat16)


def write_weights(source, path):
    """Returns the number of parameters, and whether there is a head of its own."""
    weights = dict(tensors(source))
    safetensors.numpy.save_file(weights, path, {"format": "pt"})
    return sum(values.size for values in weights.values()), "lm_head.weight" in weights


def common_config(source, tied):
    return {
        "hidden_size": source.shape("embedding_length"), "intermediate_size": source.shape("feed_forward_length"),
        "num_hidden_layers": source.shape("block_count"), "num_attention_heads": source.shape("attention.head_count"),
        "num_key_value_heads": source.shape("attention.head_count_kv"),
        "max_position_embeddings": source.shape("context_length"),
        "rms_norm_eps": float(f"{source.shape('attention.layer_norm_rms_epsilon'):.6g}"),
        "vocab_size": len(source.get("tokenizer.ggml.tokens")), "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "bos_token_id": source.get("tokenizer.ggml.bos_token_id"), "eos_token_id": source.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": source.get("tokenizer.ggml.padding_token_id"), "attention_bias": False,
    }


def llama_config(source, tied):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **common_config(source, tied), "hidden_act": "silu",
            "mlp_bias": False, "rope_theta": source.shape("rope.freq_base"), "rope_scaling": None}


def gemma3_config(source, tied):
    # Every sixth layer is global; the local layers' theta is Gemma 3's constant, which GGUF does not store.
    head_dim = source.shape("attention.key_length")
    kinds = ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(source.shape("block_count"))]
    return {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", **common_config(source, tied),
            "hidden_activation": "gelu_pytorch_tanh", "head_dim": head_dim, "query_pre_attn_scalar": head_dim,
            "sliding_window": source.shape("attention.sliding_window"), "layer_types": kinds,
            "rope_theta": source.shape("rope.freq_base", 1e6), "rope_local_base_freq": 10000.0, "rope_scaling": None,
            "attn_logit_softcapping": None, "final_logit_softcapping": None}


def control_token(index, text, special=True):
    return {"id": index, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special}


def tokenizer_frame(added, normalizer, pre_tokenizer, post_processor, decoder, model):
    blank = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder, "model": blank | model}


def smollm2_tokenizer(source):
    if source.get("tokenizer.ggml.pre") != "smollm":
        sys.exit(f"the GGUF file's pre-tokenizer is {source.get('tokenizer.ggml.pre')}; this script knows smollm")
    tokens, types = source.get("tokenizer.ggml.tokens"), source.get("tokenizer.ggml.token_type")
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    before = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True},
                                                    level | {"add_prefix_space": False}]}
    added = [control_token(i, text) for i, (text, kind) in enumerate(zip(tokens, types)) if kind == CONTROL]
    merges = [merge.split(" ") for merge in source.get("tokenizer.ggml.merges")]
    model = {"vocab": {text: i for i, text in enumerate(tokens)}, "merges": merges}
    return tokenizer_frame(added, None, before, None, level, model)


def sentencepiece_merges(vocabulary):
    """Every way to make a piece of two others, best piece first; of equals the longer left part first."""
    pairs = []
    for piece, index in vocabulary.items():
        for cut in range(1, len(piece)):
            if piece[:cut] in vocabulary and piece[cut:] in vocabulary:
                pairs.append((index, -cut, vocabulary[piece[cut:]], piece[:cut], piece[cut:]))
    return [[left, right] for *_, left, right in sorted(pairs)]


def gemma3_tokenizer(source):
    stored, types = source.get("tokenizer.ggml.tokens"), source.get("tokenizer.ggml.token_type")
    # GGUF spells runs of spaces with spaces.
    pieces = [SPACE * len(text) if len(text) > 1 and not text.strip(" ") else text for text in stored]
    added = [control_token(i, text, kind == CONTROL) for i, (text, kind) in enumerate(zip(pieces, types))
             if kind in (CONTROL, USER_DEFINED) or text != stored[i]]
    vocabulary = {text: i for i, text in enumerate(pieces)}
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    text_a, text_b = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    after = {"type": "TemplateProcessing", "single": [bos, text_a],
             "pair": [bos, text_a, {"SpecialToken": {"id": "<bos>", "type_id": 1}}, text_b],
             "special_tokens": {"<bos>": {"id": "<bos>", "ids": [vocabulary["<bos>"]], "tokens": ["<bos>"]}}}
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                                                {"type": "ByteFallback"}, {"type": "Fuse"}]}
    model = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": vocabulary,
             "merges": sentencepiece_merges(vocabulary)}
    return tokenizer_frame(
        added, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}, after, decoder, model)


def tokenizer_config(source, adds_bos):
    tokens = source.get("tokenizer.ggml.tokens")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": adds_bos, "add_eos_token": False,
              "clean_up_tokenization_spaces": False, "model_max_length": source.shape("context_length")}
    for name in ("bos", "eos", "unknown", "padding"):
        index = source.get(f"tokenizer.ggml.{name}_token_id")
        if index is not None:
            config[{"unknown": "unk", "padding": "pad"}.get(name, name) + "_token"] = tokens[index]
    template = source.get("tokenizer.chat_template")
    return config | ({"chat_template": template} if template else {})


def end_of_answer_ids(source):
    """The ids that generation stops at: the end of the text and, where there is one, of a turn."""
    tokens = source.get("tokenizer.ggml.tokens")
    ends = [source.get("tokenizer.ggml.eos_token_id")]
    return ends + [i for i, text in enumerate(tokens) if text == "<end_of_turn>" and i not in ends]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, directory = Source(sys.argv[1]), pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    count, has_head = write_weights(source, directory / "model.safetensors")
    is_gemma = source.architecture == "gemma3"
    write_json(directory / "config.json", (gemma3_config if is_gemma else llama_config)(source, not has_head))
    write_json(directory / "tokenizer.json", (gemma3_tokenizer if is_gemma else smollm2_tokenizer)(source))
    write_json(directory / "tokenizer_config.json", tokenizer_config(source, adds_bos=is_gemma))
    write_json(directory / "generation_config.json",
               {"bos_token_id": source.get("tokenizer.ggml.bos_token_id"), "eos_token_id": end_of_answer_ids(source),
                "pad_token_id": source.get("tokenizer.ggml.padding_token_id")})
    print(f"{count} parameters of {source.get('general.name')} ({source.architecture})")


if __name__ == "__main__":
    main()
