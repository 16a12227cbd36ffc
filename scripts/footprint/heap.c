// Counts what a program has on its heap, now and at the most, into a file that others can read
// while it runs. Loaded with LD_PRELOAD in front of glibc; HEAP_COUNT names the file.
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

struct counts {
    uint32_t now, peak;
};
static struct counts before, *counts = &before;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("HEAP_COUNT");
    int file = path ? open(path, O_RDWR | O_CREAT, 0644) : -1;
    if (file < 0 || ftruncate(file, sizeof *counts) != 0)
        return;
    void *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        return;
    *(struct counts *)shared = before;
    counts = shared;
    unsetenv("LD_PRELOAD");
}

// A block costs its usable size and the allocator's word in front of it.
static uint32_t cost(void *block) {
    return block ? (uint32_t)(malloc_usable_size(block) + sizeof(size_t)) : 0;
}

static void *taken(void *block) {
    uint32_t now = __atomic_add_fetch(&counts->now, cost(block), __ATOMIC_RELAXED);
    uint32_t peak = __atomic_load_n(&counts->peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&counts->peak, &peak, now, 1, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED))
        ;
    return block;
}

static void given(uint32_t bytes) { __atomic_sub_fetch(&counts->now, bytes, __ATOMIC_RELAXED); }

void *malloc(size_t size) { return taken(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return taken(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    void *new = memalign(alignment, size);
    if (new == NULL)
        return ENOMEM;
    *block = new;
    return 0;
}

void *realloc(void *block, size_t size) {
    uint32_t old = cost(block);
    void *new = __libc_realloc(block, size);
    if (new != NULL || size == 0)
        given(old);
    return taken(new);
}

void free(void *block) {
    given(cost(block));
    __libc_free(block);
}
