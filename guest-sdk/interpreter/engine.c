// QuickJS-ng with our changes, and the few functions that need its insides. Everything else uses its public interface.
#include "heap.c"

static void note_throw(void);
static void note_chance(void);
static void note_clock(void);

#include "quickjs.h"

// Room that a function takes on our stack beyond its own frame. The empty instruction keeps the compiler from taking it back.
#define STACK_WEIGHT(bytes) \
    uint8_t weight[bytes];  \
    __asm__ volatile("" : : "r"(weight) : "memory")

static JSValue json_parse_text(JSValueConst text);
static JSValue json_write_text(JSValueConst value);
static double math_of_one(double (*number)(double), double x);
static double math_of_two(double (*number)(double, double), double x, double y);

#include "quickjs-patched.c"

#include "interpreter.h"

#undef malloc
#undef free
#undef realloc

// What stays free below the limit for C functions that do not check: number formatting and the regular expression compiler.
#define STACK_RESERVE (24 * 1024)

#include "engine_text.c"
#include "utf8.c"
#include "json_shapes.c"
#include "json_scan.c"
#include "json_check.c"
#include "json_parse.c"
#include "json_write.c"
#include "json_walk.c"
#include "where.c"
#include "layout.c"

void engine_set_stack_limit(void)
{
    // The stack lies at the lower end of memory, so it may be used down to the reserve.
    runtime->stack_size = 1;
    runtime->stack_limit = STACK_RESERVE;
}

JSValue engine_compile(const char *text, size_t length, const char *name, int first_line)
{
    return JS_EvalInternal(js, js->global_obj, text, length, name, first_line, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY, -1);
}

JSValue engine_data_property(JSValueConst object, const char *name)
{
    if (JS_VALUE_GET_TAG(object) != JS_TAG_OBJECT)
        return JS_UNDEFINED;
    JSAtom atom = JS_NewAtom(js, name);
    JSValue value = JS_UNDEFINED;
    for (JSObject *p = JS_VALUE_GET_OBJ(object); p != NULL && p->class_id != JS_CLASS_PROXY; p = p->shape->proto) {
        JSProperty *property;
        JSShapeProperty *shape = find_own_property(&property, p, atom);
        if (shape == NULL)
            continue;
        if ((shape->flags & JS_PROP_TMASK) == JS_PROP_NORMAL)
            value = js_dup(property->u.value);
        break;
    }
    JS_FreeAtom(js, atom);
    return value;
}

JSValue engine_error_stack(JSValueConst error)
{
    JSValue own = engine_data_property(error, "stack");
    if (!engine_is_error(error) || JS_IsString(own))
        return own;
    return js_dup(JS_VALUE_GET_OBJ(error)->u.object_data);
}

bool engine_is_error(JSValueConst value)
{
    return JS_VALUE_GET_TAG(value) == JS_TAG_OBJECT && JS_VALUE_GET_OBJ(value)->class_id == JS_CLASS_ERROR;
}

bool engine_is_dom_exception(JSValueConst value)
{
    return JS_VALUE_GET_TAG(value) == JS_TAG_OBJECT && JS_VALUE_GET_OBJ(value)->class_id == JS_CLASS_DOM_EXCEPTION;
}

JSValueConst engine_dom_name(JSValueConst exception)
{
    return ((JSDOMExceptionData *)JS_GetOpaque(exception, JS_CLASS_DOM_EXCEPTION))->name;
}

JSValueConst engine_dom_message(JSValueConst exception)
{
    return ((JSDOMExceptionData *)JS_GetOpaque(exception, JS_CLASS_DOM_EXCEPTION))->message;
}

// Garbage of a script's top level that is worth a collection, which disturbs the order of older objects.
#define MUCH_GARBAGE (1u << 20)

void engine_seal(void)
{
    static size_t sealed_size;
    if (sealed_size != 0 && runtime->malloc_state.malloc_size > sealed_size + MUCH_GARBAGE)
        JS_RunGC(runtime);
    heap_forget_free();
    // The next object is linked to the last one, which therefore must be a young one.
    JS_NewObject(js);
    heap_seal();
    sealed_size = runtime->malloc_state.malloc_size;
    // Collecting touches every page, so it waits for more garbage than an ordinary invocation makes.
    JS_SetGCThreshold(runtime, sealed_size + (8u << 20));
}

// `Promise.resolve` of the language, whatever became of the global.
JSValue engine_resolve(JSValueConst value)
{
    return js_promise_resolve(js, js->promise_ctor, 1, &value, 0);
}

JSAtom engine_symbol_iterator(void)
{
    return JS_ATOM_Symbol_iterator;
}

bool engine_view_bytes(JSValueConst value, uint8_t **bytes, size_t *length)
{
    JSObject *p = JS_VALUE_GET_OBJ(value);
    if (p->class_id < JS_CLASS_UINT8C_ARRAY || p->class_id > JS_CLASS_DATAVIEW)
        return false;
    JSTypedArray *view = p->class_id == JS_CLASS_DATAVIEW ? p->u.typed_array : p->u.array.u1.typed_array;
    JSArrayBuffer *buffer = view->buffer->u.array_buffer;
    *bytes = buffer->data + view->offset;
    *length = 0;
    if (!buffer->detached && view->offset <= (uint32_t)buffer->byte_length) {
        size_t rest = (size_t)buffer->byte_length - view->offset;
        *length = view->track_rab || view->length > rest ? rest : view->length;
    }
    return true;
}

__attribute__((noinline)) void stack_wipe(void)
{
    // The stack begins at address 0. What this function itself keeps is above `here`.
    uint8_t *here = __builtin_frame_address(0);
    for (volatile uint8_t *at = (uint8_t *)16; at < here - 64; at += 8)
        *(volatile uint64_t *)at = 0;
}
