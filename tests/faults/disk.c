/* Stands between a program and the files below $DISK_ROOT (LD_PRELOAD): writes down every change of them, with its data
 * and in order, to $DISK_LOG, and lets chosen changes fail as $DISK_FAULTS says. tests/faults/disk.py reads and steers it.
 * SQLite's -shm files are left alone: they are made anew after a power cut. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE = 2, TRUNCATE = 4, SYNC = 8, RENAME = 16, UNLINK = 32, MKDIR = 64 };

struct record {                 /* then path, other path, data */
    uint32_t kind, pid;
    int32_t fd, flags;
    int64_t offset;
    uint32_t path_length, other_length, data_length, unused;
};

struct faults {                 /* the file is mapped by us and by the test */
    int32_t error;              /* errno of the changes that fail; 0: none fails */
    int32_t kinds;              /* which kinds of changes are counted and may fail */
    int64_t skip, count;        /* after `skip` of them, `count` fail */
    int64_t seen;               /* how many there were */
    int64_t torn;               /* 1: of a write that fails the first half is done */
};

enum { MAX_FDS = 4096 };
static const char *root;
static size_t root_length;
static int log_fd = -1;
static struct faults *faults;
static char tracked[MAX_FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    const char *path;
    root = getenv("DISK_ROOT");
    root_length = root ? strlen(root) : 0;
    if ((path = getenv("DISK_LOG")))
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((path = getenv("DISK_FAULTS"))) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
        faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        syscall(SYS_close, fd);
    }
}

static int ours(const char *path)
{
    size_t length = strlen(path);
    if (!root || strncmp(path, root, root_length))
        return 0;
    return !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static int known(int fd) { return fd >= 0 && fd < MAX_FDS && tracked[fd]; }

static int fails(enum kind kind)
{
    int64_t number;
    if (!faults || !(faults->kinds & kind))
        return 0;
    number = faults->seen++;
    if (!faults->error || number < faults->skip || number - faults->skip >= faults->count)
        return 0;
    errno = faults->error;
    return 1;
}

static void note(enum kind kind, int fd, int flags, int64_t offset, const char *path, const char *other,
                 const void *data, size_t length)
{
    struct record record = {kind, (uint32_t)getpid(), fd, flags, offset, path ? (uint32_t)strlen(path) : 0,
                            other ? (uint32_t)strlen(other) : 0, (uint32_t)length, 0};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)path, record.path_length},
                            {(void *)other, record.other_length}, {(void *)data, length}};
    int before = errno;
    if (log_fd >= 0)
        syscall(SYS_writev, log_fd, parts, 4);
    errno = before;
}

static int opened(int directory, const char *path, int flags, mode_t mode)
{
    int fd, mine = ours(path);
    pthread_mutex_lock(&lock);
    if (mine && flags & (O_WRONLY | O_RDWR | O_CREAT) && fails(OPEN))
        fd = -1;
    else
        fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (fd >= 0 && fd < MAX_FDS) {
        tracked[fd] = (char)mine;
        if (mine)
            note(OPEN, fd, flags, 0, path, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags) mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

int close(int fd)
{
    int result;
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MAX_FDS)
        tracked[fd] = 0;
    result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static ssize_t written(int fd, const void *data, size_t length, off_t offset)
{
    ssize_t done;
    if (fails(WRITE)) {
        int error = errno;
        if (faults->torn && (done = syscall(SYS_pwrite64, fd, data, length / 2, offset)) > 0)
            note(WRITE, fd, 0, offset, NULL, NULL, data, (size_t)done);
        errno = error;
        return -1;
    }
    done = syscall(SYS_pwrite64, fd, data, length, offset);
    if (done > 0)
        note(WRITE, fd, 0, offset, NULL, NULL, data, (size_t)done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    ssize_t done;
    if (!known(fd))
        return syscall(SYS_pwrite64, fd, data, length, offset);
    pthread_mutex_lock(&lock);
    done = written(fd, data, length, offset);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length)
{
    ssize_t done;
    off_t at;
    if (!known(fd))
        return syscall(SYS_write, fd, data, length);
    pthread_mutex_lock(&lock);
    at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    done = written(fd, data, length, at);
    if (done > 0)
        lseek(fd, at + done, SEEK_SET);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size)
{
    int result;
    pthread_mutex_lock(&lock);
    if (known(fd) && fails(TRUNCATE))
        result = -1;
    else if (!(result = (int)syscall(SYS_ftruncate, fd, size)) && known(fd))
        note(TRUNCATE, fd, 0, size, NULL, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int synced(int fd, long call)
{
    int result;
    pthread_mutex_lock(&lock);
    if (known(fd) && fails(SYNC))
        result = -1;
    else if (!(result = (int)syscall(call, fd)) && known(fd))
        note(SYNC, fd, 0, 0, NULL, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int named(enum kind kind, const char *path, const char *other)
{
    long result;
    int mine = ours(path);
    pthread_mutex_lock(&lock);
    if (mine && fails(kind))
        result = -1;
    else if (kind == RENAME)
        result = syscall(SYS_renameat, AT_FDCWD, path, AT_FDCWD, other);
    else if (kind == UNLINK)
        result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    else
        result = syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
    if (!result && mine)
        note(kind, -1, 0, 0, path, other, NULL, 0);
    pthread_mutex_unlock(&lock);
    return (int)result;
}
int rename(const char *path, const char *other) { return named(RENAME, path, other); }
int unlink(const char *path) { return named(UNLINK, path, NULL); }
int mkdir(const char *path, mode_t mode) { (void)mode; return named(MKDIR, path, NULL); }
