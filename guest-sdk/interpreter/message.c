// The classes of `request` and `response`: a record of the host behind getters, so that what a script does not touch is never converted.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

typedef struct Message {
    Text method, url;
    Text path;         // Of a trigger's request.
    HeaderList list;
    JSValue headers;   // The Headers object once it was asked for, else undefined.
    JSValue query;     // Of a trigger's request, once it was asked for; else undefined.
    JSValue body;      // What was set, or what the body was read as; else undefined.
    uint16_t status;
    bool changed;      // Method, URL, or the headers as a whole were set.
    bool body_set;     // `body` was assigned.
} Message;

static JSClassID request_class, response_class, trigger_request_class;

static Message *message_of(JSValueConst value)
{
    JSClassID class = JS_GetClassID(value);
    return class == request_class || class == response_class || class == trigger_request_class ? JS_GetOpaque(value, class) : NULL;
}

static Message *self(JSValueConst value)
{
    Message *message = message_of(value);
    if (message == NULL)
        JS_ThrowTypeError(js, "this is neither a request nor a response");
    return message;
}

static JSValue message_new(JSClassID class, Message **message)
{
    *message = heap_allocate(sizeof **message);
    JSValue object = *message == NULL ? JS_ThrowOutOfMemory(js) : JS_NewObjectClass(js, (int)class);
    if (!JS_IsException(object))
        JS_SetOpaque(object, *message);
    return object;
}

static Message message_of_parts(Text method, Text url, HeaderList headers)
{
    return (Message){.method = method, .url = url, .list = headers, .headers = JS_UNDEFINED, .body = JS_UNDEFINED, .query = JS_UNDEFINED};
}

JSValue request_new(snaphook_hook_types_request_t *request)
{
    Message *message;
    JSValue object = message_new(request_class, &message);
    if (!JS_IsException(object))
        *message = message_of_parts(request->method, request->url, request->headers);
    return object;
}

JSValue response_new(snaphook_hook_types_response_t *response)
{
    Message *message;
    JSValue object = message_new(response_class, &message);
    if (!JS_IsException(object)) {
        *message = message_of_parts(response->method, response->url, response->headers);
        message->status = response->status;
    }
    return object;
}

JSValue trigger_request_new(exports_snaphook_hook_trigger_request_t *request)
{
    Message *message;
    JSValue object = message_new(trigger_request_class, &message);
    if (!JS_IsException(object)) {
        *message = message_of_parts(request->method, request->url, request->headers);
        message->path = request->path;
    }
    return object;
}

bool is_request(JSValueConst value)
{
    return JS_GetOpaque(value, request_class) != NULL;
}

bool is_response(JSValueConst value)
{
    return JS_GetOpaque(value, response_class) != NULL;
}

bool is_trigger_request(JSValueConst value)
{
    return JS_GetOpaque(value, trigger_request_class) != NULL;
}

static const HeaderList *list_of(const Message *message)
{
    return JS_IsUndefined(message->headers) ? &message->list : headers_of(message->headers);
}

// Of the body as it came: of the payload that an earlier script made, or as the headers say.
static Text content_type(const Message *message)
{
    Text type = TEXT("");
    if (!input_payload_type(&type))
        headers_find(list_of(message), "content-type", &type);
    return type;
}

typedef enum Field { METHOD, URL, PATH, QUERY, STATUS, OK, HEADERS, BODY } Field;

static JSValue body_value(Message *message)
{
    if (JS_IsUndefined(message->body) && !message->body_set)
        message->body = payload_read(*input_body(), content_type(message));
    if (JS_IsException(message->body)) {
        message->body = JS_UNDEFINED;
        return JS_EXCEPTION;
    }
    return JS_DupValue(js, message->body);
}

static JSValue get(JSContext *ctx, JSValueConst this, int magic)
{
    Message *message = self(this);
    if (message == NULL)
        return JS_EXCEPTION;
    switch ((Field)magic) {
    case METHOD:
        return string_of(message->method);
    case URL:
        return string_of(message->url);
    case PATH:
        return string_of(message->path);
    case QUERY:
        if (JS_IsUndefined(message->query)) {
            JSValue query = query_of_url(message->url);
            if (JS_IsException(query))
                return query;
            message->query = query;
        }
        return JS_DupValue(ctx, message->query);
    case STATUS:
        return JS_NewInt32(ctx, message->status);
    case OK:
        return JS_NewBool(ctx, message->status >= 200 && message->status < 300);
    case HEADERS:
        if (JS_IsUndefined(message->headers)) {
            JSValue headers = headers_new(message->list);
            if (JS_IsException(headers))
                return headers;
            message->headers = headers;
        }
        return JS_DupValue(ctx, message->headers);
    case BODY:
        return body_value(message);
    }
    return JS_UNDEFINED;
}

