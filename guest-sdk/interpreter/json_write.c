// Values to JSON text. Without recursion: open objects and arrays wait in a list. Plain objects and arrays are walked where they lie; as soon
// as code of the script may have run, their state is looked at anew. Included by engine.c.

typedef enum WalkKind { WALK_ARRAY, WALK_SHAPE, WALK_NAMES } WalkKind;

typedef struct Walk {
    WalkKind kind;
    bool first;       // Nothing of it is written yet.
    JSObject *object; // Holds a reference.
    uint32_t index;
    uint32_t count;
    JSShape *shape;          // WALK_SHAPE: the keys as they were when the walk began; holds a reference, so it stays as it is.
    JSPropertyEnum *names;   // WALK_NAMES.
} Walk;

#define FIRST_WALKS 16
// Keys whose text is in the output already, by atom. A power of two.
#define KEY_CACHE 64

#define SHAPE_MEMORY 8

typedef struct Writer {
    uint8_t *bytes;
    size_t length, room;
    Walk *walks, *first_walks;
    uint32_t depth, depth_room;
    bool plain;   // Neither Object.prototype nor Array.prototype has a toJSON.
    bool ascii;   // Nothing beyond ASCII was written.
    JSShape *orderly[SHAPE_MEMORY]; // Shapes without keys that are array indices. Forgotten when code of the script ran.
    struct {
        JSAtom atom;
        uint32_t at, length;
    } keys[KEY_CACHE];
} Writer;

// Room for `more` bytes, and some words behind them that may be written over.
static inline bool reserve(Writer *writer, size_t more)
{
    if (likely(writer->length + more + 16 <= writer->room))
        return true;
    size_t wanted = writer->length + more + 16;
    wanted += wanted / 2;
    uint8_t *grown = js_realloc_rt(runtime, writer->bytes, wanted);
    if (grown == NULL) {
        JS_ThrowOutOfMemory(js);
        return false;
    }
    writer->bytes = grown;
    writer->room = heap_usable_size(grown);
    return true;
}

static inline void put(Writer *writer, char byte)
{
    writer->bytes[writer->length++] = (uint8_t)byte;
}

static bool put_word(Writer *writer, const char *word, size_t length)
{
    if (!reserve(writer, length))
        return false;
    memcpy(writer->bytes + writer->length, word, length);
    writer->length += length;
    return true;
}

static void put_escape(Writer *writer, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn_fr";
    put(writer, '\\');
    if (unit == '"' || unit == '\\') {
        put(writer, (char)unit);
    } else if (unit >= '\b' && unit <= '\r' && unit != '\v') {
        put(writer, letters[unit - '\b']);
    } else {
        put(writer, 'u');
        for (int shift = 12; shift >= 0; shift -= 4)
            put(writer, hex[unit >> shift & 15]);
    }
}

static bool write_narrow(Writer *writer, const uint8_t *at, size_t length)
{
    const uint8_t *end = at + length;
    // Each byte may become six.
    if (!reserve(writer, length + 2))
        return false;
    put(writer, '"');
    while (at < end) {
        size_t left = (size_t)(end - at);
        uint64_t word = load64(at), found = special_bytes(word) | (word & EACH(0x80));
        size_t plain = found == 0 ? 8 : (size_t)(__builtin_ctzll(found) >> 3);
        memcpy(writer->bytes + writer->length, &word, 8);
        if (plain >= left) {
            writer->length += left;
            break;
        }
        writer->length += plain;
        at += plain;
        if (plain == 8)
            continue;
        if (!reserve(writer, (size_t)(end - at) + 8))
            return false;
        if (*at >= 0x80) {
            writer->ascii = false;
            put(writer, (char)(0xc0 | *at >> 6));
            put(writer, (char)(0x80 | (*at & 0x3f)));
        } else {
            put_escape(writer, *at);
        }
        at++;
    }
    put(writer, '"');
    return true;
}

