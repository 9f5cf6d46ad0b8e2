/* Preloaded: makes an allocation fail, and pthread_create with it.  glibc only.
 *
 * NumPy itself crashes if it gets no memory for its bookkeeping (the getter of
 * __array_interface__ does), so of what it asks for only arrays fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 30, BOOKKEEPING = 512 };

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

static long left, failed; /* allocations until one fails, 0: none does; that failed */
static int all;           /* those after it fail too */

/* From now on the n-th allocation fails, or the n-th and all after it. */
void fail_from(long n, int and_after)
{
    all = and_after;
    failed = 0;
    __atomic_store_n(&left, n, __ATOMIC_SEQ_CST);
}

/* Let all succeed; return how many failed. */
long fail_no_more(void)
{
    __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    return failed;
}

/* Whether NumPy asks, before the core or anybody else on the stack does. */
static int is_numpys(void)
{
    static __thread int asking; /* backtrace may allocate memory when it is first called */
    void *frames[FRAMES];
    Dl_info where;
    if (asking)
        return 1;
    asking = 1;
    const int n = backtrace(frames, FRAMES);
    int found = 0;
    for (int i = 2; i < n && !found; i++)
        if (dladdr(frames[i], &where) && where.dli_fname) {
            if (strstr(where.dli_fname, "bpcore") || strstr(where.dli_sname ? where.dli_sname : "",
                                                           "_PyEval_EvalFrameDefault"))
                break;
            found = strstr(where.dli_fname, "numpy") != NULL;
        }
    asking = 0;
    return found;
}

static int fails(size_t bytes)
{
    const long now = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
    if (now == 0)
        return 0;
    if (now > 1) {
        __atomic_sub_fetch(&left, 1, __ATOMIC_SEQ_CST);
        return 0;
    }
    if (bytes < BOOKKEEPING && is_numpys())
        return 0;
    if (!all)
        __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    failed++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    return fails(n) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t n)
{
    return fails(n) ? NULL : __libc_realloc(old, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return fails(n) ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **found, size_t alignment, size_t n)
{
    return fails(n) || !(*found = __libc_memalign(alignment, n)) ? ENOMEM : 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails(BOOKKEEPING))
        return EAGAIN;
    if (!create)
        create = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(
            RTLD_NEXT, "pthread_create");
    return create(thread, attributes, start, argument);
}
