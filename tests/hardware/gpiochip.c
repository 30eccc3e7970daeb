/* A pretended GPIO chip below the real libraries: preloaded, it answers their system calls on /dev/gpiochip0 (GPIO uAPI v2).
 *
 * The file $GPIOCHIP holds one byte per line, '0' or '1': the level of the wire, which outlives the process, as it does on
 * chips whose driver keeps the level of a line nobody holds. Every change of a level by an output appends "NS LINE LEVEL"
 * to $GPIOCHIP.edges. A test moves an input by calling gpiochip_drive. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define CHIP "/dev/gpiochip0"
#define SUBSYSTEM "/sys/dev/char/254:0/subsystem"
#define LINES 64
#define REQUESTS 256

struct request { /* what one line file descriptor stands for */
    int events; /* where events for it are written; 0: unused */
    unsigned count;
    uint32_t offsets[GPIO_V2_LINES_MAX];
    uint64_t flags[GPIO_V2_LINES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct request requests[REQUESTS];
static int chips[REQUESTS];
static char *wires;
static int edges;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("GPIOCHIP");
    char log[4096];
    int fd;

    if (!path)
        return;
    snprintf(log, sizeof log, "%s.edges", path);
    edges = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    fd = open(path, O_RDWR | O_CLOEXEC);
    wires = mmap(NULL, LINES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void put_out(struct request *held, unsigned index, int value)
{
    uint32_t line = held->offsets[index];
    char level = value ^ !!(held->flags[index] & GPIO_V2_LINE_FLAG_ACTIVE_LOW) ? '1' : '0';
    char text[64];

    if (wires[line] == level)
        return;
    wires[line] = level;
    int size = snprintf(text, sizeof text, "%llu %u %c\n", (unsigned long long)now_ns(), line, level);
    if (write(edges, text, size) != size)
        abort();
}

static int configure(struct request *held, const struct gpio_v2_line_config *config)
{
    for (unsigned index = 0; index < held->count; index++) {
        uint64_t bit = 1ull << index, values = 0;
        held->flags[index] = config->flags;
        for (unsigned number = 0; number < config->num_attrs; number++) {
            const struct gpio_v2_line_config_attribute *attribute = &config->attrs[number];
            if (!(attribute->mask & bit))
                continue;
            if (attribute->attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS)
                held->flags[index] = attribute->attr.flags;
            else if (attribute->attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
                values = attribute->attr.values;
        }
        if (held->flags[index] & GPIO_V2_LINE_FLAG_OUTPUT)
            put_out(held, index, !!(values & bit));
    }
    return 0;
}

static int request_lines(struct gpio_v2_line_request *wanted)
{
    int ends[2];

    for (unsigned index = 0; index < wanted->num_lines; index++)
        if (wanted->offsets[index] >= LINES) {
            errno = EINVAL;
            return -1;
        }
    if (pipe2(ends, O_CLOEXEC) || ends[0] >= REQUESTS)
        abort();
    struct request *held = &requests[ends[0]];
    if (held->events)
        close(held->events); /* the library let go of this number earlier */
    held->events = ends[1];
    held->count = wanted->num_lines;
    memcpy(held->offsets, wanted->offsets, sizeof wanted->offsets);
    wanted->fd = ends[0];
    return configure(held, &wanted->config);
}

static int values(struct request *held, struct gpio_v2_line_values *asked, int set)
{
    for (unsigned index = 0; index < held->count; index++) {
        uint64_t bit = 1ull << index;
        if (!(asked->mask & bit))
            continue;
        if (set) {
            put_out(held, index, !!(asked->bits & bit));
        } else {
            int active = (wires[held->offsets[index]] == '1') ^ !!(held->flags[index] & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
            asked->bits = active ? asked->bits | bit : asked->bits & ~bit;
        }
    }
    return 0;
}

static int line_info(struct gpio_v2_line_info *info)
{
    uint32_t offset = info->offset;
    memset(info, 0, sizeof *info);
    info->offset = offset;
    info->flags = GPIO_V2_LINE_FLAG_INPUT;
    for (int fd = 0; fd < REQUESTS; fd++)
        for (unsigned index = 0; requests[fd].events && index < requests[fd].count; index++)
            if (requests[fd].offsets[index] == offset)
                info->flags = requests[fd].flags[index] | GPIO_V2_LINE_FLAG_USED;
    return 0;
}

static int answer(int fd, unsigned long what, void *with)
{
    struct gpiochip_info *chip = with;

    switch (what) {
    case GPIO_GET_CHIPINFO_IOCTL:
        memset(chip, 0, sizeof *chip);
        strcpy(chip->name, "gpiochip0");
        strcpy(chip->label, "pretended");
        chip->lines = LINES;
        return 0;
    case GPIO_V2_GET_LINEINFO_IOCTL:
        return line_info(with);
    case GPIO_V2_GET_LINE_IOCTL:
        return request_lines(with);
    case GPIO_V2_LINE_SET_CONFIG_IOCTL:
        return configure(&requests[fd], with);
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
        return values(&requests[fd], with, 1);
    case GPIO_V2_LINE_GET_VALUES_IOCTL:
        return values(&requests[fd], with, 0);
    }
    errno = EOPNOTSUPP;
    return -1;
}

int ioctl(int fd, unsigned long what, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list rest;

    va_start(rest, what);
    void *with = va_arg(rest, void *);
    va_end(rest);
    what = (uint32_t)what; /* some callers hand over an int, and its sign with it */
    if (!wires || _IOC_TYPE(what) != 0xB4 || fd < 0 || fd >= REQUESTS || !(chips[fd] || requests[fd].events)) {
        if (!real)
            real = dlsym(RTLD_NEXT, "ioctl");
        return real(fd, what, with);
    }
    pthread_mutex_lock(&lock);
    int result = answer(fd, what, with);
    pthread_mutex_unlock(&lock);
    return result;
}

/* The input `line` changes its level; whoever asked for its edges is told. */
void gpiochip_drive(uint32_t line, int level)
{
    pthread_mutex_lock(&lock);
    int changed = wires[line] != (level ? '1' : '0');
    wires[line] = level ? '1' : '0';
    for (int fd = 0; changed && fd < REQUESTS; fd++) {
        struct request *held = &requests[fd];
        for (unsigned index = 0; held->events && index < held->count; index++) {
            int active = level ^ !!(held->flags[index] & GPIO_V2_LINE_FLAG_ACTIVE_LOW);
            uint64_t edge = active ? GPIO_V2_LINE_FLAG_EDGE_RISING : GPIO_V2_LINE_FLAG_EDGE_FALLING;
            struct gpio_v2_line_event event = {
                .timestamp_ns = now_ns(),
                .id = active ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
                .offset = line,
            };
            if (held->offsets[index] == line && held->flags[index] & edge)
                if (write(held->events, &event, sizeof event) != sizeof event) {
                    close(held->events); /* nobody reads any more: the lines were let go */
                    held->events = 0;
                }
        }
    }
    pthread_mutex_unlock(&lock);
}

int open(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list rest;

    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    if (!real)
        real = dlsym(RTLD_NEXT, "open");
    if (!wires || strcmp(path, CHIP))
        return real(path, flags, mode);
    int fd = real("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || fd >= REQUESTS)
        abort();
    chips[fd] = 1;
    return fd;
}

static int is_chip(const char *path, struct stat *found)
{
    if (!wires || strcmp(path, CHIP))
        return 0;
    memset(found, 0, sizeof *found);
    found->st_mode = S_IFCHR | 0660;
    found->st_rdev = makedev(254, 0);
    return 1;
}

int lstat(const char *path, struct stat *found)
{
    return is_chip(path, found) ? 0 : fstatat(AT_FDCWD, path, found, AT_SYMLINK_NOFOLLOW);
}

int stat(const char *path, struct stat *found)
{
    return is_chip(path, found) ? 0 : fstatat(AT_FDCWD, path, found, 0);
}

int __lxstat(int version, const char *path, struct stat *found)
{
    (void)version;
    return lstat(path, found);
}

int __xstat(int version, const char *path, struct stat *found)
{
    (void)version;
    return stat(path, found);
}

char *realpath(const char *path, char *resolved)
{
    static char *(*real)(const char *, char *);

    if (wires && !strcmp(path, SUBSYSTEM))
        return resolved ? strcpy(resolved, "/sys/bus/gpio") : strdup("/sys/bus/gpio");
    if (!real)
        real = dlsym(RTLD_NEXT, "realpath");
    return real(path, resolved);
}
