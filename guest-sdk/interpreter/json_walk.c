// The walk through a value that is written as JSON. Included by engine.c, after json_write.c.

bool json_refused;

typedef enum Outcome { FAILED = -1, SKIPPED, WRITTEN, OPENED } Outcome;

static inline Outcome outcome(bool done)
{
    return done ? WRITTEN : FAILED;
}

// Whether the engine lists a shape's keys in their own order: none of them is an array index, which would come first.
static bool is_orderly(Writer *writer, JSShape *shape)
{
    JSShape **memory = &writer->orderly[((uintptr_t)shape >> 4) % SHAPE_MEMORY];
    if (*memory == shape)
        return true;
    const JSShapeProperty *properties = get_shape_prop(shape);
    for (int i = 0; i < shape->prop_count; i++) {
        uint32_t number;
        JSAtom atom = properties[i].atom;
        if (atom != JS_ATOM_NULL && JS_AtomIsArrayIndex(js, &number, atom))
            return false;
    }
    *memory = shape;
    return true;
}

static Walk *push_walk(Writer *writer, JSObject *object, WalkKind kind, uint32_t count)
{
    if (writer->depth == writer->depth_room) {
        size_t wanted = (size_t)writer->depth_room * 2;
        bool small = writer->walks == writer->first_walks;
        Walk *moved = js_realloc_rt(runtime, small ? NULL : writer->walks, wanted * sizeof *moved);
        if (moved == NULL) {
            JS_ThrowOutOfMemory(js);
            return NULL;
        }
        if (small)
            memcpy(moved, writer->first_walks, writer->depth_room * sizeof *moved);
        writer->walks = moved;
        writer->depth_room = (uint32_t)wanted;
    }
    Walk *walk = &writer->walks[writer->depth++];
    *walk = (Walk){.kind = kind, .first = true, .object = object, .count = count};
    js_rc_inc(object);
    return walk;
}

static void pop_walk(Writer *writer)
{
    Walk *walk = &writer->walks[--writer->depth];
    if (walk->kind == WALK_SHAPE)
        js_free_shape(runtime, walk->shape);
    else if (walk->kind == WALK_NAMES)
        JS_FreePropertyEnum(js, walk->names, walk->count);
    JS_FreeValue(js, JS_MKPTR(JS_TAG_OBJECT, walk->object));
}

static Outcome open_array(Writer *writer, JSObject *object)
{
    int64_t length = 0;
    bool plain = object->class_id == JS_CLASS_ARRAY && object->fast_array && JS_VALUE_GET_TAG(object->prop[0].u.value) == JS_TAG_INT;
    if (plain) {
        length = JS_VALUE_GET_INT(object->prop[0].u.value);
    } else {
        if (js_get_length64(js, &length, JS_MKPTR(JS_TAG_OBJECT, object)) < 0)
            return FAILED;
        look_anew(writer);
    }
    if (length > UINT32_MAX) {
        JS_ThrowRangeError(js, "the array is too long for JSON");
        return FAILED;
    }
    if (!reserve(writer, 2) || push_walk(writer, object, WALK_ARRAY, (uint32_t)length) == NULL)
        return FAILED;
    put(writer, '[');
    return OPENED;
}

