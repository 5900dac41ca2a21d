"""Writes tokens.json.gz: generated texts and the token ids that open_clip 3.3.0 gives them.

    pip install open_clip_torch==3.3.0 ftfy==6.3.1 && python make.py

Every text is made from the word lists and character ranges below. The file is a JSON object from the
name of a group to its texts, each with the ids of SimpleTokenizer.encode: without start, end and padding.
"""

import gzip
import html
import json
import random
import unicodedata
from pathlib import Path

import ftfy.bad_codecs  # noqa: F401  registers the sloppy encodings
from open_clip.tokenizer import SimpleTokenizer

rng = random.Random(2026)
tokenizer = SimpleTokenizer(context_length=76)

PLAIN = """a photo of the red bicycle beside two wooden boats lighthouse keeper's dog isn't we're they've I'm she'll he'd
under heavy rain, sunlit; (harbour) 3 apples 1,024 mp4 C++ A/B x-ray #7 $5 50% rock'n'roll co-op e.g. U.S. ... !? -- __init__
<tag> {x} [y] a@b.org https://x.org/?q=1&r=2 ~/home \\n 'quoted' "double" `code` ^ | = + * ... antidisestablishmentarianism
supercalifragilistic zzzzqqq blancmange quokka axolotl""".split()
ACCENTED = """naïve café façade piñata Ångström déjà à la carte às àquele Ã œuvre l'été Straße İstanbul ılık Łódź žluťoučký kůň
señor São Çelik ŷ ģ ķ ļ ņ ą ę š Ž Tiếng Việt Ø Å æ ø ð þ ő ű ř ť ď ĺ ŕ Ħal Ŝi ½ ¾ x² °C ±3 £20 €5 ¥9 © ® ™ • § ¶ « » … – — “so” ‘it’
don’t it’s ¡olé! ¿qué? 10 × 4 ÷ 2 µm""".split()
SCRIPTS = """привет мир Київ български Ελλάδα κόσμος ΟΔΟΣ ὀδός 日本語 写真 カメラ ひらがな 中文 猫 한국어 고양이 العربية قطة עברית חתול हिन्दी
बिल्ली ไทย แมว ქართული հայերեն አማርኛ தமிழ் বাংলা ខ្មែរ မြန်မာ ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ""".split()
EMOJI = ["😀", "🐈", "❤️", "👍🏽", "👨‍👩‍👧", "🏳️‍🌈", "🇫🇷", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "3️⃣", "☔", "🧑🏿‍🚀", "✔", "©️", "🫠", "🀄"]
CURLY = ["‘", "’", "‚", "‛", "“", "”", "„", "‟", "ʼ", "´", "`", "′", "″", "‹", "›", "«", "»", "＇", "＂"]
LIGATURES = "ĲĳŉǄǅǆǇǈǉǊǋǌǱǲǳﬀﬁﬂﬃﬄﬅﬆæœßꜳ㋐㌔№℡Ⅷⅷ①ⓐ㍿"
SPACES = [chr(c) for c in (9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200E), 0x2028, 0x2029,
                           0x202F, 0x205F, 0x2060, 0x3000, 0x180E, 0xFEFF)] + ["\r\n"]
ENCODINGS = ["latin-1", "windows-1252", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250",
             "sloppy-windows-1253", "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "iso-8859-15",
             "macroman", "cp437", "cp850", "koi8-r", "sloppy-windows-1255", "sloppy-windows-1256", "sloppy-windows-1258"]
SPECIALS = ["<start_of_text>", "<end_of_text>", "<START_OF_TEXT>", "<End_Of_Text>", "<|startoftext|>", "</w>", "<ſtart_of_text>"]

groups = {}


def add(group, text):
    groups.setdefault(group, {})[text] = None


def some(words, most=6):
    return " ".join(rng.choice(words) for _ in range(rng.randint(1, most)))


def join(parts):
    return "".join(parts)


def pick(characters, most):
    return join(rng.choice(characters) for _ in range(rng.randint(1, most)))


