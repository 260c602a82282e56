// UTF-8 to strings, as the WHATWG Encoding Standard decodes it: each broken sequence becomes one U+FFFD. Included by engine.c.

typedef struct Utf8Reader {
    const uint8_t *at, *end;
    bool broken;     // Something was replaced.
    size_t unfinished; // Bytes of a sequence that the end cut off.
} Utf8Reader;

static uint32_t utf8_next(Utf8Reader *reader)
{
    uint8_t first = *reader->at++;
    uint8_t low = 0x80, high = 0xbf;
    int more;
    uint32_t code;
    if (first < 0x80)
        return first;
    if (first >= 0xc2 && first <= 0xdf) {
        more = 1;
        code = first & 0x1f;
    } else if (first >= 0xe0 && first <= 0xef) {
        more = 2;
        code = first & 0x0f;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        more = 3;
        code = first & 0x07;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        reader->broken = true;
        return 0xfffd;
    }
    const uint8_t *start = reader->at - 1;
    for (; more > 0; more--) {
        if (reader->at == reader->end) {
            reader->unfinished = (size_t)(reader->at - start);
            reader->broken = true;
            return 0xfffd;
        }
        if (*reader->at < low || *reader->at > high) {
            reader->broken = true;
            return 0xfffd;
        }
        code = code << 6 | (*reader->at++ & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    return code;
}

// As `utf8_next`, but takes a surrogate where one stands: that is how a string with a lone one is written down here.
static uint32_t wtf8_next(Utf8Reader *reader)
{
    const uint8_t *at = reader->at;
    if (at[0] == 0xed && reader->end - at >= 3 && at[1] >= 0xa0 && at[1] <= 0xbf && (at[2] & 0xc0) == 0x80) {
        reader->at += 3;
        return 0xd000u | (uint32_t)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
    }
    return utf8_next(reader);
}

// Copies within blocks of our heap, whose sizes are whole words: what lies behind the text in its last word may be written over.
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length > 64) {
        memcpy(to, from, length);
        return;
    }
    for (size_t i = 0; i < length; i += 8)
        memcpy(to + i, from + i, 8);
}

static inline bool same_short(const uint8_t *a, const uint8_t *b, size_t length)
{
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t left, right;
        memcpy(&left, a + i, 8);
        memcpy(&right, b + i, 8);
        if (left != right)
            return false;
    }
    for (; i < length; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static bool is_ascii(const uint8_t *bytes, size_t length)
{
    uint64_t high = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        high |= word;
    }
    for (; i < length; i++)
        high |= (uint64_t)bytes[i] << 56;
    return (high & 0x8080808080808080ull) == 0;
}

// A string of bytes that may be anything; throws a TypeError for broken ones when `fatal`.
JSValue engine_decode(const uint8_t *bytes, size_t length, bool fatal)
{
    if (is_ascii(bytes, length))
        return js_new_string8_len(js, (const char *)bytes, (int)length);
    Utf8Reader reader = {bytes, bytes + length, false, 0};
    size_t units = 0;
    bool wide = false;
    while (reader.at < reader.end) {
        uint32_t code = utf8_next(&reader);
        units += code > 0xffff ? 2 : 1;
        wide = wide || code > 0xff;
    }
    if (fatal && reader.broken)
        return JS_ThrowTypeError(js, "the bytes are not UTF-8");
    JSString *string = js_alloc_string(js, (int)units, wide);
    if (string == NULL)
        return JS_EXCEPTION;
    reader.at = bytes;
    uint8_t *narrow = str8(string);
    uint16_t *broad = str16(string);
    while (reader.at < reader.end) {
        uint32_t code = utf8_next(&reader);
        if (!wide) {
            *narrow++ = (uint8_t)code;
        } else if (code > 0xffff) {
            *broad++ = (uint16_t)(0xd800 + ((code - 0x10000) >> 10));
            *broad++ = (uint16_t)(0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            *broad++ = (uint16_t)code;
        }
    }
    if (!wide)
        *narrow = '\0';
    return JS_MKPTR(JS_TAG_STRING, string);
}

// How many bytes at the end begin a sequence that is not complete.
size_t engine_unfinished(const uint8_t *bytes, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4 && (bytes[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || bytes[start - 1] < 0xc0)
        return 0;
    Utf8Reader reader = {bytes + start - 1, bytes + length, false, 0};
    utf8_next(&reader);
    return reader.unfinished;
}
