//! TypeScript that means code (enums, namespaces, parameter properties …): transformed, printed anew, positions mapped.

use std::borrow::Cow;
use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::ast::Program;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc::semantic::Scoping;
use oxc::transformer::{TransformOptions, Transformer};
use oxc_sourcemap::{SourceMap, Token};
use snaphook_model::Fault;

use super::lines::Lines;
use super::{Prepared, refuse};

/// The transformer and the printer ask for a path; nothing is read from it.
const PATH: &str = "script.ts";

pub(super) fn transform<'s>(
    allocator: &'s Allocator,
    source: &str,
    scoping: Scoping,
    program: &mut Program<'s>,
) -> Result<Prepared<'static>, Fault> {
    // The defaults take TypeScript out and leave every newer JavaScript as it is: the interpreter has it.
    let options = TransformOptions::default();
    let done = Transformer::new(allocator, Path::new(PATH), &options).build_with_scoping(scoping, program);
    refuse(source, &done.diagnostics)?;
    let options = CodegenOptions { source_map_path: Some(PATH.into()), comments: CommentOptions::disabled(), ..CodegenOptions::default() };
    let printed = Codegen::new().with_options(options).with_source_text(source).build(program);
    let (from, to) = (Lines::of(source), Lines::of(&printed.code));
    // The printer counts UTF-16 units; the interpreter, and we, count characters.
    let tokens = printed.map.iter().flat_map(SourceMap::get_tokens).map(|token| {
        let column = to.column(token.get_dst_line(), token.get_dst_col());
        let source_column = from.column(token.get_src_line(), token.get_src_col());
        Token::new(token.get_dst_line(), column, token.get_src_line(), source_column, Some(0), None)
    });
    let tokens = tokens.collect();
    let map = SourceMap::new(None, Vec::new(), None, vec![Cow::Borrowed(PATH)], Vec::new(), tokens, None);
    Ok(Prepared { text: Cow::Owned(printed.code), map: Some(map) })
}
