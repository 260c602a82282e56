// What the engine and the generated bindings expect of a C library and of an operating system: memory from our heap, and a clock that
// stands still unless a timer moves it.
#include "heap.h"
#include "interpreter.h"

#include <stdlib.h>
#include <string.h>

double clock_ms;

// The engine's only view of time, in microseconds.
double __rquickjs_host_now_us(void)
{
    return clock_ms * 1000.0;
}

void *malloc(size_t size)
{
    return heap_allocate(size);
}

// Only the generated bindings call this, for what an ending instance need not give back.
void free(void *block)
{
    (void)block;
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *block = heap_allocate(bytes);
    if (block != NULL)
        memset(block, 0, bytes);
    return block;
}

void *realloc(void *block, size_t size)
{
    return heap_resize(block, size);
}

static bool loading = true;

void heap_finish_loading(void)
{
    loading = false;
}

// Room for what the host hands over. The canonical ABI knows no failure here, so exhausted memory traps, and the host knows why.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *block, size_t old_size, size_t align, size_t size)
{
    if (size == 0)
        return (void *)align;
    // A 0 behind the data ends texts for those who read up to one.
    // A short source leaves no gap before the script's own objects; a long one takes a block, which `load` gives back.
    bool aside = loading && size <= LOADING_ASIDE;
    uint8_t *fresh = block != NULL ? heap_resize(block, size + 1) : aside ? heap_scratch(size) : heap_allocate(size + 1);
    if (fresh == NULL)
        __builtin_trap();
    fresh[size] = 0;
    return fresh;
}
