//! Tests of the lexer: snippets and their tokens.

use super::*;

fn texts(source: &str) -> Vec<String> {
    lexed(source, &Defines::new()).tokens.iter().map(|t| t.tok.to_string()).collect()
}

fn lexed(source: &str, defines: &Defines) -> Lexed {
    lex(source, defines).unwrap()
}

fn kept(source: &str, defines: &Defines) -> String {
    let tokens = lexed(source, defines).tokens;
    let words: Vec<_> = tokens.iter().map(|t| t.tok.to_string()).collect();
    words[..words.len() - 1].join(" ")
}

#[test]
fn numbers_stop_before_an_ellipsis() {
    assert_eq!(texts("2.50...7.25 x")[..4], ["2.50", "...", "7.25", "x"]);
    assert_eq!(texts("+.008")[..2], ["+", ".008"]);
}

#[test]
fn a_lone_dot_is_a_flag_and_a_dot_before_a_digit_a_number() {
    assert_eq!(texts("> . 1:9(8)")[..7], [">", ".", "1", ":", "9", "(", "8"]);
    assert_eq!(texts("S. 5:5(0)")[..3], ["S", ".", "5"]);
}

#[test]
fn cookies_that_begin_with_a_digit_are_one_token() {
    assert_eq!(texts("FO 12ab34cd,nop")[..4], ["FO", "12ab34cd", ",", "nop"]);
}

#[test]
fn comments_vanish_and_do_not_glue() {
    let lexed = lexed("a/* x\n y */b // c\nd", &Defines::new());
    let seen: Vec<_> = lexed.tokens.iter().map(|t| (t.tok.to_string(), t.line)).collect();
    assert_eq!(seen[..3], [("a".to_owned(), 1), ("b".to_owned(), 2), ("d".to_owned(), 3)]);
    assert!(!lexed.tokens[1].glued);
}

#[test]
fn a_slash_before_udp_is_no_comment() {
    assert_eq!(texts("win 9/udp(7 > 8)//x")[..5], ["win", "9", "/", "udp", "("]);
}

#[test]
fn commands_and_code_keep_hashes_and_slashes() {
    let source = "+0 `echo a // b\n# no directive`\n%{\n# note\nassert x\n}%";
    let tokens = lexed(source, &Defines::new()).tokens;
    assert_eq!(tokens[2].tok, Tok::Command("echo a // b\n# no directive".to_owned()));
    assert_eq!(tokens[3].tok, Tok::Code("# note\nassert x".to_owned()));
    assert_eq!(tokens[3].line, 3);
}

#[test]
fn options_only_at_the_start_of_a_line() {
    let tokens = lexed("--local_ip=fd::7 // our own\n--strict\n< -- x", &Defines::new()).tokens;
    assert_eq!(tokens[0].tok, Tok::Option("local_ip".to_owned(), Some("fd::7".to_owned())));
    assert_eq!(tokens[1].tok, Tok::Option("strict".to_owned(), None));
    assert_eq!(tokens[3].tok, Tok::Punct('-'));
}

#[test]
fn strings_keep_their_escapes() {
    assert_eq!(lexed(r#""a\"b""#, &Defines::new()).tokens[0].tok, Tok::Str(r#"a\"b"#.to_owned()));
}

#[test]
fn conditions_choose_a_branch() {
    let source = "a\n#ifdef X\nb\n#else\nc\n#endif\nd";
    assert_eq!(kept(source, &Defines::new()), "a c d");
    assert_eq!(kept(source, &Defines::new().with("X", "")), "a b d");
}

#[test]
fn conditions_nest_and_chain() {
    let source =
        "#if defined(X) && !defined(Y)\na\n#ifdef Z\nb\n#endif\n#elif 0 || defined Y\nc\n#endif";
    let x = Defines::new().with("X", "");
    assert_eq!(kept(source, &x), "a");
    assert_eq!(kept(source, &x.clone().with("Z", "")), "a b");
    assert_eq!(kept(source, &x.with("Y", "").with("Z", "")), "c");
}

#[test]
fn conditions_tell_what_they_asked_and_did() {
    let source = "a\n#ifdef X\nb c\n// n\n\nd\n#endif\n#ifdef Y\ne f\n#endif";
    let lexed = lexed(source, &Defines::new().with("Y", ""));
    assert_eq!(lexed.tested.iter().map(String::as_str).collect::<Vec<_>>(), ["X", "Y"]);
    assert_eq!((lexed.lines_dropped, lexed.tokens_kept), (2, 2));
}

#[test]
fn quotes_in_a_dropped_branch_need_no_end() {
    assert_eq!(kept("#if 0\nit's `broken \"text\n#endif\na", &Defines::new()), "a");
}

#[test]
fn symbols_replace_words() {
    let defines = Defines::new().with("N", "1200").with("T", "other").with("S", "\"text\"");
    let tokens = lexed("mss N T S", &defines).tokens;
    assert_eq!(tokens[1].tok, Tok::Number("1200".to_owned()));
    assert_eq!(tokens[2].tok, Tok::Word("other".to_owned()));
    assert_eq!(tokens[3].tok, Tok::Str("text".to_owned()));
}

#[test]
fn define_in_the_script_counts_from_there() {
    assert_eq!(kept("N\n#define N 7\nN\n#undef N\nN", &Defines::new()), "N 7 N");
}

#[test]
fn errors_name_the_place() {
    let place = |source: &str| lex(source, &Defines::new()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(place("a\n  `ls"), "2:3: this ` has no `");
    assert_eq!(place("x\n\n#ifdef A\ny"), "3:1: this condition has no #endif");
    assert_eq!(place("#endif"), "1:1: #endif without #ifdef");
    assert_eq!(place("#pragma once"), "1:1: unknown directive \"#pragma once\"");
    assert_eq!(place("#if x > 1\n#endif"), "1:1: no condition: \"x > 1\"");
    assert_eq!(place("a \u{a7}"), "1:3: no token begins with '\u{a7}'");
}