// A method or URL as a script sets it: text, or an object with a text of its own, which is how a URL is given.
static bool line_part(JSValueConst value, const char *what, Text *text)
{
    if (!JS_IsString(value) && !JS_IsObject(value)) {
        throw_contract("request.%s must be text", what);
        return false;
    }
    return text_of(value, text);
}

static JSValue set(JSContext *ctx, JSValueConst this, JSValueConst value, int magic)
{
    Message *message = self(this);
    HeaderList list;
    if (message == NULL)
        return JS_EXCEPTION;
    bool request = is_request(this);
    if (!request && magic != BODY)
        return JS_ThrowTypeError(ctx, "only the body of this can be set");
    switch ((Field)magic) {
    case METHOD:
        if (!line_part(value, "method", &message->method))
            return JS_EXCEPTION;
        message->changed = true;
        break;
    case URL:
        if (!line_part(value, "url", &message->url))
            return JS_EXCEPTION;
        message->changed = true;
        break;
    case HEADERS:
        if (!headers_read(value, &list))
            return JS_EXCEPTION;
        message->headers = headers_of(value) != NULL ? JS_DupValue(ctx, value) : headers_new(list);
        message->changed = true;
        break;
    case BODY:
        message->body = JS_DupValue(ctx, value);
        message->body_set = true;
        break;
    default:
        break;
    }
    return JS_UNDEFINED;
}

// The body's bytes as they stand: those that came, unless the script set others.
static bool body_bytes(Message *message, hooks_list_u8_t *bytes)
{
    Text type;
    if (!message->body_set) {
        *bytes = *input_body();
        return true;
    }
    if (JS_IsUndefined(message->body) || JS_IsNull(message->body)) {
        *bytes = (hooks_list_u8_t){(uint8_t *)"", 0};
        return true;
    }
    return payload_write(message->body, "body", bytes, &type);
}

typedef enum Reader { AS_TEXT, AS_JSON, AS_BYTES } Reader;

static JSValue read(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int magic)
{
    Message *message = self(this);
    hooks_list_u8_t bytes;
    if (message == NULL || !body_bytes(message, &bytes))
        return JS_EXCEPTION;
    switch ((Reader)magic) {
    case AS_TEXT:
        return body_text(&bytes);
    case AS_JSON:
        return body_json(&bytes);
    case AS_BYTES:
        return JS_NewUint8ArrayCopy(ctx, bytes.ptr, bytes.len);
    }
    return JS_UNDEFINED;
}

// The body as it stands at the end: absent in `*changed` when it is the one that came, also where a script only looked at it.
static bool body_changes(Message *message, const char *what, bool *changed, hooks_list_u8_t *bytes, Text *type)
{
    *changed = false;
    if (message->body_set && (JS_IsUndefined(message->body) || JS_IsNull(message->body))) {
        *bytes = (hooks_list_u8_t){(uint8_t *)"", 0};
        *type = TEXT("text/plain");
        *changed = true;
        return true;
    }
    if (JS_IsUndefined(message->body) || (!message->body_set && JS_IsString(message->body)))
        return true;
    if (!payload_write(message->body, what, bytes, type))
        return false;
    *changed = message->body_set || !body_is_same(bytes);
    return true;
}

static void complete_type(HeaderList *headers, Text type)
{
    Text there;
    if (text_equals(type, "application/json") && !headers_find(headers, "content-type", &there))
        headers_append(headers, TEXT("content-type"), type);
}

bool request_changes(JSValueConst request, bool *changed, snaphook_hook_types_new_request_t *result)
{
    Message *message = message_of(request);
    Text type;
    hooks_list_u8_t bytes;
    bool body;
    if (!body_changes(message, "request.body", &body, &bytes, &type))
        return false;
    *changed = body || message->changed || headers_changed(message->headers);
    result->method = message->method;
    result->url = message->url;
    result->headers = *list_of(message);
    result->body = (hooks_option_list_u8_t){body, bytes};
    if (body)
        complete_type(&result->headers, type);
    return true;
}

