// Texts: UTF-8 views of strings, and a buffer that texts are built in.
#include "heap.h"
#include "interpreter.h"

#include <string.h>

JSValue string_of(Text text)
{
    return JS_NewStringLen(js, (const char *)text.ptr, text.len);
}

bool text_of(JSValueConst value, Text *text)
{
    if (JS_IsString(value))
        return engine_text(value, text);
    JSValue string = JS_ToString(js, value);
    return !JS_IsException(string) && engine_text(string, text);
}

bool text_equals(Text text, const char *other)
{
    return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

bool same_text(Text a, Text b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
}

bool text_equals_ignoring_case(Text text, const char *other)
{
    if (text.len != strlen(other))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (lower(text.ptr[i]) != lower((uint8_t)other[i]))
            return false;
    return true;
}

Text text_copy(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = length == 0 ? NULL : heap_allocate(length);
    if (copy == NULL)
        return (Text){(uint8_t *)"", 0};
    memcpy(copy, bytes, length);
    return (Text){copy, length};
}

void build_bytes(Builder *builder, const void *bytes, size_t length)
{
    if (builder->failed)
        return;
    if (builder->capacity - builder->length < length) {
        size_t capacity = builder->capacity * 2 + length + 64;
        uint8_t *grown = heap_resize(builder->bytes, capacity);
        if (grown == NULL) {
            builder->failed = true;
            return;
        }
        builder->bytes = grown;
        builder->capacity = heap_usable_size(grown);
    }
    memcpy(builder->bytes + builder->length, bytes, length);
    builder->length += length;
}

void build(Builder *builder, const char *text)
{
    build_bytes(builder, text, strlen(text));
}

void build_text(Builder *builder, Text text)
{
    build_bytes(builder, text.ptr, text.len);
}

void build_number(Builder *builder, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0)
        digits[--at] = '-';
    build_bytes(builder, digits + at, sizeof digits - at);
}

void build_json_string(Builder *builder, Text text)
{
    static const char hex[] = "0123456789abcdef";
    build(builder, "\"");
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '"' || byte == '\\') {
            char escaped[2] = {'\\', (char)byte};
            build_bytes(builder, escaped, 2);
        } else if (byte == '\n') {
            build(builder, "\\n");
        } else if (byte < 0x20) {
            char escaped[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
            build_bytes(builder, escaped, 6);
        } else {
            build_bytes(builder, &text.ptr[i], 1);
        }
    }
    build(builder, "\"");
}

Text built(Builder *builder)
{
    return builder->failed || builder->length == 0 ? TEXT("") : (Text){builder->bytes, builder->length};
}
