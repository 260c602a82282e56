// The heap below the engine: one region of linear memory that grows upwards, with lists of freed blocks by size class.
#ifndef SNAPHOOK_HEAP_H
#define SNAPHOOK_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Precedes every block. The engine keeps its reference count and its collector's marks here.
typedef struct BlockHeader {
    uint16_t unused;
    uint8_t size_class;
    uint8_t collector;
    int reference_count;
} BlockHeader;

#define HEAP_CLASSES 224

typedef struct FreeBlock {
    struct FreeBlock *next;
} FreeBlock;

typedef struct Heap {
    uint8_t *cursor;  // Next fresh byte.
    uint8_t *end;     // End of what may be used without growing.
    uint8_t *sealed;  // Blocks below belong to the snapshot.
    bool exhausted;   // An allocation failed in this invocation.
    FreeBlock *free[HEAP_CLASSES];
} Heap;

extern Heap heap;

// A block for at least `size` bytes, aligned to 8, or NULL and `exhausted` set.
void *heap_allocate(size_t size);
void heap_free(void *block);
// Moves a block where it must; the header's engine fields move along. NULL leaves the block as it was.
void *heap_resize(void *block, size_t size);
size_t heap_usable_size(const void *block);
// Bytes without a header at the upper end of memory, for what is thrown away before the next seal. NULL when memory is exhausted.
// What is set aside is above the heap, which must not grow into it while the source is parsed: a parser takes up to a hundred times the
// length of its source, and this much of it always finds room below.
#define LOADING_ASIDE 1024

void *heap_scratch(size_t size);
// Makes everything allocated so far part of the snapshot: gives up free blocks, wipes them, and forgets references to what is kept.
void heap_seal(void);
// Gives up what was freed so far: what is allocated next is fresh.
void heap_forget_free(void);
// Grows memory so that this much is free, and no further; the end of the interpreter's own start.
void heap_make_room(size_t size);
// Gives out the last bytes, which are kept back for saying that memory is exhausted.
void heap_open_reserve(void);
// From here on the host hands over what an invocation works on, no longer a source text.
void heap_finish_loading(void);

#endif
