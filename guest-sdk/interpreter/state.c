// `context.state`: values that outlive the run. Each is read and written by name; nothing else crosses.
#include "interpreter.h"

typedef struct State {
    snaphook_hook_variables_scope_t scope;
    const char *name;
    bool is_there;
} State;

static JSClassID state_class;
static State states[] = {
    {SNAPHOOK_HOOK_VARIABLES_SCOPE_FLOW_STATE, "flow", false},
    {SNAPHOOK_HOOK_VARIABLES_SCOPE_TENANT_STATE, "tenant", true},
};

static bool key_argument(const State *state, JSValueConst value, Text *key)
{
    if (JS_IsString(value))
        return engine_text(value, key);
    JS_ThrowTypeError(js, "a key of context.state.%s is text", state->name);
    return false;
}

static JSValue get(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    State *state = JS_GetOpaque2(ctx, this, state_class);
    Text key, text;
    if (state == NULL || !key_argument(state, argv[0], &key))
        return JS_EXCEPTION;
    return snaphook_hook_variables_get(state->scope, &key, &text) ? json_parse(text.ptr, text.len) : JS_UNDEFINED;
}

static JSValue refused(const State *state, snaphook_hook_variables_refusal_t refusal)
{
    if (!state->is_there)
        throw_contract("context.state.%s cannot be written in a direct call, which belongs to no flow", state->name);
    else if (refusal == SNAPHOOK_HOOK_VARIABLES_REFUSAL_INVALID)
        throw_contract("a key of context.state.%s has at most 512 bytes, and no zero among them", state->name);
    else
        JS_ThrowRangeError(js, "context.state.%s would outgrow its limit", state->name);
    return JS_EXCEPTION;
}

// Hands a value to the host; an absent text removes the key.
static JSValue put(const State *state, JSValueConst name, Text *text)
{
    Text key;
    snaphook_hook_variables_refusal_t refusal;
    if (!key_argument(state, name, &key))
        return JS_EXCEPTION;
    return snaphook_hook_variables_set(state->scope, &key, text, &refusal) ? JS_UNDEFINED : refused(state, refusal);
}

static JSValue set(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    State *state = JS_GetOpaque2(ctx, this, state_class);
    Text text;
    if (state == NULL)
        return JS_EXCEPTION;
    if (JS_IsUndefined(argv[1]))
        return put(state, argv[0], NULL);
    if (!json_write(argv[1], &text))
        return JS_EXCEPTION;
    if (text.ptr == NULL) {
        throw_contract("a value of context.state.%s has no JSON form", state->name);
        return JS_EXCEPTION;
    }
    return put(state, argv[0], &text);
}

static JSValue delete(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    State *state = JS_GetOpaque2(ctx, this, state_class);
    return state == NULL ? JS_EXCEPTION : put(state, argv[0], NULL);
}

static JSValue keys(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    State *state = JS_GetOpaque2(ctx, this, state_class);
    if (state == NULL)
        return JS_EXCEPTION;
    hooks_list_string_t found;
    snaphook_hook_variables_keys(state->scope, &found);
    JSValue list = JS_NewArray(ctx);
    for (uint32_t i = 0; i < found.len; i++)
        if (JS_IsException(list) || JS_DefinePropertyValueUint32(ctx, list, i, string_of(found.ptr[i]), JS_PROP_C_W_E) < 0)
            return JS_EXCEPTION;
    return list;
}

enum { GET, SET, DELETE, KEYS };

// One entry of the interpreter's table for all of them: the table is to be one page.
static JSValue method(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int which)
{
    switch (which) {
    case GET:
        return get(ctx, this, argc, argv);
    case SET:
        return set(ctx, this, argc, argv);
    case DELETE:
        return delete (ctx, this, argc, argv);
    default:
        return keys(ctx, this, argc, argv);
    }
}

static const JSCFunctionListEntry methods[] = {
    JS_CFUNC_MAGIC_DEF("get", 1, method, GET),
    JS_CFUNC_MAGIC_DEF("set", 2, method, SET),
    JS_CFUNC_MAGIC_DEF("delete", 1, method, DELETE),
    JS_CFUNC_MAGIC_DEF("keys", 0, method, KEYS),
};

JSValue state_new(bool has_flow)
{
    JSValue object = JS_NewObject(js);
    states[0].is_there = has_flow;
    for (int i = 0; i < 2; i++) {
        JSValue state = JS_IsException(object) ? JS_EXCEPTION : JS_NewObjectClass(js, (int)state_class);
        if (JS_IsException(state))
            return state;
        JS_SetOpaque(state, &states[i]);
        if (JS_DefinePropertyValueStr(js, object, states[i].name, state, JS_PROP_ENUMERABLE) < 0)
            return JS_EXCEPTION;
    }
    return object;
}

void state_define_class(void)
{
    define_class(&state_class, "State", methods, sizeof methods / sizeof *methods);
}
