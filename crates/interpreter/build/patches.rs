//! Changes to the engine's source that cannot be made from outside. Each names text that must be there, so a new version of the engine
//! fails the build where a change no longer fits.

use std::path::Path;

use crate::Failure;

/// One change of text.
enum Patch {
    /// Replaces text that occurs this many times.
    Replace(&'static str, &'static str, usize),
    /// Replaces everything from the first text up to the second, which stays.
    Cut(&'static str, &'static str, &'static str),
}
use Patch::{Cut, Replace};

const PATCHES: &[Patch] = &[
    // Memory: our heap in place of the engine's arenas, and references to sealed objects are not counted.
    Replace(
        "#define JS_GC_MARK(p)   (js_rc(p)->mark)\n",
        "#define JS_GC_MARK(p)   (js_rc(p)->mark)\n#include \"heap.h\"\n#include \"allocator.c\"\n",
        1,
    ),
    Cut("void *js_calloc_rt(JSRuntime *rt, size_t count, size_t size)\n{", "/**\n * This used to be implemented as malloc + memset", ""),
    Replace("--JS_REF_COUNT(p) ", "js_rc_dec(p) ", 2),
    Replace("--JS_REF_COUNT(str) ", "js_rc_dec(str) ", 1),
    Replace("--JS_REF_COUNT(ctx) ", "js_rc_dec(ctx) ", 1),
    Replace("--JS_REF_COUNT(sh) ", "js_rc_dec(sh) ", 1),
    Replace("--JS_REF_COUNT(var_ref) ", "js_rc_dec(var_ref) ", 1),
    Replace("--JS_REF_COUNT(s) ", "js_rc_dec(s) ", 1),
    Replace("JS_REF_COUNT(str)--;", "js_rc_dec(str);", 1),
    Replace("JS_REF_COUNT(p)++;", "js_rc_inc(p);", 8),
    Replace("JS_REF_COUNT(ctx)++;", "js_rc_inc(ctx);", 1),
    Replace("JS_REF_COUNT(sh)++;", "js_rc_inc(sh);", 1),
    Replace("JS_REF_COUNT(s)++;", "js_rc_inc(s);", 1),
    Replace("JS_REF_COUNT(b)++;", "js_rc_inc(b);", 1),
    Replace("JS_REF_COUNT(var_ref)++;", "js_rc_inc(var_ref);", 6),
    Replace("JS_REF_COUNT(sf->cur_gc_obj)++;", "js_rc_inc(sf->cur_gc_obj);", 1),
    // The collector counts for itself: what it takes away from a sealed object it must be able to give back.
    Replace("    js_rc_inc(p);\n    if (JS_REF_COUNT(p) == 1) {", "    JS_REF_COUNT(p)++;\n    if (JS_REF_COUNT(p) == 1) {", 1),
    Replace(
        "static void gc_scan_incref_child2(JSRuntime *rt, JSGCObjectHeader *p)\n{\n    js_rc_inc(p);",
        "static void gc_scan_incref_child2(JSRuntime *rt, JSGCObjectHeader *p)\n{\n    JS_REF_COUNT(p)++;",
        1,
    ),
    // Fuel and epochs interrupt us from outside; what remains of polling is that jumps leave their place for `snaphook_where`.
    // A loop without any expression has a position of its own all the same.
    Replace(
        "    case TOK_WHILE:\n        {\n            int label_cont, label_break;",
        "    case TOK_WHILE:\n        emit_source_loc(s);\n        {\n            int label_cont, label_break;",
        1,
    ),
    Replace(
        "    case TOK_DO:\n        {\n            int label_cont, label_break, label1;",
        "    case TOK_DO:\n        emit_source_loc(s);\n        {\n            int label_cont, label_break, label1;",
        1,
    ),
    Replace(
        "    case TOK_FOR:\n        {\n            int label_cont, label_break, label_body, label_test;",
        "    case TOK_FOR:\n        emit_source_loc(s);\n        {\n            int label_cont, label_break, label_body, label_test;",
        1,
    ),
    Replace("    if (js_poll_interrupts(caller_ctx))\n        return JS_EXCEPTION;\n", "", 1),
    Replace(
        "            if (unlikely(js_poll_interrupts(ctx)))\n                goto exception;\n            BREAK;",
        "            sf->cur_pc = pc + 1;\n            BREAK;",
        3,
    ),
    Replace(
        "                if (unlikely(js_poll_interrupts(ctx)))\n                    goto exception;\n            }\n            BREAK;",
        "                sf->cur_pc = pc + 1;\n            }\n            BREAK;",
        4,
    ),
    Replace(
        "    if (unlikely(--ctx->interrupt_counter <= 0)) {\n        return __js_poll_interrupts(ctx);\n    } else {\n        return 0;\n    }",
        "    (void)ctx;\n    return 0;",
        1,
    ),
    Replace(
        "static no_inline __exception int __js_poll_interrupts(JSContext *ctx)",
        "static __maybe_unused no_inline __exception int __js_poll_interrupts(JSContext *ctx)",
        1,
    ),
    // Positions of throws, for what is thrown without a stack trace.
    Replace(
        "JSValue JS_Throw(JSContext *ctx, JSValue obj)\n{\n    JSRuntime *rt = ctx->rt;\n",
        "JSValue JS_Throw(JSContext *ctx, JSValue obj)\n{\n    JSRuntime *rt = ctx->rt;\n    note_throw();\n",
        1,
    ),
    // Recursion is bounded by the C stack in our memory, but these use much more of the host's stack than of ours: a weight makes up for it.
    Replace(
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_unary(JSParseState *s, int parse_flags)\n{\n    STACK_WEIGHT(128);\n",
        1,
    ),
    Replace(
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_postfix_expr(JSParseState *s, int parse_flags)\n{\n    STACK_WEIGHT(768);\n",
        1,
    ),
    Replace(
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n",
        "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)\n{\n    STACK_WEIGHT(256);\n",
        1,
    ),
    Replace(
        "                          JSValueConst holder, JSValue val,\n                          JSValueConst indent)\n{\n",
        "                          JSValueConst holder, JSValue val,\n                          JSValueConst indent)\n{\n    STACK_WEIGHT(256);\n",
        1,
    ),
    Replace(
        "static JSValue json_parse_value(JSParseState *s, JSONParseRecord *pr)\n{\n",
        "static JSValue json_parse_value(JSParseState *s, JSONParseRecord *pr)\n{\n    STACK_WEIGHT(128);\n",
        1,
    ),
    Replace(
        "                                         const char *text_str, JSONParseRecord *pr)\n{\n",
        "                                         const char *text_str, JSONParseRecord *pr)\n{\n    STACK_WEIGHT(128);\n",
        1,
    ),
    Replace(
        "    JSValue element;\n    int64_t sourceIndex, elementLen;\n",
        "    JSValue element;\n    int64_t sourceIndex, elementLen;\n    STACK_WEIGHT(128);\n",
        1,
    ),
    // Keys of maps: small numbers and addresses differ in high bits only, and the engine's own hash leaves them in few places.
    Replace(
        "    return h ^ ctx->hash_seed ^ hash32(tag);\n",
        "    h ^= ctx->hash_seed ^ hash32(tag);\n    h = (h ^ h >> 16) * 0x85ebca6b;\n    h = (h ^ h >> 13) * 0xc2b2ae35;\n    return h ^ h >> 16;\n",
        1,
    ),
    // The clock and chance tell us when they are used.
    Replace(
        "    v = xorshift64star(&ctx->random_state);\n    /* 1.0 <=",
        "    note_chance();\n    v = xorshift64star(&ctx->random_state);\n    /* 1.0 <=",
        1,
    ),
    Replace("static int64_t date_now(void) {\n", "static int64_t date_now(void) {\n    note_clock();\n", 1),
    // Functions do not keep their source text: nested ones would keep it once per level, in every script's image.
    Replace(
        "            fd->source = js_strndup(ctx, (const char *)ptr, fd->source_len);\n            if (!fd->source)\n",
        "            fd->source_len = 0;\n            if (false)\n",
        1,
    ),
    Replace(
        "        fd->source = js_strndup(ctx, (const char *)ptr, fd->source_len);\n        if (!fd->source)\n",
        "        fd->source_len = 0;\n        if (false)\n",
        1,
    ),
    Replace(
        "    ctor_fd->source = js_strndup(ctx, (const char *)class_start_ptr, ctor_fd->source_len);\n    if (!ctor_fd->source)\n",
        "    ctor_fd->source = NULL;\n    ctor_fd->source_len = 0;\n    if (false)\n",
        1,
    ),
    // Calls by number where the engine has pointers: see numbered_math.c.
    Replace("js_number(func.f_f(d1))", "js_number(math_of_one(func.f_f, d1))", 1),
    Replace("js_number(func.f_f_f(d1, d2))", "js_number(math_of_two(func.f_f_f, d1, d2))", 1),
    Replace("f_f_f, js_math_", "f_f_f, (double (*)(double, double))MATH_", 2),
    Replace("f_f, js_math_", "f_f, (double (*)(double))MATH_", 28),
    Replace(
        "static const JSCFunctionListEntry js_math_funcs[] = {",
        "#include \"numbered_math.c\"\n\nstatic const JSCFunctionListEntry js_math_funcs[] = {",
        1,
    ),
    Replace("    JSValue (*getfun)(JSContext *ctx, const void *a);\n", "    int class_id;\n", 1),
    Replace("psc->getfun(ctx, ", "element_get(psc->class_id, ctx, ", 2),
    Replace(
        "static int js_TA_cmp_generic(const void *a",
        "#include \"numbered_arrays.c\"\n\nstatic int js_TA_cmp_generic(const void *a",
        1,
    ),
    Cut(
        "        switch (p->class_id) {\n        case JS_CLASS_INT8_ARRAY:\n            tsc.getfun",
        "        elt_size = 1 << typed_array_size_log2(p->class_id);",
        "        tsc.class_id = p->class_id;\n        cmpfun = element_compare;\n",
    ),
    // JSON in its common forms is ours.
    Replace(
        "    str = JS_ToCStringLen(ctx, &len, argv[0]);\n    if (!str)\n        return JS_EXCEPTION;\n    if (argc > 1 && JS_IsFunction(ctx, argv[1])) {\n        JSONParseRecord",
        "    if (argc < 2 || !JS_IsFunction(ctx, argv[1]))\n        return json_parse_text(argv[0]);\n    str = JS_ToCStringLen(ctx, &len, argv[0]);\n    if (!str)\n        return JS_EXCEPTION;\n    if (argc > 1 && JS_IsFunction(ctx, argv[1])) {\n        JSONParseRecord",
        1,
    ),
    Replace(
        "    // stringify(val, replacer, space)\n",
        "    // stringify(val, replacer, space)\n    if (!JS_IsObject(argv[1]) && (JS_IsUndefined(argv[2]) || JS_IsNull(argv[2])))\n        return json_write_text(argv[0]);\n",
        1,
    ),
];

/// Writes `quickjs-patched.c`.
pub(crate) fn apply(quickjs: &Path, out: &Path) -> Result<(), Failure> {
    let path = quickjs.join("quickjs.c");
    let mut text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    for patch in PATCHES {
        text = patch.apply(&text).map_err(|wanted| format!("quickjs.c is not the version that the build knows: it lacks `{wanted}`"))?;
    }
    std::fs::write(out.join("quickjs-patched.c"), text).map_err(|error| error.to_string())
}

impl Patch {
    fn apply(&self, text: &str) -> Result<String, String> {
        match *self {
            Replace(from, to, times) => {
                let found = text.matches(from).count();
                if found == times { Ok(text.replace(from, to)) } else { Err(format!("{from} ({found} of {times})")) }
            }
            Cut(from, until, to) => {
                let start = text.find(from).ok_or(from)?;
                let end = text[start..].find(until).ok_or(until)? + start;
                Ok(format!("{}{to}{}", &text[..start], &text[end..]))
            }
        }
    }
}
