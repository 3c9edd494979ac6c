/* Stands between a process and the C library, for the files below one directory.
 *
 * It writes down every call that changes files, with its data, in one order for the whole process, and
 * what is written to standard output between them; and it lets chosen calls fail.
 *
 *   WITHY_SHIM_UNDER   the directory, absolute
 *   WITHY_SHIM_TRACE   where to write the trace; none if unset
 *   WITHY_SHIM_FAIL    "ERRNO CALLS N once|on", as in "ENOSPC write 7 on": the n-th of these calls fails, or
 *                      all from it on. CALLS is write, sync, rename, open or unlink. The first write that
 *                      fails for want of space still takes half of its bytes, as on a real disk.
 *   WITHY_SHIM_WHILE   a directory below the first: calls are counted, and fail, only between its making and its
 *                      removal by the process, which are not counted themselves
 *   WITHY_SHIM_FAILED  where to write a line for each call that was made to fail: what it is, and the path
 *   WITHY_SHIM_BOOT    a file to be read instead of the id that the kernel gives to this run of the machine
 *   WITHY_SHIM_COUNT   a file to which the number of each kind of calls is written in the end
 *
 * A record of the trace: one byte for the kind, two numbers of 8 bytes, then two byte strings, each with
 * its length in 8 bytes; numbers have their lowest byte first. Reading it is in trace.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
enum { WRITE, SYNC, RENAME, OPEN, UNLINK, CALLS };
static const char *const names[CALLS] = {"write", "sync", "rename", "open", "unlink"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char under[4096];
static size_t under_len;
static int trace = -1;
static unsigned char tracked[FDS]; /* 1: a file, 2: a directory */
static long counts[CALLS];
static int fail_errno, fail_call = -1, fail_on;
static const char *during; /* NULL: all the time */
static int failures = -1, armed = 1;
static long fail_number;

static int errno_of(const char *name) {
    if (!strcmp(name, "ENOSPC")) return ENOSPC;
    if (!strcmp(name, "EMFILE")) return EMFILE;
    if (!strcmp(name, "EROFS")) return EROFS;
    return EIO;
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("WITHY_SHIM_UNDER");
    if (!dir) return;
    under_len = strlen(dir);
    if (under_len == 0 || under_len >= sizeof under) { under_len = 0; return; }
    memcpy(under, dir, under_len + 1);
    const char *to = getenv("WITHY_SHIM_TRACE");
    if (to) {
        int low = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        trace = fcntl(low, F_DUPFD_CLOEXEC, 1000);
        if (trace < 0) trace = low; else syscall(SYS_close, low);
    }
    during = getenv("WITHY_SHIM_WHILE");
    armed = !during;
    const char *failed = getenv("WITHY_SHIM_FAILED");
    if (failed) failures = syscall(SYS_openat, AT_FDCWD, failed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const char *fail = getenv("WITHY_SHIM_FAIL");
    char error[16], call[16], how[16];
    if (fail && sscanf(fail, "%15s %15s %ld %15s", error, call, &fail_number, how) == 4) {
        fail_errno = errno_of(error);
        fail_on = !strcmp(how, "on");
        for (int i = 0; i < CALLS; i++) if (!strcmp(call, names[i])) fail_call = i;
    }
}

static void all(int fd, const void *bytes, size_t len) {
    while (len > 0) {
        ssize_t done = syscall(SYS_write, fd, bytes, len);
        if (done < 0) { if (errno == EINTR) continue; abort(); }
        bytes = (const char *)bytes + done;
        len -= done;
    }
}

__attribute__((destructor)) static void end(void) {
    const char *to = getenv("WITHY_SHIM_COUNT");
    if (!to || !under_len) return;
    char text[256];
    int len = 0;
    for (int i = 0; i < CALLS; i++)
        len += snprintf(text + len, sizeof text - len, "%s %ld\n", names[i], counts[i]);
    int fd = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) { all(fd, text, len); syscall(SYS_close, fd); }
}

