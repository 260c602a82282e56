// The engine's allocator. One region grows upwards; freed blocks wait in lists by size class. What was sealed into a snapshot is never
// reused or counted again, so an invocation writes only to young memory: every page it dirties costs time when it ends.
// Included by the engine's source in place of its own allocator, whose block header it keeps.

// References to sealed objects are not counted: they stay for ever, and counting them would dirty their pages.
#define IMMORTAL 0x40000000

static inline void js_rc_inc(void *object)
{
    int count = JS_REF_COUNT(object);
    if (likely(count < IMMORTAL))
        JS_REF_COUNT(object) = count + 1;
}

static inline int js_rc_dec(void *object)
{
    int count = JS_REF_COUNT(object);
    if (unlikely(count >= IMMORTAL))
        return count;
    return JS_REF_COUNT(object) = count - 1;
}

static void *js_count_block(JSRuntime *rt, void *block)
{
    if (likely(block != NULL))
        rt->malloc_state.malloc_size += heap_usable_size(block);
    return block;
}

void *js_malloc_rt(JSRuntime *rt, size_t size)
{
    return js_count_block(rt, heap_allocate(size));
}

void *js_calloc_rt(JSRuntime *rt, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = js_count_block(rt, heap_allocate(bytes));
    if (likely(block != NULL))
        memset(block, 0, bytes);
    return block;
}

void js_free_rt(JSRuntime *rt, void *block)
{
    if (block == NULL)
        return;
    rt->malloc_state.malloc_size -= heap_usable_size(block);
    heap_free(block);
}

void *js_realloc_rt(JSRuntime *rt, void *block, size_t size)
{
    if (size == 0) {
        js_free_rt(rt, block);
        return NULL;
    }
    size_t before = heap_usable_size(block);
    void *moved = heap_resize(block, size);
    if (likely(moved != NULL))
        rt->malloc_state.malloc_size += heap_usable_size(moved) - before;
    return moved;
}

size_t js_malloc_usable_size_rt(JSRuntime *rt, const void *block)
{
    return heap_usable_size(block);
}
