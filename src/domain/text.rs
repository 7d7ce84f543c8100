//! Text that people see: how names are cleaned, and which ids look like reserved ones.
//!
//! Character properties and normalisation are those of Unicode, by ICU4X, which the URL library brings as well.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{
    BidiControl, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic,
    GeneralCategory, GeneralCategoryGroup, Ideographic, JoiningType, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// Makes an emoji of the character before it.
const EMOJI_STYLE: char = '\u{fe0f}';
/// As wide as a letter, and empty.
const BRAILLE_BLANK: char = '\u{2800}';
/// The flags of regions that there are: a black flag and tag characters. Others would hide a text.
const FLAGS: [&str; 3] = [
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// A name as it is shown: composed (NFC), without what would change how the text around it looks or make two names look
/// the same (bidirectional controls, zero-width characters, line separators), without white space at either end.
/// Joiners stay where the script or the emoji needs them (RFC 5892, appendix A.1 and A.2; UTS #51). Control characters
/// are left to the caller.
pub fn cleaned(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(flag) = FLAGS.iter().find(|flag| rest.starts_with(**flag)) {
            kept.push_str(flag);
            rest = &rest[flag.len()..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        if is_kept(letter, kept.chars().next_back(), rest.chars().next()) {
            kept.push(letter);
        }
    }
    let is_blank = |letter: char| letter.is_whitespace() || letter == BRAILLE_BLANK;
    ComposingNormalizerBorrowed::new_nfc().normalize(kept.trim_matches(is_blank)).into_owned()
}

fn is_kept(letter: char, before: Option<char>, behind: Option<char>) -> bool {
    match letter {
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => before.is_some_and(|before| joins(letter, before, behind)),
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => false,
        _ if has(VARIATION_SELECTORS, letter) => before.is_some_and(has_variants),
        _ => !has(DEFAULT_IGNORABLE, letter) && !has(BIDI_CONTROLS, letter),
    }
}

type Set = icu_properties::CodePointSetDataBorrowed<'static>;
const DEFAULT_IGNORABLE: Set = CodePointSetData::new::<DefaultIgnorableCodePoint>();
const BIDI_CONTROLS: Set = CodePointSetData::new::<BidiControl>();
const VARIATION_SELECTORS: Set = CodePointSetData::new::<VariationSelector>();
const PICTOGRAPHS: Set = CodePointSetData::new::<ExtendedPictographic>();

fn has(set: Set, letter: char) -> bool {
    set.contains(letter)
}

/// Whether a joiner changes how its neighbours look: behind a virama, between letters that join, and between emoji.
fn joins(joiner: char, before: char, behind: Option<char>) -> bool {
    let joining = CodePointMapData::<JoiningType>::new();
    let joins_on = |letter| matches!(joining.get(letter), JoiningType::DualJoining | JoiningType::LeftJoining);
    let joins_back = |letter| matches!(joining.get(letter), JoiningType::DualJoining | JoiningType::RightJoining);
    let is_emoji =
        has(PICTOGRAPHS, before) || before == EMOJI_STYLE || has(CodePointSetData::new::<EmojiModifier>(), before);
    CodePointMapData::<CanonicalCombiningClass>::new().get(before) == CanonicalCombiningClass::Virama
        || behind.is_some_and(|behind| {
            (joins_on(before) && joins_back(behind))
                || (joiner == ZERO_WIDTH_JOINER && is_emoji && has(PICTOGRAPHS, behind))
        })
}

/// Whether a variation selector can choose how a character looks.
fn has_variants(letter: char) -> bool {
    has(CodePointSetData::new::<Emoji>(), letter)
        || has(CodePointSetData::new::<Ideographic>(), letter)
        || matches!(letter, '\u{1820}'..='\u{18aa}')
}

/// Whether a reader sees anything at all.
pub fn has_visible(text: &str) -> bool {
    text.chars().any(is_visible)
}

/// A text in one case and width: `LOBBY` and `ｌｏｂｂｙ` become `lobby` (NFKD, then lower case).
pub fn folded(text: &str) -> String {
    DecomposingNormalizerBorrowed::new_nfkd().normalize(text).to_lowercase()
}

/// A text without case, width and accents, for searches: `Éclair` becomes `eclair`.
pub fn searchable(text: &str) -> String {
    let is_accent = |letter: &char| {
        let category = CodePointMapData::<GeneralCategory>::new().get(*letter);
        category == GeneralCategory::NonspacingMark
    };
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text).to_lowercase();
    decomposed.chars().filter(|letter| !is_accent(letter)).collect()
}

fn is_visible(letter: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    let unseen = GeneralCategoryGroup::Other.union(GeneralCategoryGroup::Separator).union(GeneralCategoryGroup::Mark);
    !unseen.contains(category) && letter != BRAILLE_BLANK && !has(DEFAULT_IGNORABLE, letter)
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
            ("Ana\u{fe0f}", "Ana"),
            ("Ana\u{e0101}", "Ana"),
            ("Ana\u{2800}", "Ana"),
            ("A\u{fff9}na\u{fffb}", "Ana"),
            ("\u{5f20}\u{200d}\u{4e09}", "\u{5f20}\u{4e09}"),
            ("\u{ff21}\u{200c}\u{ff22}", "\u{ff21}\u{ff22}"),
            ("\u{1ea0}\u{200d}\u{1ec7}", "\u{1ea0}\u{1ec7}"),
            ("\u{1f3f4}\u{e0068}\u{e0069}\u{e007f}", "\u{1f3f4}"),
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
            "\u{915}\u{94d}\u{200d}",
            "1\u{fe0f}\u{20e3}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "\u{8fbb}\u{e0100}",
        ] {
            assert_eq!(cleaned(name), name);
            assert!(has_visible(name));
        }
    }

    #[test]
    fn invisible_texts_are_recognised() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{202e}\u{2066}",
            "\u{2800}",
            "\u{3164}",
            "\u{3000}",
            "\u{fe0f}",
            "\u{ad}",
            "\u{fffb}",
            "\u{16fe4}",
        ] {
            assert!(!has_visible(&cleaned(text)), "{text:?}");
        }
        for text in [".", "0", "\u{645}", "\u{1f600}", "-"] {
            assert!(has_visible(&cleaned(text)), "{text:?}");
        }
    }

    #[test]
    fn case_and_width_are_folded() {
        for text in ["lobby", "Lobby", "LOBBY", "\u{ff4c}\u{ff4f}\u{ff42}\u{ff42}\u{ff59}", "\u{ff2c}obby"] {
            assert_eq!(folded(text), "lobby");
        }
    }
}