/* Called with the lock held. */
static void note(char kind, uint64_t a, uint64_t b, const void *x, uint64_t xs, const void *y,
                 uint64_t ys) {
    if (trace < 0) return;
    uint64_t numbers[4] = {htole64(a), htole64(b), htole64(xs), htole64(ys)};
    struct iovec parts[6] = {{&kind, 1}, {numbers, 16}, {numbers + 2, 8}, {(void *)x, xs}, {numbers + 3, 8}, {(void *)y, ys}};
    for (int i = 0; i < 6; i++) all(trace, parts[i].iov_base, parts[i].iov_len);
}

static int is_tracked(int fd) { return fd >= 0 && fd < FDS && tracked[fd]; }

/* Whether the call is to fail, on a path or an open file; sets errno. Called with the lock held. */
static int fails(int call, const char *path, int fd) {
    if (!armed) return 0;
    long number = ++counts[call];
    if (call != fail_call || fail_number == 0) return 0;
    if (fail_on ? number < fail_number : number != fail_number) return 0;
    if (failures >= 0) {
        char link[64], room[4096], line[4200];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = path ? 0 : readlink(link, room, sizeof room - 1);
        room[len > 0 ? len : 0] = 0;
        all(failures, line, snprintf(line, sizeof line, "%s %s\n", names[call], path ? path : room));
    }
    errno = fail_errno;
    return 1;
}

/* Whether this is the directory that is there while calls may fail. */
static int is_during(const char *path) { return during && !strcmp(path, during); }

/* The path in full, if it is below the directory. */
static const char *path_of(int dir, const char *path, char *room) {
    if (!under_len || !path) return NULL;
    if (path[0] != '/') {
        char link[64];
        ssize_t len;
        if (dir == AT_FDCWD) {
            if (!getcwd(room, 4096)) return NULL;
            len = strlen(room);
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            len = readlink(link, room, 4095);
            if (len < 0) return NULL;
        }
        if (len + strlen(path) + 2 > 4096) return NULL;
        room[len] = '/';
        strcpy(room + len + 1, path);
        path = room;
    }
    if (strncmp(path, under, under_len)) return NULL;
    return path[under_len] == '/' || !path[under_len] ? path : NULL;
}

#define REAL(type, name, ...)                                                                    \
    static type (*real)(__VA_ARGS__);                                                            \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define ENTER pthread_mutex_lock(&lock)
#define LEAVE do { int kept = errno; pthread_mutex_unlock(&lock); errno = kept; } while (0)

static int opened(int dir, const char *path, int flags, mode_t mode) {
    char room[4096];
    const char *full = path_of(dir, path, room);
    if (!full) {
        const char *boot = getenv("WITHY_SHIM_BOOT");
        if (boot && path && !strcmp(path, "/proc/sys/kernel/random/boot_id")) path = boot;
        int fd = syscall(SYS_openat, dir, path, flags, mode);
        if (fd >= 0 && fd < FDS) tracked[fd] = 0;
        return fd;
    }
    ENTER;
    int fd = -1;
    if (!fails(OPEN, full, -1)) {
        struct stat st;
        int there = stat(full, &st) == 0;
        fd = syscall(SYS_openat, dir, path, flags, mode);
        if (fd >= 0 && fd < FDS) {
            int is_dir = there && S_ISDIR(st.st_mode);
            tracked[fd] = is_dir ? 2 : 1;
            uint64_t what = is_dir ? 4 : (!there ? 1 : 0) | ((flags & O_TRUNC) ? 2 : 0);
            note('o', fd, what, full, strlen(full), "", 0);
        }
    }
    LEAVE;
    return fd;
}

#define MODE                                                                                     \
    mode_t mode = 0;                                                                             \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE return opened(dir, path, flags, mode); }
int __open_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    REAL(int, "close", int);
    if (!is_tracked(fd)) return real(fd);
    ENTER;
    tracked[fd] = 0;
    note('c', fd, 0, "", 0, "", 0);
    int done = real(fd);
    LEAVE;
    return done;
}

