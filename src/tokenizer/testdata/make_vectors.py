"""Makes the tokenizers and known answers of this folder: pip install tokenizers sentencepiece; python3 make_vectors.py.

The answers come from the reference implementations (Hugging Face tokenizers, sentencepiece). The training text is our own.
"""
import io
import json
import pathlib

import sentencepiece
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent

CORPUS = """
The gale came over the hill before noon and took the washing with it. Nobody minded the shirts, but the sheets were new, and
they were last seen sailing over the church tower towards the sea. "They're gone," said the vicar, "and we'll not see them again."
In 1987 there were 365 days, 52 weeks and 12 months; 1024 is two to the tenth, and 3.14159 is nearly enough of pi for a baker.
for (int i = 0; i < 10; ++i) {\n\tprintf("%d\\n", values[i]);\n    if (values[i] == 0) return false;\n}
def tokenize(text):\n    words = text.split()\n    return [word.lower() for word in words if word]
Der Sturm kam über den Hügel, und die Wäsche flog davon. Wir haben sie später am Strand wiedergefunden, naß und voller Sand.
Le vent a tout emporté: les draps, les chemises et même le chapeau du maire. C'était l'été, il faisait très chaud.
Ветер унёс бельё за холм, и никто его больше не видел. Старый моряк сказал, что это к дождю.
大风吹过山坡，把床单吹到了海边。没有人知道它们去了哪里。風が丘を越えて吹いた。シーツは海へ飛んで行った。
바람이 언덕을 넘어 불었다. 빨래는 바다로 날아갔다. هبت الريح على التل وحملت الغسيل إلى البحر.
हवा पहाड़ी के ऊपर से आई और कपड़े उड़ा ले गई। ลมพัดข้ามเนินเขา 🌬️ 🌊 👩‍👩‍👧‍👦 ❤️ 😀😀
the the the the wind wind wind sea sea hill hill sheets sheets tokens tokens tokenizer tokenizer hello hello world world
Hello World, hello wind!!! What... is this? ### heading ### --- ---- ====== ****** //////// \\\\\\\\
""" * 3

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", "a", " a", "a ", "Hello World", "hello  world", " hello   world   ",
    "They're gone, we'll see; I'D say 'S NOT'", "it'ſ", "1", "12", "123", "1234567890", "3.14159", "x1y22z333", "١٢٣ ४५६ ½²Ⅳ",
    "for (int i = 0; i < 10; ++i) {\n\tprintf(\"%d\\n\", v[i]);\n    return;\n}", "a\r\nb\r\n\r\nc", "\t\tx\t y", "trailing   \n  ",
    "Der Sturm naß über Hügel", "Le café d'été, très chaud", "Ветер унёс бельё", "大风吹过山坡，把床单", "風が丘を越えて。シーツ",
    "바람이 언덕을 넘어", "هبت الريح على التل", "हवा पहाड़ी के ऊपर", "ลมพัดข้ามเนินเขา", "😀", "😀😀 👩‍👩‍👧‍👦❤️🌬️", "e\u0301 \u00e9 A\u030a \u212b",
    "q\u0307\u0323 q\u0323\u0307", "ﬁ ① ™ ﷺ", "İstanbul ΑΣ", "\u0000nul\u0000", "\u00a0nbsp\u2003em\u3000wide", "\u200bzero\u200dwidth\ufeff",
    "\u180emongolian\u0085nel", "<|eot_id|>", "a<|eot_id|>b <|eot_id|> c", "<|eot_id", "<|begin_of_text|><|end_of_text|>", "<s>", "</s> x <unk>",
    "<tool_call>x</tool_call>", "▁under▁score ▁", "<0x0A><0xFF>", "a" * 300, "ab" * 150, " " * 100, "-" * 65, "$+<=>^`|~!?#",
    "\ud7ff\ue000\uffff\U0010ffff", "CamelCaseWORDSandLower", "don't  DON'T\u2019s", "tokenizer tokens token", "x" * 47 + "y", "\n \n  \n",
]
FEW = [t for t in TEXTS if len(t) < 60][::2] + ["a[MASK] b", "a [MASK]  b", "the wind", "thewind wind-the WIND the", " the  the"]


