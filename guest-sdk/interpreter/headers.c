// The class `Headers`. Its pairs keep the layout in which they came and in which they go, so headers that a script does not read cost
// nothing to pass on.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

typedef struct Headers {
    HeaderList list;
    size_t capacity;
    bool changed;
} Headers;

static JSClassID headers_class;
// The language's own functions, kept before a script can replace them.
static JSValue array_values, array_from;

static bool is_token(uint8_t byte)
{
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
        return true;
    return byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL;
}

// A header name in lower case, or false and a TypeError.
static bool name_of(JSValueConst value, Text *name)
{
    if (!text_of(value, name))
        return false;
    bool upper = false, valid = name->len > 0;
    for (size_t i = 0; i < name->len; i++) {
        valid = valid && is_token(name->ptr[i]);
        upper = upper || (name->ptr[i] >= 'A' && name->ptr[i] <= 'Z');
    }
    if (!valid) {
        throw_contract("\"%.*s\" is not a valid header name", (int)name->len, (const char *)name->ptr);
        return false;
    }
    if (upper) {
        *name = text_copy(name->ptr, name->len);
        for (size_t i = 0; i < name->len; i++)
            if (name->ptr[i] >= 'A' && name->ptr[i] <= 'Z')
                name->ptr[i] += 32;
    }
    return true;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

// A header value without the white space around it, or false and a TypeError. Characters must fit in a byte, as everywhere in HTTP.
static bool value_of(JSValueConst value, Text name, Text *result)
{
    if (!text_of(value, result))
        return false;
    while (result->len > 0 && is_space(result->ptr[0])) {
        result->ptr++;
        result->len--;
    }
    while (result->len > 0 && is_space(result->ptr[result->len - 1]))
        result->len--;
    for (size_t i = 0; i < result->len; i++) {
        uint8_t byte = result->ptr[i];
        if (byte == 0 || byte == '\r' || byte == '\n' || byte > 0xc3) {
            throw_contract("the value of header \"%.*s\" has a character that a header cannot have", (int)name.len, (const char *)name.ptr);
            return false;
        }
    }
    return true;
}

static bool push(HeaderList *list, size_t *capacity, Text name, Text value)
{
    if (list->len == *capacity) {
        size_t wanted = *capacity * 2 + 8;
        HeaderPair *grown = heap_resize(list->len == 0 ? NULL : list->ptr, wanted * sizeof(HeaderPair));
        if (grown == NULL)
            return false;
        list->ptr = grown;
        *capacity = wanted;
    }
    list->ptr[list->len++] = (HeaderPair){name, value};
    return true;
}

void headers_append(HeaderList *list, Text name, Text value)
{
    size_t capacity = list->len; // Exact: the list may come from the host.
    push(list, &capacity, name, value);
}

bool headers_find(const HeaderList *list, const char *name, Text *value)
{
    for (size_t i = 0; i < list->len; i++) {
        if (text_equals_ignoring_case(list->ptr[i].f0, name)) {
            *value = list->ptr[i].f1;
            return true;
        }
    }
    return false;
}

JSValue headers_new(HeaderList list)
{
    Headers *headers = heap_allocate(sizeof *headers);
    JSValue object = headers == NULL ? JS_ThrowOutOfMemory(js) : JS_NewObjectClass(js, (int)headers_class);
    if (!JS_IsException(object)) {
        *headers = (Headers){list, list.len, false};
        JS_SetOpaque(object, headers);
    }
    return object;
}

HeaderList *headers_of(JSValueConst value)
{
    Headers *headers = JS_GetOpaque(value, headers_class);
    return headers == NULL ? NULL : &headers->list;
}

bool headers_changed(JSValueConst value)
{
    Headers *headers = JS_GetOpaque(value, headers_class);
    return headers != NULL && headers->changed;
}

static bool read_pair(JSValueConst key, JSValueConst item, HeaderList *list, size_t *capacity)
{
    Text name, value;
    if (!name_of(key, &name))
        return false;
    if (!JS_IsArray(item))
        return value_of(item, name, &value) && push(list, capacity, name, value);
    int64_t count = 0;
    if (JS_GetLength(js, item, &count) < 0)
        return false;
    for (int64_t i = 0; i < count; i++) {
        JSValue one = JS_GetPropertyInt64(js, item, i);
        if (JS_IsException(one) || !value_of(one, name, &value) || !push(list, capacity, name, value))
            return false;
    }
    return true;
}

static bool read_pairs(JSValueConst pairs, HeaderList *list, size_t *capacity)
{
    int64_t count = 0;
    if (JS_GetLength(js, pairs, &count) < 0)
        return false;
    for (int64_t i = 0; i < count; i++) {
        JSValue pair = JS_GetPropertyInt64(js, pairs, i);
        int64_t length = 0;
        if (JS_IsException(pair))
            return false;
        if (!JS_IsArray(pair) || JS_GetLength(js, pair, &length) < 0 || length != 2) {
            JS_ThrowTypeError(js, "headers given as a list must be pairs of name and value");
            return false;
        }
        JSValue key = JS_GetPropertyInt64(js, pair, 0), value = JS_GetPropertyInt64(js, pair, 1);
        Text text;
        // In a pair the value is one text, as on the platform.
        if (JS_IsException(key) || JS_IsException(value) || !text_of(value, &text) || !read_pair(key, string_of(text), list, capacity))
            return false;
    }
    return true;
}

static bool read_record(JSValueConst record, HeaderList *list, size_t *capacity)
{
    JSPropertyEnum *names;
    uint32_t count;
    if (JS_GetOwnPropertyNames(js, &names, &count, record, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        JSValue key = JS_AtomToString(js, names[i].atom), value = JS_GetProperty(js, record, names[i].atom);
        if (JS_IsException(value) || !read_pair(key, value, list, capacity))
            return false;
    }
    return true;
}

bool headers_read(JSValueConst value, HeaderList *list)
{
    size_t capacity = 0;
    *list = (HeaderList){(HeaderPair *)8, 0};
    if (JS_IsUndefined(value) || JS_IsNull(value))
        return true;
    const HeaderList *given = headers_of(value);
    if (given != NULL) {
        for (size_t i = 0; i < given->len; i++)
            if (!push(list, &capacity, given->ptr[i].f0, given->ptr[i].f1))
                return false;
        return true;
    }
    if (!JS_IsObject(value)) {
        JS_ThrowTypeError(js, "headers must be Headers, an object of name and text, or a list of pairs");
        return false;
    }
    if (JS_IsArray(value))
        return read_pairs(value, list, &capacity);
    int iterable = JS_HasProperty(js, value, engine_symbol_iterator());
    if (iterable < 0)
        return false;
    if (!iterable)
        return read_record(value, list, &capacity);
    JSValue global = JS_GetGlobalObject(js), pairs = JS_Call(js, array_from, global, 1, &value);
    return !JS_IsException(pairs) && read_pairs(pairs, list, &capacity);
}

static JSValue construct(JSContext *ctx, JSValueConst target, int argc, JSValueConst *argv)
{
    (void)target;
    HeaderList list;
    // Elsewhere null means that there are none.
    if (argc > 0 && JS_IsNull(argv[0]))
        return JS_ThrowTypeError(ctx, "headers must be Headers, an object of name and text, or a list of pairs");
    return headers_read(argc > 0 ? argv[0] : JS_UNDEFINED, &list) ? headers_new(list) : JS_EXCEPTION;
}

// The headers that a method was called on with at least so many arguments.
static Headers *self(JSContext *ctx, JSValueConst value, int argc, int needed)
{
    if (argc < needed) {
        JS_ThrowTypeError(ctx, "%d argument%s needed, and %d given", needed, needed == 1 ? " is" : "s are", argc);
        return NULL;
    }
    return JS_GetOpaque2(ctx, value, headers_class);
}

// All values of a name, joined as the platform joins them; null where there is none.
static JSValue joined(const HeaderList *list, Text name)
{
    const HeaderPair *first = NULL;
    Builder builder = {0};
    for (size_t i = 0; i < list->len; i++) {
        const HeaderPair *pair = &list->ptr[i];
        if (!same_text(pair->f0, name))
            continue;
        if (first == NULL) {
            first = pair;
            continue;
        }
        if (builder.bytes == NULL)
            build_text(&builder, first->f1);
        build(&builder, ", ");
        build_text(&builder, pair->f1);
    }
    if (first == NULL)
        return JS_NULL;
    return string_of(builder.bytes == NULL ? first->f1 : built(&builder));
}

static JSValue get(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 1);
    Text name;
    return headers == NULL || !name_of(argv[0], &name) ? JS_EXCEPTION : joined(&headers->list, name);
}

static JSValue has(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 1);
    Text name;
    if (headers == NULL || !name_of(argv[0], &name))
        return JS_EXCEPTION;
    for (size_t i = 0; i < headers->list.len; i++)
        if (same_text(headers->list.ptr[i].f0, name))
            return JS_TRUE;
    return JS_FALSE;
}

