// The heap: see heap.h. Layout is performance here. Fresh memory is handed out in order, so what belongs together lies together, and the
// last block grows in place, which is how buffers are filled.
#include "heap.h"

#include <string.h>

#define WASM_PAGE 65536u
// Small classes step by 8 bytes up to this size; above, each doubling has eight steps, so at most an eighth is lost.
#define SMALL 256u
#define SMALL_CLASSES (SMALL / 8)
// See `allocator.c`.
#define IMMORTAL 0x40000000
// Marks blocks that lie in a free list while the heap is sealed.
#define FREED 0xff
// Enough for a fault's texts.
#define RESERVE 8192

extern uint8_t __heap_base;

Heap heap;

static inline unsigned class_of(size_t size)
{
    if (size <= SMALL)
        return size == 0 ? 1 : (unsigned)(size + 7) / 8;
    unsigned shift = 31 - __builtin_clz((unsigned)size - 1); // 2^shift < size <= 2^(shift+1)
    unsigned step = ((unsigned)size - 1 - (1u << shift)) >> (shift - 3);
    return SMALL_CLASSES + 1 + (shift - 8) * 8 + step;
}

static inline size_t size_of_class(unsigned class)
{
    if (class <= SMALL_CLASSES)
        return class * 8;
    unsigned index = class - SMALL_CLASSES - 1;
    unsigned shift = 8 + index / 8;
    return ((size_t)1 << shift) + ((size_t)(index % 8 + 1) << (shift - 3));
}

static inline BlockHeader *header_of(const void *block)
{
    return (BlockHeader *)(uintptr_t)block - 1;
}

// Whether the interpreter itself is being started. What its snapshot has beyond its needs would be looked through after every invocation.
static bool starting = true;

// Makes room up to `limit`, by a quarter of what there is where that is granted, so that large data does not grow page by page.
static bool grow(uint8_t *limit)
{
    size_t current = __builtin_wasm_memory_size(0) * (size_t)WASM_PAGE;
    if (heap.end == NULL)
        heap.end = (uint8_t *)(current - RESERVE);
    if (limit <= heap.end)
        return true;
    size_t needed = ((size_t)(limit - heap.end) + WASM_PAGE - 1) / WASM_PAGE;
    size_t generous = starting ? 0 : current / WASM_PAGE / 4;
    if (generous <= needed || __builtin_wasm_memory_grow(0, generous) == (size_t)-1) {
        if (__builtin_wasm_memory_grow(0, needed) == (size_t)-1) {
            heap.exhausted = true;
            return false;
        }
    }
    heap.end = (uint8_t *)(__builtin_wasm_memory_size(0) * (size_t)WASM_PAGE - RESERVE);
    return true;
}

void heap_make_room(size_t size)
{
    grow(heap.cursor + size);
    starting = false;
}

void heap_open_reserve(void)
{
    heap.end = (uint8_t *)(__builtin_wasm_memory_size(0) * (size_t)WASM_PAGE);
}

static void start(void)
{
    heap.cursor = (uint8_t *)(((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7);
    heap.sealed = heap.cursor;
}

void *heap_allocate(size_t size)
{
    if (__builtin_expect(size > (1u << 30), 0)) {
        heap.exhausted = true;
        return NULL;
    }
    unsigned class = class_of(size);
    FreeBlock *block = heap.free[class];
    if (block != NULL) {
        heap.free[class] = block->next;
        return block;
    }
    if (__builtin_expect(heap.cursor == NULL, 0))
        start();
    uint8_t *limit = heap.cursor + sizeof(BlockHeader) + size_of_class(class);
    if (__builtin_expect(limit > heap.end, 0) && !grow(limit))
        return NULL;
    BlockHeader *header = (BlockHeader *)heap.cursor;
    heap.cursor = limit;
    header->size_class = (uint8_t)class;
    return header + 1;
}

void heap_free(void *block)
{
    if (block == NULL || (uint8_t *)block < heap.sealed)
        return;
    unsigned class = header_of(block)->size_class;
    FreeBlock *freed = block;
    freed->next = heap.free[class];
    heap.free[class] = freed;
}

size_t heap_usable_size(const void *block)
{
    return block == NULL ? 0 : size_of_class(header_of(block)->size_class);
}

void *heap_resize(void *block, size_t size)
{
    if (block == NULL)
        return heap_allocate(size);
    BlockHeader *header = header_of(block);
    size_t usable = size_of_class(header->size_class);
    if (size <= usable)
        return block;
    if ((uint8_t *)block + usable == heap.cursor && size <= (1u << 30)) {
        unsigned class = class_of(size);
        uint8_t *limit = (uint8_t *)block + size_of_class(class);
        if (limit > heap.end && !grow(limit))
            return NULL;
        heap.cursor = limit;
        header->size_class = (uint8_t)class;
        return block;
    }
    void *moved = heap_allocate(size);
    if (moved == NULL)
        return NULL;
    header_of(moved)->collector = header->collector;
    header_of(moved)->reference_count = header->reference_count;
    memcpy(moved, block, usable);
    heap_free(block);
    return moved;
}

void *heap_scratch(size_t size)
{
    if (heap.cursor == NULL)
        start();
    // One byte more than asked for: texts may need an end.
    size = (size + 8) & ~(size_t)7;
    if (!grow(heap.cursor + size + WASM_PAGE))
        return NULL;
    heap.end -= size;
    return heap.end;
}

void heap_forget_free(void)
{
    for (unsigned class = 0; class < HEAP_CLASSES; class++) {
        for (FreeBlock *block = heap.free[class]; block != NULL; block = block->next)
            header_of(block)->collector = FREED;
        heap.free[class] = NULL;
    }
}

static void wipe_free_blocks(uint8_t *from)
{
    heap_forget_free();
    uint8_t *kept = from;
    for (uint8_t *at = from; at < heap.cursor;) {
        BlockHeader *header = (BlockHeader *)at;
        size_t size = sizeof(BlockHeader) + size_of_class(header->size_class);
        if (header->collector == FREED) {
            memset(at, 0, size);
        } else {
            header->reference_count = IMMORTAL;
            kept = at + size;
        }
        at += size;
    }
    uint8_t *top = (uint8_t *)(__builtin_wasm_memory_size(0) * (size_t)WASM_PAGE);
    memset(heap.cursor, 0, (size_t)(top - heap.cursor));
    heap.cursor = kept;
}

void heap_seal(void)
{
    wipe_free_blocks(heap.sealed);
    heap.end = (uint8_t *)(__builtin_wasm_memory_size(0) * (size_t)WASM_PAGE - RESERVE);
    heap.sealed = heap.cursor;
    heap.exhausted = false;
}
