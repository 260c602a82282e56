// Payloads and bodies: from values to bytes with a content type, and back.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

const hooks_list_u8_t *input_body(void)
{
    if (!invocation.has_body) {
        snaphook_hook_input_body(&invocation.body);
        invocation.has_body = true;
    }
    return &invocation.body;
}

bool input_payload_type(Text *type)
{
    return snaphook_hook_input_payload_type(type);
}

const hooks_list_u8_t *input_arguments(void)
{
    if (!invocation.has_arguments) {
        snaphook_hook_input_arguments(&invocation.arguments);
        invocation.has_arguments = true;
    }
    return &invocation.arguments;
}

// The bytes of an ArrayBuffer or of a view; false when the value is neither.
static bool bytes_of(JSValueConst value, hooks_list_u8_t *bytes)
{
    if (!JS_IsObject(value))
        return false;
    if (JS_IsArrayBuffer(value)) {
        bytes->ptr = JS_GetArrayBuffer(js, &bytes->len, value);
        return true;
    }
    return engine_view_bytes(value, &bytes->ptr, &bytes->len);
}

static JSClassID payload_class;

void payload_define_class(void)
{
    define_class(&payload_class, "Payload", NULL, 0);
}


static const char *unusable(JSValueConst value)
{
    if (JS_IsSymbol(value))
        return "a symbol";
    if (JS_IsBigInt(value))
        return "a BigInt";
    if (JS_IsFunction(js, value))
        return "a function";
    if (JS_IsUndefined(value))
        return "undefined";
    return decision_of(value) != NULL ? "a decision" : NULL;
}

bool payload_write(JSValueConst value, const char *what, hooks_list_u8_t *bytes, Text *content_type)
{
    const char *wrong = unusable(value);
    if (wrong != NULL) {
        throw_contract("%s cannot be %s", what, wrong);
        return false;
    }
    if (JS_IsString(value)) {
        Text text;
        if (!engine_text(value, &text))
            return false;
        *bytes = (hooks_list_u8_t){text.ptr, text.len};
        *content_type = TEXT("text/plain");
        return true;
    }
    const snaphook_hook_types_payload_t *made = JS_GetOpaque(value, payload_class);
    if (made != NULL) {
        *bytes = made->bytes;
        *content_type = made->content_type;
        return true;
    }
    if (bytes_of(value, bytes)) {
        *content_type = TEXT("application/octet-stream");
        return true;
    }
    Text text;
    json_refused = false;
    if (!json_write(value, &text)) {
        // What a hook gives back and JSON cannot hold breaks the contract, wherever the exception came up.
        if (json_refused) {
            JS_FreeValue(js, JS_GetException(js));
            throw_contract("%s holds a BigInt or refers to itself, so it has no JSON form", what);
        }
        return false;
    }
    if (text.ptr == NULL) {
        throw_contract("%s has no JSON form", what);
        return false;
    }
    *bytes = (hooks_list_u8_t){text.ptr, text.len};
    *content_type = TEXT("application/json");
    return true;
}

bool payload_keep(JSValueConst value, const char *what, snaphook_hook_types_payload_t *payload)
{
    if (!payload_write(value, what, &payload->bytes, &payload->content_type))
        return false;
    hooks_list_u8_t *bytes = &payload->bytes;
    if (!text_equals(payload->content_type, "application/octet-stream") || bytes->len == 0)
        return true;
    uint8_t *copy = heap_allocate(bytes->len);
    if (copy == NULL) {
        JS_ThrowOutOfMemory(js);
        return false;
    }
    memcpy(copy, bytes->ptr, bytes->len);
    bytes->ptr = copy;
    return true;
}

JSValue payload_new(JSValueConst value)
{
    snaphook_hook_types_payload_t *payload = heap_allocate(sizeof *payload);
    JSValue object = payload == NULL ? JS_ThrowOutOfMemory(js) : JS_NewObjectClass(js, (int)payload_class);
    if (JS_IsException(object) || !payload_keep(value, "`payload`", payload))
        return JS_EXCEPTION;
    if (JS_IsString(value) && json_is_valid(payload->bytes.ptr, payload->bytes.len))
        payload->content_type = TEXT("application/json");
    JS_SetOpaque(object, payload);
    return object;
}

static bool starts_with(Text text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.len >= length && text_equals_ignoring_case((Text){text.ptr, length}, prefix);
}

