// JSON text to values. Without recursion: open objects and arrays wait in a list, their keys and values on two stacks, and each becomes
// an object at once when it closes. Included by engine.c.

typedef struct Frame {
    uint32_t values, keys; // Where this object's or array's own begin.
    uint32_t predicted;    // So many of its keys, from the first on, are those of `expected`, and hold no references of their own.
    bool is_object;
    uint32_t odd;            // The first of its keys that does not stand in the text as it is; beyond them all where each does.
    uint32_t expected_count; // So many keys of `expected` may be guessed.
    JSShape *expected;       // Shape of the object before on the same level: its keys are likely to come again.
} Frame;

typedef struct Remembered {
    JSShape *shape;
    uint32_t plain; // So many of its keys, from the first on, stood in the text as they are: only those can be compared with text.
} Remembered;

// First sizes of the stacks, which then lie on the C stack: enough for a kilobyte of JSON.
#define FIRST_VALUES 96
#define FIRST_KEYS 96
#define FIRST_FRAMES 24
// Levels for which the shape before is remembered.
#define REMEMBERED 12

// Makes a stack larger; `first` is where it lay as long as it was small.
static bool parser_grow(void **stack, void *first, uint32_t *room, size_t size)
{
    size_t wanted = (size_t)*room * 2;
    void *moved = *stack == first ? js_malloc_rt(runtime, wanted * size) : js_realloc_rt(runtime, *stack, wanted * size);
    if (moved == NULL) {
        JS_ThrowOutOfMemory(js);
        return false;
    }
    if (*stack == first)
        memcpy(moved, first, *room * size);
    *stack = moved;
    *room = (uint32_t)wanted;
    return true;
}

static inline void skip_space(Parser *parser)
{
    const uint8_t *first = parser->at, *at = first;
    if (likely(*at > ' '))
        return;
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
        at++;
    parser->at = at;
    parser->loose = parser->loose || at != first;
}

static inline bool take_word(Parser *parser, const char *word, size_t length)
{
    if ((size_t)(parser->end - parser->at) < length || memcmp(parser->at, word, length) != 0)
        return false;
    parser->at += length;
    return true;
}

// A value that is no object or array.
static inline JSValue parse_scalar(Parser *parser)
{
    switch (*parser->at) {
    case '"':
        parser->at++;
        return parse_string(parser);
    case 't':
        return take_word(parser, "true", 4) ? JS_TRUE : parse_error(parser);
    case 'f':
        return take_word(parser, "false", 5) ? JS_FALSE : parse_error(parser);
    case 'n':
        return take_word(parser, "null", 4) ? JS_NULL : parse_error(parser);
    case '-':
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return parse_number(parser);
    default:
        return parse_error(parser);
    }
}

// Levels above which the shape before is not remembered: beyond, prediction hits nothing.
static Remembered *remembered_at(Remembered *remembered, uint32_t depth)
{
    return depth < REMEMBERED ? &remembered[depth] : NULL;
}

static JSValue close_object(Parser *parser, const Frame *frame, Remembered *remembered)
{
    const JSAtom *keys = parser->keys + frame->keys;
    const JSValue *values = parser->values + frame->values;
    uint32_t count = parser->key_count - frame->keys;
    bool failed = false, again = frame->expected != NULL && frame->predicted == count && frame->expected->prop_count == (int)count;
    JSShape *shape = again ? js_dup_shape(frame->expected) : shape_of(&parser->shapes, keys, count, &failed);
    JSValue object;
    if (likely(shape != NULL)) {
        if (!again && remembered != NULL) {
            js_free_shape_null(runtime, remembered->shape);
            *remembered = (Remembered){js_dup_shape(shape), frame->odd < count ? frame->odd : count};
        }
        object = object_of_shape(shape, values, count);
    } else {
        parser->loose = true;
        object = failed ? JS_ThrowOutOfMemory(js) : object_one_by_one(keys, values, count);
    }
    for (uint32_t i = frame->predicted; i < count; i++)
        JS_FreeAtom(js, keys[i]);
    parser->key_count = frame->keys;
    parser->value_count = frame->values;
    return object;
}

static void parser_abandon(Parser *parser)
{
    for (uint32_t i = 0; i < parser->value_count; i++)
        JS_FreeValue(js, parser->values[i]);
    for (uint32_t level = 0; level < parser->depth; level++) {
        const Frame *frame = &parser->frames[level];
        uint32_t end = level + 1 < parser->depth ? frame[1].keys : parser->key_count;
        for (uint32_t i = frame->keys + frame->predicted; i < end; i++)
            JS_FreeAtom(js, parser->keys[i]);
    }
}

// Reads a key and its colon. False and an exception when there is none.
static inline bool take_key(Parser *parser, Frame *frame)
{
    if (unlikely(*parser->at != '"')) {
        parse_error(parser);
        return false;
    }
    parser->at++;
    uint32_t index = parser->key_count - frame->keys;
    JSAtom atom = JS_ATOM_NULL;
    if (frame->predicted == index && index < frame->expected_count) {
        atom = get_shape_prop(frame->expected)[index].atom;
        if (key_is(parser, atom))
            frame->predicted++;
        else
            atom = JS_ATOM_NULL;
    }
    if (atom == JS_ATOM_NULL) {
        bool plain;
        atom = parse_key(parser, &plain);
        if (unlikely(atom == JS_ATOM_NULL))
            return false;
        if (unlikely(!plain) && index < frame->odd)
            frame->odd = index;
    }
    parser->keys[parser->key_count++] = atom;
    skip_space(parser);
    if (unlikely(*parser->at != ':')) {
        parse_error(parser);
        return false;
    }
    parser->at++;
    return true;
}

