//! What goes away whole: declarations of types, imports and exports of types, class elements without code.

use oxc::ast::ast::*;
use oxc::parser::{Kind, Token};
use oxc::semantic::SymbolFlags;
use oxc::span::{GetSpan, Span};

use super::erase::Eraser;

impl Eraser<'_> {
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

    fn declared(&mut self, declare: bool) -> bool {
        self.needs_code |= !declare;
        declare
    }

    /// Erases a statement that is only a type, or the parts of an import or export that are.
    pub(super) fn erases_statement(&mut self, statement: &Statement<'_>) -> bool {
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
            if span.start == start {
                self.blank_whole(span);
            } else {
                self.blank(span);
            }
        }
    }

    /// Erases a class element that is only a type, or its modifiers.
    pub(super) fn erases_element(&mut self, element: &ClassElement<'_>) -> bool {
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
