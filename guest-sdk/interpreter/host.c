// The host's interfaces as a script meets them: the log, digests, chance.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

// Shows a value that is not text; a prelude sets it.
static JSValue inspect;

void host_log(snaphook_hook_log_level_t level, Text message)
{
    if (invocation.hook == HOOK_LOADING)
        load_warning("what top-level code logs is dropped, since it runs once, at deploy");
    else
        snaphook_hook_log_write(level, &message);
}

static JSValue write(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int level)
{
    Text text = TEXT("");
    if (argc == 1 && JS_IsString(argv[0])) {
        if (!engine_text(argv[0], &text))
            return JS_EXCEPTION;
    } else if (argc > 0) {
        JSValue shown = JS_Call(ctx, inspect, JS_UNDEFINED, argc, argv);
        if (JS_IsException(shown) || !text_of(shown, &text))
            return JS_EXCEPTION;
    }
    host_log((snaphook_hook_log_level_t)level, text);
    return JS_UNDEFINED;
}

static bool bytes_argument(JSValueConst value, hooks_list_u8_t *bytes)
{
    if (JS_IsObject(value) && engine_view_bytes(value, &bytes->ptr, &bytes->len))
        return true;
    JS_ThrowTypeError(js, "bytes are wanted");
    return false;
}

static bool algorithm_argument(JSValueConst value, snaphook_hook_crypto_algorithm_t *algorithm)
{
    int32_t number;
    if (JS_ToInt32(js, &number, value) < 0)
        return false;
    *algorithm = (snaphook_hook_crypto_algorithm_t)number;
    return true;
}

static bool is_loading(const char *what)
{
    if (invocation.hook != HOOK_LOADING)
        return false;
    JS_ThrowTypeError(js, "%s is not available while the script is loaded, only inside its functions", what);
    return true;
}

static JSValue digest(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    snaphook_hook_crypto_algorithm_t algorithm;
    hooks_list_u8_t data, result;
    if (is_loading("crypto.subtle") || !algorithm_argument(argv[0], &algorithm) || !bytes_argument(argv[1], &data))
        return JS_EXCEPTION;
    snaphook_hook_crypto_digest(algorithm, &data, &result);
    return JS_NewUint8ArrayCopy(ctx, result.ptr, result.len);
}

enum { AUTHENTICATE, SIGN };

// An HMAC; or a signature, or as text why there is none. One function for both, since each takes an entry of the table and a fresh instance's
// table is to stay one page.
static JSValue keyed(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int purpose)
{
    int32_t how;
    hooks_list_u8_t key, data, result;
    Text why;
    if (is_loading("crypto.subtle") || JS_ToInt32(ctx, &how, argv[0]) < 0 || !bytes_argument(argv[1], &key) || !bytes_argument(argv[2], &data))
        return JS_EXCEPTION;
    if (purpose == AUTHENTICATE)
        snaphook_hook_crypto_hmac((snaphook_hook_crypto_algorithm_t)how, &key, &data, &result);
    else if (!snaphook_hook_crypto_sign((snaphook_hook_crypto_scheme_t)how, &key, &data, &result, &why))
        return engine_decode(why.ptr, why.len, false);
    return JS_NewUint8ArrayCopy(ctx, result.ptr, result.len);
}

static JSValue random(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    hooks_list_u8_t target, result;
    if (is_loading("crypto's chance") || !bytes_argument(argv[0], &target))
        return JS_EXCEPTION;
    snaphook_hook_crypto_random((uint32_t)target.len, &result);
    memcpy(target.ptr, result.ptr, target.len < result.len ? target.len : result.len);
    return JS_DupValue(ctx, argv[0]);
}

static JSValue utf8(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Text text;
    return text_of(argv[0], &text) ? JS_NewUint8ArrayCopy(ctx, text.ptr, text.len) : JS_EXCEPTION;
}

static JSValue from_utf8(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    hooks_list_u8_t bytes;
    return bytes_argument(argv[0], &bytes) ? engine_decode(bytes.ptr, bytes.len, JS_ToBool(ctx, argv[1]) > 0) : JS_EXCEPTION;
}

static JSValue unfinished(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    hooks_list_u8_t bytes;
    return bytes_argument(argv[0], &bytes) ? JS_NewUint32(ctx, (uint32_t)engine_unfinished(bytes.ptr, bytes.len)) : JS_EXCEPTION;
}

static JSValue parse_json(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    hooks_list_u8_t bytes;
    return bytes_argument(argv[0], &bytes) ? body_json(&bytes) : JS_EXCEPTION;
}

static JSValue set_inspect(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    inspect = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry internal[] = {
    JS_CFUNC_DEF("digest", 2, digest),
    JS_CFUNC_MAGIC_DEF("hmac", 3, keyed, AUTHENTICATE),
    JS_CFUNC_MAGIC_DEF("sign", 3, keyed, SIGN),
    JS_CFUNC_DEF("random", 1, random),
    JS_CFUNC_DEF("utf8", 1, utf8),
    JS_CFUNC_DEF("fromUtf8", 2, from_utf8),
    JS_CFUNC_DEF("unfinished", 1, unfinished),
    JS_CFUNC_DEF("parseJSON", 1, parse_json),
    JS_CFUNC_DEF("setInspect", 1, set_inspect),
};

static const JSCFunctionListEntry levels[] = {
    JS_CFUNC_MAGIC_DEF("metric", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_METRIC),
    JS_CFUNC_MAGIC_DEF("trace", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_TRACE),
    JS_CFUNC_MAGIC_DEF("debug", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_DEBUG),
    JS_CFUNC_MAGIC_DEF("info", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_INFO),
    JS_CFUNC_MAGIC_DEF("log", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_LOG),
    JS_CFUNC_MAGIC_DEF("warn", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_WARN),
    JS_CFUNC_MAGIC_DEF("error", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_ERROR),
    // Of the console only.
    JS_CFUNC_MAGIC_DEF("dir", 0, write, SNAPHOOK_HOOK_LOG_LEVEL_LOG),
};

void define_functions(JSValueConst object, const JSCFunctionListEntry *entries, int count)
{
    JS_SetPropertyFunctionList(js, object, entries, count);
}

void define_class(JSClassID *class, const char *name, const JSCFunctionListEntry *entries, int count)
{
    JSClassDef definition = {.class_name = name};
    JS_NewClassID(runtime, class);
    JS_NewClass(runtime, *class, &definition);
    JSValue prototype = JS_NewObject(js);
    if (count > 0)
        define_functions(prototype, entries, count);
    JS_SetClassProto(js, *class, prototype);
}

JSValue host_define(JSValueConst globals, JSValueConst native)
{
    JSValue console = JS_NewObject(js), log = JS_NewObject(js);
    define_functions(console, levels, sizeof levels / sizeof *levels);
    define_functions(log, levels, sizeof levels / sizeof *levels - 1);
    JS_DefinePropertyValueStr(js, globals, "console", console, JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
    define_functions(native, internal, sizeof internal / sizeof *internal);
    return log;
}
