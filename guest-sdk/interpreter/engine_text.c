// UTF-8 views of the engine's strings. Included by engine.c.

// Length of the UTF-8 form, and whether it differs from the bytes that are there.
static size_t utf8_length(const JSString *string, bool *same)
{
    JSString *p = (JSString *)string;
    size_t length = 0;
    if (!p->is_wide_char) {
        const uint8_t *bytes = str8(p);
        size_t high = 0;
        for (uint32_t i = 0; i < p->len; i++)
            high += bytes[i] >> 7;
        *same = high == 0;
        return p->len + high;
    }
    const uint16_t *units = str16(p);
    *same = false;
    for (uint32_t i = 0; i < p->len; i++) {
        uint16_t unit = units[i];
        if (unit < 0x80) {
            length += 1;
        } else if (unit < 0x800) {
            length += 2;
        } else if (is_hi_surrogate(unit) && i + 1 < p->len && is_lo_surrogate(units[i + 1])) {
            length += 4;
            i++;
        } else {
            length += 3;
        }
    }
    return length;
}

static uint8_t *utf8_put(uint8_t *at, uint32_t code)
{
    if (code < 0x80) {
        *at++ = (uint8_t)code;
    } else if (code < 0x800) {
        *at++ = (uint8_t)(0xc0 | code >> 6);
        *at++ = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *at++ = (uint8_t)(0xe0 | code >> 12);
        *at++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *at++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        *at++ = (uint8_t)(0xf0 | code >> 18);
        *at++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        *at++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *at++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return at;
}

// Lone surrogates, which UTF-8 cannot say, become U+FFFD unless they are to be kept.
static void utf8_fill(JSString *p, uint8_t *at, bool keep_surrogates)
{
    if (!p->is_wide_char) {
        const uint8_t *bytes = str8(p);
        for (uint32_t i = 0; i < p->len; i++)
            at = utf8_put(at, bytes[i]);
        return;
    }
    const uint16_t *units = str16(p);
    for (uint32_t i = 0; i < p->len; i++) {
        uint32_t code = units[i];
        if (is_hi_surrogate(code) && i + 1 < p->len && is_lo_surrogate(units[i + 1]))
            code = from_surrogate(code, units[++i]);
        else if (code >= 0xd800 && code < 0xe000 && !keep_surrogates)
            code = 0xfffd;
        at = utf8_put(at, code);
    }
}

bool engine_text(JSValueConst value, Text *text)
{
    JSValue held = JS_UNDEFINED;
    if (JS_VALUE_GET_TAG(value) == JS_TAG_STRING_ROPE) {
        held = JS_ToString(js, value);
        if (JS_IsException(held))
            return false;
        value = held;
        if (JS_VALUE_GET_TAG(value) == JS_TAG_STRING_ROPE) {
            held = js_linearize_string_rope(js, js_dup(value));
            if (JS_IsException(held))
                return false;
            value = held;
        }
    }
    // The string lives until the invocation ends, or the view would dangle: whoever asks for a view hands it to the host.
    JSString *p = JS_VALUE_GET_STRING(js_dup(value));
    bool same;
    size_t length = utf8_length(p, &same);
    if (same) {
        *text = (Text){str8(p), length};
        return true;
    }
    uint8_t *bytes = heap_allocate(length);
    if (bytes == NULL) {
        JS_ThrowOutOfMemory(js);
        return false;
    }
    utf8_fill(p, bytes, false);
    *text = (Text){bytes, length};
    return true;
}