def assigned(first, last):
    return [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def mojibake(text, encoding):
    try:
        return text.encode("utf-8").decode(encoding)
    except UnicodeDecodeError:
        return text.encode("utf-8").decode(encoding, "replace")


for word in ["", " ", "a", "!", "0", ".", "'", "\n"] + PLAIN:
    add("plain", word)
for _ in range(250):
    text = some(PLAIN, 12)
    add("plain", rng.choice([text, text, text.upper(), text.title(), text.swapcase()]))

for i in range(300):
    add("apostrophes and quotes", join(rng.choice(["it", "S", "t", "re", "VE", "ll", "d", "m", " ", "ſ", "n", "café", "s's"] + CURLY + ["'", "'", '"'])
                                       for _ in range(rng.randint(2, 9))))
for i in range(0, len(LIGATURES)):
    add("ligatures", LIGATURES[i])
    add("ligatures", "of" + LIGATURES[i] + "ce " + pick(LIGATURES, 3))

for first in range(0xFF01, 0xFFF0, 8):
    add("widths", join(assigned(first, min(first + 7, 0xFFEF))))
for _ in range(120):
    add("widths", pick(assigned(0xFF01, 0xFFEE) + list("　 aB1ア゛"), 14))

names = sorted(html.entities.html5)
for i in range(0, len(names), 6):
    add("entities", "x".join("&" + name for name in names[i : i + 6]))
    add("entities", " ".join("&" + name.upper() for name in names[i : i + 6]))
for _ in range(350):
    names_and_numbers = [
        rng.choice(names), rng.choice(names).lower(), "amp;", "AMP;", "lt;", "quot;", "#39;", "nosuch;", "NTILDE;", "SZLIG;",
        "#%d;" % rng.randint(0, 300), "#x%x;" % rng.randint(0, 0x2FFFF), "#X%X" % rng.randint(0, 0xFFF), "#%d" % rng.randint(0, 9999),
        "#xd83d;", "#%d;" % 10**rng.randint(1, 30), "#;", "#x;", "#128512;", "#xFFFE;", "#x1d;", "#59;", "%s;" % ("a" * rng.randint(22, 34)),
    ]
    entity = join("&" + "amp;" * rng.choice([0, 0, 1, 1, 2, 3, 5]) + rng.choice(names_and_numbers) for _ in range(rng.randint(1, 3)))
    add("entities", rng.choice(["", "", "a ", "<b>", "x\n<i>\n"]) + entity + rng.choice(["", " b", ";c", "\n&gt;", "<"]))

for text in EMOJI + SCRIPTS + ACCENTED:
    add("scripts and emoji", text)
for _ in range(250):
    add("scripts and emoji", some(rng.choice([SCRIPTS, EMOJI, SCRIPTS + EMOJI + PLAIN, ACCENTED + PLAIN]), 8))
for _ in range(60):
    add("scripts and emoji", pick(EMOJI, 6) + pick(SCRIPTS, 3) + pick(assigned(0x4E00, 0x9FFF), 8))

for text in ["İ", "I", "ı", "ſ", "ẞ", "Ω", "K", "Å", "ΑΣ", "ΑΣ.", "ΑΣΑ", "Σ", "ΑΣ̈ Σ", "ǅ", "Ⅷ", "Ⓐ", "ᏸ", "Ꭰ", "𐐀", "Ა", "Ⴀ", "ŉ", "ΐ", "ﬃ", "Ǆ"]:
    add("case", text)
    add("case", "x" + text + "Y " + text + "'S")
for _ in range(80):
    add("case", join(rng.choice([str.upper, str.lower, str.title, str.swapcase])(rng.choice(ACCENTED + SCRIPTS)) + " " for _ in range(4)))

MARKS = [chr(c) for c in (0x300, 0x301, 0x308, 0x30A, 0x323, 0x327, 0x345, 0x20D0, 0x20E3, 0x5B0, 0x64B, 0x93C, 0xE48, 0x3099, 0x309A, 0xFE0F, 0x200D, 0x1D165)]
for _ in range(200):
    add("combining marks", join(rng.choice("aeioucnsAEΑαаし가ㄱ각") + pick(MARKS, 3) + rng.choice(["", " ", "b"]) for _ in range(rng.randint(1, 5))))
for word in ACCENTED + SCRIPTS:
    add("combining marks", unicodedata.normalize("NFD", word))
    add("combining marks", unicodedata.normalize("NFKD", word))

DIGITS = [chr(c) for c in range(0x30000) if unicodedata.category(chr(c)) in ("Nd", "Nl", "No")]
for i in range(0, len(DIGITS), 12):
    add("digits", join(DIGITS[i : i + 12]))
for _ in range(60):
    add("digits", pick(DIGITS + list("0123456789abc.,- "), 12))

CONTROLS = [chr(c) for c in (*range(32), *range(0x7F, 0xA0), 0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070),
                             0xFEFF, *range(0xFFF9, 0xFFFE), 0xE0001, 0xE0041, 0x61C, 0x180E, 0x1D173)]
for control in CONTROLS:
    add("control characters", "a" + control + "b")
for _ in range(150):
    add("control characters", join(rng.choice(CONTROLS + ["a", "é", "Ã©", "word ", "\x1b["]) for _ in range(rng.randint(1, 10))))
for _ in range(80):
    codes = ["\x1b[0m", "\x1b[1;31m", "\x1b[K", "\x1b[", "\x1b[;;H", "\x1b]0;t\x07", "\x1b", "\x1b[38;5;196", "[31m", "\x1b[?25l"]
    add("terminal escapes", join(rng.choice(codes) + rng.choice(["red", "A", " ", "é", "12", ""]) for _ in range(rng.randint(1, 5))))
for space in SPACES:
    add("white space", "a" + space + "b")
    add("white space", space + "a" + space)
for _ in range(80):
    add("white space", join(pick(SPACES, 3) + rng.choice(["a", "Cat.", "é", "1", ""]) for _ in range(rng.randint(1, 5))))

