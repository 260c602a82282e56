// Dialects: sources written for other products. A prelude describes how such a source becomes a program and what its hooks are; here is what it
// works with. A dialect is an object:
//   head, tail  text put around a source, on lines of its own, so that the source's lines and columns stay what they are; absent: nothing
//   load(run, included)
//               gives an object with the functions of the hooks, under the names of the native dialect; `run` evaluates the program, as often
//               as it is called, and gives its completion value; `included` are the names of the scripts that are evaluated before it, each time
//   lack        the sentence for a source that has no hook
#include "heap.h"
#include "interpreter.h"

#include <string.h>

#define MOST_DIALECTS 8

static JSValue dialects[MOST_DIALECTS];

void dialect_add(uint32_t number, JSValue dialect)
{
    if (number > MOST_DIALECTS)
        __builtin_trap(); // A mistake of the build.
    dialects[number - 1] = dialect;
}

// A text of the dialect's, empty where it has none.
static Text part(JSValueConst dialect, const char *name)
{
    Text text = TEXT("");
    JSValue value = engine_data_property(dialect, name);
    if (JS_IsString(value))
        engine_text(value, &text);
    return text;
}

Text dialect_lack(uint32_t number)
{
    return part(dialects[number - 1], "lack");
}

static bool failed(Fault *fault)
{
    fault_of_exception(JS_GetException(js), fault);
    return false;
}

// Included programs come first; the value is that of the last.
static JSValue run_programs(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int count, JSValueConst *data)
{
    JSValue value = JS_UNDEFINED;
    for (int i = 0; i < count && !JS_IsException(value); i++) {
        JS_FreeValue(ctx, value);
        value = JS_EvalFunction(ctx, JS_DupValue(ctx, data[i]));
    }
    return value;
}

// The source between head and tail. A comment in its first two characters that Node.js has there, and a function has not, goes on as one.
static char *wrapped(Text head, const char *source, size_t length, Text tail, size_t *size)
{
    *size = head.len + length + tail.len + 2;
    char *text = *size <= LOADING_ASIDE ? heap_scratch(*size) : heap_allocate(*size + 1);
    if (text == NULL)
        return NULL;
    char *at = text;
    memcpy(at, head.ptr, head.len);
    at += head.len;
    *at++ = '\n';
    memcpy(at, source, length);
    if (length >= 2 && at[0] == '#' && at[1] == '!')
        at[0] = at[1] = '/';
    at += length;
    *at++ = '\n';
    memcpy(at, tail.ptr, tail.len);
    at[tail.len] = '\0';
    return text;
}

static JSValue compile(JSValueConst dialect, const char *source, size_t length, const char *name)
{
    Text head = part(dialect, "head");
    if (head.len == 0)
        return engine_compile(source, length, name, 1);
    size_t size;
    char *text = wrapped(head, source, length, part(dialect, "tail"), &size);
    if (text == NULL)
        return JS_ThrowOutOfMemory(js);
    JSValue program = engine_compile(text, size, name, 0);
    if (size > LOADING_ASIDE)
        heap_free(text);
    return program;
}

// Compiles what is included and then the source itself. Gives how many programs that are; 0 and an exception where one does not parse.
static int compile_all(JSValueConst dialect, const char *source, size_t length, const char *name, JSValue *programs)
{
    int count = 0;
    for (; count < library_count(); count++) {
        Included included = library_text(count);
        programs[count] = compile(dialect, included.source, included.length, included.name);
        JS_FreeCString(js, included.name);
        if (JS_IsException(programs[count]))
            return 0;
    }
    programs[count] = compile(dialect, source, length, name);
    return JS_IsException(programs[count]) ? 0 : count + 1;
}

