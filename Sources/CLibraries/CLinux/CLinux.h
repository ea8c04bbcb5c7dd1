#pragma once
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

// Their flags are enumerations without a type that Swift could name.
static inline int CLinux_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int CLinux_bell(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline int CLinux_file_notifications(void) { return inotify_init1(IN_CLOEXEC | IN_NONBLOCK); }
// The clock of Swift's ContinuousClock: it goes on while the machine is suspended.
static inline int CLinux_timer(void) { return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK); }
static inline int CLinux_arm(int timer, long seconds, long nanoseconds) {
    struct itimerspec setting = {.it_value = {seconds, nanoseconds}};
    return timerfd_settime(timer, 0, &setting, 0);
}

// pipe2, accept4 and struct ucred stand behind _GNU_SOURCE, which the module map of Glibc does not set.
static inline int CLinux_accept(int descriptor, struct sockaddr *address, socklen_t *length) {
    extern int accept4(int, struct sockaddr *, socklen_t *, int);
    return accept4(descriptor, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline int CLinux_spawn_in(posix_spawn_file_actions_t *actions, const char *directory) {
    extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
    return posix_spawn_file_actions_addchdir_np(actions, directory);
}

static inline int CLinux_spawn_closing_from(posix_spawn_file_actions_t *actions, int first) {
    extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

// Whoever started this process may have had SIGCHLD ignored: then the kernel forgets how a child ended (waitpid(2)).
static inline void CLinux_heed_children(void) {
    struct sigaction now;
    if (sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_IGN) signal(SIGCHLD, SIG_DFL);
}

// A variable that any thread could replace: Swift asks for a function.
static inline char **CLinux_environment(void) {
    extern char **environ;
    return environ;
}

static inline int CLinux_pipe(int ends[2]) {
    extern int pipe2(int[2], int);
    return pipe2(ends, O_CLOEXEC);
}

// dl_iterate_phdr stands behind _GNU_SOURCE too. Text that nobody has written to comes back from its file.
struct CLinux_segment { uint32_t type, flags; uint64_t offset, address, physical, file_size, size, align; };
struct CLinux_object { uint64_t base; const char *name; const struct CLinux_segment *segments; uint16_t count; };
static inline int CLinux_forget_text(void *object, size_t size, void *page) {
    const struct CLinux_object *loaded = object;
    uint64_t mask = *(uint64_t *)page - 1;
    for (int index = 0; index < loaded->count; index++) {
        struct CLinux_segment segment = loaded->segments[index];
        // PT_LOAD, readable and executable.
        if (segment.type != 1 || (segment.flags & 7) != 5 || segment.size == 0) continue;
        uint64_t start = (loaded->base + segment.address) & ~mask;
        uint64_t end = (loaded->base + segment.address + segment.size + mask) & ~mask;
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}
static inline void CLinux_forget_start_up(void) {
    extern int dl_iterate_phdr(int (*)(void *, size_t, void *), void *);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(CLinux_forget_text, &page);
    malloc_trim(0);
}

struct CLinux_credentials { pid_t pid; uid_t uid; gid_t gid; };

static inline int CLinux_peer(int descriptor, struct CLinux_credentials *credentials) {
    socklen_t length = sizeof *credentials;
    return getsockopt(descriptor, SOL_SOCKET, 17 /* SO_PEERCRED */, credentials, &length);
}

// CMSG_* are macros.
static inline ssize_t CLinux_send(int socket, const void *bytes, size_t count, int descriptor) {
    struct iovec vector = {(void *)bytes, count};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (descriptor >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

// *descriptor is -1 if none came. Returns -1 with EMSGSIZE if the message was longer than count.
static inline ssize_t CLinux_receive(int socket, void *bytes, size_t count, int *descriptor) {
    struct iovec vector = {bytes, count};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.space,
        // CMSG_SPACE has room for a second descriptor, which nobody would close.
        .msg_controllen = CMSG_LEN(sizeof(int))};
    *descriptor = -1;
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    if (message.msg_flags & MSG_TRUNC) {
        if (*descriptor >= 0) close(*descriptor);
        *descriptor = -1;
        errno = EMSGSIZE;
        return -1;
    }
    return received;
}
