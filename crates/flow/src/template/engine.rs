//! Templates that are more than names: run by the template engine, under fuel, with a bounded output.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State};
use percent_encoding::utf8_percent_encode;
use snaphook_model::{Code, Fault};

use super::filling::INDEXED_BYTES;
use super::json::{self, MAX_NODES, Maker, TooMany};
use super::url::{ENCODED, MARK_BEGIN, MARK_END};
use super::values::{Root, Values};

/// Bytes that a template, and a request's data as a whole, may become.
pub(super) const MAX_OUTPUT: usize = 6 << 20;

/// What the engine may spend on work. It also charges a unit for every 64 bytes that it copies; what the largest output costs is added, so that
/// the whole of this is left for work.
const WORK: u64 = 50_000;
const FUEL: u64 = WORK + (MAX_OUTPUT / 64) as u64;

/// What the templates of a place begin as: their own environment is a copy, which shares all but the template itself.
static WHOLES: LazyLock<Environment<'static>> = LazyLock::new(|| environment(write_json));
static TEXTS: LazyLock<Environment<'static>> = LazyLock::new(|| environment(write_text));
static URLS: LazyLock<Environment<'static>> = LazyLock::new(|| environment(write_marked));

/// The name of the one template in its environment.
const NAME: &str = "template";

/// A whole template, compiled.
pub(super) struct Program(Environment<'static>);

/// A template that is one expression and keeps its value's type: what it writes is JSON.
pub(super) struct Whole(Program);

/// Where a template's text will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In data or a header.
    Text,
    /// In a URL: values come out encoded, between marks.
    Url,
}

fn environment(formatter: fn(&mut Output<'_>, &mut State<'_, '_>, &Value) -> Result<(), Error>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_syntax(syntax());
    environment.set_formatter(formatter);
    // What is below an unknown name is as unknown as the name.
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    // Nothing is escaped by hand, and nothing is told of the environment.
    for filter in ["safe", "escape", "e"] {
        environment.remove_filter(filter);
    }
    environment.remove_global("debug");
    environment.add_filter("tojson", |value: Value| json_of(&value));
    environment
}

/// The usual one, but that a text keeps its last line break.
pub(super) fn syntax() -> minijinja::syntax::SyntaxConfig {
    let mut builder = minijinja::syntax::SyntaxConfig::builder();
    builder.keep_trailing_newline(true);
    builder.build().expect("the delimiters are the usual ones")
}

/// Whether templates have a filter, test or function of a name.
pub(super) fn has_filter(name: &str) -> bool {
    TEXTS.empty_state().apply_filter(name, &[]).map_or_else(|error| error.kind() != ErrorKind::UnknownFilter, |_| true)
}

/// As [`has_filter`].
pub(super) fn has_test(name: &str) -> bool {
    TEXTS.empty_state().perform_test(name, &[]).map_or_else(|error| error.kind() != ErrorKind::UnknownTest, |_| true)
}

/// As [`has_filter`].
pub(super) fn has_function(name: &str) -> bool {
    TEXTS.globals().any(|(global, _)| global == name)
}

impl Program {
    pub(super) fn compile(text: &str, place: Place) -> Result<Self, Error> {
        Self::compile_for(
            match place {
                Place::Text => &TEXTS,
                Place::Url => &URLS,
            },
            text,
        )
    }

    fn compile_for(base: &Environment<'static>, text: &str) -> Result<Self, Error> {
        let mut environment = base.clone();
        environment.add_template_owned(NAME, text.to_owned())?;
        Ok(Self(environment))
    }

    pub(super) fn render(&self, values: &Values) -> Result<String, Fault> {
        let context = Names::new(values);
        let mut out = Bounded::default();
        let template = self.0.get_template(NAME).map_err(|error| fault(&error))?;
        let rendered = template.render_captured_to(Value::from_dyn_object(context.clone()), &mut out);
        context.check()?;
        match rendered {
            Ok(captured) => {
                let (work, _) = captured.state().fuel_levels().unwrap_or_default();
                values.filling.spend(work)?;
                String::from_utf8(out.0).map_err(|_| Fault::new(Code::Internal, "a template became no text"))
            }
            Err(error) => Err(fault(&error)),
        }
    }
}

impl Whole {
    pub(super) fn compile(text: &str) -> Result<Self, Error> {
        Program::compile_for(&WHOLES, text).map(Self)
    }

    /// The value as JSON text; none for what is not there.
    pub(super) fn eval(&self, values: &Values) -> Result<Option<String>, Fault> {
        // No JSON text is empty.
        self.0.render(values).map(|text| Some(text).filter(|text| !text.is_empty()))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whole")
    }
}

/// Takes output until there is too much of it.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = MAX_OUTPUT.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(std::io::Error::other("too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Names looked up when a template asks for them. A root that is never named is never taken apart.
#[derive(Debug)]
struct Names {
    values: Values,
    maker: Maker,
}

impl Names {
    fn new(values: &Values) -> Arc<Self> {
        Arc::new(Self { values: values.clone(), maker: Maker::new() })
    }

    /// The engine has no way to be told that a name led to too much, so it is asked afterwards.
    fn check(&self) -> Result<(), Fault> {
        self.values.filling.check()?;
        if self.maker.is_spent() {
            let detail = format!("a template may look at {MAX_NODES} values; name the part that it needs");
            return Err(Fault::new(Code::TemplateLimit, detail).of_limit(MAX_NODES.into(), None));
        }
        Ok(())
    }

    /// The value of a name. A large one is made once for all templates of the request.
    fn value(&self, name: &str) -> Result<Option<Value>, TooMany> {
        let root = Root::of(name);
        if let Some(made) = self.values.filling.made(name) {
            return Ok(Some(made));
        }
        let bytes = if root == Root::Bare { self.values.bare(name).map_or(0, str::len) } else { self.values.bytes_of(root) };
        // That it is spent is found by who asks afterwards.
        self.values.filling.spend_bytes(bytes).map_err(|_| TooMany)?;
        let value = self.make(root, name)?;
        if let Some(value) = value.as_ref().filter(|_| bytes >= INDEXED_BYTES) {
            self.values.filling.keep(name, value.clone());
        }
        Ok(value)
    }

    fn make(&self, root: Root, name: &str) -> Result<Option<Value>, TooMany> {
        if let Some(map) = self.values.map(root) {
            let entries = map.iter().map(|(name, text)| Ok((name.clone(), self.maker.value(text)?)));
            return entries.collect::<Result<Vec<_>, TooMany>>().map(|entries| Some(Value::from_pairs(entries)));
        }
        match root {
            Root::Bare => self.values.bare(name).map(|text| self.maker.value(text)).transpose(),
            _ => self.values.whole(root).map_err(|_| TooMany)?.map(|text| self.maker.value(&text)).transpose(),
        }
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.value(key.as_str()?).unwrap_or_default()
    }
}

/// As JSON, and nothing of what is not there.
fn write_json(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Ok(());
    }
    json_of(value).and_then(|json| out.write_str(&json).map_err(|_| Error::new(ErrorKind::WriteFailure, "too long")))
}