static Outcome open_object(Writer *writer, JSObject *object)
{
    Walk *walk;
    if (!reserve(writer, 2))
        return FAILED;
    if (object->class_id == JS_CLASS_OBJECT && !object->is_exotic && object->shape->is_hashed && is_orderly(writer, object->shape)) {
        walk = push_walk(writer, object, WALK_SHAPE, (uint32_t)object->shape->prop_count);
        if (walk == NULL)
            return FAILED;
        walk->shape = js_dup_shape(object->shape);
    } else {
        JSPropertyEnum *names;
        uint32_t count;
        if (JS_GetOwnPropertyNames(js, &names, &count, JS_MKPTR(JS_TAG_OBJECT, object), JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
            return FAILED;
        look_anew(writer);
        walk = push_walk(writer, object, WALK_NAMES, count);
        if (walk == NULL) {
            JS_FreePropertyEnum(js, names, count);
            return FAILED;
        }
        walk->names = names;
    }
    put(writer, '{');
    return OPENED;
}

static Outcome write_plain(Writer *writer, JSValueConst value);

// Objects that stand for a primitive value.
static Outcome write_boxed(Writer *writer, JSObject *object)
{
    JSValue value = JS_MKPTR(JS_TAG_OBJECT, object), primitive;
    switch (object->class_id) {
    case JS_CLASS_STRING:
        primitive = JS_ToString(js, value);
        break;
    case JS_CLASS_NUMBER:
        primitive = JS_ToNumber(js, value);
        break;
    case JS_CLASS_RAWJSON:
        primitive = JS_GetProperty(js, value, JS_ATOM_rawJSON);
        break;
    default:
        primitive = js_dup(object->u.object_data);
        break;
    }
    look_anew(writer);
    if (JS_IsException(primitive))
        return FAILED;
    Outcome result;
    Text text;
    if (object->class_id == JS_CLASS_RAWJSON) {
        result = outcome(engine_text(primitive, &text) && put_word(writer, (const char *)text.ptr, text.len));
        writer->ascii = writer->ascii && is_ascii(text.ptr, text.len);
    } else {
        result = write_plain(writer, primitive);
    }
    JS_FreeValue(js, primitive);
    return result;
}

static Outcome write_object(Writer *writer, JSObject *object)
{
    switch (object->class_id) {
    case JS_CLASS_STRING:
    case JS_CLASS_NUMBER:
    case JS_CLASS_BOOLEAN:
    case JS_CLASS_BIG_INT:
    case JS_CLASS_RAWJSON:
        return write_boxed(writer, object);
    default:
        break;
    }
    bool simple = object->class_id == JS_CLASS_OBJECT || object->class_id == JS_CLASS_ARRAY;
    if (!simple && JS_IsFunction(js, JS_MKPTR(JS_TAG_OBJECT, object)))
        return SKIPPED;
    for (uint32_t i = 0; i < writer->depth; i++) {
        if (writer->walks[i].object == object) {
            json_refused = true;
            JS_ThrowTypeError(js, "circular reference");
            return FAILED;
        }
    }
    if (writer->depth >= DEEPEST) {
        JS_ThrowRangeError(js, "the value is nested more than %d deep, too deep for JSON", DEEPEST);
        return FAILED;
    }
    int is_array = simple ? object->class_id == JS_CLASS_ARRAY : js_is_array(js, JS_MKPTR(JS_TAG_OBJECT, object));
    return is_array < 0 ? FAILED : is_array ? open_array(writer, object) : open_object(writer, object);
}

// A value whose toJSON was asked already.
static Outcome write_plain(Writer *writer, JSValueConst value)
{
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_OBJECT:
        return write_object(writer, JS_VALUE_GET_OBJ(value));
    case JS_TAG_STRING:
        return outcome(write_string(writer, JS_VALUE_GET_STRING(value)));
    case JS_TAG_STRING_ROPE:
        return outcome(write_rope(writer, value));
    case JS_TAG_INT:
        if (!reserve(writer, 12))
            return FAILED;
        write_int(writer, JS_VALUE_GET_INT(value));
        return WRITTEN;
    case JS_TAG_FLOAT64:
        return outcome(write_number(writer, JS_VALUE_GET_FLOAT64(value)));
    case JS_TAG_BOOL:
        return outcome(JS_VALUE_GET_BOOL(value) ? put_word(writer, "true", 4) : put_word(writer, "false", 5));
    case JS_TAG_NULL:
        return outcome(put_word(writer, "null", 4));
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
        json_refused = true;
        JS_ThrowTypeError(js, "a BigInt has no JSON form");
        return FAILED;
    default:
        return SKIPPED;
    }
}

// Asks toJSON of what may have one. `key` is the property's atom; for an element of an array it is absent and `index` counts.
static Outcome write_through_to_json(Writer *writer, JSValueConst value, JSAtom key, uint32_t index)
{
    JSValue held = js_dup(value), function = JS_GetProperty(js, value, JS_ATOM_toJSON);
    Outcome result = FAILED;
    look_anew(writer);
    if (JS_IsFunction(js, function)) {
        JSValue name = key != JS_ATOM_NULL ? JS_AtomToString(js, key) : JS_ToString(js, js_uint32(index));
        JSValue answer = JS_IsException(name) ? name : JS_Call(js, function, held, 1, vc(&name));
        look_anew(writer);
        if (!JS_IsException(answer))
            result = write_plain(writer, answer);
        JS_FreeValue(js, name);
        JS_FreeValue(js, answer);
    } else if (!JS_IsException(function)) {
        result = write_plain(writer, held);
    }
    JS_FreeValue(js, function);
    JS_FreeValue(js, held);
    return result;
}

static inline Outcome write_value(Writer *writer, JSValueConst value, JSAtom key, uint32_t index)
{
    int tag = JS_VALUE_GET_TAG(value);
    bool asks = tag == JS_TAG_OBJECT ? !lacks_to_json(writer, JS_VALUE_GET_OBJ(value)) : tag == JS_TAG_BIG_INT || tag == JS_TAG_SHORT_BIG_INT;
    return asks ? write_through_to_json(writer, value, key, index) : write_plain(writer, value);
}

// A key with its colon, copied from where it stood before if it did.
static bool write_key(Writer *writer, JSAtom atom)
{
    uint32_t slot = atom % KEY_CACHE;
    if (writer->keys[slot].atom == atom) {
        uint32_t length = writer->keys[slot].length;
        if (!reserve(writer, length))
            return false;
        copy_short(writer->bytes + writer->length, writer->bytes + writer->keys[slot].at, length);
        writer->length += length;
        return true;
    }
    size_t start = writer->length;
    if (__JS_AtomIsTaggedInt(atom)) {
        if (!reserve(writer, 16))
            return false;
        put(writer, '"');
        write_int(writer, __JS_AtomToUInt32(atom));
        put(writer, '"');
    } else if (!write_string(writer, runtime->atom_array[atom])) {
        return false;
    }
    put(writer, ':');
    writer->keys[slot].atom = atom;
    writer->keys[slot].at = (uint32_t)start;
    writer->keys[slot].length = (uint32_t)(writer->length - start);
    return true;
}

static Outcome next_element(Writer *writer, Walk *walk)
{
    JSObject *object = walk->object;
    uint32_t index = walk->index++;
    if (!reserve(writer, 1))
        return FAILED;
    if (index > 0)
        put(writer, ',');
    JSValue value;
    Outcome result;
    if (likely(object->class_id == JS_CLASS_ARRAY && object->fast_array && index < object->u.array.count)) {
        result = write_value(writer, object->u.array.u.values[index], JS_ATOM_NULL, index);
    } else {
        value = JS_GetPropertyInt64(js, JS_MKPTR(JS_TAG_OBJECT, object), index);
        look_anew(writer);
        result = JS_IsException(value) ? FAILED : write_value(writer, value, JS_ATOM_NULL, index);
        JS_FreeValue(js, value);
    }
    return result == SKIPPED ? outcome(put_word(writer, "null", 4)) : result;
}

static Outcome write_member(Writer *writer, uint32_t depth, JSAtom atom, JSValueConst value)
{
    size_t mark = writer->length;
    if (!reserve(writer, 1))
        return FAILED;
    if (!writer->walks[depth].first)
        put(writer, ',');
    if (!write_key(writer, atom))
        return FAILED;
    Outcome result = write_value(writer, value, atom, 0);
    if (result != SKIPPED) {
        writer->walks[depth].first = false;
        return result;
    }
    writer->length = mark;
    uint32_t slot = atom % KEY_CACHE;
    if (writer->keys[slot].at >= mark)
        writer->keys[slot].atom = JS_ATOM_NULL;
    return WRITTEN;
}

static Outcome next_member(Writer *writer, Walk *walk)
{
    JSObject *object = walk->object;
    uint32_t index = walk->index++, depth = writer->depth - 1;
    JSAtom atom;
    if (walk->kind == WALK_SHAPE) {
        const JSShapeProperty *property = &get_shape_prop(walk->shape)[index];
        atom = property->atom;
        if (atom == JS_ATOM_NULL || !(property->flags & JS_PROP_ENUMERABLE) || runtime->atom_array[atom]->atom_type != JS_ATOM_TYPE_STRING)
            return WRITTEN;
        if (likely(object->shape == walk->shape && (property->flags & JS_PROP_TMASK) == JS_PROP_NORMAL))
            return write_member(writer, depth, atom, object->prop[index].u.value);
    } else {
        atom = walk->names[index].atom;
    }
    JSValue value = JS_GetProperty(js, JS_MKPTR(JS_TAG_OBJECT, object), atom);
    look_anew(writer);
    Outcome result = JS_IsException(value) ? FAILED : write_member(writer, depth, atom, value);
    JS_FreeValue(js, value);
    return result;
}

static Outcome write_all(Writer *writer, JSValueConst value)
{
    Outcome result = write_value(writer, value, JS_ATOM_empty_string, 0);
    while (writer->depth > 0 && result != FAILED) {
        Walk *walk = &writer->walks[writer->depth - 1];
        if (walk->index < walk->count) {
            result = walk->kind == WALK_ARRAY ? next_element(writer, walk) : next_member(writer, walk);
            continue;
        }
        if (!reserve(writer, 1))
            return FAILED;
        put(writer, walk->kind == WALK_ARRAY ? ']' : '}');
        pop_walk(writer);
        result = WRITTEN;
    }
    return result;
}

// Writes into a block that begins with room for a string's head, so that it can become a string where it lies.
static Outcome write_block(Writer *writer, JSValueConst value)
{
    Walk walks[FIRST_WALKS];
    writer->walks = writer->first_walks = walks;
    writer->depth_room = FIRST_WALKS;
    writer->length = sizeof(JSString);
    writer->ascii = true;
    look_anew(writer);
    Outcome result = reserve(writer, 400) ? write_all(writer, value) : FAILED;
    while (writer->depth > 0)
        pop_walk(writer);
    if (writer->walks != walks)
        js_free_rt(runtime, writer->walks);
    if (result != WRITTEN) {
        js_free_rt(runtime, writer->bytes);
        writer->bytes = NULL;
    }
    return result;
}

bool json_write(JSValueConst value, Text *text)
{
    Writer writer = {0};
    Outcome result = write_block(&writer, value);
    *text = result == WRITTEN ? (Text){writer.bytes + sizeof(JSString), writer.length - sizeof(JSString)} : (Text){NULL, 0};
    return result != FAILED;
}

// `JSON.stringify` without a replacer or an indent.
static JSValue json_write_text(JSValueConst value)
{
    Writer writer = {0};
    Outcome result = write_block(&writer, value);
    if (result != WRITTEN)
        return result == FAILED ? JS_EXCEPTION : JS_UNDEFINED;
    size_t length = writer.length - sizeof(JSString);
    if (!writer.ascii || length > JS_STRING_LEN_MAX) {
        JSValue string = length > JS_STRING_LEN_MAX ? JS_ThrowRangeError(js, "Invalid string length")
                                                    : engine_decode(writer.bytes + sizeof(JSString), length, false);
        js_free_rt(runtime, writer.bytes);
        return string;
    }
    JSString *string = (JSString *)writer.bytes;
    memset(string, 0, sizeof *string);
    JS_REF_COUNT(string) = 1;
    string->len = (uint32_t)length;
    writer.bytes[writer.length] = '\0';
    return JS_MKPTR(JS_TAG_STRING, string);
}
