// Loading the script at deploy: its module is evaluated once, its hooks are found, and its image is sealed.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

const char *const hook_names[HOOK_COUNT] = {"preHook", "preRequest", "postRequest", "postHook", "postFail", "default", "trigger"};

#define WARNINGS 16

static struct {
    const char *message;
    bool placed;
    snaphook_hook_types_location_t location;
} warnings[WARNINGS];
static int warning_count;

const char *hook_title(Hook hook)
{
    return hook == HOOK_STEP ? "a step" : hook_names[hook];
}

void load_warning(const char *message)
{
    snaphook_hook_types_location_t location;
    // An imported script was warned about at its own deploy.
    if (engine_in_imported())
        return;
    bool placed = engine_position(&location);
    for (int i = 0; i < warning_count; i++)
        if (warnings[i].message == message && warnings[i].location.line == location.line)
            return;
    if (warning_count == WARNINGS)
        return;
    warnings[warning_count].message = message;
    warnings[warning_count].placed = placed;
    warnings[warning_count++].location = location;
}

static JSModuleDef *import(JSContext *ctx, const char *name, void *opaque)
{
    bool known;
    JSModuleDef *module = library_module(name, &known);
    if (!known)
        throw_contract("cannot import \"%s\": a script can import \"snaphook\" and, by import statements, other scripts as \"script:NAME@VERSION\"", name);
    return module;
}

static char *full_name(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    return library_name(base, name);
}

void load_define(void)
{
    JS_SetModuleLoaderFunc(runtime, full_name, import, NULL);
}

static bool failed(Fault *fault)
{
    fault_of_exception(JS_GetException(js), fault);
    return false;
}

bool does_not_parse(Fault *fault, const char **kind)
{
    fault_of_exception(JS_GetException(js), fault);
    // Memory may have been too small for it, or an import not allowed.
    if (fault->kind == SNAPHOOK_HOOK_TYPES_FAULT_KIND_THREW)
        *kind = "syntax";
    return false;
}

// Evaluates a module; `*holder` is then what has its hooks. False: `fault` is filled, and `*kind` where it is not an exception.
static bool evaluate(const char *source, size_t length, const char *name, JSValue *holder, Fault *fault, const char **kind)
{
    JSValue module = JS_Eval(js, source, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(module))
        return does_not_parse(fault, kind);
    JSModuleDef *definition = JS_VALUE_GET_PTR(module);
    JSValue done = JS_EvalFunction(js, module);
    if (JS_IsException(done))
        return failed(fault);
    if (!settle(&done, fault))
        return false;
    *holder = JS_GetModuleNamespace(js, definition);
    engine_forget_module(definition);
    return !JS_IsException(*holder) || failed(fault);
}

// Fills `script` with the functions of an object that are named after hooks.
static bool find_hooks(JSValueConst holder, unsigned *hooks, Fault *fault)
{
    for (int hook = 0; hook < HOOK_COUNT; hook++) {
        JSValue function = JS_GetPropertyStr(js, holder, hook_names[hook]);
        if (JS_IsException(function))
            return failed(fault);
        if (JS_IsUndefined(function))
            continue;
        if (!JS_IsFunction(js, function)) {
            throw_contract("the export `%s` must be a function", hook_names[hook]);
            return failed(fault);
        }
        script.functions[hook] = function;
        *hooks |= 1u << hook;
    }
    return true;
}

static void tell_position(Builder *builder, bool placed, const snaphook_hook_types_location_t *location)
{
    if (!placed) {
        build(builder, "\"line\":null,\"column\":null");
        return;
    }
    build(builder, "\"line\":");
    build_number(builder, location->line);
    build(builder, ",\"column\":");
    build_number(builder, location->column);
}

static void tell_warnings(Builder *builder)
{
    for (int i = 0; i < warning_count; i++) {
        build(builder, i == 0 ? "{\"message\":" : ",{\"message\":");
        build_json_string(builder, (Text){(uint8_t *)warnings[i].message, strlen(warnings[i].message)});
        build(builder, ",");
        tell_position(builder, warnings[i].placed, &warnings[i].location);
        build(builder, "}");
    }
}

