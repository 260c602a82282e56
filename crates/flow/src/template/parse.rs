//! Reads a template once: what it names, whether it may, and whether it is simple enough to be filled in without the engine.

use minijinja::Error;
use minijinja::machinery::ast::{CallArg, CallType, Expr, Stmt};
use minijinja::machinery::{Span, parse};
use snaphook_model::SecretName;

use super::engine::{self, Place, Program, Whole};
use super::text::{Part, Text};
use super::values::{Needs, Reference, Root};

/// Which secrets a request uses is known when its document is saved.
const WHOLE_SECRETS: &str = "secrets are named one by one, as in `secrets.NAME`";

/// A template is not one, or wants what is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadTemplate {
    pub(super) detail: String,
    /// In the text, from 1.
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A text as a request needs it.
#[derive(Debug)]
pub(super) enum Read {
    /// It is one expression, which keeps its value's type.
    Reference(Reference),
    /// The same, by the engine.
    Expression(Box<Whole>),
    Text(Text),
}

/// Reads the text of a template and adds to `needs` what it looks at. `whole` says whether one expression may keep its type.
pub(super) fn read(text: &str, place: Place, whole: bool, needs: &mut Needs) -> Result<Read, BadTemplate> {
    let bad = |error: Error| BadTemplate::from_engine(&error, text);
    let parsed = parse(text, "template", engine::syntax()).map_err(bad)?;
    let Stmt::Template(template) = parsed else { return Ok(Read::Text(Text::Literal(text.into()))) };
    let mut check = Check { text, place, needs, bound: Vec::new(), set: Vec::new() };
    check.needs.templates += 1;
    check.statements(&template.children)?;
    if let ([Stmt::EmitExpr(emit)], true) = (&*template.children, whole) {
        if let Some(reference) = reference(&emit.expr) {
            return Ok(Read::Reference(reference));
        }
        if is_expression(text) {
            check.needs.programs += 1;
            return Ok(Read::Expression(Box::new(Whole::compile(text.trim()).map_err(bad)?)));
        }
    }
    let parts: Option<Vec<Part>> = template.children.iter().map(part).collect();
    Ok(Read::Text(match parts {
        Some(parts) => Text::Parts(parts),
        None => {
            check.needs.programs += 1;
            Text::Program(Box::new(Program::compile(text, place).map_err(bad)?))
        }
    }))
}

/// Whether nothing but space stands beside an expression: with a comment there, it is a text.
fn is_expression(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("{{") && text.ends_with("}}")
}

fn part(statement: &Stmt<'_>) -> Option<Part> {
    match statement {
        Stmt::EmitRaw(raw) => Some(Part::Literal(raw.raw.into())),
        Stmt::EmitExpr(emit) => reference(&emit.expr).map(Part::Reference),
        _ => None,
    }
}

/// A name with a constant path below it.
fn reference(expr: &Expr<'_>) -> Option<Reference> {
    match expr {
        Expr::Var(var) => {
            let root = Root::of(var.id);
            let segments = if root == Root::Bare { vec![var.id.into()] } else { Vec::new() };
            Some(Reference { root, segments })
        }
        Expr::GetAttr(attr) => below(&attr.expr, attr.name.into()),
        Expr::GetItem(item) => {
            let Expr::Const(key) = &item.subscript_expr else { return None };
            let segment = match (key.value.as_str(), key.value.as_i64()) {
                (Some(text), _) => text.into(),
                (None, Some(number)) => number.to_string().into(),
                (None, None) => return None,
            };
            below(&item.expr, segment)
        }
        _ => None,
    }
}

fn below(expr: &Expr<'_>, segment: Box<str>) -> Option<Reference> {
    let mut reference = reference(expr)?;
    reference.segments.push(segment);
    Some(reference)
}