// Takes away every pair of the name from `start` on.
static void drop(Headers *headers, Text name, size_t start)
{
    size_t kept = start;
    for (size_t i = start; i < headers->list.len; i++)
        if (!same_text(headers->list.ptr[i].f0, name))
            headers->list.ptr[kept++] = headers->list.ptr[i];
    headers->changed = headers->changed || kept != headers->list.len;
    headers->list.len = kept;
}

static JSValue set(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 2);
    Text name, value;
    if (headers == NULL || !name_of(argv[0], &name) || !value_of(argv[1], name, &value))
        return JS_EXCEPTION;
    for (size_t i = 0; i < headers->list.len; i++) {
        if (!same_text(headers->list.ptr[i].f0, name))
            continue;
        headers->changed = headers->changed || !same_text(headers->list.ptr[i].f1, value);
        headers->list.ptr[i].f1 = value;
        drop(headers, name, i + 1);
        return JS_UNDEFINED;
    }
    headers->changed = true;
    return push(&headers->list, &headers->capacity, name, value) ? JS_UNDEFINED : JS_ThrowOutOfMemory(ctx);
}

static JSValue append(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 2);
    Text name, value;
    if (headers == NULL || !name_of(argv[0], &name) || !value_of(argv[1], name, &value))
        return JS_EXCEPTION;
    headers->changed = true;
    return push(&headers->list, &headers->capacity, name, value) ? JS_UNDEFINED : JS_ThrowOutOfMemory(ctx);
}

