/* The least that a periodic loop can be: wake at each deadline, note how late it is.

   bare PERIOD_NS DEADLINES PRIORITY CPU

   Writes to standard output, as int64, the lateness in ns of every wake-up. A deadline that is past when its turn comes
   is skipped, as in control/rate.py. PRIORITY above 0 asks for SCHED_FIFO, CPU of 0 or more for that one. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    const int64_t period = atoll(argv[1]), deadlines = atoll(argv[2]);
    const struct sched_param parameters = {.sched_priority = atoi(argv[3])};
    const int cpu = atoi(argv[4]);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (cpu >= 0) CPU_SET(cpu, &cpus);
    if (cpu >= 0 && sched_setaffinity(0, sizeof cpus, &cpus) != 0) return perror("sched_setaffinity"), 1;
    if (parameters.sched_priority > 0 && sched_setscheduler(0, SCHED_FIFO, &parameters) != 0)
        return perror("sched_setscheduler"), 1;
    int64_t *late = malloc(deadlines * sizeof *late);
    if (late == NULL) return 1;
    memset(late, 0, deadlines * sizeof *late);

    int64_t woken = 0, deadline = now_ns() + period;
    const int64_t end = deadline + deadlines * period;
    while (deadline < end) {
        const struct timespec at = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
        }
        late[woken++] = now_ns() - deadline;
        deadline += period;
        const int64_t behind = now_ns() - deadline;
        if (behind > 0) deadline += (behind + period - 1) / period * period;
    }
    return fwrite(late, sizeof *late, woken, stdout) == (size_t)woken ? 0 : 1;
}