def save(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def answers(tokenizer, texts):
    out = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        unparsed = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        row = {"text": text, "ids": plain, "decoded": tokenizer.decode(plain)}
        if ids != plain:
            row["with_special"] = ids
            row["decoded_special"] = tokenizer.decode(ids, skip_special_tokens=False)
        if unparsed != plain:
            row["unparsed"] = unparsed
        out.append(row)
    return out


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*parts, key="pretokenizers"):
    return {"type": "Sequence", key: list(parts)}


def added(id, content, **flags):
    row = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {**row, **flags}


def template(bos, bos_id, eos=None, eos_id=None):
    single = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    special = {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}}
    if eos:
        single.append({"SpecialToken": {"id": eos, "type_id": 0}})
        special[eos] = {"id": eos, "ids": [eos_id], "tokens": [eos]}
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": special}


def train_bytes(regex, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(CORPUS.split("\n\n"), trainer)
    return json.loads(tokenizer.to_str())


def byte_llama3():
    spec = train_bytes(LLAMA3, 900)
    n = len(spec["model"]["vocab"])
    # Entries that no rule makes: only ignore_merges finds them.
    spec["model"]["vocab"].update({"Ġtokenizers": n, "Ġnonsense": n + 1})
    spec["model"]["ignore_merges"] = True
    spec["model"]["merges"] = [" ".join(m) if isinstance(m, list) else m for m in spec["model"]["merges"]]
    spec["added_tokens"] = [added(n + 2 + i, s) for i, s in enumerate(SPECIAL)]
    spec["pre_tokenizer"] = sequence(split(LLAMA3), byte_level())
    spec["post_processor"] = sequence(byte_level(True, True), template(SPECIAL[0], n + 2), key="processors")
    spec["decoder"] = byte_level(True, True)
    return spec


def byte_qwen():
    spec = train_bytes(QWEN2, 700)
    n = len(spec["model"]["vocab"])
    spec["normalizer"] = {"type": "NFC"}
    spec["added_tokens"] = [added(n, "<|endoftext|>"), added(n + 1, "<|eot_id|>"), added(n + 2, "<tool_call>", special=False),
                            added(n + 3, "</tool_call>", special=False)]
    spec["pre_tokenizer"] = sequence(split(QWEN2), byte_level())
    spec["post_processor"] = byte_level()
    spec["decoder"] = byte_level()
    return spec


def train_sentencepiece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([s for s in CORPUS.split("\n") if s]), model_writer=model, model_type="bpe", vocab_size=900,
        byte_fallback=True, character_coverage=0.995, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, split_digits=True, minloglevel=2)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentencepiece_json(sp):
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    vocab = {p: i for i, p in enumerate(pieces)}
    merges = []
    for piece, id in vocab.items():
        local = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += [(-sp.get_score(id), pair) for pair in sorted(local, key=lambda x: (vocab[x[0]], vocab[x[1]]))]
    merges = [list(pair) for _, pair in sorted(merges, key=lambda x: x[0])]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": sequence({"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                               key="normalizers"),
        "pre_tokenizer": None, "post_processor": template("<s>", 1),
        "decoder": sequence({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                            {"type": "Strip", "content": " ", "start": 1, "stop": 0}, key="decoders"),
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": merges},
    }


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def byte_variants(base):
    n = len(base["model"]["vocab"]) + 3
    v = {
        "gpt-2": {"pre_tokenizer": byte_level(False, True)},
        "prefix space": {"pre_tokenizer": byte_level(True, True)},
        "starcoder": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level(False, True))},
        "falcon": {"pre_tokenizer": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(False, True),
                                             {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]"))},
        "tekken": {"pre_tokenizer": sequence(split(TEKKEN), byte_level())},
        "deepseek-coder": {"pre_tokenizer": sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                                     split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, byte_level())},
        "line ends": {"pre_tokenizer": sequence(split("[\r\n]"), split(r"\s+$"), split(r"^\w+"), byte_level())},
        "bloom": {"pre_tokenizer": sequence(split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), byte_level())},
        "superbpe": {"pre_tokenizer": sequence(split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), byte_level())},
        "whitespace": {"pre_tokenizer": sequence({"type": "Whitespace"}, byte_level())},
        "whitespace split": {"pre_tokenizer": sequence({"type": "WhitespaceSplit"}, byte_level())},
        "bert": {"pre_tokenizer": sequence({"type": "BertPreTokenizer"}, byte_level())},
        "string": {"pre_tokenizer": sequence({"type": "Split", "pattern": {"String": "e."}, "behavior": "Isolated", "invert": False},
                                             byte_level())},
        "nfd": {"normalizer": {"type": "NFD"}},
        "nfkc lowercase": {"normalizer": sequence({"type": "NFKC"}, {"type": "Lowercase"}, key="normalizers")},
        "nfkd accents": {"normalizer": sequence({"type": "NFKD"}, {"type": "StripAccents"}, key="normalizers")},
        "strip replace": {"normalizer": sequence({"type": "Strip", "strip_left": True, "strip_right": True},
                                                 {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, key="normalizers")},
        "added": {"added_tokens": base["added_tokens"] + [
            added(n, "[MASK]", lstrip=True, rstrip=True), added(n + 1, "wind", single_word=True, special=False, normalized=True),
            added(n + 2, "WIND", special=False, normalized=True), added(n + 3, "the w", special=False)],
            "normalizer": {"type": "Lowercase"}},
        "bos and eos": {"post_processor": template(SPECIAL[0], n - 3, SPECIAL[1], n - 2)},
    }
    for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        v[f"punctuation {behavior}"] = {"pre_tokenizer": sequence({"type": "Punctuation", "behavior": behavior}, byte_level())}
        v[f"inverted {behavior}"] = {"pre_tokenizer": sequence(split(r"\p{L}+", behavior, True), byte_level())}
    return v