static JSValue delete(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 1);
    Text name;
    if (headers == NULL || !name_of(argv[0], &name))
        return JS_EXCEPTION;
    drop(headers, name, 0);
    return JS_UNDEFINED;
}

static JSValue get_set_cookie(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 0);
    JSValue list = headers == NULL ? JS_EXCEPTION : JS_NewArray(ctx);
    uint32_t count = 0;
    for (size_t i = 0; !JS_IsException(list) && i < headers->list.len; i++)
        if (text_equals(headers->list.ptr[i].f0, "set-cookie"))
            JS_DefinePropertyValueUint32(ctx, list, count++, string_of(headers->list.ptr[i].f1), JS_PROP_C_W_E);
    return list;
}

static int compare(Text a, Text b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

typedef enum Part { ENTRIES, KEYS, VALUES } Part;

static JSValue part_of(JSContext *ctx, Text name, JSValue value, Part part)
{
    if (part == VALUES)
        return value;
    if (part == KEYS)
        return string_of(name);
    JSValue pair = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, pair, 0, string_of(name), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, pair, 1, value, JS_PROP_C_W_E);
    return pair;
}

// The names in order, each once with its values joined; cookies stay apart. Insertion sort: headers are few.
static JSValue sorted(JSContext *ctx, const HeaderList *list, Part part)
{
    HeaderPair **order = heap_allocate((list->len + 1) * sizeof *order);
    JSValue array = order == NULL ? JS_ThrowOutOfMemory(ctx) : JS_NewArray(ctx);
    if (JS_IsException(array))
        return array;
    for (size_t i = 0; i < list->len; i++) {
        size_t at = i;
        for (; at > 0 && compare(order[at - 1]->f0, list->ptr[i].f0) > 0; at--)
            order[at] = order[at - 1];
        order[at] = &list->ptr[i];
    }
    uint32_t count = 0;
    for (size_t i = 0; i < list->len; i++) {
        Text name = order[i]->f0;
        bool cookie = text_equals(name, "set-cookie");
        if (!cookie && i > 0 && same_text(order[i - 1]->f0, name))
            continue;
        JSValue value = part == KEYS ? JS_UNDEFINED : cookie ? string_of(order[i]->f1) : joined(list, name);
        JS_DefinePropertyValueUint32(ctx, array, count++, part_of(ctx, name, value, part), JS_PROP_C_W_E);
    }
    heap_free(order);
    return array;
}

