/* Preloaded into the processes of a run: steps their wall clock and slows their log's disk, as a shared file says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct faults { volatile int64_t wall_ns, write_ns; };

static struct faults *faults;
static int (*next_clock)(clockid_t, struct timespec *);
static ssize_t (*next_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
  next_clock = dlsym(RTLD_NEXT, "clock_gettime");
  next_write = dlsym(RTLD_NEXT, "write");
  const char *path = getenv("VLA_FAULTS_SHIM");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof *faults, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (map != MAP_FAILED) faults = map;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int failed = next_clock ? next_clock(id, now) : (int)syscall(SYS_clock_gettime, id, now);
  if (!failed && faults && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += faults->wall_ns / 1000000000;
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

static int is_log(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  return length > 5 && !memcmp(path + length - 5, ".mcap", 5);
}

ssize_t write(int fd, const void *data, size_t length) {
  if (faults && faults->write_ns && is_log(fd)) {
    struct timespec pause = {faults->write_ns / 1000000000, faults->write_ns % 1000000000};
    nanosleep(&pause, NULL);
  }
  return next_write ? next_write(fd, data, length) : syscall(SYS_write, fd, data, length);
}
