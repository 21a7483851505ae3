//! Texts that others have written, as they may be shown: on one line, and
//! without power over the terminal.

/// Characters that control a terminal, or turn the text around them.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text, with a replacement for each of those.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn what_is_shown_controls_nothing(text: String) -> bool {
            !shown(&text).contains(is_invisible)
        }
    }
}
