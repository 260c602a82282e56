// What the hooks around a whole call are given: the call, its result, its failure.
#include "heap.h"
#include "interpreter.h"

typedef struct Given {
    Text connector, endpoint;
    HeaderList list;
    JSValue headers;
    JSValue arguments; // Once read or set; else undefined.
    JSValue payload;
    uint16_t status;
    bool arguments_set, payload_set;
} Given;

static JSClassID call_class, result_class, failure_class;

// Accessors that each object of a class gets as properties of its own, so that `Object.keys` and `{...call}` see them. The template keeps
// their shape alive, which the objects of an invocation then share.
typedef struct Accessors {
    int count;
    JSAtom names[4];
    JSValue getters[4], setters[4];
    JSValue template;
} Accessors;

static Accessors call_accessors, result_accessors, failure_accessors;

static bool accessors_define(JSValueConst object, const Accessors *accessors)
{
    for (int i = 0; i < accessors->count; i++)
        if (JS_DefinePropertyGetSet(js, object, accessors->names[i], JS_DupValue(js, accessors->getters[i]), JS_DupValue(js, accessors->setters[i]),
                                    JS_PROP_ENUMERABLE | JS_PROP_CONFIGURABLE) < 0)
            return false;
    return true;
}

static void accessors_find(JSClassID class, Accessors *accessors, const char *const *names, int count)
{
    JSValue prototype = JS_GetClassProto(js, class);
    accessors->count = count;
    for (int i = 0; i < count; i++) {
        JSPropertyDescriptor found = {.getter = JS_UNDEFINED, .setter = JS_UNDEFINED};
        accessors->names[i] = JS_NewAtom(js, names[i]);
        JS_GetOwnProperty(js, &found, prototype, accessors->names[i]);
        accessors->getters[i] = found.getter;
        accessors->setters[i] = found.setter;
    }
    accessors->template = JS_NewObjectClass(js, (int)class);
    accessors_define(accessors->template, accessors);
    JS_FreeValue(js, prototype);
}

static Given *given_of(JSValueConst value)
{
    JSClassID class = JS_GetClassID(value);
    return class == call_class || class == result_class || class == failure_class ? JS_GetOpaque(value, class) : NULL;
}

static JSValue given_new(JSClassID class, const Accessors *accessors, Given **given)
{
    *given = heap_allocate(sizeof **given);
    JSValue object = *given == NULL ? JS_ThrowOutOfMemory(js) : JS_NewObjectClass(js, (int)class);
    if (!JS_IsException(object)) {
        **given = (Given){.headers = JS_UNDEFINED, .arguments = JS_UNDEFINED, .payload = JS_UNDEFINED};
        JS_SetOpaque(object, *given);
        if (!accessors_define(object, accessors))
            return JS_EXCEPTION;
    }
    return object;
}

JSValue call_new(Text connector, Text endpoint)
{
    Given *given;
    JSValue object = given_new(call_class, &call_accessors, &given);
    if (!JS_IsException(object)) {
        given->connector = connector;
        given->endpoint = endpoint;
    }
    return object;
}

JSValue result_new(uint16_t status, HeaderList headers)
{
    Given *given;
    JSValue object = given_new(result_class, &result_accessors, &given);
    if (!JS_IsException(object)) {
        given->status = status;
        given->list = headers;
    }
    return object;
}