static bool write_wide(Writer *writer, const uint16_t *units, uint32_t length)
{
    if (!reserve(writer, (size_t)length * 6 + 2))
        return false;
    writer->ascii = false;
    put(writer, '"');
    for (uint32_t i = 0; i < length; i++) {
        uint32_t code = units[i];
        if (is_hi_surrogate(code) && i + 1 < length && is_lo_surrogate(units[i + 1]))
            code = from_surrogate(code, units[++i]);
        if (code < 0x20 || code == '"' || code == '\\' || (code >= 0xd800 && code < 0xe000))
            put_escape(writer, code);
        else
            writer->length = (size_t)(utf8_put(writer->bytes + writer->length, code) - writer->bytes);
    }
    put(writer, '"');
    return true;
}

static bool write_string(Writer *writer, JSString *string)
{
    return string->is_wide_char ? write_wide(writer, str16(string), string->len) : write_narrow(writer, str8(string), string->len);
}

static bool write_rope(Writer *writer, JSValueConst rope)
{
    JSValue string = js_linearize_string_rope(js, js_dup(rope));
    if (JS_IsException(string))
        return false;
    bool done = write_string(writer, JS_VALUE_GET_STRING(string));
    JS_FreeValue(js, string);
    return done;
}

static void write_int(Writer *writer, int64_t number)
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
    memcpy(writer->bytes + writer->length, digits + at, sizeof digits - at);
    writer->length += sizeof digits - at;
}

// A number with few decimals, such as a price. With at most 15 digits in all, the decimals that give the number back are the shortest ones.
static bool write_short_decimal(Writer *writer, double value)
{
    double magnitude = value < 0 ? -value : value;
    if (!(magnitude >= 1e-3 && magnitude < 1e9))
        return false;
    for (int places = 1; places <= 6; places++) {
        double scaled = magnitude * exact_powers[places], whole = __builtin_floor(scaled + 0.5);
        if (whole / exact_powers[places] != magnitude)
            continue;
        uint32_t power = (uint32_t)exact_powers[places];
        uint64_t all = (uint64_t)whole;
        if (value < 0)
            put(writer, '-');
        write_int(writer, (int64_t)(all / power));
        put(writer, '.');
        for (uint32_t rest = (uint32_t)(all % power), unit = power / 10; unit > 0; unit /= 10)
            put(writer, (char)('0' + rest / unit % 10));
        return true;
    }
    return false;
}

static bool write_number(Writer *writer, double value)
{
    if (!reserve(writer, 40))
        return false;
    if (value - value != 0)
        return put_word(writer, "null", 4);
    if (value == (double)(int64_t)value && value < 1e15 && value > -1e15)
        write_int(writer, (int64_t)value);
    else if (!write_short_decimal(writer, value)) {
        JSDTOATempMem memory;
        writer->length += (size_t)js_dtoa((char *)writer->bytes + writer->length, value, 10, 0, JS_DTOA_FORMAT_FREE, &memory);
    }
    return true;
}

static bool has_own(JSValueConst object, JSAtom atom)
{
    return find_own_property1(JS_VALUE_GET_OBJ(object), atom) != NULL;
}

// Looks at what code of the script may have changed: whether plain values inherit a toJSON, and what shapes there are.
static void look_anew(Writer *writer)
{
    memset(writer->orderly, 0, sizeof writer->orderly);
    writer->plain = !has_own(js->class_proto[JS_CLASS_OBJECT], JS_ATOM_toJSON) && !has_own(js->class_proto[JS_CLASS_ARRAY], JS_ATOM_toJSON);
}

// Whether an object certainly has no toJSON, own or inherited.
static inline bool lacks_to_json(const Writer *writer, JSObject *object)
{
    JSObject *prototype = object->shape->proto;
    if (!writer->plain || find_own_property1(object, JS_ATOM_toJSON) != NULL)
        return false;
    if (object->class_id == JS_CLASS_OBJECT)
        return prototype == JS_VALUE_GET_OBJ(js->class_proto[JS_CLASS_OBJECT]) || prototype == NULL;
    return object->class_id == JS_CLASS_ARRAY && prototype == JS_VALUE_GET_OBJ(js->class_proto[JS_CLASS_ARRAY]) &&
           prototype->shape->proto == JS_VALUE_GET_OBJ(js->class_proto[JS_CLASS_OBJECT]);
}