bool response_changes(JSValueConst response, bool *changed, snaphook_hook_types_payload_t *result)
{
    return body_changes(message_of(response), is_response(response) ? "response.body" : "request.body", changed, &result->bytes, &result->content_type);
}

// A request returned as an object: what it does not name stays as it was given.
bool request_read(JSValueConst given, JSValueConst value, snaphook_hook_types_new_request_t *result)
{
    static const struct {
        const char *name;
        Field field;
    } fields[] = {{"method", METHOD}, {"url", URL}, {"headers", HEADERS}, {"body", BODY}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        JSValue part = JS_GetPropertyStr(js, value, fields[i].name);
        if (JS_IsException(part))
            return false;
        if (!JS_IsUndefined(part) && JS_IsException(set(js, given, part, fields[i].field)))
            return false;
    }
    bool changed;
    return request_changes(given, &changed, result);
}

static JSValue to_json(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    if (self(this) == NULL)
        return JS_EXCEPTION;
    JSValue object = JS_NewObject(ctx), names = JS_NewObject(ctx);
    const HeaderList *list = list_of(message_of(this));
    for (size_t i = 0; i < list->len; i++) {
        JSAtom name = JS_NewAtomLen(ctx, (const char *)list->ptr[i].f0.ptr, list->ptr[i].f0.len);
        JS_DefinePropertyValue(ctx, names, name, string_of(list->ptr[i].f1), JS_PROP_C_W_E);
    }
    JS_DefinePropertyValueStr(ctx, object, "method", get(ctx, this, METHOD), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, object, "url", get(ctx, this, URL), JS_PROP_C_W_E);
    if (is_trigger_request(this)) {
        JS_DefinePropertyValueStr(ctx, object, "path", get(ctx, this, PATH), JS_PROP_C_W_E);
        JS_DefinePropertyValueStr(ctx, object, "query", get(ctx, this, QUERY), JS_PROP_C_W_E);
    }
    if (is_response(this))
        JS_DefinePropertyValueStr(ctx, object, "status", get(ctx, this, STATUS), JS_PROP_C_W_E);
    JS_DefinePropertyValueStr(ctx, object, "headers", names, JS_PROP_C_W_E);
    JSValue body = get(ctx, this, BODY);
    if (JS_IsException(body))
        return body;
    JS_DefinePropertyValueStr(ctx, object, "body", body, JS_PROP_C_W_E);
    return object;
}

#define SHARED                                       \
    JS_CGETSET_MAGIC_DEF("method", get, set, METHOD), \
    JS_CGETSET_MAGIC_DEF("url", get, set, URL),       \
    JS_CGETSET_MAGIC_DEF("headers", get, set, HEADERS), \
    JS_CGETSET_MAGIC_DEF("body", get, set, BODY),     \
    JS_CFUNC_MAGIC_DEF("text", 0, read, AS_TEXT),     \
    JS_CFUNC_MAGIC_DEF("json", 0, read, AS_JSON),     \
    JS_CFUNC_MAGIC_DEF("bytes", 0, read, AS_BYTES),   \
    JS_CFUNC_DEF("toJSON", 0, to_json)

static const JSCFunctionListEntry request_parts[] = {SHARED};
static const JSCFunctionListEntry response_parts[] = {
    SHARED,
    JS_CGETSET_MAGIC_DEF("status", get, NULL, STATUS),
    JS_CGETSET_MAGIC_DEF("ok", get, NULL, OK),
    JS_CGETSET_MAGIC_DEF("payload", get, set, BODY),
};

static const JSCFunctionListEntry trigger_request_parts[] = {
    SHARED,
    JS_CGETSET_MAGIC_DEF("path", get, NULL, PATH),
    JS_CGETSET_MAGIC_DEF("query", get, NULL, QUERY),
};

void message_define_classes(void)
{
    define_class(&trigger_request_class, "TriggerRequest", trigger_request_parts, sizeof trigger_request_parts / sizeof *trigger_request_parts);
    define_class(&request_class, "Request", request_parts, sizeof request_parts / sizeof *request_parts);
    define_class(&response_class, "Response", response_parts, sizeof response_parts / sizeof *response_parts);
}