// Reads everything; the stacks' first places belong to the caller.
static JSValue parse_all(Parser *parser, JSValue *first_values, JSAtom *first_keys, Frame *first_frames, Remembered *remembered)
{
    JSValue value;
    Frame *frame = NULL;

read_value:
    skip_space(parser);
    if (*parser->at == '{' || *parser->at == '[') {
        bool is_object = *parser->at++ == '{';
        if (unlikely(parser->depth == DEEPEST))
            return JS_ThrowRangeError(js, "the JSON text is nested more than %d deep", DEEPEST);
        if (unlikely(parser->depth == parser->depth_room) &&
            !parser_grow((void **)&parser->frames, first_frames, &parser->depth_room, sizeof(Frame)))
            return JS_EXCEPTION;
        const Remembered *before = is_object ? remembered_at(remembered, parser->depth) : NULL;
        Remembered guess = before == NULL ? (Remembered){NULL, 0} : *before;
        frame = &parser->frames[parser->depth++];
        *frame = (Frame){parser->value_count, parser->key_count, 0, is_object, UINT32_MAX, guess.plain, guess.shape};
        skip_space(parser);
        if (*parser->at == (is_object ? '}' : ']'))
            goto close;
        if (is_object)
            goto read_key;
        goto read_value;
    }
    value = parse_scalar(parser);
    if (unlikely(JS_IsException(value)))
        return value;

got_value:
    if (parser->depth == 0) {
        skip_space(parser);
        if (parser->at == parser->end)
            return value;
        JS_FreeValue(js, value);
        return parse_error(parser);
    }
    if (unlikely(parser->value_count == parser->value_room) &&
        !parser_grow((void **)&parser->values, first_values, &parser->value_room, sizeof(JSValue)))
        return JS_EXCEPTION;
    parser->values[parser->value_count++] = value;
    skip_space(parser);
    if (*parser->at == ',') {
        parser->at++;
        if (!frame->is_object)
            goto read_value;
        skip_space(parser);
        goto read_key;
    }
    if (unlikely(*parser->at != (frame->is_object ? '}' : ']')))
        return parse_error(parser);

close:
    parser->at++;
    if (frame->is_object) {
        value = close_object(parser, frame, remembered_at(remembered, parser->depth - 1));
    } else {
        value = array_of(parser->values + frame->values, parser->value_count - frame->values);
        parser->value_count = frame->values;
    }
    parser->depth--;
    frame = parser->depth == 0 ? NULL : &parser->frames[parser->depth - 1];
    if (unlikely(JS_IsException(value)))
        return value;
    goto got_value;

read_key:
    if (unlikely(parser->key_count == parser->key_room) && !parser_grow((void **)&parser->keys, first_keys, &parser->key_room, sizeof(JSAtom)))
        return JS_EXCEPTION;
    if (unlikely(!take_key(parser, frame)))
        return JS_EXCEPTION;
    goto read_value;
}

bool json_loose;

// `bytes[length]` must be readable and 0.
JSValue json_parse(const uint8_t *bytes, size_t length)
{
    JSValue values[FIRST_VALUES];
    JSAtom keys[FIRST_KEYS];
    Frame frames[FIRST_FRAMES];
    Remembered remembered[REMEMBERED] = {{NULL, 0}};
    Parser parser = {
        .start = bytes,
        .at = bytes,
        .end = bytes + length,
        .values = values,
        .keys = keys,
        .frames = frames,
        .value_room = FIRST_VALUES,
        .key_room = FIRST_KEYS,
        .depth_room = FIRST_FRAMES,
        .ascii = is_ascii(bytes, length),
    };
    js_trigger_gc(runtime, length);
    JSValue result = parse_all(&parser, values, keys, frames, remembered);
    if (unlikely(JS_IsException(result)))
        parser_abandon(&parser);
    json_loose = parser.loose;
    shapes_release(&parser.shapes);
    for (int i = 0; i < REMEMBERED; i++)
        js_free_shape_null(runtime, remembered[i].shape);
    if (parser.values != values)
        js_free_rt(runtime, parser.values);
    if (parser.keys != keys)
        js_free_rt(runtime, parser.keys);
    if (parser.frames != frames)
        js_free_rt(runtime, parser.frames);
    return result;
}

// `JSON.parse` of a text without a reviver.
static JSValue json_parse_text(JSValueConst text)
{
    JSValue string = JS_ToString(js, text);
    if (JS_IsException(string))
        return string;
    if (JS_VALUE_GET_TAG(string) == JS_TAG_STRING_ROPE) {
        string = js_linearize_string_rope(js, string);
        if (JS_IsException(string))
            return string;
    }
    JSString *p = JS_VALUE_GET_STRING(string);
    JSValue result;
    if (!p->is_wide_char && p->kind == JS_STRING_KIND_NORMAL && is_ascii(str8(p), p->len)) {
        result = json_parse(str8(p), p->len);
    } else {
        bool same;
        size_t length = utf8_length(p, &same);
        uint8_t *bytes = js_malloc(js, length + 1);
        if (bytes == NULL) {
            JS_FreeValue(js, string);
            return JS_EXCEPTION;
        }
        utf8_fill(p, bytes, true);
        bytes[length] = 0;
        result = json_parse(bytes, length);
        js_free(js, bytes);
    }
    JS_FreeValue(js, string);
    return result;
}