def spm_variants():
    v = {f"metaspace {scheme} {split}": {"normalizer": None, "pre_tokenizer": metaspace(scheme, split)}
         for scheme in ["always", "first", "never"] for split in [False, True]}
    v["metaspace decoder"] = {"normalizer": None, "pre_tokenizer": metaspace("always", True), "decoder": metaspace("always", True)}
    v["no prefix"] = {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}
    v["normalized special"] = {"added_tokens": [added(0, "<unk>", normalized=True), added(1, "<s>", normalized=True), added(2, "</s>")]}
    return v


def variant_answers(base, variants, texts):
    """Only what differs from the tokenizer without the patch."""
    plain = {t: Tokenizer.from_str(json.dumps(base)).encode(t).ids for t in texts}
    out = []
    for name, patch in variants.items():
        rows = answers(Tokenizer.from_str(json.dumps({**base, **patch})), texts)
        cases = [{"text": r["text"], "ids": r.get("with_special", r["ids"]), "decoded": r["decoded"]} for r in rows]
        if name == "normalized special":  # the reference shows the token here, although special tokens were to be left out
            for c in cases:
                del c["decoded"]
        out.append({"name": name, "patch": patch, "cases": [c for c in cases if c["ids"] != plain[c["text"]] or "decoder" in patch]})
    return out


def main():
    for name, spec in [("byte_llama3", byte_llama3()), ("byte_qwen", byte_qwen())]:
        save(name + ".json", spec)
        save(name + ".expected.json", answers(Tokenizer.from_str(json.dumps(spec)), TEXTS))
        if name == "byte_llama3":
            save("byte_variants.expected.json", variant_answers(spec, byte_variants(spec), FEW))
    sp = train_sentencepiece()
    spec = sentencepiece_json(sp)
    save("spm_legacy.json", spec)
    save("spm_legacy.expected.json", answers(Tokenizer.from_str(json.dumps(spec)), TEXTS))
    save("spm_variants.expected.json", variant_answers(spec, spm_variants(), FEW))
    kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1 for i in range(sp.get_piece_size())]
    save("spm_scores.expected.json", {
        "scores": [round(sp.get_score(i), 4) for i in range(sp.get_piece_size())], "types": kinds,
        "cases": [{"text": t, "ids": sp.encode(t)} for t in TEXTS if t and "<" not in t and "\0" not in t]})


if __name__ == "__main__":
    main()
