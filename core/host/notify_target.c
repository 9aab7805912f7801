/* SPDX-License-Identifier: BSD-3-Clause
 * notify_target.c - the memory and the descriptors of a notified program
 *
 * A notification names a thread by its number, which may belong to somebody
 * else a moment later. So whatever was got by that number counts only once the
 * notification has been found valid after it: its thread is still there, and
 * still in that call.
 *
 * Both need the right to trace the program, which an ancestor of the same user
 * has, also under Yama. Docker's profile denies pidfd_getfd to containers
 * without CAP_SYS_PTRACE, though not the rest; see notify_made.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/host/notify.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

enum { CAP_NET_BIND_SERVICE_BIT = 10, UNPRIVILEGED_DEFAULT = 1024 };

/* -- memory --------------------------------------------------------------- */

/* Where process_vm_readv is denied but the file is not. */
static ssize_t by_file(const struct notify_call *call, uint64_t at, void *data,
		       size_t len, bool is_write)
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)call->tid);
	fd = open(path, (is_write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -EPERM;
	n = is_write ? pwrite(fd, data, len, (off_t)at)
		     : pread(fd, data, len, (off_t)at);
	close(fd);
	return n < 0 ? -EFAULT : n;
}

static int copy(const struct notify_call *call, uint64_t at, void *data,
		size_t len, bool is_write)
{
	struct iovec local = {.iov_base = data, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)at,
			       .iov_len = len};
	ssize_t n = is_write ? process_vm_writev(call->tid, &local, 1, &remote,
						 1, 0)
			     : process_vm_readv(call->tid, &local, 1, &remote,
						1, 0);

	if (n < 0)
		n = -errno;
	if (n == -EPERM || n == -ENOSYS)
		n = by_file(call, at, data, len, is_write);
	if (n == -EPERM || n == -ESRCH)
		return (int)n;
	return n == (ssize_t)len ? 0 : -EFAULT;
}

int ts_notify_read(const struct notify_call *call, uint64_t at, void *out,
		   size_t len)
{
	int err = len ? copy(call, at, out, len, false) : 0;

	return ts_notify_is_valid(call) ? err : -ESRCH;
}

int ts_notify_write(const struct notify_call *call, uint64_t at,
		    const void *data, size_t len)
{
	if (!ts_notify_is_valid(call))
		return -ESRCH;
	return len ? copy(call, at, (void *)(uintptr_t)data, len, true) : 0;
}

/* -- descriptors ---------------------------------------------------------- */

/* A line of /proc/TID/status, as a number of that base; -1: not there. */
static int64_t status_number(pid_t tid, const char *name, int base)
{
	char path[32], line[256];
	size_t len = strlen(name);
	unsigned long long n;
	int64_t value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = fopen(path, "re");
	while (f && value < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) == 0 &&
		    sscanf(line + len, base == 16 ? " %llx" : " %llu", &n) ==
			    1)
			value = (int64_t)n;
	}
	if (f)
		fclose(f);
	return value;
}

/* Since Linux 6.9 of a thread, whose descriptors may be its own; before, of
 * its process. */
static int open_pidfd(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	int64_t tgid;

	if (fd >= 0 || errno != EINVAL)
		return fd < 0 ? -errno : fd;
	tgid = status_number(tid, "Tgid:", 10);
	if (tgid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)tgid, 0);
	return fd < 0 ? -errno : fd;
}

int ts_notify_fetch(const struct notify_call *call, int fd)
{
	int pidfd, got;

	if (fd < 0)
		return -EBADF;
	if (call->tree->notify->makes_sockets)
		return ts_notify_made_fetch(call, fd);
	pidfd = open_pidfd(call->tid);
	if (pidfd < 0)
		return pidfd == -ENOSYS ? -EPERM : pidfd;
	got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (got < 0)
		got = errno == ENOSYS ? -EPERM : -errno;
	close(pidfd);
	if (got >= 0 && !ts_notify_is_valid(call)) {
		ts_hurry_drop(got);
		return -ESRCH;
	}
	return got;
}

