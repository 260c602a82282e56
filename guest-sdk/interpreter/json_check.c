// Whether a text is JSON, without making values of it. Included by engine.c, after json_scan.c.

// The open levels, a bit each: set for an object.
typedef struct Levels {
    uint8_t bits[DEEPEST / 8];
    uint32_t depth;
} Levels;

static const uint8_t *after_space(const uint8_t *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
        at++;
    return at;
}

// After the string whose opening quote was taken; NULL when it is none. Zeros stand behind the text, and no string holds one.
static const uint8_t *after_string(const uint8_t *at)
{
    for (;;) {
        at = plain_end(at);
        if (*at == '"')
            return at + 1;
        if (*at != '\\')
            return NULL;
        at++;
        if (*at == 'u') {
            for (int i = 1; i <= 4; i++)
                if (hex_value(at[i]) < 0)
                    return NULL;
            at += 5;
        } else if (*at != 0 && strchr("\"\\/bfnrt", *at) != NULL) {
            at++;
        } else {
            return NULL;
        }
    }
}

static const uint8_t *after_digits(const uint8_t *at)
{
    if (!is_decimal(*at))
        return NULL;
    while (is_decimal(*at))
        at++;
    return at;
}

static const uint8_t *after_number(const uint8_t *at)
{
    at += *at == '-';
    at = *at == '0' ? at + 1 : after_digits(at);
    if (at != NULL && *at == '.')
        at = after_digits(at + 1);
    if (at != NULL && (*at == 'e' || *at == 'E')) {
        at++;
        at = after_digits(at + (*at == '+' || *at == '-'));
    }
    return at;
}

// After a value that is no object or array.
static const uint8_t *after_scalar(const uint8_t *at)
{
    static const char *const words[] = {"true", "false", "null"};
    if (*at == '"')
        return after_string(at + 1);
    if (*at == '-' || is_decimal(*at))
        return after_number(at);
    for (int i = 0; i < 3; i++)
        if (strncmp((const char *)at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    return NULL;
}

// After an object's key and its colon.
static const uint8_t *after_key(const uint8_t *at)
{
    at = after_space(at);
    at = *at == '"' ? after_string(at + 1) : NULL;
    if (at == NULL)
        return NULL;
    at = after_space(at);
    return *at == ':' ? at + 1 : NULL;
}

static bool in_object(const Levels *levels)
{
    uint32_t level = levels->depth - 1;
    return levels->bits[level / 8] >> level % 8 & 1;
}

// Opens an object or array; `*whole` when it closes at once.
static const uint8_t *open_level(Levels *levels, const uint8_t *at, bool *whole)
{
    bool object = *at == '{';
    if (levels->depth == DEEPEST)
        return NULL;
    uint8_t bit = (uint8_t)(1u << levels->depth % 8), *byte = &levels->bits[levels->depth / 8];
    *byte = object ? *byte | bit : *byte & (uint8_t)~bit;
    at = after_space(at + 1);
    *whole = *at == (object ? '}' : ']');
    if (*whole)
        return at + 1;
    levels->depth++;
    return object ? after_key(at) : at;
}

// After a value: closes the levels that end here, and stands before the next value, or at the end with no level open.
static const uint8_t *to_next(Levels *levels, const uint8_t *at)
{
    for (at = after_space(at); levels->depth > 0; at = after_space(at)) {
        bool object = in_object(levels);
        if (*at == ',')
            return object ? after_key(at + 1) : at + 1;
        if (*at++ != (object ? '}' : ']'))
            return NULL;
        levels->depth--;
    }
    return at;
}

bool json_is_valid(const uint8_t *bytes, size_t length)
{
    Levels levels;
    const uint8_t *at = bytes;
    levels.depth = 0;
    do {
        // A level that opens goes on with its first value.
        bool whole = true;
        at = after_space(at);
        at = *at == '{' || *at == '[' ? open_level(&levels, at, &whole) : after_scalar(at);
        if (at != NULL && whole)
            at = to_next(&levels, at);
        if (at == NULL)
            return false;
    } while (levels.depth > 0);
    return at == bytes + length;
}
