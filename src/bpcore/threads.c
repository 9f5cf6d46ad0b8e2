/* POSIX threads; elsewhere one thread does everything, with the same results. */
#define _GNU_SOURCE /* for affinity */
#include "threads.h"

#include <time.h>

#if defined(__GNUC__) && !defined(_WIN32)

#include <pthread.h>
#include <sched.h>

/* Waits in the tutorial's network are under a microsecond: longer ones let others work. */
enum { SPINS = 64 };

static void pause_briefly(int spins)
{
    if (spins > SPINS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#endif
}

void bp_wait(bp_barrier *barrier)
{
    if (barrier->threads == 1)
        return;
    const ptrdiff_t round = __atomic_load_n(&barrier->rounds, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == barrier->threads) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->rounds, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int spins = 0; __atomic_load_n(&barrier->rounds, __ATOMIC_ACQUIRE) == round; spins++)
        pause_briefly(spins);
}

/* What the threads of a call share; none works before all have started. */
typedef struct {
    void (*work)(void *job, ptrdiff_t thread);
    void *job;
    ptrdiff_t threads;
    int caller; /* its processor */
    int state;  /* 0: wait, 1: work, -1: leave */
} run;

typedef struct {
    run *run;
    ptrdiff_t thread;
    pthread_t id;
} worker;

/* Threads that meet every few microseconds never run for long, so that Linux thinks them too
 * warm to move: two that start on one processor stay there, and take turns.  So each gets
 * processors of its own, none of them the caller's, where there are enough. */
static void keep_apart(const worker *self)
{
#ifdef __linux__
    cpu_set_t allowed, own;
    ptrdiff_t found = 0;
    CPU_ZERO(&own);
    if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed))
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && cpu != self->run->caller)
            if (found++ % (self->run->threads - 1) == self->thread - 1)
                CPU_SET(cpu, &own);
    if (CPU_COUNT(&own))
        pthread_setaffinity_np(pthread_self(), sizeof own, &own);
#else
    (void)self;
#endif
}

static int processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

static void *work(void *argument)
{
    const worker *self = argument;
    keep_apart(self);
    const int *state = &self->run->state;
    for (int spins = 0; __atomic_load_n(state, __ATOMIC_ACQUIRE) == 0; spins++)
        pause_briefly(spins);
    if (*state > 0)
        self->run->work(self->run->job, self->thread);
    return NULL;
}

int bp_run(void (*call)(void *job, ptrdiff_t thread), void *job, ptrdiff_t threads)
{
    worker workers[BP_MAX_THREADS];
    run shared = {call, job, threads, processor(), 0};
    ptrdiff_t started = 1;
    for (; started < threads; started++) {
        workers[started].run = &shared;
        workers[started].thread = started;
        if (pthread_create(&workers[started].id, NULL, work, &workers[started]))
            break;
    }
    __atomic_store_n(&shared.state, started == threads ? 1 : -1, __ATOMIC_RELEASE);
    if (started == threads)
        call(job, 0);
    for (ptrdiff_t i = 1; i < started; i++)
        pthread_join(workers[i].id, NULL);
    return started == threads;
}

int64_t bp_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#else

int64_t bp_nanoseconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bp_wait(bp_barrier *barrier)
{
    (void)barrier;
}

int bp_run(void (*call)(void *job, ptrdiff_t thread), void *job, ptrdiff_t threads)
{
    if (threads > 1)
        return 0;
    call(job, 0);
    return 1;
}

#endif