bool ts_notify_can_fetch(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fd = pidfd < 0 ? -1
			   : (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);

	if (pidfd >= 0)
		close(pidfd);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool ts_notify_can_read(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* -- room for another one ------------------------------------------------- */

static rlim_t count_below(const char *dir, rlim_t limit)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	rlim_t count = 0;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' &&
		    strtoull(e->d_name, NULL, 10) < limit)
			count++;
	if (d)
		closedir(d);
	return count;
}

/* Before Linux 6.2 the folder has no size; the table's is never too small. */
bool ts_notify_has_room(const struct notify_call *call)
{
	struct rlimit limit;
	struct stat st;
	char dir[32];
	int64_t most;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)call->tid);
	if (prlimit(call->tid, RLIMIT_NOFILE, NULL, &limit) || stat(dir, &st))
		return true; /* as far as we can know */
	most = st.st_size > 0 ? st.st_size
			      : status_number(call->tid, "FDSize:", 10);
	return most < 0 || (rlim_t)most < limit.rlim_cur ||
	       count_below(dir, limit.rlim_cur) < limit.rlim_cur;
}

/* -- rights --------------------------------------------------------------- */

static unsigned first_unprivileged_port(void)
{
	unsigned port = UNPRIVILEGED_DEFAULT;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");

	if (f) {
		if (fscanf(f, "%u", &port) != 1)
			port = UNPRIVILEGED_DEFAULT;
		fclose(f);
	}
	return port;
}

bool ts_notify_is_free_port(uint16_t port)
{
	return port >= first_unprivileged_port();
}

bool ts_notify_may_bind(const struct notify_call *call, uint16_t port)
{
	int64_t caps;

	if (port == 0 || ts_notify_is_free_port(port))
		return true;
	caps = status_number(call->tid, "CapEff:", 16);
	return caps < 0 || caps >> CAP_NET_BIND_SERVICE_BIT & 1;
}

/* -- addresses ------------------------------------------------------------ */

int ts_notify_read_sockaddr(const struct notify_call *call, uint64_t at,
			    uint64_t len, struct notify_sockaddr *out)
{
	int32_t cut = (int32_t)len; /* an int in the kernel, too */
	int err;

	memset(out, 0, sizeof(*out));
	if (at == 0 || cut < (int)sizeof(sa_family_t) ||
	    cut > NOTIFY_SOCKADDR_CAP)
		return NOTIFY_CONTINUE;
	err = ts_notify_read(call, at, &out->native, (size_t)cut);
	if (err == -EFAULT)
		return NOTIFY_CONTINUE;
	if (err)
		return err == -EPERM ? -EACCES : err;
	out->len = (socklen_t)cut;
	out->is_inet = ts_addr_from_sockaddr((struct sockaddr *)&out->native,
					     out->len, &out->addr) == 0;
	return 0;
}

int ts_notify_write_cut(const struct notify_call *call, uint64_t at,
			uint64_t len_at, const void *value, size_t len,
			int32_t *written)
{
	int32_t cap;
	int err = ts_notify_read(call, len_at, &cap, sizeof(cap));

	if (err)
		return err;
	if (cap < 0)
		return -EINVAL;
	*written = cap < (int32_t)len ? cap : (int32_t)len;
	return ts_notify_write(call, at, value, (size_t)*written);
}

int ts_notify_write_sockaddr(const struct notify_call *call, uint64_t addr_at,
			     uint64_t len_at, const struct sockaddr_storage *ss,
			     socklen_t len)
{
	int32_t written, whole = (int32_t)len;
	int err = ts_notify_write_cut(call, addr_at, len_at, ss, len, &written);

	return err ? err : ts_notify_write(call, len_at, &whole, sizeof(whole));
}
