// The query of a URL as an object, read as forms are written: `+` is a space, and what is no UTF-8 becomes U+FFFD.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// One name or value; a percent sign that begins no code stands for itself.
static JSValue decoded(Text part)
{
    uint8_t *bytes = heap_allocate(part.len + 1);
    size_t length = 0;
    if (bytes == NULL)
        return JS_ThrowOutOfMemory(js);
    for (size_t i = 0; i < part.len; i++) {
        uint8_t byte = part.ptr[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%' && i + 2 < part.len && hex_digit(part.ptr[i + 1]) >= 0 && hex_digit(part.ptr[i + 2]) >= 0) {
            byte = (uint8_t)(hex_digit(part.ptr[i + 1]) << 4 | hex_digit(part.ptr[i + 2]));
            i += 2;
        }
        bytes[length++] = byte;
    }
    JSValue text = engine_decode(bytes, length, false);
    heap_free(bytes);
    return text;
}

// Puts a value under a name, into a list with those that are there. False when it threw.
static bool add(JSValueConst query, JSAtom name, JSValue value)
{
    JSPropertyDescriptor before;
    int found = JS_GetOwnProperty(js, &before, query, name);
    if (found <= 0)
        return found == 0 && JS_DefinePropertyValue(js, query, name, value, JS_PROP_C_W_E) >= 0;
    if (JS_IsArray(before.value)) {
        int64_t length;
        return JS_GetLength(js, before.value, &length) == 0 &&
               JS_DefinePropertyValueUint32(js, before.value, (uint32_t)length, value, JS_PROP_C_W_E) >= 0;
    }
    JSValue list = JS_NewArray(js);
    return !JS_IsException(list) && JS_DefinePropertyValueUint32(js, list, 0, before.value, JS_PROP_C_W_E) >= 0 &&
           JS_DefinePropertyValueUint32(js, list, 1, value, JS_PROP_C_W_E) >= 0 &&
           JS_DefinePropertyValue(js, query, name, list, JS_PROP_C_W_E) >= 0;
}

static bool add_pair(JSValueConst query, Text pair)
{
    uint8_t *equals = memchr(pair.ptr, '=', pair.len);
    size_t name_length = equals == NULL ? pair.len : (size_t)(equals - pair.ptr);
    Text value_text = equals == NULL ? TEXT("") : (Text){equals + 1, pair.len - name_length - 1};
    JSValue name = decoded((Text){pair.ptr, name_length}), value = decoded(value_text);
    if (JS_IsException(name) || JS_IsException(value))
        return false;
    JSAtom atom = JS_ValueToAtom(js, name);
    return atom != JS_ATOM_NULL && add(query, atom, value);
}

JSValue query_of_url(Text url)
{
    JSValue query = JS_NewObject(js);
    uint8_t *end = url.ptr + url.len, *fragment = memchr(url.ptr, '#', url.len);
    if (fragment != NULL)
        end = fragment;
    uint8_t *at = memchr(url.ptr, '?', (size_t)(end - url.ptr));
    if (JS_IsException(query) || at == NULL)
        return query;
    for (at++; at < end;) {
        uint8_t *next = memchr(at, '&', (size_t)(end - at));
        size_t length = (size_t)((next == NULL ? end : next) - at);
        if (length > 0 && !add_pair(query, (Text){at, length}))
            return JS_EXCEPTION;
        at += length + 1;
    }
    return query;
}
