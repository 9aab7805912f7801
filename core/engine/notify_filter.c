/* SPDX-License-Identifier: BSD-3-Clause
 * notify_filter.c - the seccomp filter that shows a program's socket calls
 *
 * Notified are the calls that name an address, and those that ask for one,
 * and the few options that mean something else in the tailnet. What moves bytes
 * without one (read, write, send, recv) is not; for read and write the kernel
 * does not even run the filter. Some calls are answered here: io_uring, whose
 * operations no filter sees, does not exist (programs fall back to what we
 * see), nor does MPTCP, which cannot be completed by connecting back (Go's
 * listeners ask for it, and fall back to TCP).
 *
 * A filter is a short program in classic BPF over struct seccomp_data. Each
 * rule below begins with "is it this call? else skip the rule".
 * Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst
 */
#include "core/engine/notify_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/broker/notify_abi.h"
#include "core/broker/notify_arch.h"
#include "core/broker/option_rule.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

enum {
	PROTOCOL_MPTCP = 262,
	X32_BIT = 0x40000000,
	I386_SOCKET = 359,
	ARM_SOCKET = 281,
};

struct filter {
	struct sock_filter *out;
	int len;
};

static void put(struct filter *f, uint16_t code, uint8_t jt, uint8_t jf,
		uint32_t k)
{
	if (f->len < NOTIFY_FILTER_CAP)
		f->out[f->len] = (struct sock_filter){code, jt, jf, k};
	f->len++;
}

static void load(struct filter *f, size_t offset)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* The low half of an argument; is_high: the other one. */
static void load_arg(struct filter *f, int n, int is_high)
{
	/* Both machines are little-endian. */
	load(f, offsetof(struct seccomp_data, args) + 8u * (unsigned)n +
			4u * (unsigned)is_high);
}

/* Equal: go on; else skip what follows. */
static void unless_equal_skip(struct filter *f, uint32_t value, uint8_t skip)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, skip, value);
}

static void ret(struct filter *f, uint32_t action)
{
	put(f, BPF_RET | BPF_K, 0, 0, action);
}

static uint32_t fail_with(int err)
{
	return SECCOMP_RET_ERRNO | ((uint32_t)err & SECCOMP_RET_DATA);
}

/* -- rules ---------------------------------------------------------------- */

static void rule_always(struct filter *f, int nr, uint32_t action)
{
	unless_equal_skip(f, (uint32_t)nr, 1);
	ret(f, action);
}

/* Only when the argument, a pointer, is not NULL. */
static void rule_with_pointer(struct filter *f, int nr, int arg)
{
	unless_equal_skip(f, (uint32_t)nr, 6);
	load_arg(f, arg, 0);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
	load_arg(f, arg, 1);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0);
	ret(f, SECCOMP_RET_USER_NOTIF);
	ret(f, SECCOMP_RET_ALLOW);
}

/* When the argument, an int, has this value, and when not. */
static void rule_with_value(struct filter *f, int nr, int arg, uint32_t value,
			    uint32_t action, uint32_t otherwise)
{
	unless_equal_skip(f, (uint32_t)nr, 4);
	load_arg(f, arg, 0);
	unless_equal_skip(f, value, 1);
	ret(f, action);
	ret(f, otherwise);
}

static void option(struct filter *f, uint32_t level, uint32_t name,
		   uint32_t action)
{
	load_arg(f, 1, 0);
	unless_equal_skip(f, level, 3);
	load_arg(f, 2, 0);
	unless_equal_skip(f, name, 1);
	ret(f, action);
}

/* Those that have one of the rules. */
static void options(struct filter *f, unsigned rules)
{
	size_t count;
	const struct ts_option_rule *list = ts_option_rules(&count);

	for (size_t i = 0; i < count; i++)
		if (list[i].rules & rules)
			option(f, (uint32_t)list[i].level,
			       (uint32_t)list[i].name, SECCOMP_RET_USER_NOTIF);
}

/* Opens a rule of any length below 256; closes it. */
static int begin_rule(struct filter *f, int nr)
{
	unless_equal_skip(f, (uint32_t)nr, 0);
	return f->len - 1;
}

static void end_rule(struct filter *f, int begin)
{
	ret(f, SECCOMP_RET_ALLOW);
	if (f->len <= NOTIFY_FILTER_CAP)
		f->out[begin].jf = (uint8_t)(f->len - begin - 1);
}

