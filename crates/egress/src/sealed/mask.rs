//! Texts of secrets that an answer repeats become their placeholders again: in plain, percent-encoded, in base64 and escaped as JSON does.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use snaphook_model::HttpResponse;

/// Shorter values stand in many a text by chance, and whoever tries finds them anyway.
const SHORTEST: usize = 4;
/// Letters of base64 that a value must be recognised by: fewer stand in many a text by chance.
const SHORTEST_BASE64: usize = 8;

/// Replaces texts by their placeholders in an answer.
pub(super) fn response<'a>(response: &mut HttpResponse, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut forms: BTreeMap<String, &str> = BTreeMap::new();
    for (text, placeholder) in pairs.filter(|(text, _)| text.len() >= SHORTEST) {
        for form in forms_of(text) {
            forms.entry(form).or_insert(placeholder);
        }
    }
    if forms.is_empty() {
        return;
    }
    let (needles, shown): (Vec<String>, Vec<&str>) = forms.into_iter().unzip();
    // The longest first, so that what encloses another value is replaced whole.
    let Ok(found) = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles) else { return };
    for (_, value) in &mut response.headers.0 {
        if found.is_match(value.as_str()) {
            *value = found.replace_all(value, &shown);
        }
    }
    if found.is_match(&response.body) {
        response.body = found.replace_all_bytes(&response.body, &shown).into();
    }
    needles.into_iter().for_each(|mut needle| zeroize::Zeroize::zeroize(&mut needle));
}

/// A text in every form that is looked for.
fn forms_of(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    let percent: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    for percent in [percent.replace('+', "%20"), percent] {
        forms.push(lower_escapes(&percent));
        forms.push(percent);
    }
    let quoted = serde_json::Value::from(text).to_string();
    forms.push(quoted[1..quoted.len() - 1].to_owned());
    forms.push(quoted[1..quoted.len() - 1].replace('/', "\\/"));
    // Within a longer text a value begins at any of three places of base64's groups; the letters at its edges depend on its neighbours.
    for before in 0..3 {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let shifted = engine.encode([&vec![0; before][..], text.as_bytes()].concat());
            let from = (before * 8).div_ceil(6);
            let to = (before + text.len()) * 8 / 6;
            if let Some(core) = shifted.get(from..to).filter(|core| core.len() >= SHORTEST_BASE64) {
                forms.push(core.to_owned());
            }
        }
    }
    forms
}

/// Percent-encoding with small letters, as some write it.
fn lower_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut escaped = 0;
    for letter in text.chars() {
        if letter == '%' {
            escaped = 3;
        }
        out.push(if escaped > 0 { letter.to_ascii_lowercase() } else { letter });
        escaped = i32::max(escaped - 1, 0);
    }
    out
}
