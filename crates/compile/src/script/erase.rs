//! Types taken out by writing spaces over them, so that every line and column stays what it was in the upload.
//!
//! Done only where spaces cannot change the meaning of what is left; a `;` is written where two statements would grow together.
//! What means code, and layouts too odd to be worth a rule, are left to the transformer.

use oxc::ast::ast::*;
use oxc::ast_visit::{Visit, walk};
use oxc::parser::{Kind, Token};
use oxc::semantic::Scoping;
use oxc::span::{GetSpan, Span};

pub(super) enum Erased {
    /// The whole text, each character of a type replaced by a space.
    Whole(String),
    /// There is TypeScript that means code.
    NeedsCode,
    /// There is something that nothing here can run.
    Unsupported { offset: u32, what: &'static str },
}

pub(super) fn erase<'a>(source: &str, tokens: &[Token], scoping: &Scoping, program: &Program<'a>) -> Erased {
    let mut eraser = Eraser { source, tokens, scoping, blanks: Vec::new(), needs_code: false, unsupported: None };
    eraser.visit_program(program);
    if let Some((offset, what)) = eraser.unsupported {
        return Erased::Unsupported { offset, what };
    }
    if eraser.needs_code {
        return Erased::NeedsCode;
    }
    Erased::Whole(eraser.write())
}

pub(super) struct Eraser<'s> {
    source: &'s str,
    tokens: &'s [Token],
    pub(super) scoping: &'s Scoping,
    blanks: Vec<Blank>,
    pub(super) needs_code: bool,
    unsupported: Option<(u32, &'static str)>,
}

struct Blank {
    start: u32,
    end: u32,
    /// Whether a `;` takes the place of the first character.
    semicolon: bool,
}

impl Eraser<'_> {
    fn write(mut self) -> String {
        self.blanks.sort_unstable_by_key(|blank| (blank.start, blank.end));
        let mut text = String::with_capacity(self.source.len());
        let mut done = 0;
        for blank in &self.blanks {
            let (start, end) = (done.max(blank.start as usize), blank.end as usize);
            if start >= end {
                continue;
            }
            text.push_str(&self.source[done..start]);
            let mut semicolon = blank.semicolon;
            for c in self.source[start..end].chars() {
                let line_end = matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
                match c {
                    _ if !line_end && std::mem::take(&mut semicolon) => text.push(';'),
                    '\t' => text.push(c),
                    _ if line_end => text.push(c),
                    _ => text.push(' '),
                }
            }
            done = end;
        }
        text.push_str(&self.source[done..]);
        text
    }

    pub(super) fn blank(&mut self, span: Span) {
        self.blanks.push(Blank { start: span.start, end: span.end, semicolon: false });
    }

    /// Whole statements and class elements leave a `;`: without it the lines around them could grow together.
    pub(super) fn blank_whole(&mut self, span: Span) {
        self.blanks.push(Blank { start: span.start, end: span.end, semicolon: true });
    }

    fn token_at(&self, offset: u32) -> usize {
        self.tokens.partition_point(|token| token.start() < offset)
    }

    pub(super) fn tokens_in(&self, start: u32, end: u32) -> &[Token] {
        let (first, last) = (self.token_at(start), self.token_at(end));
        self.tokens.get(first..last).unwrap_or_default()
    }

    pub(super) fn blank_kind_in(&mut self, kind: Kind, start: u32, end: u32) {
        if let Some(token) = self.tokens_in(start, end).iter().find(|token| token.kind() == kind) {
            self.blank(token.span());
        }
    }

    /// An item of a list with the comma after it.
    pub(super) fn blank_item(&mut self, span: Span) {
        let comma = self.tokens.get(self.token_at(span.end)).filter(|token| token.kind() == Kind::Comma);
        let end = comma.map_or(span.end, |comma| comma.end());
        self.blank(Span::new(span.start, end));
    }

    fn has_line_end(&self, span: Span) -> bool {
        self.source[span.start as usize..span.end as usize].contains(['\n', '\r', '\u{2028}', '\u{2029}'])
    }

    pub(super) fn unsupported(&mut self, span: Span, what: &'static str) {
        self.unsupported.get_or_insert((span.start, what));
    }

    /// Ends a statement or class element that ended in a type and relied on the line's end: what comes next might go on with it.
    fn close(&mut self, span: Span, first_blank: usize) {
        if !self.source[..span.end as usize].ends_with(';')
            && let Some(blank) = self.blanks[first_blank..].iter_mut().find(|blank| blank.end == span.end)
        {
            blank.semicolon = true;
        }
    }
}

impl<'a> Visit<'a> for Eraser<'_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        let first_blank = self.blanks.len();
        if !self.erases_statement(it) {
            walk::walk_statement(self, it);
            self.close(it.span(), first_blank);
        }
    }

    fn visit_class_element(&mut self, it: &ClassElement<'a>) {
        let first_blank = self.blanks.len();
        if !self.erases_element(it) {
            walk::walk_class_element(self, it);
            self.close(it.span(), first_blank);
        }
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if it.r#abstract
            && let Some(class) = self.tokens_in(it.span.start, it.body.span.start).iter().position(|token| token.kind() == Kind::Class)
            && let Some(word) = (self.token_at(it.span.start) + class).checked_sub(1).and_then(|before| self.tokens.get(before))
        {
            self.blank(word.span());
        }
        if let (Some(first), Some(last)) = (it.implements.first(), it.implements.last())
            && let Some(word) = self.token_at(first.span.start).checked_sub(1).and_then(|before| self.tokens.get(before))
        {
            self.blank(Span::new(word.start(), last.span.end));
        }
        self.visit_decorators(&it.decorators);
        if let Some(parameters) = &it.type_parameters {
            self.visit_ts_type_parameter_declaration(parameters);
        }
        if let Some(heritage) = &it.heritage {
            self.visit_class_heritage(heritage);
        }
        self.visit_class_body(&it.body);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        self.needs_code |= it.accessibility.is_some() || it.readonly || it.r#override;
        if it.optional {
            self.blank_kind_in(Kind::Question, it.pattern.span().end, it.span.end);
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            self.blank_kind_in(Kind::Bang, it.id.span().end, it.span.end);
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        // No line may end between `async` and its parameters, nor between them and `=>`.
        let parameters = it.type_parameters.as_ref().is_some_and(|types| it.r#async && self.has_line_end(types.span));
        let result = it.return_type.as_ref().is_some_and(|result| self.has_line_end(result.span));
        self.needs_code |= parameters || result;
        walk::walk_arrow_function_expression(self, it);
    }

    fn visit_binary_expression(&mut self, it: &BinaryExpression<'a>) {
        // In `a + b as number * c` the sum comes first; without the type it would not.
        let mut left = &it.left;
        loop {
            left = match left {
                Expression::TSAsExpression(cast) => &cast.expression,
                Expression::TSSatisfiesExpression(cast) => &cast.expression,
                _ => break,
            };
            self.needs_code |= matches!(left, Expression::BinaryExpression(_) | Expression::PrivateInExpression(_));
        }
        walk::walk_binary_expression(self, it);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(Span::new(it.expression.span().end, it.span.end));
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(Span::new(it.expression.span().end, it.span.end));
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.blank(Span::new(it.expression.span().end, it.span.end));
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        // `=> <T>{}` would become a block.
        self.needs_code = true;
        self.visit_expression(&it.expression);
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.blank_item(it.span);
    }

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.blank(it.span);
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.unsupported(it.span, "decorators");
    }
}
