//! Text that a model or a guest wrote, made safe to print on a terminal or to put into a page's markup.

/// Without terminal escapes and control characters, new lines and tabs excepted.
///
/// Introducers of strings that a terminal would swallow whole (window titles, device control) are shown instead of
/// obeyed, so that a text cannot hide what follows them; the marks that reverse the direction of writing are shown too.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let swallows = matches!(characters.peek(), Some(']' | 'P' | 'X' | '^' | '_' | '\\'));
        match character {
            '\u{1b}' if swallows => shown.push('␛'),
            '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.push('\u{fffd}'),
            other => shown.push(other),
        }
    }
    // Stripping would take tabs for control characters.
    let pieces: Vec<String> = shown.split('\t').map(strip_ansi_escapes::strip_str).collect();
    let mut stripped = pieces.join("\t");
    stripped.retain(|character| !character.is_control() || matches!(character, '\n' | '\t'));
    stripped
}

/// The same on one line.
pub fn printable_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text for a page or a picture, with what no reader could see and what XML does not know made visible, and bounded.
/// Its markup is left for the template to escape.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 8_000;
    let mut out = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(MOST) {
        out.push(match character {
            '\n' | '\t' => character,
            '\r' => continue,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            other if other.is_control() => '\u{fffd}',
            other => other,
        });
    }
    let left = characters.count();
    if left > 0 {
        out.push_str(&format!("\n… {left} more characters in the run file"));
    }
    out
}

/// At most so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_cursor_movements_are_gone() {
        assert_eq!(printable("\x1b[31mred\x1b[0m\x1b[2J\x1b[1;1H!"), "red!");
    }

    #[test]
    fn a_window_title_is_shown_and_hides_nothing() {
        assert_eq!(printable("a\x1b]0;title\x07b"), "a␛]0;titleb");
        assert_eq!(printable("a\x1b]0;never ended, and the rest"), "a␛]0;never ended, and the rest");
    }

    #[test]
    fn control_characters_are_gone_and_new_lines_stay() {
        assert_eq!(printable("one\r\n\ttwo\x08\x00\u{9b}31m"), "one\n\ttwo\u{fffd}31m");
    }

    #[test]
    fn reversed_writing_is_shown() {
        assert_eq!(printable("safe\u{202e}efasnu"), "safe\u{fffd}efasnu");
    }

    #[test]
    fn a_line_has_no_line_ends() {
        assert_eq!(printable_line(" a\n\n b\tc "), "a b c");
    }
}
