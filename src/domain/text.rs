//! Text that people see: how names are cleaned, and which ids look like reserved ones.
//!
//! Character properties and normalisation are those of Unicode, by ICU4X, which the URL library brings as well.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::CodePointSetData;
use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, VariationSelector, WhiteSpace};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// A black flag: with tag characters behind it, the flag of a region.
const FLAG: char = '\u{1f3f4}';
/// From here on are the scripts that need joiners, and emoji: Hebrew is the first block behind Latin, Greek, Cyrillic
/// and Armenian, which need none.
const FIRST_JOINED: char = '\u{590}';

/// A name as it is shown: composed (NFC), without what would change how the text around it looks or make two names look
/// the same (bidirectional controls, zero-width characters, line separators), without white space at either end.
/// Joiners stay inside emoji and between letters of scripts that need them. Control characters are left to the caller.
pub fn cleaned(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut in_flag = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        in_flag = letter == FLAG || (in_flag && is_tag(letter));
        let keeps = match letter {
            ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => {
                kept.ends_with(takes_joiner) && letters.peek().copied().is_some_and(takes_joiner)
            }
            '\u{2028}' | '\u{2029}' => false,
            _ if is_tag(letter) => in_flag,
            _ => !is_zero_width(letter),
        };
        if keeps {
            kept.push(letter);
        }
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(kept.trim()).into_owned()
}

/// Whether a reader sees anything at all.
pub fn has_visible(text: &str) -> bool {
    text.chars().any(is_visible)
}

/// A text in one case and width: `LOBBY` and `ｌｏｂｂｙ` become `lobby` (NFKD, then lower case).
pub fn folded(text: &str) -> String {
    DecomposingNormalizerBorrowed::new_nfkd().normalize(text).to_lowercase()
}

fn is_visible(letter: char) -> bool {
    const BRAILLE_BLANK: char = '\u{2800}';
    !letter.is_control()
        && letter != BRAILLE_BLANK
        && !CodePointSetData::new::<WhiteSpace>().contains(letter)
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

fn is_tag(letter: char) -> bool {
    matches!(letter, '\u{e0020}'..='\u{e007f}')
}

/// Takes no room itself. Variation selectors do not either, but choose how the character before them looks.
fn is_zero_width(letter: char) -> bool {
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
        && !CodePointSetData::new::<VariationSelector>().contains(letter);
    is_ignorable || CodePointSetData::new::<BidiControl>().contains(letter)
}

fn takes_joiner(letter: char) -> bool {
    let is_selector = CodePointSetData::new::<VariationSelector>().contains(letter);
    letter >= FIRST_JOINED && (is_visible(letter) || is_selector) && !matches!(letter, '\u{2000}'..='\u{206f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_and_direction_changing_characters_are_removed_from_names() {
        for (given, shown) in [
            ("Ana", "Ana"),
            (" Ana\u{a0}", "Ana"),
            ("A\u{200b}n\u{2060}a\u{feff}", "Ana"),
            ("A\u{202e}na\u{2066}", "Ana"),
            ("A\u{200e}n\u{61c}a", "Ana"),
            ("A\u{2028}n\u{2029}a", "Ana"),
            ("A\u{200d}n\u{200c}a", "Ana"),
            ("A\u{e0041}na", "Ana"),
            ("e\u{301}", "\u{e9}"),
            ("Ana Lo\u{301}pez", "Ana L\u{f3}pez"),
        ] {
            assert_eq!(cleaned(given), shown, "{given:?}");
        }
    }

    #[test]
    fn joiners_stay_in_emoji_and_in_scripts_that_need_them() {
        for name in [
            "\u{1f469}\u{200d}\u{1f4bb}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
        ] {
            assert_eq!(cleaned(name), name);
            assert!(has_visible(name));
        }
    }

    #[test]
    fn a_text_of_nothing_visible_is_told_apart() {
        for text in ["", " ", "\u{200b}", "\u{202e}\u{2066}", "\u{2800}", "\u{3164}", "\u{3000}", "\u{fe0f}", "\u{ad}"]
        {
            assert!(!has_visible(&cleaned(text)), "{text:?}");
        }
        for text in [".", "0", "\u{645}", "\u{1f600}", "-"] {
            assert!(has_visible(&cleaned(text)), "{text:?}");
        }
    }

    #[test]
    fn case_and_width_do_not_make_another_text() {
        for text in ["lobby", "Lobby", "LOBBY", "\u{ff4c}\u{ff4f}\u{ff42}\u{ff42}\u{ff59}", "\u{ff2c}obby"] {
            assert_eq!(folded(text), "lobby");
        }
    }
}
