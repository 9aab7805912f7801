/* SPDX-License-Identifier: BSD-3-Clause
 * memory_probe.c - may this memory be touched?
 *
 * The kernel answers a bad pointer with EFAULT; a hook that reads it dies. So
 * memory of the program that the kernel has not been through yet is looked at
 * by the kernel first: futex(2) reads or writes one word, or says EFAULT, and
 * nearly every sandbox allows it. One word a page is enough (0.15 us). What
 * lies on the stack, a little above us, as the arguments of most calls do, is
 * there.
 *
 * A sandbox for one thread may do without futex, but not without what connect()
 * to the tailnet takes anyway; so addresses are looked at by setsockopt(2),
 * which reads the value before it says that it has no such option.
 */
#include <sys/syscall.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

enum {
	PAGE_BYTES = 4096,
	NEAR_BYTES = 16 * 1024,
	WORD_MASK = sizeof(uint32_t) - 1,
	/* linux/futex.h, which musl does not bring */
	OP_PRIVATE = 128,
	OP_CMP_REQUEUE = 4 | OP_PRIVATE,
	OP_WAKE_OP = 5 | OP_PRIVATE,
	OR_NOTHING = 2 << 28,
	NO_OPTION = -1,
};

#ifndef SYS_futex /* 32-bit machines with 64-bit time alone */
#define SYS_futex SYS_futex_time64
#endif

static bool is_fine(long ret)
{
	return ret >= 0 || errno != EFAULT;
}

/* Comparing the word is a read. Whoever sleeps there, none is moved. */
static bool is_readable(int fd, uintptr_t at)
{
	uint32_t own = 0;

	(void)fd;
	return is_fine(libc.syscall(SYS_futex, (long)at, OP_CMP_REQUEUE, 0, 0,
				    (long)(uintptr_t)&own, 0));
}

/* Adding no bit to the word is a write. Nobody sleeps at ours. */
static bool is_writable(int fd, uintptr_t at)
{
	uint32_t own = 0;

	(void)fd;
	return is_fine(libc.syscall(SYS_futex, (long)(uintptr_t)&own,
				    OP_WAKE_OP, 0, 0, (long)at, OR_NOTHING));
}

static bool is_on_stack(uintptr_t at, size_t len)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return at >= here && at - here < NEAR_BYTES && len < NEAR_BYTES;
}

static bool is_readable_by(int fd, uintptr_t at)
{
	if (libc.setsockopt(fd, SOL_SOCKET, NO_OPTION, (const void *)at,
			    sizeof(uint32_t)) == 0 ||
	    errno == ENOPROTOOPT)
		return true;
	return errno != EFAULT && is_readable(fd, at);
}

static bool is_each_page(int fd, const void *memory, size_t len,
			 bool (*test)(int fd, uintptr_t at))
{
	uintptr_t at = (uintptr_t)memory, end = at + len;
	int saved_errno = errno;
	bool ok = end >= at && at >= PAGE_BYTES;

	if (is_on_stack(at, len))
		return true;
	for (; ok && at < end; at = (at / PAGE_BYTES + 1) * PAGE_BYTES)
		ok = test(fd, at & ~(uintptr_t)WORD_MASK);
	errno = saved_errno;
	return ok;
}

bool shim_can_read(const void *memory, size_t len)
{
	return is_each_page(-1, memory, len, is_readable);
}

bool shim_can_write(void *memory, size_t len)
{
	return is_each_page(-1, memory, len, is_writable);
}

bool shim_can_read_addr(int fd, const struct sockaddr *addr, socklen_t len)
{
	return len <= sizeof(struct sockaddr_storage) &&
	       is_each_page(fd, addr, len, is_readable_by);
}
