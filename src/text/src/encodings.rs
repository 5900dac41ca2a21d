//! Single-byte encodings that UTF-8 text is mistaken for.

use std::{collections::HashMap, sync::LazyLock};

/// A single-byte encoding whose lower half is ASCII.
///
/// Windows encodings leave some bytes without a character. The *sloppy* ones here read such a byte
/// as Latin-1 does, like a web browser, and read byte 1A as U+FFFD: a byte that somebody else's
/// decoder has already lost.
pub(crate) struct Encoding {
    pub(crate) name: &'static str,
    pub(crate) sloppy: bool,
    /// The characters of bytes 80 to FF.
    high: Vec<char>,
    bytes: HashMap<char, u8>,
}

/// The byte that stands for U+FFFD in a sloppy encoding: SUBSTITUTE.
pub(crate) const LOST: u8 = 0x1a;

impl Encoding {
    fn new(name: &'static str, sloppy: bool, high: impl Iterator<Item = char>) -> Self {
        let high: Vec<char> = high.collect();
        let bytes = high.iter().copied().zip(0x80..=0xff).collect();
        Self { name, sloppy, high, bytes }
    }

    /// The bytes that this encoding reads as `text`, or `None` if there are none.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        text.chars()
            .map(|c| match c {
                '\u{fffd}' if self.sloppy => Some(LOST),
                '\u{1a}' if self.sloppy => None,
                '\0'..='\x7f' => u8::try_from(c).ok(),
                _ => self.bytes.get(&c).copied(),
            })
            .collect()
    }

    /// The character that a byte from 80 to FF stands for.
    pub(crate) fn decode_high(&self, byte: u8) -> Option<char> {
        self.high.get(usize::from(byte.checked_sub(0x80)?)).copied()
    }
}

/// Every encoding that is tried, most likely first: ftfy's `CHARMAP_ENCODINGS`.
pub(crate) static ENCODINGS: LazyLock<Vec<Encoding>> = LazyLock::new(|| {
    let latin_1 = Encoding::new("latin-1", false, '\u{80}'..='\u{ff}');
    let others = TABLES.iter().map(|(name, sloppy, rows)| {
        Encoding::new(name, *sloppy, rows.iter().flat_map(|row| row.chars()))
    });
    std::iter::once(latin_1).chain(others).collect()
});

/// Reads a C1 control character as Windows-1252, as web browsers do; leaves any other as it is.
pub(crate) fn windows_1252_for_c1(c: char) -> char {
    let windows_1252 = ENCODINGS.iter().find(|e| e.name == "windows-1252");
    match u8::try_from(c) {
        Ok(byte) if is_c1(c) => windows_1252.and_then(|e| e.decode_high(byte)).unwrap_or(c),
        _ => c,
    }
}

/// Whether `c` is a C1 control character, U+0080 to U+009F.
pub(crate) fn is_c1(c: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&c)
}

/// Name, whether it is sloppy, and the characters of bytes 80 to FF, 32 a row.
const TABLES: [(&str, bool, [&str; 4]); 9] = [
    (
        "windows-1252",
        true,
        [
            "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ",
            "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿",
            "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß",
            "àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
        ],
    ),
    (
        "windows-1251",
        true,
        [
            "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ",
            "\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї",
            "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ",
            "абвгдежзийклмнопрстуфхцчшщъыьэюя",
        ],
    ),
    (
        "windows-1250",
        true,
        [
            "€\u{81}‚\u{83}„…†‡\u{88}‰Š‹ŚŤŽŹ\u{90}‘’“”•–—\u{98}™š›śťžź",
            "\u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż",
            "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß",
            "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
        ],
    ),
    (
        "windows-1253",
        true,
        [
            "€\u{81}‚ƒ„…†‡\u{88}‰\u{8a}‹\u{8c}\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}\u{9d}\u{9e}\u{9f}",
            "\u{a0}΅Ά£¤¥¦§¨©ª«¬\u{ad}®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏ",
            "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡÒΣΤΥΦΧΨΩΪΫάέήί",
            "ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ",
        ],
    ),
    (
        "windows-1254",
        true,
        [
            "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}\u{8e}\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}\u{9e}Ÿ",
            "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯°±²³´µ¶·¸¹º»¼½¾¿",
            "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞß",
            "àáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ",
        ],
    ),
    (
        "windows-1257",
        true,
        [
            "€\u{81}‚\u{83}„…†‡\u{88}‰\u{8a}‹\u{8c}¨ˇ¸\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}¯˛\u{9f}",
            "\u{a0}¡¢£¤¥¦§Ø©Ŗ«¬\u{ad}®Æ°±²³´µ¶·ø¹ŗ»¼½¾æ",
            "ĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽß",
            "ąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙",
        ],
    ),
    (
        "iso-8859-2",
        false,
        [
            "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}\u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}",
            "\u{a0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žż",
            "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß",
            "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
        ],
    ),
    (
        "macroman",
        false,
        [
            "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü",
            "†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø",
            "¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ",
            "‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
        ],
    ),
    (
        "cp437",
        false,
        [
            "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
            "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
            "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
            "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_one_character_for_each_high_byte() {
        for encoding in ENCODINGS.iter() {
            assert_eq!(encoding.high.len(), 128, "{}", encoding.name);
            assert_eq!(encoding.bytes.len(), 128, "{}", encoding.name);
        }
    }

    #[test]
    fn only_a_sloppy_encoding_has_a_byte_for_the_replacement_character() {
        for encoding in ENCODINGS.iter() {
            let lost = encoding.sloppy.then_some(vec![LOST]);
            assert_eq!(encoding.encode("\u{fffd}"), lost, "{}", encoding.name);
        }
    }
}