for special in SPECIALS:
    for before in ["", "a", "a ", "!", "'", "'s", "1", "é", "́", "_", "<"]:
        add("special tokens", before + special + rng.choice(["", "b", " b", "!", "1"]))
for _ in range(120):
    add("special tokens", join(rng.choice(SPECIALS + ["!", "a", " ", "<", ">", "&lt;end_of_text&gt;", "end_of_text", "1"]) for _ in range(rng.randint(2, 6))))

for text in ["Ã ", "Â ", "a Ã ", "Ã  la", "â€", "Ã", "À\n", "Ã© À\nb", "Ã©À\n", "â\x80\x93", "Â©Â", "Å“uvre", "Ä°stanbul", "voilÃ le travail", "fÃ cil",
             "Ã s vezes Ã quele", "â€œ like this â€�", "Ã�", "l’Ã©tÃ©", "(â—•â€¿â—•)", "Â°C Å°", "à²", "√±∂", "‚Äî", "вЂ™", "ГўВЂВ™s", "β€™", "ā€™",
             "ÃƒÆ’Ã‚Â©", "a Â b", "×²", "ØªØ¯", "Ð\xa0", "donâ€™t â€” ok", "Ã©?", "Ã? la", "ðŸ˜€", "ð\x9f\x98?", "\x93smart\x94", "caf\x8e", "│é", "é│"]:
    add("mojibake", text)
for encoding in ENCODINGS:
    for _ in range(60):
        clean = some(rng.choice([ACCENTED, ACCENTED, SCRIPTS, EMOJI, ACCENTED + SCRIPTS + EMOJI + PLAIN]), 5)
        broken = mojibake(clean, encoding)
        twice = mojibake(broken, encoding)
        add("mojibake", broken)
        add("mojibake", rng.choice([
            twice, mojibake(twice, encoding), broken + " " + clean, clean + " " + broken, broken.replace("\xa0", " "), broken[:-1], broken[1:],
            broken.replace("\x81", "�").replace("\x9d", "?"), broken + "\n" + clean, broken + "\x1a", mojibake(broken, rng.choice(ENCODINGS)),
            html.escape(broken), broken.upper(), broken.lower(), broken + mojibake(clean, rng.choice(ENCODINGS)),
        ]))
for _ in range(60):
    clean = some(ACCENTED, 5)
    add("mojibake", clean.encode("windows-1252", "ignore").decode("latin-1"))
    add("mojibake", join(chr(b) for b in rng.randbytes(rng.randint(1, 12))))
    add("mojibake", join(rng.choice(["Ã", "Â", "â", "€", "™", "œ", "ð", "Ÿ", "˜", "\x80", "\xa0", "\xad", " ", "a", "Ð", "Ñ", "?", "�", "ï", "¿", "½", "í", " ", "À", "\x1a"])
                         for _ in range(rng.randint(2, 9))))
for emoji in EMOJI:
    units = emoji.encode("utf-16-be")
    cesu8 = b"".join(chr(units[i] * 256 + units[i + 1]).encode("utf-8", "surrogatepass") for i in range(0, len(units), 2))
    for encoding in ("latin-1", "sloppy-windows-1252", "macroman"):
        add("surrogates", cesu8.decode(encoding))
        add("surrogates", "a " + cesu8.decode(encoding)[: rng.randint(2, 9)] + "\n")
    add("surrogates", join("&#x%x%02x;" % (units[i], units[i + 1]) for i in range(0, len(units), 2)))
add("surrogates", "nul: À\x80. À")

BLOCKS = [(0x20, 0x7E), (0xA0, 0x17F), (0x180, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x7BF), (0x900, 0xDFF), (0xE00, 0x11FF),
          (0x1E00, 0x1FFF), (0x2000, 0x2BFF), (0x3000, 0x33FF), (0xAC00, 0xADFF), (0xF900, 0xFAFF), (0xFE00, 0xFEFF), (0x1D400, 0x1D7FF), (0x1F000, 0x1FAFF)]
for _ in range(500):
    blocks = [assigned(*rng.choice(BLOCKS)) for _ in range(3)]
    add("random characters", join(rng.choice(rng.choice(blocks)) for _ in range(rng.randint(1, 12))))

add("long", " ".join(PLAIN[i * i % len(PLAIN)] for i in range(10_000)))
add("long", " ".join((ACCENTED + SCRIPTS)[i * i % 97] for i in range(3_000)))
add("long", mojibake("é" * 5_000, "latin-1"))
add("long", "a" * 5_000)
add("long", "!" * 500 + "?!" * 300)
add("long", "&" + "amp;" * 500)
add("long", "\n".join(["line &amp; é", "<b>", "Ã© &amp;"] * 100))

golden = {group: [[text, tokenizer.encode(text)] for text in texts] for group, texts in groups.items()}
data = json.dumps(golden, ensure_ascii=True, separators=(",", ":")).encode()
target = Path(__file__).parent / "tokens.json.gz"
target.write_bytes(gzip.compress(data, 9, mtime=0))
print({group: len(texts) for group, texts in golden.items()}, sum(map(len, golden.values())), target.stat().st_size)