static bool is_json(Text essence)
{
    return text_equals_ignoring_case(essence, "application/json") ||
           (essence.len > 5 && text_equals_ignoring_case((Text){essence.ptr + essence.len - 5, 5}, "+json"));
}

static hooks_list_u8_t without_mark(const hooks_list_u8_t *bytes)
{
    bool marked = bytes->len >= 3 && memcmp(bytes->ptr, "\xef\xbb\xbf", 3) == 0;
    return marked ? (hooks_list_u8_t){bytes->ptr + 3, bytes->len - 3} : *bytes;
}

JSValue body_text(const hooks_list_u8_t *bytes)
{
    hooks_list_u8_t text = without_mark(bytes);
    return engine_decode(text.ptr, text.len, false);
}

JSValue body_json(const hooks_list_u8_t *bytes)
{
    hooks_list_u8_t text = without_mark(bytes);
    return json_parse(text.ptr, text.len);
}

JSValue arguments_read(void)
{
    const hooks_list_u8_t *arguments = input_arguments();
    JSValue value = json_parse(arguments->ptr, arguments->len);
    invocation.arguments_loose = json_loose;
    return value;
}

static bool same_bytes(Text a, Text b)
{
    if (a.len != b.len || a.ptr == b.ptr)
        return a.len == b.len;
    size_t i = 0;
    // The C library compares byte by byte.
    for (; i + 8 <= a.len; i += 8) {
        uint64_t left, right;
        memcpy(&left, a.ptr + i, 8);
        memcpy(&right, b.ptr + i, 8);
        if (left != right)
            return false;
    }
    return memcmp(a.ptr + i, b.ptr + i, a.len - i) == 0;
}

// JSON has many forms and is written in one. Where what came had another, it is read and written once more, as nobody changed it.
bool same_data(Text written, Text came, bool loose)
{
    if (same_bytes(written, came))
        return true;
    if (!loose)
        return false;
    Text again = {NULL, 0};
    JSValue value = body_json(&(hooks_list_u8_t){came.ptr, came.len});
    // What cannot be told, for want of memory, counts as a change: that hands on what the script has.
    if (JS_IsException(value) || !json_write(value, &again))
        JS_FreeValue(js, JS_GetException(js));
    return again.ptr != NULL && same_bytes(written, again);
}

bool body_is_same(const hooks_list_u8_t *written)
{
    const hooks_list_u8_t *body = input_body();
    return same_data((Text){written->ptr, written->len}, (Text){body->ptr, body->len}, invocation.body_loose);
}

bool arguments_are_same(const hooks_list_u8_t *written)
{
    const hooks_list_u8_t *arguments = input_arguments();
    return same_data((Text){written->ptr, written->len}, (Text){arguments->ptr, arguments->len}, invocation.arguments_loose);
}

static Text essence_of(Text content_type)
{
    Text essence = content_type;
    for (size_t i = 0; i < essence.len; i++)
        if (essence.ptr[i] == ';')
            essence.len = i;
    while (essence.len > 0 && essence.ptr[essence.len - 1] == ' ')
        essence.len--;
    return essence;
}

JSValue payload_read(hooks_list_u8_t bytes, Text content_type)
{
    Text essence = essence_of(content_type);
    if (is_json(essence)) {
        JSValue value = body_json(&bytes);
        invocation.body_loose = json_loose || without_mark(&bytes).len != bytes.len;
        return value;
    }
    if (starts_with(essence, "text/"))
        return body_text(&bytes);
    return JS_NewUint8ArrayCopy(js, bytes.ptr, bytes.len);
}

JSValue payload_given(hooks_list_u8_t bytes, Text content_type)
{
    JSValue value = payload_read(bytes, content_type);
    if (!JS_IsException(value) || !is_json(essence_of(content_type)))
        return value;
    hooks_list_u8_t text = without_mark(&bytes);
    // What is JSON and was not read met a limit of the engine's.
    if (json_is_valid(text.ptr, text.len))
        return value;
    JS_FreeValue(js, JS_GetException(js));
    value = engine_decode(text.ptr, text.len, true);
    if (!JS_IsException(value))
        return value;
    JS_FreeValue(js, JS_GetException(js));
    return JS_NewUint8ArrayCopy(js, bytes.ptr, bytes.len);
}