int fclose(FILE *file) {
    REAL(int, "fclose", FILE *);
    int fd = fileno(file);
    if (is_tracked(fd)) { ENTER; tracked[fd] = 0; note('c', fd, 0, "", 0, "", 0); LEAVE; }
    return real(file);
}

/* Writes at a place, and notes what was written there. Called with the lock held. */
static ssize_t put(int fd, const void *bytes, size_t len, off_t at) {
    if (fails(WRITE, NULL, fd)) {
        if (fail_errno != ENOSPC || counts[WRITE] != fail_number || len < 2) return -1;
        len /= 2;
    }
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, len, at);
    if (done > 0) note('w', fd, at, bytes, done, "", 0);
    return done;
}

static off_t place(int fd) {
    if (fcntl(fd, F_GETFL) & O_APPEND) {
        struct stat st;
        return fstat(fd, &st) == 0 ? st.st_size : 0;
    }
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t len) {
    if (!is_tracked(fd)) {
        if (fd != 1 || trace < 0) return syscall(SYS_write, fd, bytes, len);
        ENTER;
        ssize_t done = syscall(SYS_write, fd, bytes, len);
        if (done > 0) note('a', 0, 0, bytes, done, "", 0);
        LEAVE;
        return done;
    }
    ENTER;
    off_t at = place(fd);
    ssize_t done = put(fd, bytes, len, at);
    if (done > 0) lseek(fd, at + done, SEEK_SET);
    LEAVE;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    if (!is_tracked(fd)) return syscall(SYS_pwrite64, fd, bytes, len, at);
    ENTER;
    ssize_t done = put(fd, bytes, len, at);
    LEAVE;
    return done;
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) { return pwrite(fd, bytes, len, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!is_tracked(fd)) return syscall(SYS_writev, fd, parts, count);
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return sum ? sum : -1;
        sum += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return sum;
}

/* What another call has copied into a file, as if it had been written. Called with the lock held. */
static void note_copied(int fd, off_t at, size_t len) {
    char *bytes = malloc(len);
    int flags = fcntl(fd, F_GETFL);
    if (!bytes || (flags & O_ACCMODE) == O_WRONLY) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        if (!bytes || again < 0 || pread(again, bytes, len, at) != (ssize_t)len) abort();
        syscall(SYS_close, again);
    } else if (pread(fd, bytes, len, at) != (ssize_t)len) abort();
    note('w', fd, at, bytes, len, "", 0);
    free(bytes);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len, unsigned flags) {
    if (!is_tracked(to)) return syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
    ENTER;
    off_t at = to_at ? *to_at : place(to);
    ssize_t done = fails(WRITE, NULL, to) ? -1 : syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
    if (done > 0) note_copied(to, at, done);
    LEAVE;
    return done;
}

ssize_t sendfile64(int to, int from, off64_t *from_at, size_t len) {
    if (!is_tracked(to)) return syscall(SYS_sendfile, to, from, from_at, len);
    ENTER;
    off_t at = place(to);
    ssize_t done = fails(WRITE, NULL, to) ? -1 : syscall(SYS_sendfile, to, from, from_at, len);
    if (done > 0) note_copied(to, at, done);
    LEAVE;
    return done;
}
ssize_t sendfile(int to, int from, off_t *from_at, size_t len) { return sendfile64(to, from, from_at, len); }

int ftruncate(int fd, off_t len) {
    if (!is_tracked(fd)) return syscall(SYS_ftruncate, fd, len);
    ENTER;
    int done = syscall(SYS_ftruncate, fd, len);
    if (done == 0) note('t', fd, len, "", 0, "", 0);
    LEAVE;
    return done;
}
int ftruncate64(int fd, off_t len) { return ftruncate(fd, len); }

