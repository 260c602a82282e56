// Reading and comparing elements of typed arrays while they are sorted, by class instead of through pointers, for the reason that stands in
// numbered_math.c. Included by the patched engine, behind the functions for each class.

#define ELEMENTS(X)                                                                                                                      \
    X(INT8, int8) X(UINT8C, uint8) X(UINT8, uint8) X(INT16, int16) X(UINT16, uint16) X(INT32, int32) X(UINT32, uint32) X(BIG_INT64, int64) \
    X(BIG_UINT64, uint64) X(FLOAT16, float16) X(FLOAT32, float32) X(FLOAT64, float64)

static JSValue element_get(int class_id, JSContext *ctx, const void *element)
{
#define ENTRY(class, type)         \
    case JS_CLASS_##class##_ARRAY: \
        return js_TA_get_##type(ctx, element);
    switch (class_id) { ELEMENTS(ENTRY) }
#undef ENTRY
    return JS_UNDEFINED;
}

static int element_compare(const void *a, const void *b, void *context)
{
#define ENTRY(class, type)         \
    case JS_CLASS_##class##_ARRAY: \
        return js_TA_cmp_##type(a, b, NULL);
    switch (((struct TA_sort_context *)context)->class_id) { ELEMENTS(ENTRY) }
#undef ENTRY
    return 0;
}