/// Walks through a template.
struct Check<'t, 'n> {
    text: &'t str,
    place: Place,
    needs: &'n mut Needs,
    /// Names that have a value of the template's own wherever they stand now: those of the loops and blocks around.
    bound: Vec<&'t str>,
    /// Names that a `set` may have given one. It may also not have been reached, and then they are the run's.
    set: Vec<&'t str>,
}

impl<'t> Check<'t, '_> {
    fn statements(&mut self, statements: &[Stmt<'t>]) -> Result<(), BadTemplate> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'t>) -> Result<(), BadTemplate> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr),
            Stmt::ForLoop(each) => {
                self.expr(&each.iter)?;
                let outside = self.bound.len();
                names(&each.target, &mut self.bound);
                self.bound.push("loop");
                self.option(each.filter_expr.as_ref())?;
                self.statements(&each.body)?;
                self.bound.truncate(outside);
                self.statements(&each.else_body)
            }
            Stmt::IfCond(cond) => {
                self.expr(&cond.expr)?;
                self.statements(&cond.true_body)?;
                self.statements(&cond.false_body)
            }
            Stmt::WithBlock(with) => {
                let outside = self.bound.len();
                for (target, value) in &with.assignments {
                    self.expr(value)?;
                    names(target, &mut self.bound);
                }
                self.statements(&with.body)?;
                self.bound.truncate(outside);
                Ok(())
            }
            Stmt::Set(set) => {
                self.expr(&set.expr)?;
                names(&set.target, &mut self.set);
                Ok(())
            }
            Stmt::SetBlock(set) => {
                self.no_capture("set", set.span())?;
                self.option(set.filter.as_ref())?;
                self.statements(&set.body)?;
                names(&set.target, &mut self.set);
                Ok(())
            }
            Stmt::FilterBlock(block) => {
                self.no_capture("filter", block.span())?;
                self.expr(&block.filter)?;
                self.statements(&block.body)
            }
            Stmt::AutoEscape(block) => {
                Err(self.bad(block.span(), "there is no `autoescape`: every value is made safe for its place".to_owned()))
            }
            Stmt::Do(call) => Err(self.bad(call.span(), "there is no `do`: nothing in a template has an effect".to_owned())),
        }
    }

    /// What a block of a URL captures holds values that are encoded already, and would be encoded again where it is put.
    fn no_capture(&self, word: &str, span: Span) -> Result<(), BadTemplate> {
        match self.place {
            Place::Text => Ok(()),
            Place::Url => Err(self.bad(span, format!("a URL has no `{word}` blocks; write an expression in its place"))),
        }
    }

    fn option(&mut self, expr: Option<&Expr<'t>>) -> Result<(), BadTemplate> {
        expr.map_or(Ok(()), |expr| self.expr(expr))
    }

    fn exprs(&mut self, exprs: &[Expr<'t>]) -> Result<(), BadTemplate> {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    fn expr(&mut self, expr: &Expr<'t>) -> Result<(), BadTemplate> {
        match expr {
            Expr::Var(var) => self.name(var.id, var.span()),
            Expr::Const(_) => Ok(()),
            Expr::Slice(slice) => {
                self.expr(&slice.expr)?;
                [&slice.start, &slice.stop, &slice.step].into_iter().try_for_each(|part| self.option(part.as_ref()))
            }
            Expr::UnaryOp(op) => self.expr(&op.expr),
            Expr::BinOp(op) => {
                self.expr(&op.left)?;
                self.expr(&op.right)
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr)?;
                compare.ops.iter().try_for_each(|op| self.expr(&op.expr))
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.test_expr)?;
                self.expr(&choice.true_expr)?;
                self.option(choice.false_expr.as_ref())
            }
            Expr::Filter(filter) => {
                if !engine::has_filter(filter.name) {
                    return Err(self.bad(filter.span(), format!("there is no filter `{}`", filter.name)));
                }
                self.option(filter.expr.as_ref())?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                if !engine::has_test(test.name) {
                    return Err(self.bad(test.span(), format!("there is no test `{}`", test.name)));
                }
                self.expr(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(attr) if self.are_secrets(&attr.expr) => self.secret(attr.name, attr.span()),
            Expr::GetAttr(attr) => self.expr(&attr.expr),
            Expr::GetItem(item) if self.are_secrets(&item.expr) => match &item.subscript_expr {
                Expr::Const(key) => self.secret(key.value.as_str().unwrap_or_default(), item.span()),
                _ => Err(self.bad(item.span(), WHOLE_SECRETS.to_owned())),
            },
            Expr::GetItem(item) => {
                self.expr(&item.expr)?;
                self.expr(&item.subscript_expr)
            }
            Expr::Call(call) => {
                match call.identify_call() {
                    CallType::Function(name) if engine::has_function(name) || (name == "loop" && self.bound.contains(&"loop")) => {}
                    CallType::Function(name) => return Err(self.bad(call.span(), format!("there is no function `{name}`"))),
                    // `loop.cycle` and its like.
                    CallType::Method(Expr::Var(var), _) if var.id == "loop" => {}
                    CallType::Method(_, name) => {
                        return Err(self.bad(call.span(), format!("values have no methods such as `{name}`; there are filters")));
                    }
                    CallType::Object(_) => return Err(self.bad(call.span(), "a value cannot be called".to_owned())),
                }
                self.arguments(&call.args)
            }
            Expr::List(list) => self.exprs(&list.items),
            Expr::Tuple(tuple) => self.exprs(&tuple.items),
            Expr::Map(map) => {
                self.exprs(&map.keys)?;
                self.exprs(&map.values)
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'t>]) -> Result<(), BadTemplate> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => self.expr(expr),
        })
    }

    fn name(&mut self, name: &str, span: Span) -> Result<(), BadTemplate> {
        if self.bound.contains(&name) {
            return Ok(());
        }
        match Root::of(name) {
            Root::Secrets if !self.set.contains(&name) => Err(self.bad(span, WHOLE_SECRETS.to_owned())),
            root => {
                // A value that bears a function's name stands before it.
                *self.needs = std::mem::take(self.needs).and(root.needs());
                Ok(())
            }
        }
    }

    /// Whether an expression is the tenant's secrets, and no value of the template's own.
    fn are_secrets(&self, expr: &Expr<'t>) -> bool {
        matches!(expr, Expr::Var(var) if Root::of(var.id) == Root::Secrets && !self.bound.contains(&var.id) && !self.set.contains(&var.id))
    }

    fn secret(&mut self, name: &str, span: Span) -> Result<(), BadTemplate> {
        let name = SecretName::new(name).map_err(|error| self.bad(span, error.to_string()))?;
        self.needs.secrets.insert(name);
        Ok(())
    }

    fn bad(&self, span: Span, detail: String) -> BadTemplate {
        BadTemplate::at(self.text, span.start_offset as usize, detail)
    }
}

/// The names that a target gives.
fn names<'t>(target: &Expr<'t>, given: &mut Vec<&'t str>) {
    match target {
        Expr::Var(var) => given.push(var.id),
        Expr::List(list) => list.items.iter().for_each(|item| names(item, given)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| names(item, given)),
        _ => {}
    }
}

impl BadTemplate {
    /// A complaint about the text at a byte.
    pub(super) fn at(text: &str, offset: usize, detail: String) -> Self {
        let before = &text[..text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { detail, line: number(line), column: number(column) }
    }

    fn from_engine(error: &Error, text: &str) -> Self {
        let offset = error.range().map_or(0, |range| range.start);
        let detail = match error.detail() {
            Some(detail) => format!("is no template: {detail}"),
            None => format!("is no template: {}", error.kind()),
        };
        match (error.range(), error.line().and_then(|line| u32::try_from(line).ok())) {
            (None, Some(line)) => Self { detail, line, column: 1 },
            _ => Self::at(text, offset, detail),
        }
    }
}
