// The small parts of JSON text: strings, keys, numbers. Included by engine.c.

// Deeper values fail, as too deep recursion does elsewhere: when they are written, looking for cycles costs the square of the depth.
#define DEEPEST 8000

// Keys and values that are worked on, of all objects and arrays that are open.
typedef struct Parser {
    const uint8_t *start, *at, *end; // `*end` is 0, which no JSON text has outside of an error.
    JSValue *values;
    JSAtom *keys;
    struct Frame *frames;
    uint32_t value_count, value_room;
    uint32_t key_count, key_room;
    uint32_t depth, depth_room;
    bool ascii;
    bool loose; // See `json_loose`.
    Shapes shapes;
} Parser;

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

#define EACH(byte) (0x0101010101010101ull * (byte))

// A bit in the highest place of each byte that ends a plain stretch of a string: a quote, a backslash, a control character.
static inline uint64_t special_bytes(uint64_t word)
{
    uint64_t quote = word ^ EACH('"'), slash = word ^ EACH('\\');
    uint64_t found = (quote - EACH(1)) & ~quote;
    found |= (slash - EACH(1)) & ~slash;
    found |= (word - EACH(0x20)) & ~word;
    return found & EACH(0x80);
}

// The end of the plain stretch that begins here. Reads up to seven bytes beyond the text's end, which are always there.
static inline const uint8_t *plain_end(const uint8_t *at)
{
    for (;; at += 8) {
        uint64_t found = special_bytes(load64(at));
        if (found != 0)
            return at + (__builtin_ctzll(found) >> 3);
    }
}

static JSValue parse_error(Parser *parser)
{
    if (parser->at >= parser->end)
        return JS_ThrowSyntaxError(js, "Unexpected end of JSON input");
    uint32_t line = 1, column = 1;
    for (const uint8_t *at = parser->start; at < parser->at; at++) {
        column += (*at & 0xc0) != 0x80;
        if (*at == '\n') {
            line++;
            column = 1;
        }
    }
    Utf8Reader reader = {parser->at, parser->end, false, 0};
    utf8_next(&reader);
    if (*parser->at < 0x20)
        return JS_ThrowSyntaxError(js, "Unexpected control character in JSON at line %u column %u", line, column);
    return JS_ThrowSyntaxError(js, "Unexpected token '%.*s' in JSON at line %u column %u", (int)(reader.at - parser->at), (const char *)parser->at, line,
                               column);
}

static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// Reads an escape; `parser->at` stands behind the backslash and goes behind the escape. Negative: it is none.
static int32_t parse_escape(Parser *parser)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint8_t letter = *parser->at;
    if (letter == 'u') {
        int32_t code = 0;
        for (int i = 1; i <= 4; i++) {
            int digit = hex_value(parser->at[i]);
            if (digit < 0) {
                parser->at += i;
                return -1;
            }
            code = code << 4 | digit;
        }
        parser->at += 5;
        return code;
    }
    const char *found = letter == 0 ? NULL : strchr(letters, letter);
    if (found == NULL)
        return -1;
    parser->at++;
    return values[found - letters];
}

// A string with escapes or characters outside ASCII, from `first`, behind its quote. Two passes: its length and width, then its characters.
static JSValue parse_rich_string(Parser *parser, const uint8_t *first)
{
    uint32_t units = 0;
    bool wide = false;
    parser->at = first;
    while (*parser->at != '"') {
        if (*parser->at == '\\') {
            parser->at++;
            parser->loose = parser->loose || *parser->at == 'u' || *parser->at == '/';
            int32_t code = parse_escape(parser);
            if (code < 0)
                return parse_error(parser);
            wide = wide || code > 0xff;
            units++;
        } else if (*parser->at < 0x20) {
            return parse_error(parser);
        } else {
            Utf8Reader reader = {parser->at, parser->end, false, 0};
            uint32_t code = wtf8_next(&reader);
            parser->at = reader.at;
            // What was replaced, or half a pair, is written in another way.
            parser->loose = parser->loose || code == 0xfffd || code >> 11 == 0x1b;
            wide = wide || code > 0xff;
            units += code > 0xffff ? 2 : 1;
        }
    }
    JSString *string = js_alloc_string(js, (int)units, wide);
    if (string == NULL)
        return JS_EXCEPTION;
    uint8_t *narrow = str8(string);
    uint16_t *broad = str16(string);
    parser->at = first;
    while (*parser->at != '"') {
        uint32_t code;
        if (*parser->at == '\\') {
            parser->at++;
            code = (uint32_t)parse_escape(parser);
        } else {
            Utf8Reader reader = {parser->at, parser->end, false, 0};
            code = wtf8_next(&reader);
            parser->at = reader.at;
        }
        if (!wide) {
            *narrow++ = (uint8_t)code;
        } else if (code > 0xffff) {
            *broad++ = (uint16_t)(0xd7c0 + (code >> 10));
            *broad++ = (uint16_t)(0xdc00 + (code & 0x3ff));
        } else {
            *broad++ = (uint16_t)code;
        }
    }
    parser->at++;
    if (!wide)
        *narrow = '\0';
    return JS_MKPTR(JS_TAG_STRING, string);
}