static void rule_getsockopt(struct filter *f, uint32_t host_id)
{
	int begin = begin_rule(f, SYS_getsockopt);

	option(f, SOL_SOCKET, SO_ERROR, SECCOMP_RET_USER_NOTIF);
	option(f, IPPROTO_TCP, TCP_DEFER_ACCEPT, SECCOMP_RET_USER_NOTIF);
	options(f, TS_OPTION_ANSWERED);
	option(f, TS_NOTIFY_PROBE_LEVEL, host_id,
	       fail_with(TS_NOTIFY_PROBE_ERRNO));
	end_rule(f, begin);
}

static void rule_setsockopt(struct filter *f)
{
	int begin = begin_rule(f, SYS_setsockopt);

	option(f, IPPROTO_TCP, TCP_DEFER_ACCEPT, SECCOMP_RET_USER_NOTIF);
	options(f, TS_OPTION_CARRIED | TS_OPTION_REFUSED | TS_OPTION_KEYED);
	end_rule(f, begin);
}

static void write_own(struct filter *f, uint32_t host_id, bool shows_socket)
{
	static const int notified[] = {
		SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
		SYS_getsockname, SYS_getpeername, SYS_sendmsg, SYS_sendmmsg,
		SYS_recvmsg, SYS_recvmmsg,
	};

#if defined(__x86_64__)
	put(f, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
	ret(f, fail_with(ENOSYS));
#endif
	for (size_t i = 0; i < ARRAY_LEN(notified); i++)
		rule_always(f, notified[i], SECCOMP_RET_USER_NOTIF);
	rule_with_pointer(f, SYS_sendto, 4);
	rule_with_pointer(f, SYS_recvfrom, 4);
	rule_with_value(f, SYS_socket, 2, PROTOCOL_MPTCP,
			fail_with(EPROTONOSUPPORT),
			shows_socket ? SECCOMP_RET_USER_NOTIF
				     : SECCOMP_RET_ALLOW);
	rule_always(f, SYS_io_uring_setup, fail_with(ENOSYS));
	rule_getsockopt(f, host_id);
	rule_setsockopt(f);
	ret(f, SECCOMP_RET_ALLOW);
}

/* Programs of 32 bits: their sockets are asked for. */
static void write_foreign(struct filter *f)
{
#if defined(__x86_64__)
	rule_always(f, TS_NOTIFY_I386_SOCKETCALL, SECCOMP_RET_USER_NOTIF);
	rule_always(f, I386_SOCKET, SECCOMP_RET_USER_NOTIF);
#else
	rule_always(f, ARM_SOCKET, SECCOMP_RET_USER_NOTIF);
#endif
	rule_always(f, SYS_io_uring_setup, fail_with(ENOSYS));
	ret(f, SECCOMP_RET_ALLOW);
}

int notify_filter_write(uint32_t host_id, bool shows_socket,
			struct sock_filter out[static NOTIFY_FILTER_CAP])
{
	struct sock_filter foreign[NOTIFY_FILTER_CAP];
	struct filter f = {.out = foreign}, main_part = {.out = out};

	write_foreign(&f);
	load(&main_part, offsetof(struct seccomp_data, arch));
	put(&main_part, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(f.len + 1), 0,
	    TS_NOTIFY_OWN_ARCH);
	load(&main_part, offsetof(struct seccomp_data, nr));
	write_foreign(&main_part);
	load(&main_part, offsetof(struct seccomp_data, nr));
	write_own(&main_part, host_id, shows_socket);
	return main_part.len <= NOTIFY_FILTER_CAP ? main_part.len : -ENOBUFS;
}

/* -- installing ----------------------------------------------------------- */

static int seccomp(unsigned operation, unsigned flags, void *arg)
{
	int result = (int)syscall(SYS_seccomp, operation, flags, arg);

	return result < 0 ? -errno : result;
}

/* Docker's profile denies it to containers without CAP_SYS_PTRACE. */
static bool can_fetch(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fd = -1;

	if (pidfd >= 0) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);
		close(pidfd);
	}
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int notify_filter_probe(void)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	struct seccomp_notif_sizes sizes;
	int err = seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action);

	if (!err)
		err = seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
	return err;
}

int notify_filter_install(uint32_t host_id)
{
	struct sock_filter code[NOTIFY_FILTER_CAP];
	int len = notify_filter_write(host_id, !can_fetch(), code);
	struct sock_fprog program = {.len = (unsigned short)len,
				     .filter = code};
	int fd;

	if (len < 0)
		return len;
	fd = seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		     &program);
	/* Without CAP_SYS_ADMIN only for a process that can gain no rights. */
	if (fd == -EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = seccomp(SECCOMP_SET_MODE_FILTER,
			     SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return fd;
}
