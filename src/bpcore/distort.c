/* Distorting images in several threads. */
#include "core.h"
#include "threads.h"

typedef struct {
    const bp_engine *engine;
    const bp_distortion *distortion;
    ptrdiff_t threads, n;
    const void *in;
    void *out;
    char *scratch;
    size_t bytes; /* of a thread's scratch */
} job;

static void part(void *given, ptrdiff_t thread)
{
    const job *j = given;
    j->engine->distort(j->distortion, j->n * thread / j->threads,
                       j->n * (thread + 1) / j->threads, j->in, j->out,
                       j->scratch + (size_t)thread * j->bytes);
}

/* What distort() lays out, its places being no larger than an item, in whole lines of cache. */
static size_t scratch_bytes(const bp_engine *engine, const bp_distortion *d)
{
    const ptrdiff_t framed = (d->height + 3) * (d->width + 3), row = 3 * d->width,
                    displacements = 2 * d->knots_down * d->width;
    const size_t bytes = (size_t)(framed + d->knots_across + row + displacements)
                         * engine->itemsize;
    return (bytes + BP_ALIGN - 1) / BP_ALIGN * BP_ALIGN;
}

size_t bp_distort(const bp_engine *engine, const bp_distortion *distortion, ptrdiff_t threads,
                  ptrdiff_t n, const void *in, void *out, void *scratch)
{
    job all = {engine, distortion, threads, n, in, out, scratch, 0};
    all.bytes = scratch_bytes(engine, distortion);
    const size_t bytes = (size_t)threads * all.bytes;
    if (scratch != NULL && !bp_run(part, &all, threads)) { /* one does it all */
        all.threads = 1;
        part(&all, 0);
    }
    return bytes;
}