int fallocate(int fd, int mode, off_t at, off_t len) {
    if (!is_tracked(fd)) return syscall(SYS_fallocate, fd, mode, at, len);
    ENTER;
    /* RocksDB does without: no bytes are lost, so no file is named. */
    int done = fails(WRITE, "(space in advance)", fd) ? -1 : syscall(SYS_fallocate, fd, mode, at, len);
    /* With FALLOC_FL_KEEP_SIZE nothing changes that can be read. */
    if (done == 0 && mode == 0) note('e', fd, at + len, "", 0, "", 0);
    LEAVE;
    return done;
}
int fallocate64(int fd, int mode, off_t at, off_t len) { return fallocate(fd, mode, at, len); }
int posix_fallocate(int fd, off_t at, off_t len) { return fallocate(fd, 0, at, len) ? errno : 0; }
int posix_fallocate64(int fd, off_t at, off_t len) { return posix_fallocate(fd, at, len); }

/* What was written before a sync began is on disk when it has ended; other calls go on meanwhile. */
static int synced(int fd, long number) {
    if (!is_tracked(fd)) return syscall(number, fd);
    ENTER;
    int bad = fails(SYNC, NULL, fd);
    if (!bad) note('s', fd, 0, "", 0, "", 0);
    LEAVE;
    if (bad) return -1;
    int done = syscall(number, fd);
    ENTER;
    if (done == 0) note('S', fd, 0, "", 0, "", 0);
    LEAVE;
    return done;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* A hint to the disk: nothing is promised, so nothing is noted. */
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    if (is_tracked(fd)) {
        ENTER;
        int bad = fails(SYNC, NULL, fd);
        LEAVE;
        if (bad) return -1;
    }
    return syscall(SYS_sync_file_range, fd, at, len, flags);
}

static int moved(char kind, int call, int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char a[4096], b[4096];
    const char *x = path_of(from_dir, from, a), *y = path_of(to_dir, to, b);
    long number = kind == 'r' ? SYS_renameat2 : SYS_linkat;
    if (!x && !y) return syscall(number, from_dir, from, to_dir, to, flags);
    ENTER;
    int done = fails(call, y ? y : x, -1) ? -1 : syscall(number, from_dir, from, to_dir, to, flags);
    if (done == 0) note(kind, 0, 0, x ? x : "", x ? strlen(x) : 0, y ? y : "", y ? strlen(y) : 0);
    LEAVE;
    return done;
}
int rename(const char *a, const char *b) { return moved('r', RENAME, AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int x, const char *a, int y, const char *b) { return moved('r', RENAME, x, a, y, b, 0); }
int renameat2(int x, const char *a, int y, const char *b, unsigned flags) { return moved('r', RENAME, x, a, y, b, flags); }
int link(const char *a, const char *b) { return moved('l', RENAME, AT_FDCWD, a, AT_FDCWD, b, 0); }
int linkat(int x, const char *a, int y, const char *b, int flags) { return moved('l', RENAME, x, a, y, b, flags); }

static int removed(int dir, const char *path, int flags) {
    char room[4096];
    const char *full = path_of(dir, path, room);
    if (!full) return syscall(SYS_unlinkat, dir, path, flags);
    ENTER;
    if (is_during(full)) armed = 0;
    int done = fails(UNLINK, full, -1) ? -1 : syscall(SYS_unlinkat, dir, path, flags);
    if (done == 0) note('u', 0, 0, full, strlen(full), "", 0);
    LEAVE;
    return done;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }
int unlinkat(int dir, const char *path, int flags) { return removed(dir, path, flags); }

static int made(int dir, const char *path, mode_t mode) {
    char room[4096];
    const char *full = path_of(dir, path, room);
    if (!full) return syscall(SYS_mkdirat, dir, path, mode);
    ENTER;
    int done = syscall(SYS_mkdirat, dir, path, mode);
    if (is_during(full)) armed = 1;
    if (done == 0) note('d', 0, 0, full, strlen(full), "", 0);
    LEAVE;
    return done;
}
int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return made(dir, path, mode); }
