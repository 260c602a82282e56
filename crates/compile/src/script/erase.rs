//! Types taken out by writing spaces over them, so that every line and column stays what it was in the upload.
//!
//! Done only where spaces cannot change the meaning of what is left; a `;` is written where two statements would grow together.
//! What means code, and layouts too odd to be worth a rule, are left to the transformer.

use oxc::ast::ast::*;
use oxc::ast_visit::{Visit, walk};
use oxc::parser::{Kind, Token};
use oxc::semantic::{Scoping, SymbolFlags};
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

struct Eraser<'s> {
    source: &'s str,
    tokens: &'s [Token],
    scoping: &'s Scoping,
    blanks: Vec<Blank>,
    needs_code: bool,
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

    fn blank(&mut self, span: Span) {
        self.blanks.push(Blank { start: span.start, end: span.end, semicolon: false });
    }

    /// Whole statements and class elements leave a `;`: without it the lines around them could grow together.
    fn blank_whole(&mut self, span: Span) {
        self.blanks.push(Blank { start: span.start, end: span.end, semicolon: true });
    }

    fn token_at(&self, offset: u32) -> usize {
        self.tokens.partition_point(|token| token.start() < offset)
    }

    fn tokens_in(&self, start: u32, end: u32) -> &[Token] {
        let (first, last) = (self.token_at(start), self.token_at(end));
        self.tokens.get(first..last).unwrap_or_default()
    }

    fn blank_kind_in(&mut self, kind: Kind, start: u32, end: u32) {
        if let Some(token) = self.tokens_in(start, end).iter().find(|token| token.kind() == kind) {
            self.blank(token.span());
        }
    }

    /// An item of a list with the comma after it.
    fn blank_item(&mut self, span: Span) {
        let comma = self.tokens.get(self.token_at(span.end)).filter(|token| token.kind() == Kind::Comma);
        let end = comma.map_or(span.end, |comma| comma.end());
        self.blank(Span::new(span.start, end));
    }

    fn has_line_end(&self, span: Span) -> bool {
        self.source[span.start as usize..span.end as usize].contains(['\n', '\r', '\u{2028}', '\u{2029}'])
    }

    /// Ends a statement or class element that ended in a type and relied on the line's end: what comes next might go on with it.
    fn close(&mut self, span: Span, first_blank: usize) {
        if !self.source[..span.end as usize].ends_with(';')
            && let Some(blank) = self.blanks[first_blank..].iter_mut().find(|blank| blank.end == span.end)
        {
            blank.semicolon = true;
        }
    }

    fn refers_to_type(&self, name: &IdentifierReference<'_>) -> bool {
        let reference = self.scoping.get_reference(name.reference_id());
        reference.symbol_id().is_some_and(|symbol| {
            let ambient = || {
                self.scoping.symbol_flags(symbol).is_ambient()
                    && self.scoping.symbol_redeclarations(symbol).iter().all(|other| other.flags.is_ambient())
            };
            reference.is_type() || ambient()
        })
    }

    /// Whether an imported name is used as a value; TypeScript drops imports that are not.
    fn is_used(&self, local: &BindingIdentifier<'_>) -> bool {
        let symbol = local.symbol_id();
        let redeclared = (self.scoping.symbol_flags(symbol) - SymbolFlags::Import).is_value();
        !redeclared && self.scoping.get_resolved_references(symbol).any(|reference| !reference.is_type())
    }

    fn keeps_export(&self, specifier: &ExportSpecifier<'_>) -> bool {
        let of_type = match &specifier.local {
            ModuleExportName::IdentifierReference(name) => self.refers_to_type(name),
            _ => false,
        };
        !specifier.export_kind.is_type() && !of_type
    }

    fn export_list(&mut self, span: Span, kind: ImportOrExportKind, specifiers: &[ExportSpecifier<'_>]) {
        let none_kept = !specifiers.is_empty() && !specifiers.iter().any(|specifier| self.keeps_export(specifier));
        if kind.is_type() || none_kept {
            return self.blank_whole(span);
        }
        for specifier in specifiers {
            if !self.keeps_export(specifier) {
                self.blank_item(specifier.span);
            }
        }
    }

    fn import(&mut self, import: &ImportDeclaration<'_>) {
        let specifiers = import.specifiers.as_ref().map_or(&[][..], |list| list.as_slice());
        let kept = |specifier: &ImportDeclarationSpecifier<'_>| match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(one) => !one.import_kind.is_type() && self.is_used(&one.local),
            ImportDeclarationSpecifier::ImportDefaultSpecifier(default) => self.is_used(&default.local),
            ImportDeclarationSpecifier::ImportNamespaceSpecifier(all) => self.is_used(&all.local),
        };
        let kept: Vec<bool> = specifiers.iter().map(kept).collect();
        if import.import_kind.is_type() || !kept.is_empty() && !kept.contains(&true) {
            return self.blank_whole(import.span);
        }
        for (specifier, kept) in specifiers.iter().zip(kept) {
            match specifier {
                _ if kept => {}
                // `import a, * as b`: the comma stands before it.
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => self.needs_code = true,
                other => self.blank_item(other.span()),
            }
        }
    }

    /// Declarations that go away whole. Those that mean code are left to the transformer.
    fn is_only_type(&mut self, declaration: &Declaration<'_>) -> bool {
        match declaration {
            Declaration::VariableDeclaration(variables) => variables.declare,
            Declaration::FunctionDeclaration(function) => function.declare || function.body.is_none(),
            Declaration::ClassDeclaration(class) => class.declare,
            Declaration::TSTypeAliasDeclaration(_)
            | Declaration::TSInterfaceDeclaration(_)
            | Declaration::TSExternalModuleDeclaration(_)
            | Declaration::TSGlobalDeclaration(_) => true,
            Declaration::TSEnumDeclaration(r#enum) => self.declared(r#enum.declare),
            Declaration::TSNamespaceDeclaration(namespace) => self.declared(namespace.declare),
            Declaration::TSImportEqualsDeclaration(import) => {
                let module = matches!(import.module_reference, TSModuleReference::ExternalModuleReference(_));
                if module && !import.import_kind.is_type() {
                    self.unsupported(import.span, "`import … = require(…)` declarations");
                }
                self.declared(import.import_kind.is_type())
            }
        }
    }

    fn unsupported(&mut self, span: Span, what: &'static str) {
        self.unsupported.get_or_insert((span.start, what));
    }

    fn declared(&mut self, declare: bool) -> bool {
        self.needs_code |= !declare;
        declare
    }

    fn erases_statement(&mut self, statement: &Statement<'_>) -> bool {
        let whole = match statement {
            Statement::ImportDeclaration(import) => {
                self.import(import);
                return true;
            }
            Statement::ExportNamedDeclaration(export) => {
                self.export_list(export.span, export.export_kind, &export.specifiers);
                return true;
            }
            Statement::ExportFromDeclaration(export) => {
                self.export_list(export.span, export.export_kind, &export.specifiers);
                return true;
            }
            Statement::ExportAllDeclaration(export) => export.export_kind.is_type(),
            Statement::ExportDeclaration(export) => self.is_only_type(&export.declaration),
            Statement::ExportDefaultDeclaration(export) => match &export.declaration {
                ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => true,
                ExportDefaultDeclarationKind::FunctionDeclaration(function) => function.body.is_none(),
                ExportDefaultDeclarationKind::Identifier(name) => self.refers_to_type(name),
                _ => false,
            },
            Statement::TSExportAssignment(export) => {
                self.unsupported(export.span, "`export =` assignments");
                false
            }
            Statement::TSNamespaceExportDeclaration(_) => true,
            other => other.as_declaration().is_some_and(|declaration| self.is_only_type(declaration)),
        };
        if whole {
            self.blank_whole(statement.span());
        }
        whole
    }

    /// `public`, `readonly` and the like before a class element's name. At the front a `;` takes their place, since `[` or `*` may follow.
    fn modifiers(&mut self, start: u32, key: u32) {
        let words = |kind: Kind| {
            matches!(
                kind,
                Kind::Public | Kind::Private | Kind::Protected | Kind::Readonly | Kind::Override | Kind::Abstract | Kind::Declare
            )
        };
        let found: Vec<Span> = self.tokens_in(start, key).iter().filter(|token| words(token.kind())).map(Token::span).collect();
        for span in found {
            self.blanks.push(Blank { start: span.start, end: span.end, semicolon: span.start == start });
        }
    }

    fn erases_element(&mut self, element: &ClassElement<'_>) -> bool {
        let whole = match element {
            ClassElement::StaticBlock(_) => false,
            ClassElement::TSIndexSignature(_) => true,
            ClassElement::MethodDefinition(method) => {
                let none = method.value.body.is_none() || method.r#type == MethodDefinitionType::TSAbstractMethodDefinition;
                if !none {
                    self.modifiers(method.span.start, method.key.span().start);
                    if method.optional {
                        self.blank_kind_in(Kind::Question, method.key.span().end, method.value.params.span.start);
                    }
                }
                none
            }
            ClassElement::PropertyDefinition(property) => {
                let none = property.declare || property.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition;
                if !none {
                    self.modifiers(property.span.start, property.key.span().start);
                    let (key, end) = (property.key.span().end, property.span.end);
                    if property.optional {
                        self.blank_kind_in(Kind::Question, key, end);
                    }
                    if property.definite {
                        self.blank_kind_in(Kind::Bang, key, end);
                    }
                }
                none
            }
            ClassElement::AccessorProperty(_) => {
                self.needs_code = true;
                false
            }
        };
        if whole {
            self.blank_whole(element.span());
        }
        whole
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
