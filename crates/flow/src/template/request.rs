//! A request before its values are known.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use snaphook_model::request::has_template;
use snaphook_model::{ContinueIf, Encode, Fault, Headers, HttpRequest, Payload};

use super::data::{self, DataTemplate, EncodedBody};
use super::files::FilledFiles;
use super::header::{HeaderTemplate, read_headers};
use super::json;
use super::url::UrlTemplate;
use super::values::{Needs, Values};
use crate::machine::ResponsePath;

/// A request before its arguments are known. What has no template is ready to be sent.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in `HttpRequest`")]
pub struct RequestTemplate {
    pub method: String,
    pub url: String,
    pub headers: Headers,
    pub body: Body,
    /// What is filled in for each request; absent in a request without templates, which costs nothing then.
    pub templates: Option<Box<RequestTemplates>>,
}

/// Where a request's body comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// No body: a GET or HEAD without `data`, and a step with a URL and no `data`.
    None,
    /// The call's arguments, with their media type.
    Arguments,
    /// `data` of the definition without templates, encoded, with its media type.
    Data(Bytes, &'static str),
}

/// The parts of a request that have templates; each stands in place of the literal one.
#[derive(Debug, Default)]
pub struct RequestTemplates {
    url: Option<UrlTemplate>,
    headers: Option<Vec<HeaderTemplate>>,
    data: Option<DataTemplate>,
    needs: Needs,
}

/// A request with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// What is sent.
    pub request: HttpRequest,
    /// The value of `continue_if` as JSON text, where it had a template.
    pub expected: Option<String>,
    /// What files it sends and keeps.
    pub files: FilledFiles,
}

/// What must stand in the response, and where.
#[derive(Debug)]
pub struct Condition {
    /// Where.
    pub path: ResponsePath,
    /// As JSON text. Of a template it is filled in with the request.
    pub expected: String,
    /// Makes what is expected.
    template: Option<DataTemplate>,
    needs: Needs,
}

/// A request's parts as a document has them.
pub(crate) struct Source<'a> {
    /// The path in the document under which the fields stand.
    pub(crate) path: &'a str,
    pub(crate) method: String,
    pub(crate) url: SourceUrl<'a>,
    /// With the path of each map of headers.
    pub(crate) headers: Vec<(String, Vec<(&'a String, &'a String)>)>,
    pub(crate) data: Option<&'a Value>,
    pub(crate) encode: Option<Encode>,
    /// Of a request without `data`.
    pub(crate) otherwise: Body,
    pub(crate) condition: Option<&'a ContinueIf>,
}