bool dialect_evaluate(uint32_t number, const char *source, size_t length, const char *name, JSValue *hooks, Fault *fault, const char **kind)
{
    JSValue dialect = dialects[number - 1], programs[LIBRARY_MODULES + 1];
    int count = compile_all(dialect, source, length, name, programs);
    if (count == 0)
        return does_not_parse(fault, kind);
    JSValue arguments[] = {JS_NewCFunctionData(js, run_programs, 0, count, count, programs), library_names()};
    JSValue load = JS_GetPropertyStr(js, dialect, "load");
    if (JS_IsException(arguments[0]) || JS_IsException(arguments[1]) || JS_IsException(load))
        return failed(fault);
    *hooks = JS_Call(js, load, dialect, 2, arguments);
    for (int i = 0; i < count; i++)
        JS_FreeValue(js, programs[i]);
    // A source may have started what goes on after its last line.
    return (!JS_IsException(*hooks) || failed(fault)) && settle(hooks, fault);
}

// native.contract(text): ends the invocation as `contract`.
static JSValue contract(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Text text;
    return text_of(argv[0], &text) ? throw_contract("%.*s", (int)text.len, (const char *)text.ptr) : JS_EXCEPTION;
}

static JSValue text_of_body(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    return body_text(input_body());
}

// native.bodyValue(type): the body as its media type has it.
static JSValue value_of_body(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Text type;
    return text_of(argv[0], &type) ? payload_read(*input_body(), type) : JS_EXCEPTION;
}

// native.payloadValue(type): the payload as its own media type has it, or as this one where it has none.
static JSValue value_of_payload(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Text type;
    return input_payload_type(&type) || text_of(argv[0], &type) ? payload_given(*input_body(), type) : JS_EXCEPTION;
}

// Read anew each time, so what a script does to the value is not taken for a decision.
static JSValue arguments(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    return json_parse(input_arguments()->ptr, input_arguments()->len);
}

// native.endpoint(): connector and endpoint of the call, in a hook that runs after it.
static JSValue endpoint(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    HeaderPair names;
    snaphook_hook_input_endpoint(&names);
    JSValue pair = JS_NewArray(ctx);
    if (JS_IsException(pair))
        return pair;
    JS_DefinePropertyValueUint32(ctx, pair, 0, string_of(names.f0), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, pair, 1, string_of(names.f1), JS_PROP_C_W_E);
    return pair;
}

static JSValue typed_payload(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    return payload_new(argv[0]);
}

// native.sleep(ms): passes virtual time, at most to where it ends.
static JSValue pass_time(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    double ms;
    if (JS_ToFloat64(ctx, &ms, argv[0]) < 0)
        return JS_EXCEPTION;
    if (ms > 0)
        clock_ms = clock_ms + ms < deadline_ms ? clock_ms + ms : deadline_ms;
    return JS_UNDEFINED;
}

// The script's name: its file's without the ending.
static JSValue script_name(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Text name;
    if (!text_of(JS_AtomToString(ctx, script.name), &name))
        return JS_EXCEPTION;
    size_t length = name.len;
    while (length > 0 && name.ptr[length - 1] != '.')
        length--;
    return string_of((Text){name.ptr, length > 0 ? length - 1 : name.len});
}

// One entry of the interpreter's table for both, as in `state.c`.
static JSValue of_call(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int is_endpoint)
{
    return is_endpoint ? endpoint(ctx, this, argc, argv) : arguments(ctx, this, argc, argv);
}

static const JSCFunctionListEntry internal[] = {
    JS_CFUNC_DEF("contract", 1, contract),
    JS_CFUNC_DEF("bodyText", 0, text_of_body),
    JS_CFUNC_DEF("bodyValue", 1, value_of_body),
    JS_CFUNC_DEF("payloadValue", 1, value_of_payload),
    JS_CFUNC_MAGIC_DEF("arguments", 0, of_call, false),
    JS_CFUNC_MAGIC_DEF("endpoint", 0, of_call, true),
    JS_CFUNC_DEF("payload", 1, typed_payload),
    JS_CFUNC_DEF("sleep", 1, pass_time),
    JS_CFUNC_DEF("scriptName", 0, script_name),
};

void dialects_define(JSValueConst native)
{
    define_functions(native, internal, sizeof internal / sizeof *internal);
}