/// As text among text.
fn write_text(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    text_of(value).and_then(|text| out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "too long")))
}

/// Encoded, between marks that the literal text of a URL cannot hold.
fn write_marked(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = text_of(value)?;
    let marked = format!("{MARK_BEGIN}{}{MARK_END}", utf8_percent_encode(&text, ENCODED));
    out.write_str(&marked).map_err(|_| Error::new(ErrorKind::WriteFailure, "too long"))
}

fn text_of(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Ok(String::new());
    }
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    Ok(json::as_text(&json_of(value)?).into_owned())
}

/// A value's JSON text. A list that names one long text many times is short until it is written, so it is bounded while it is.
fn json_of(value: &Value) -> Result<String, Error> {
    let mut out = Bounded::default();
    match serde_json::to_writer(&mut out, value) {
        Ok(()) => String::from_utf8(out.0).map_err(|_| Error::new(ErrorKind::BadSerialization, "JSON is text")),
        Err(error) if error.is_io() => Err(Error::new(ErrorKind::WriteFailure, "too long")),
        Err(_) => Err(Error::new(ErrorKind::BadSerialization, "the value has no form in JSON")),
    }
}

fn too_long() -> Fault {
    let limit = MAX_OUTPUT as u64;
    Fault::new(Code::TemplateLimit, format!("a template became longer than {limit} bytes")).of_limit(limit, None)
}

/// A rendering's failure.
fn fault(error: &Error) -> Fault {
    if error.kind() == ErrorKind::WriteFailure {
        return too_long();
    }
    let fault = if error.kind() == ErrorKind::OutOfFuel {
        Fault::new(Code::TemplateLimit, format!("a template may spend {WORK} units of fuel, and this one wanted more")).of_limit(WORK, None)
    } else {
        Fault::new(Code::Template, sentence(error))
    };
    match error.line().and_then(|line| u32::try_from(line).ok()) {
        Some(line) => Fault { line: Some(line), ..fault },
        None => fault,
    }
}

/// What is wrong, in a sentence without the place, which has fields of its own.
pub(super) fn sentence(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("the template fails: {}: {detail}", error.kind()),
        None => format!("the template fails: {}", error.kind()),
    }
}