/// Where a document has the URL.
pub(crate) enum SourceUrl<'a> {
    /// A step's own.
    Whole(&'a str),
    /// An endpoint's.
    Below { base: &'a str, path: &'a str, query: &'a BTreeMap<String, String> },
}

impl RequestTemplate {
    /// Reads a request of a document.
    ///
    /// # Errors
    /// `invalid` with path, line and column where a template is none or names what there is not; `url` for a literal URL that is none.
    pub(crate) fn read(source: Source<'_>) -> Result<(Self, Option<Condition>), Fault> {
        let mut templates = RequestTemplates::default();
        let needs = &mut templates.needs;
        let (url, url_template) = read_url(source.path, &source.url, needs)?;
        templates.url = url_template;
        let (headers, header_templates) = read_headers(&source.headers, needs)?;
        templates.headers = header_templates;
        let encode = source.encode.unwrap_or(Encode::Json);
        let body = match source.data {
            None => source.otherwise,
            Some(data) if data::is_literal(data) => {
                let (bytes, content_type) = data::encoded(data.to_string(), encode)?;
                Body::Data(bytes, content_type)
            }
            Some(data) => {
                templates.data = Some(DataTemplate::read(&format!("{}.data", source.path), data, encode, needs)?);
                Body::None
            }
        };
        let condition = source.condition.map(|condition| Condition::read(source.path, condition)).transpose()?;
        let templates = templates.any().then(|| Box::new(templates));
        Ok((Self { method: source.method, url, headers, body, templates }, condition))
    }

    /// What its templates look at.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.templates.as_ref().map_or_else(Needs::default, |templates| templates.needs.clone())
    }

    /// The request for these arguments, of a template without templates. A body without a `content-type` gets that of its source.
    #[must_use]
    pub fn fill(&self, arguments: &Payload) -> HttpRequest {
        let (body, content_type) = self.body(arguments);
        let mut headers = Headers(Vec::with_capacity(self.headers.0.len() + 1));
        headers.0.extend(self.headers.0.iter().cloned());
        self.assembled(self.url.clone(), headers, body, content_type)
    }

    /// The request for these values. Pure: the same values give the same request.
    ///
    /// # Errors
    /// `template` and `template-limit`, with the field's path.
    pub fn render(&self, values: &Values) -> Result<HttpRequest, Fault> {
        let Some(templates) = &self.templates else { return Ok(self.fill(values.arguments())) };
        let url = templates.url.as_ref().map_or_else(|| Ok(self.url.clone()), |url| url.render(values))?;
        let headers = match &templates.headers {
            None => self.headers.clone(),
            Some(headers) => Headers(headers.iter().map(|header| header.render(values)).collect::<Result<_, _>>()?),
        };
        let (body, content_type): EncodedBody;
        let request = match &templates.data {
            Some(data) => {
                (body, content_type) = data.body(values)?;
                self.assembled(url, headers, body, content_type)
            }
            None => {
                let (body, content_type) = self.body(values.arguments());
                self.assembled(url, headers, body, content_type)
            }
        };
        Ok(request)
    }

    fn body<'a>(&'a self, arguments: &'a Payload) -> (Bytes, &'a str) {
        match &self.body {
            Body::None => (Bytes::new(), ""),
            Body::Arguments => (arguments.bytes.clone(), arguments.content_type.as_str()),
            Body::Data(data, content_type) => (data.clone(), content_type),
        }
    }

    fn assembled(&self, url: String, mut headers: Headers, body: Bytes, content_type: &str) -> HttpRequest {
        if !body.is_empty() && headers.get("content-type").is_none() {
            headers.0.push(("content-type".to_owned(), content_type.to_owned()));
        }
        HttpRequest { method: self.method.clone(), url, headers, body }
    }
}

impl RequestTemplates {
    const fn any(&self) -> bool {
        self.url.is_some() || self.headers.is_some() || self.data.is_some()
    }
}

impl Condition {
    /// Reads a condition; `path` is that of what has it.
    ///
    /// # Errors
    /// `invalid`, as of a request's templates.
    pub(crate) fn read(path: &str, condition: &ContinueIf) -> Result<Self, Fault> {
        let ContinueIf { response_notation, value } = condition;
        let mut needs = Needs::default();
        let template = if data::is_literal(value) {
            None
        } else {
            Some(DataTemplate::read(&format!("{path}.continue_if.value"), value, Encode::Json, &mut needs)?)
        };
        Ok(Self { path: ResponsePath::parse(response_notation), expected: value.to_string(), template, needs })
    }

    /// What its template looks at.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs.clone()
    }

    /// Whether what is expected has to be filled in.
    #[must_use]
    pub const fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// What is expected, as JSON text, where a template makes it.
    ///
    /// # Errors
    /// As [`RequestTemplate::render`].
    pub fn render(&self, values: &Values) -> Result<Option<String>, Fault> {
        self.template.as_ref().map(|template| template.render(values)).transpose()
    }

    /// Whether what stands in the response is what is expected. Texts compare as they are, numbers and booleans by their JSON text, and so does
    /// a text with either of them; null is only null.
    pub(crate) fn fits(found: &str, expected: &str) -> bool {
        if found == "null" || expected == "null" {
            return found == expected;
        }
        json::as_text(found) == json::as_text(expected)
    }
}

/// The literal URL, or the template that makes it.
fn read_url(path: &str, url: &SourceUrl<'_>, needs: &mut Needs) -> Result<(String, Option<UrlTemplate>), Fault> {
    match url {
        SourceUrl::Whole(url) if has_template(url) => Ok((String::new(), Some(UrlTemplate::of_step(&format!("{path}.url"), url, needs)?))),
        SourceUrl::Whole(url) => Ok((crate::prepare::parse_url(url)?.into(), None)),
        SourceUrl::Below { base, path: below, query } => {
            if has_template(below) || query.iter().any(|(name, value)| has_template(name) || has_template(value)) {
                return Ok((String::new(), Some(UrlTemplate::of_endpoint(path, base, below, *query, needs)?)));
            }
            let pairs: Vec<_> = query.iter().collect();
            Ok((super::url::join(base, below, &pairs)?.into(), None))
        }
    }
}