static JSValue iterate(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv, int part)
{
    Headers *headers = self(ctx, this, argc, 0);
    JSValue array = headers == NULL ? JS_EXCEPTION : sorted(ctx, &headers->list, (Part)part);
    return JS_IsException(array) ? array : JS_Call(ctx, array_values, array, 0, NULL);
}

static JSValue for_each(JSContext *ctx, JSValueConst this, int argc, JSValueConst *argv)
{
    Headers *headers = self(ctx, this, argc, 1);
    JSValue array = headers == NULL ? JS_EXCEPTION : sorted(ctx, &headers->list, ENTRIES);
    int64_t count = 0;
    if (JS_IsException(array) || JS_GetLength(ctx, array, &count) < 0)
        return JS_EXCEPTION;
    if (!JS_IsFunction(ctx, argv[0]))
        return JS_ThrowTypeError(ctx, "forEach takes a function");
    for (int64_t i = 0; i < count; i++) {
        JSValue pair = JS_GetPropertyInt64(ctx, array, i);
        JSValue arguments[3] = {JS_GetPropertyInt64(ctx, pair, 1), JS_GetPropertyInt64(ctx, pair, 0), JS_DupValue(ctx, this)};
        JSValue result = JS_Call(ctx, argv[0], argc > 1 ? argv[1] : JS_UNDEFINED, 3, arguments);
        if (JS_IsException(result))
            return result;
    }
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry methods[] = {
    JS_CFUNC_DEF("get", 1, get),
    JS_CFUNC_DEF("has", 1, has),
    JS_CFUNC_DEF("set", 2, set),
    JS_CFUNC_DEF("append", 2, append),
    JS_CFUNC_DEF("delete", 1, delete),
    JS_CFUNC_DEF("getSetCookie", 0, get_set_cookie),
    JS_CFUNC_DEF("forEach", 1, for_each),
    JS_CFUNC_MAGIC_DEF("entries", 0, iterate, ENTRIES),
    JS_CFUNC_MAGIC_DEF("keys", 0, iterate, KEYS),
    JS_CFUNC_MAGIC_DEF("values", 0, iterate, VALUES),
    JS_ALIAS_DEF("[Symbol.iterator]", "entries"),
    JS_PROP_STRING_DEF("[Symbol.toStringTag]", "Headers", JS_PROP_CONFIGURABLE),
};

void headers_define_class(JSValueConst globals)
{
    JSClassDef definition = {.class_name = "Headers"};
    JS_NewClassID(runtime, &headers_class);
    JS_NewClass(runtime, headers_class, &definition);
    JSValue prototype = JS_NewObject(js);
    define_functions(prototype, methods, sizeof methods / sizeof *methods);
    JSValue constructor = JS_NewCFunction2(js, construct, "Headers", 0, JS_CFUNC_constructor, 0);
    JS_SetConstructor(js, constructor, prototype);
    JS_SetClassProto(js, headers_class, prototype);
    JS_DefinePropertyValueStr(js, globals, "Headers", constructor, JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);

    JSValue array = JS_GetPropertyStr(js, globals, "Array");
    array_from = JS_GetPropertyStr(js, array, "from");
    array_values = JS_GetPropertyStr(js, JS_GetPropertyStr(js, array, "prototype"), "values");
}
