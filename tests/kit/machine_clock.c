/* The machine's clock for one tree of processes, ahead of or behind the real one by what a shared file says.
 *
 * Loaded by LD_PRELOAD. MACHINE_CLOCK names a file of eight bytes: nanoseconds to add, a signed integer in the machine's
 * own byte order. All processes map it, so that one write moves the clock of all of them in the same instant. Only the
 * wall clock is moved. Absolute deadlines on it are turned back into real ones before the kernel sees them; a wait that
 * has begun is not shortened by a jump, as with a machine that was suspended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
/* A deadline beyond this is one of the wall clock: no machine has been up for thirty years. */
#define WALL 1000000000LL

static int64_t none = 0;
static _Atomic(const volatile int64_t *) shared = NULL;

static int64_t ahead(void) {
    const volatile int64_t *at = shared;
    if (at == NULL) {
        const char *path = getenv("MACHINE_CLOCK");
        int saved = errno, file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        at = mapped == MAP_FAILED ? &none : mapped;
        shared = at;
        errno = saved;
    }
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static struct timespec moved(const struct timespec *from, int64_t by) {
    int64_t seconds = from->tv_sec + by / SECOND, rest = from->tv_nsec + by % SECOND;
    if (rest < 0) { rest += SECOND; seconds--; }
    if (rest >= SECOND) { rest -= SECOND; seconds++; }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

/* The real deadline of one that a process reckons with; `room` holds it. */
static const struct timespec *real(const struct timespec *deadline, struct timespec *room) {
    if (deadline == NULL || deadline->tv_sec < WALL) return deadline;
    *room = moved(deadline, -ahead());
    return room;
}

#define NEXT(name, version)                                                                    \
    static __typeof__(&name) next = NULL;                                                      \
    if (next == NULL) next = (__typeof__(next))dlvsym(RTLD_NEXT, #name, version);              \
    if (next == NULL) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *now) {
    NEXT(clock_gettime, "GLIBC_2.17");
    int failed = next(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *now = moved(now, ahead());
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){.tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    NEXT(pthread_cond_timedwait, "GLIBC_2.3.2");
    struct timespec room;
    return next(condition, mutex, real(deadline, &room));
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *deadline) {
    NEXT(pthread_cond_clockwait, "GLIBC_2.34");
    struct timespec room;
    return next(condition, mutex, clock, real(deadline, &room));
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *deadline) {
    NEXT(pthread_mutex_timedlock, "GLIBC_2.34");
    struct timespec room;
    return next(mutex, real(deadline, &room));
}

int sem_timedwait(sem_t *semaphore, const struct timespec *deadline) {
    NEXT(sem_timedwait, "GLIBC_2.34");
    struct timespec room;
    return next(semaphore, real(deadline, &room));
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline) {
    NEXT(sem_clockwait, "GLIBC_2.34");
    struct timespec room;
    return next(semaphore, clock, real(deadline, &room));
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    NEXT(clock_nanosleep, "GLIBC_2.17");
    struct timespec room;
    return next(clock, flags, flags & TIMER_ABSTIME ? real(until, &room) : until, left);
}

int timerfd_settime(int timer, int flags, const struct itimerspec *value, struct itimerspec *before) {
    NEXT(timerfd_settime, "GLIBC_2.8");
    struct timespec room;
    struct itimerspec wanted = *value;
    if (flags & TFD_TIMER_ABSTIME) wanted.it_value = *real(&value->it_value, &room);
    return next(timer, flags, &wanted, before);
}

/* Abseil, which gRPC and Ray wait with, calls the kernel by number. */
long syscall(long number, ...) {
    NEXT(syscall, "GLIBC_2.2.5");
    va_list given;
    va_start(given, number);
    long a = va_arg(given, long), b = va_arg(given, long), c = va_arg(given, long);
    long d = va_arg(given, long), e = va_arg(given, long), f = va_arg(given, long);
    va_end(given);
    struct timespec room;
    long wait = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
    if (number == SYS_futex && (b & ~FUTEX_PRIVATE_FLAG) == wait) d = (long)real((const struct timespec *)d, &room);
    if (number == SYS_clock_gettime) return clock_gettime((clockid_t)a, (struct timespec *)b) ? -1 : 0;
    return next(number, a, b, c, d, e, f);
}
