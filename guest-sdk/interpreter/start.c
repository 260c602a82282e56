// The interpreter's own start, before its snapshot is taken: runtime, classes, globals, preludes.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

#include "dialects.h"
#include "preludes.h"

// Room that an ordinary script and an ordinary invocation find without growing memory.
#define ROOM (224 * 1024)

JSRuntime *runtime;
JSContext *js;
Script script;
Invocation invocation;
const char *start_problem;

static void *start_calloc(void *opaque, size_t count, size_t size)
{
    void *block = heap_allocate(count * size);
    if (block != NULL)
        memset(block, 0, count * size);
    return block;
}

static void *start_malloc(void *opaque, size_t size)
{
    return heap_allocate(size);
}

static void start_free(void *opaque, void *block)
{
    heap_free(block);
}

static void *start_realloc(void *opaque, void *block, size_t size)
{
    return heap_resize(block, size);
}

// Every intrinsic but `performance`, whose clock would say nothing.
static bool add_intrinsics(void)
{
    return JS_AddIntrinsicBaseObjects(js) == 0 && JS_AddIntrinsicDate(js) == 0 && JS_AddIntrinsicEval(js) == 0 && JS_AddIntrinsicRegExp(js) == 0 &&
           JS_AddIntrinsicJSON(js) == 0 && JS_AddIntrinsicProxy(js) == 0 && JS_AddIntrinsicMapSet(js) == 0 && JS_AddIntrinsicTypedArrays(js) == 0 &&
           JS_AddIntrinsicPromise(js) == 0 && JS_AddIntrinsicBigInt(js) == 0 && JS_AddIntrinsicWeakRef(js) == 0 && JS_AddIntrinsicDOMException(js) == 0 &&
           JS_AddIntrinsicAToB(js) == 0;
}

// A prelude is a function of the internal functions and the global object.
static JSValue run_prelude(const char *name, const char *text, size_t length, JSValueConst native, JSValueConst globals)
{
    JSValue function = JS_Eval(js, text, length, name, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT);
    JSValueConst arguments[] = {native, globals};
    JSValue result = JS_IsException(function) ? function : JS_Call(js, function, JS_UNDEFINED, 2, arguments);
    if (JS_IsException(result)) {
        JSValue error = JS_GetException(js);
        Builder builder = {0};
        Text shown;
        build(&builder, name);
        build(&builder, ": ");
        if (text_of(error, &shown))
            build_text(&builder, shown);
        if (text_of(JS_GetPropertyStr(js, error, "stack"), &shown))
            build_text(&builder, shown);
        build_bytes(&builder, "", 1);
        start_problem = (const char *)built(&builder).ptr;
    }
    JS_FreeValue(js, function);
    return result;
}

static bool run_preludes(JSValueConst native, JSValueConst globals)
{
    for (size_t i = 0; i < sizeof preludes / sizeof *preludes; i++) {
        JSValue result = run_prelude(preludes[i].name, preludes[i].text, preludes[i].length, native, globals);
        if (JS_IsException(result))
            return false;
        JS_FreeValue(js, result);
    }
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        JSValue dialect = run_prelude(dialects[i].name, dialects[i].text, dialects[i].length, native, globals);
        if (JS_IsException(dialect))
            return false;
        dialect_add((uint32_t)i + 1, dialect);
    }
    return true;
}

static void start(void)
{
    static const JSMallocFunctions memory = {start_calloc, start_malloc, start_free, start_realloc, heap_usable_size};
    invocation = (Invocation){.hook = HOOK_LOADING, .contract_error = JS_UNDEFINED, .pending_decision = JS_UNDEFINED};
    for (int hook = 0; hook < HOOK_COUNT; hook++)
        script.functions[hook] = JS_UNDEFINED;
    runtime = JS_NewRuntime2(&memory, NULL);
    js = JS_NewContextRaw(runtime);
    engine_set_stack_limit();
    JS_SetGCThreshold(runtime, (size_t)-1);
    if (!add_intrinsics()) {
        start_problem = "the language's own objects did not fit";
        return;
    }
    JSValue globals = JS_GetGlobalObject(js), native = JS_NewObject(js);
    JSValue log = host_define(globals, native);
    headers_define_class(globals);
    message_define_classes();
    given_define_classes();
    context_define_classes(log);
    state_define_class();
    waiting_define(globals, native);
    load_define();
    payload_define_class();
    decisions_define(native);
    dialects_define(native);
    if (run_preludes(native, globals))
        engine_prepare_snapshot();
}

__attribute__((export_name("wizer-initialize"))) void wizer_initialize(void)
{
    start();
    engine_seal();
    heap_make_room(ROOM);
    stack_wipe();
}