// A string; `parser->at` stands behind its quote.
static inline JSValue parse_string(Parser *parser)
{
    const uint8_t *first = parser->at, *last = plain_end(first);
    size_t length = (size_t)(last - first);
    if (unlikely(*last != '"' || (!parser->ascii && !is_ascii(first, length))))
        return parse_rich_string(parser, first);
    parser->at = last + 1;
    if (length == 0)
        return js_empty_string(runtime);
    JSString *string = js_malloc_rt(runtime, sizeof *string + length + 1);
    if (unlikely(string == NULL))
        return JS_ThrowOutOfMemory(js);
    memset(string, 0, sizeof *string);
    JS_REF_COUNT(string) = 1;
    string->len = (uint32_t)length;
    uint8_t *to = (uint8_t *)(string + 1);
    copy_short(to, first, length);
    to[length] = '\0';
    return JS_MKPTR(JS_TAG_STRING, string);
}

// A key as an atom with a reference; 0 and an exception when it is none. `*plain`: it stands in the text as it is, in ASCII and without escapes.
static JSAtom parse_key(Parser *parser, bool *plain)
{
    const uint8_t *first = parser->at, *last = plain_end(first);
    size_t length = (size_t)(last - first);
    *plain = *last == '"' && (parser->ascii || is_ascii(first, length));
    if (*plain && !(*first >= '0' && *first <= '9')) {
        JSAtom atom = __JS_FindAtom(runtime, (const char *)first, length, JS_ATOM_TYPE_STRING);
        if (atom != JS_ATOM_NULL) {
            parser->at = last + 1;
            return atom;
        }
    }
    // Keys that are array indices come first when an object is written.
    parser->loose = parser->loose || (*first >= '0' && *first <= '9');
    JSValue string = parse_string(parser);
    if (JS_IsException(string))
        return JS_ATOM_NULL;
    JSAtom atom = JS_NewAtomStr(js, JS_VALUE_GET_STRING(string));
    if (atom == JS_ATOM_NULL)
        JS_ThrowOutOfMemory(js);
    return atom;
}

// Whether the text goes on with this key and its quote: the key that the object before had here, where it stood as it is.
static inline bool key_is(Parser *parser, JSAtom atom)
{
    if (__JS_AtomIsTaggedInt(atom))
        return false;
    const JSString *string = runtime->atom_array[atom];
    size_t length = string->len;
    const uint8_t *key = (const uint8_t *)(string + 1), *at = parser->at;
    if (string->is_wide_char || (size_t)(parser->end - at) <= length || at[length] != '"' || !same_short(at, key, length))
        return false;
    parser->at = at + length + 1;
    return true;
}

// Powers of ten that a double holds exactly.
static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool is_decimal(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

// A number that is not a small integer: by one exact operation where that is right, else by the engine.
static JSValue parse_long_number(Parser *parser, const uint8_t *first)
{
    const uint8_t *at = first;
    uint64_t digits = 0;
    int count = 0, exponent = 0;
    bool negative = *at == '-', shortest;
    at += negative;
    if (*at == '0' && is_decimal(at[1])) {
        parser->at = at + 1;
        return parse_error(parser);
    }
    const uint8_t *whole = at;
    for (; is_decimal(*at); at++, count++)
        digits = count < 19 ? digits * 10 + (*at - '0') : digits;
    bool good = at > whole;
    shortest = !negative || digits != 0;
    if (good && *at == '.') {
        const uint8_t *fraction = ++at;
        for (; is_decimal(*at); at++, count++, exponent--)
            digits = count < 19 ? digits * 10 + (*at - '0') : digits;
        good = at > fraction;
        shortest = at[-1] != '0' && (*whole != '0' || exponent >= -6);
    }
    if (good && (*at | 0x20) == 'e') {
        at++;
        shortest = false;
        bool minus = *at == '-';
        at += *at == '+' || *at == '-';
        const uint8_t *power = at;
        int value = 0;
        for (; is_decimal(*at); at++)
            value = value < 10000 ? value * 10 + (*at - '0') : value;
        exponent += minus ? -value : value;
        good = at > power;
    }
    parser->at = at;
    if (!good)
        return parse_error(parser);
    // Up to 15 digits are the shortest that give their number back.
    parser->loose = parser->loose || !shortest || count > 15;
    if (count <= 19 && digits <= 1ull << 53 && exponent >= -22 && exponent <= 22) {
        double value = exponent < 0 ? (double)digits / exact_powers[-exponent] : (double)digits * exact_powers[exponent];
        return digits == 0 && negative ? js_float64(-0.0) : js_number(negative ? -value : value);
    }
    JSATODTempMem memory;
    double value = js_atod((const char *)first, NULL, 10, 0, &memory);
    return value == 0 && negative ? js_float64(-0.0) : js_number(value);
}

static inline JSValue parse_number(Parser *parser)
{
    const uint8_t *first = parser->at, *at = first;
    bool negative = *at == '-';
    at += negative;
    int32_t value = 0;
    const uint8_t *digits = at;
    for (; is_decimal(*at) && at - digits < 9; at++)
        value = value * 10 + (*at - '0');
    bool simple = at > digits && !is_decimal(*at) && *at != '.' && (*at | 0x20) != 'e' && (*digits != '0' || at == digits + 1) && !(negative && value == 0);
    if (unlikely(!simple))
        return parse_long_number(parser, first);
    parser->at = at;
    return js_int32(negative ? -value : value);
}
