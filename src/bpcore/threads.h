/* Threads that work on one call and end with it, and the barrier at which they meet. */
#ifndef BP_THREADS_H
#define BP_THREADS_H

#include <stddef.h>
#include <stdint.h>

/* How many threads bp_run can start; 1 where this is not implemented. */
#define BP_MAX_THREADS 64

typedef struct {
    ptrdiff_t threads;
    ptrdiff_t arrived; /* in this round */
    ptrdiff_t rounds;  /* that are over */
} bp_barrier;

/* Return when all threads have called this as often; what one wrote before, all see after. */
void bp_wait(bp_barrier *barrier);

/* Call work(job, thread) for thread 0 to threads - 1, each in a thread of its own but the
 * first, and return when all are done.  Return 0, and call nothing, if a thread cannot be
 * started. */
int bp_run(void (*work)(void *job, ptrdiff_t thread), void *job, ptrdiff_t threads);

/* Nanoseconds since some moment, by a clock that nobody sets. */
int64_t bp_nanoseconds(void);

#endif
