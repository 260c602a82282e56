// Objects made at once: given all keys and values, the engine's shape for the keys is looked up or built, and nothing is added one by one.
// Included by engine.c.

// Shapes met in this parse, by their keys. A power of two; documents have few kinds of objects.
#define SHAPE_CACHE 32

typedef struct Shapes {
    JSShape *known[SHAPE_CACHE]; // Each holds a reference until `shapes_release`.
} Shapes;

static void shapes_release(Shapes *shapes)
{
    for (int i = 0; i < SHAPE_CACHE; i++)
        if (shapes->known[i] != NULL)
            js_free_shape(runtime, shapes->known[i]);
}

static bool shape_has_keys(JSShape *shape, const JSAtom *keys, uint32_t count)
{
    const JSShapeProperty *properties = get_shape_prop(shape);
    if (shape->prop_count != (int)count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (properties[i].atom != keys[i])
            return false;
    return true;
}

// The shape in the runtime's own table, or NULL. `hash` is the engine's for these keys.
static JSShape *shape_find(JSObject *prototype, uint32_t hash, const JSAtom *keys, uint32_t count)
{
    JSShape *shape = runtime->shape_hash[get_shape_hash(hash, runtime->shape_hash_bits)];
    for (; shape != NULL; shape = shape->shape_hash_next) {
        if (shape->hash != hash || shape->proto != prototype || !shape_has_keys(shape, keys, count))
            continue;
        const JSShapeProperty *properties = get_shape_prop(shape);
        uint32_t i = 0;
        while (i < count && properties[i].flags == JS_PROP_C_W_E)
            i++;
        if (i == count)
            return shape;
    }
    return NULL;
}

// A new shape with exactly these keys; NULL without an exception when a key occurs twice, `*failed` when memory is exhausted.
static JSShape *shape_build(JSObject *prototype, uint32_t hash, const JSAtom *keys, uint32_t count, bool *failed)
{
    uint32_t buckets = JS_PROP_INITIAL_HASH_SIZE;
    while (buckets < count)
        buckets *= 2;
    // One property more than needed: hooks like to add one.
    JSShape *shape = js_new_shape2(js, prototype, (int)buckets, (int)count + 1);
    if (shape == NULL) {
        *failed = true;
        return NULL;
    }
    JSShapeProperty *properties = get_shape_prop(shape);
    for (uint32_t i = 0; i < count; i++) {
        intptr_t bucket = (intptr_t)hash_atom(keys[i], shape->prop_hash_mask);
        uint32_t *head = &prop_hash_end(shape)[-bucket - 1];
        for (uint32_t at = *head; at != 0; at = properties[at - 1].hash_next) {
            if (properties[at - 1].atom == keys[i]) {
                js_free_shape(runtime, shape);
                return NULL;
            }
        }
        properties[i].hash_next = *head;
        properties[i].flags = JS_PROP_C_W_E;
        properties[i].atom = JS_DupAtom(js, keys[i]);
        *head = i + 1;
        shape->prop_count = (int)i + 1;
    }
    js_shape_hash_unlink(runtime, shape);
    shape->hash = hash;
    js_shape_hash_link(runtime, shape);
    return shape;
}

// The shape of plain objects with these keys, with a reference for the caller. NULL when a key occurs twice, or `*failed`.
static JSShape *shape_of(Shapes *shapes, const JSAtom *keys, uint32_t count, bool *failed)
{
    uint32_t quick = count;
    for (uint32_t i = 0; i < count; i++)
        quick = quick * 31 + keys[i];
    JSShape **known = &shapes->known[(quick ^ quick >> 7) % SHAPE_CACHE];
    if (likely(*known != NULL) && shape_has_keys(*known, keys, count))
        return js_dup_shape(*known);
    JSObject *prototype = JS_VALUE_GET_OBJ(js->class_proto[JS_CLASS_OBJECT]);
    uint32_t hash = shape_initial_hash(prototype);
    for (uint32_t i = 0; i < count; i++)
        hash = shape_hash(shape_hash(hash, keys[i]), JS_PROP_C_W_E);
    JSShape *shape = shape_find(prototype, hash, keys, count);
    if (shape != NULL)
        js_dup_shape(shape);
    else
        shape = shape_build(prototype, hash, keys, count, failed);
    if (shape != NULL) {
        if (*known != NULL)
            js_free_shape(runtime, *known);
        *known = js_dup_shape(shape);
    }
    return shape;
}

// Takes over the reference to the shape and the values.
static JSValue object_of_shape(JSShape *shape, const JSValue *values, uint32_t count)
{
    JSObject *object = js_malloc_rt(runtime, sizeof *object);
    JSProperty *properties = object == NULL ? NULL : js_malloc_rt(runtime, (size_t)shape->prop_size * sizeof *properties);
    if (unlikely(properties == NULL)) {
        js_free_rt(runtime, object);
        js_free_shape(runtime, shape);
        return JS_ThrowOutOfMemory(js);
    }
    memset(object, 0, sizeof *object);
    object->extensible = 1;
    object->class_id = JS_CLASS_OBJECT;
    object->shape = shape;
    object->prop = properties;
    JS_REF_COUNT(object) = 1;
    add_gc_object(runtime, &object->header, JS_GC_OBJ_TYPE_JS_OBJECT);
    for (uint32_t i = 0; i < count; i++)
        properties[i].u.value = values[i];
    return JS_MKPTR(JS_TAG_OBJECT, object);
}

// The slow way, for objects in which a key occurs twice: the last value counts, at the first one's place.
static JSValue object_one_by_one(const JSAtom *keys, const JSValue *values, uint32_t count)
{
    JSValue object = JS_NewObject(js);
    for (uint32_t i = 0; i < count; i++) {
        if (JS_IsException(object)) {
            JS_FreeValue(js, values[i]);
        } else if (JS_DefinePropertyValue(js, object, keys[i], values[i], JS_PROP_C_W_E) < 0) {
            JS_FreeValue(js, object);
            object = JS_EXCEPTION;
        }
    }
    return object;
}

// Takes over the values.
static JSValue array_of(const JSValue *values, uint32_t count)
{
    JSValue array = JS_NewArray(js);
    if (JS_IsException(array) || count == 0)
        return array;
    JSObject *object = JS_VALUE_GET_OBJ(array);
    JSValue *elements = js_malloc_rt(runtime, (size_t)count * sizeof *elements);
    if (unlikely(elements == NULL)) {
        JS_FreeValue(js, array);
        return JS_ThrowOutOfMemory(js);
    }
    for (uint32_t i = 0; i < count; i++)
        elements[i] = values[i];
    object->u.array.u.values = elements;
    object->u.array.count = count;
    object->u.array.u1.size = count;
    object->prop[0].u.value = js_int32((int32_t)count);
    return array;
}