JSValue failure_new(snaphook_hook_types_failure_t *failure)
{
    Given *given;
    JSValue object = given_new(failure_class, &failure_accessors, &given);
    if (JS_IsException(object))
        return object;
    JS_DefinePropertyValueStr(js, object, "status", JS_NewInt32(js, failure->status), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(js, object, "code", string_of(failure->code), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(js, object, "message", string_of(failure->message), JS_PROP_C_W_E);
    return object;
}

bool is_call(JSValueConst value)
{
    return JS_GetOpaque(value, call_class) != NULL;
}

bool is_result(JSValueConst value)
{
    return JS_GetOpaque(value, result_class) != NULL;
}

bool is_failure(JSValueConst value)
{
    return JS_GetOpaque(value, failure_class) != NULL;
}

bool failure_changes(JSValueConst value, const snaphook_hook_types_failure_t *given, bool *changed, snaphook_hook_types_replaced_failure_t *result)
{
    JSValue status = JS_GetPropertyStr(js, value, "status"), message = JS_GetPropertyStr(js, value, "message");
    JSValue code = JS_GetPropertyStr(js, value, "code");
    Text text = TEXT("");
    double number;
    *changed = false;
    if (JS_IsException(status) || JS_IsException(message) || JS_IsException(code) || !text_of(message, &text))
        return false;
    result->message = text;
    if (!reason_code_read(code, &result->code))
        return false;
    bool code_same = result->code.is_some && result->code.val.tag == SNAPHOOK_HOOK_TYPES_REASON_CODE_TEXT &&
                     same_text(result->code.val.val.text, given->code);
    bool status_same = JS_IsNumber(status) && JS_ToFloat64(js, &number, status) == 0 && number == given->status;
    *changed = !code_same || !status_same || !same_text(text, given->message);
    result->status = given->status;
    return !*changed || status_same || status_read(status, "failure.status", &result->status);
}

typedef enum Field { CONNECTOR, ENDPOINT, ARGUMENTS, STATUS, HEADERS, PAYLOAD } Field;

static JSValue kept(JSValue value, JSValue *place)
{
    if (JS_IsException(value))
        return value;
    *place = value;
    return JS_DupValue(js, value);
}

static JSValue get(JSContext *ctx, JSValueConst this, int magic)
{
    Given *given = given_of(this);
    Text type = TEXT("");
    if (given == NULL)
        return JS_ThrowTypeError(ctx, "this is not what the hook was given");
    switch ((Field)magic) {
    case CONNECTOR:
        return string_of(given->connector);
    case ENDPOINT:
        return string_of(given->endpoint);
    case STATUS:
        return JS_NewInt32(ctx, given->status);
    case ARGUMENTS:
        if (given->arguments_set || !JS_IsUndefined(given->arguments))
            return JS_DupValue(ctx, given->arguments);
        return kept(arguments_read(), &given->arguments);
    case HEADERS:
        return JS_IsUndefined(given->headers) ? kept(headers_new(given->list), &given->headers) : JS_DupValue(ctx, given->headers);
    case PAYLOAD:
        if (given->payload_set || !JS_IsUndefined(given->payload))
            return JS_DupValue(ctx, given->payload);
        if (!input_payload_type(&type))
            headers_find(&given->list, "content-type", &type);
        return kept(payload_given(*input_body(), type), &given->payload);
    }
    return JS_UNDEFINED;
}

static JSValue set(JSContext *ctx, JSValueConst this, JSValueConst value, int magic)
{
    Given *given = given_of(this);
    if (given == NULL)
        return JS_ThrowTypeError(ctx, "this is not what the hook was given");
    if (magic == ARGUMENTS) {
        given->arguments = JS_DupValue(ctx, value);
        given->arguments_set = true;
    } else {
        given->payload = JS_DupValue(ctx, value);
        given->payload_set = true;
    }
    return JS_UNDEFINED;
}

bool call_changes(JSValueConst call, bool *changed, hooks_list_u8_t *arguments)
{
    Given *given = given_of(call);
    Text type;
    *changed = false;
    if (!given->arguments_set && JS_IsUndefined(given->arguments))
        return true;
    if (given->arguments_set && !JS_IsObject(given->arguments)) {
        throw_contract("call.arguments must be an object");
        return false;
    }
    if (!payload_write(given->arguments, "call.arguments", arguments, &type))
        return false;
    *changed = given->arguments_set || !arguments_are_same(arguments);
    return true;
}

bool result_changes(JSValueConst result, bool *changed, snaphook_hook_types_payload_t *payload)
{
    Given *given = given_of(result);
    *changed = false;
    if (!given->payload_set && (JS_IsUndefined(given->payload) || JS_IsString(given->payload)))
        return true;
    if (!payload_write(given->payload, "result.payload", &payload->bytes, &payload->content_type))
        return false;
    *changed = given->payload_set || !body_is_same(&payload->bytes);
    return true;
}

// For `JSON.stringify` and the console, which look at own properties only.
static JSValue to_json(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int magic)
{
    static const char *const names[] = {"connector", "endpoint", "arguments", "status", "headers", "payload"};
    JSValue object = JS_NewObject(ctx);
    for (int field = CONNECTOR; field <= PAYLOAD; field++) {
        if ((magic & 1 << field) == 0 || field == HEADERS)
            continue;
        JSValue value = get(ctx, this, field);
        if (JS_IsException(value))
            return value;
        JS_DefinePropertyValueStr(ctx, object, names[field], value, JS_PROP_C_W_E);
    }
    return object;
}

static const JSCFunctionListEntry call_parts[] = {
    JS_CGETSET_MAGIC_DEF("connector", get, NULL, CONNECTOR),
    JS_CGETSET_MAGIC_DEF("endpoint", get, NULL, ENDPOINT),
    JS_CGETSET_MAGIC_DEF("arguments", get, set, ARGUMENTS),
    JS_CFUNC_MAGIC_DEF("toJSON", 0, to_json, 1 << CONNECTOR | 1 << ENDPOINT | 1 << ARGUMENTS),
};
static const JSCFunctionListEntry result_parts[] = {
    JS_CGETSET_MAGIC_DEF("arguments", get, NULL, ARGUMENTS),
    JS_CGETSET_MAGIC_DEF("status", get, NULL, STATUS),
    JS_CGETSET_MAGIC_DEF("headers", get, NULL, HEADERS),
    JS_CGETSET_MAGIC_DEF("payload", get, set, PAYLOAD),
    JS_CFUNC_MAGIC_DEF("toJSON", 0, to_json, 1 << ARGUMENTS | 1 << STATUS | 1 << PAYLOAD),
};
static const JSCFunctionListEntry failure_parts[] = {
    JS_CGETSET_MAGIC_DEF("arguments", get, NULL, ARGUMENTS),
};

void given_define_classes(void)
{
    define_class(&call_class, "Call", call_parts, sizeof call_parts / sizeof *call_parts);
    define_class(&result_class, "Result", result_parts, sizeof result_parts / sizeof *result_parts);
    define_class(&failure_class, "Failure", failure_parts, sizeof failure_parts / sizeof *failure_parts);
    accessors_find(call_class, &call_accessors, (const char *const[]){"connector", "endpoint", "arguments"}, 3);
    accessors_find(result_class, &result_accessors, (const char *const[]){"arguments", "status", "headers", "payload"}, 4);
    accessors_find(failure_class, &failure_accessors, (const char *const[]){"arguments"}, 1);
}