static void tell_fault(Builder *builder, const Fault *fault, const char *kind)
{
    static const char *const kinds[] = {"threw", "contract", "contract", "memory", "contract"};
    build(builder, "{\"kind\":\"");
    build(builder, kind != NULL ? kind : kinds[fault->kind]);
    build(builder, "\",\"message\":");
    build_json_string(builder, fault->message);
    build(builder, ",");
    tell_position(builder, fault->location.is_some, &fault->location.val);
    build(builder, ",\"stack\":");
    build_json_string(builder, fault->stack);
    build(builder, "}");
}

// The answer lies in static memory: in the heap it would become part of every script's image.
static uint32_t *tell(unsigned hooks, const Fault *fault, const char *kind)
{
    static uint32_t result[2];
    static uint8_t room[2048];
    Builder builder = {room, 0, sizeof room, false};
    if (fault != NULL)
        builder = (Builder){0};
    build(&builder, "{\"hooks\":");
    build_number(&builder, hooks);
    build(&builder, ",\"warnings\":[");
    tell_warnings(&builder);
    build(&builder, "],\"error\":");
    if (fault == NULL)
        build(&builder, "null");
    else
        tell_fault(&builder, fault, kind);
    build(&builder, "}");
    memset(warnings, 0, sizeof warnings);
    warning_count = 0;
    result[0] = (uint32_t)(uintptr_t)builder.bytes;
    result[1] = (uint32_t)builder.length;
    return result;
}

static bool load_hooks(char *source, uint32_t length, uint32_t dialect, unsigned *hooks, Fault *fault, const char **kind)
{
    const char *name = JS_AtomToCString(js, script.name);
    JSValue holder = JS_UNDEFINED;
    source[length] = '\0';
    script.is_native = dialect == 0;
    bool evaluated = dialect == 0 ? evaluate(source, length, name, &holder, fault, kind)
                                  : dialect_evaluate(dialect, source, length, name, &holder, fault, kind);
    if (!evaluated || !find_hooks(holder, hooks, fault))
        return false;
    if (dialect != 0 && *hooks == 0) {
        *kind = "no-hook";
        fault_contract(fault, dialect_lack(dialect));
        return false;
    }
    return true;
}

static __attribute__((noinline)) uint32_t *load(char *source, uint32_t length, const char *name, uint32_t name_length, uint32_t dialect)
{
    Fault fault = {.stack = TEXT("")};
    const char *kind = NULL;
    unsigned hooks = 0;
    if (start_problem != NULL) {
        fault_contract(&fault, (Text){(uint8_t *)start_problem, strlen(start_problem)});
        return tell(0, &fault, NULL);
    }
    script.name = JS_NewAtomLen(js, name, name_length);
    bool kept = length > LOADING_ASIDE;
    if (library_count() > 0) {
        // The heap grows while modules are parsed, over what was set aside.
        source = library_keep(source, length);
        kept = true;
    }
    if (!load_hooks(source, length, dialect, &hooks, &fault, &kind))
        return tell(0, &fault, kind);
    if (kept)
        heap_free(source);
    library_forget();
    engine_seal();
    heap_finish_loading();
    return tell(hooks, NULL, NULL);
}

// Called once per image, before it is taken. `source` must come from `cabi_realloc`, which leaves a byte behind it. The answer is JSON text:
// {"hooks": bits, "warnings": [{"message","line","column"}], "error": null or {"kind","message","line","column","stack"}}. `dialect` is 0 for native.
__attribute__((export_name("snaphook_load"))) uint32_t *snaphook_load(char *source, uint32_t length, const char *name, uint32_t name_length,
                                                                      uint32_t dialect, uint32_t time_low, uint32_t time_high)
{
    clock_ms = (double)((uint64_t)time_high << 32 | time_low);
    deadline_ms = clock_ms + 10000;
    engine_seed((uint64_t)time_high << 32 | time_low);
    uint32_t *result = load(source, length, name, name_length, dialect);
    stack_wipe();
    return result;
}
