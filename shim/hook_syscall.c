/* SPDX-License-Identifier: BSD-3-Clause
 * hook_syscall.c - socket calls that programs make by number
 *
 * libuv sends and receives batches of datagrams with syscall(2), as do others
 * that were written when libc had no such function. The numbers of calls that
 * we stand before go to the hooks; all others straight on. They leave by a
 * jump, with nothing of ours on the stack: a child of SYS_vfork returns through
 * it, and one of SYS_clone may come back on another stack.
 */
#include <stdint.h>
#include <sys/syscall.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"

#define AS(type, value) ((type)(uintptr_t)(value))

static bool is_hooked(long number)
{
	switch (number) {
	case SYS_accept4:
	case SYS_bind:
	case SYS_connect:
	case SYS_getpeername:
	case SYS_getsockname:
	case SYS_getsockopt:
	case SYS_listen:
	case SYS_recvfrom:
	case SYS_recvmmsg:
	case SYS_recvmsg:
	case SYS_sendmmsg:
	case SYS_sendmsg:
	case SYS_sendto:
	case SYS_setsockopt:
	case SYS_socket:
#ifdef SYS_accept
	case SYS_accept:
#endif
		return true;
	default:
		return false;
	}
}

static __attribute__((noinline)) long hooked(long number, long a, long b,
					     long c, long d, long e, long f)
{
	switch (number) {
#ifdef SYS_accept
	case SYS_accept:
		return hook_accept((int)a, AS(struct sockaddr *, b),
				   AS(socklen_t *, c));
#endif
	case SYS_accept4:
		return hook_accept4((int)a, AS(struct sockaddr *, b),
				    AS(socklen_t *, c), (int)d);
	case SYS_bind:
		return hook_bind((int)a, AS(struct sockaddr *, b),
				 (socklen_t)c);
	case SYS_connect:
		return hook_connect((int)a, AS(struct sockaddr *, b),
				    (socklen_t)c);
	case SYS_getpeername:
		return hook_getpeername((int)a, AS(struct sockaddr *, b),
					AS(socklen_t *, c));
	case SYS_getsockname:
		return hook_getsockname((int)a, AS(struct sockaddr *, b),
					AS(socklen_t *, c));
	case SYS_getsockopt:
		return hook_getsockopt((int)a, (int)b, (int)c, AS(void *, d),
				       AS(socklen_t *, e));
	case SYS_listen:
		return hook_listen((int)a, (int)b);
	case SYS_recvfrom:
		return hook_recvfrom((int)a, AS(void *, b), (size_t)c, (int)d,
				     AS(struct sockaddr *, e),
				     AS(socklen_t *, f));
	case SYS_recvmmsg:
		return hook_recvmmsg((int)a, AS(struct mmsghdr *, b),
				     (unsigned)c, (int)d,
				     AS(struct timespec *, e));
	case SYS_recvmsg:
		return hook_recvmsg((int)a, AS(struct msghdr *, b), (int)c);
	case SYS_sendmmsg:
		return hook_sendmmsg((int)a, AS(struct mmsghdr *, b),
				     (unsigned)c, (int)d);
	case SYS_sendmsg:
		return hook_sendmsg((int)a, AS(struct msghdr *, b), (int)c);
	case SYS_sendto:
		return hook_sendto((int)a, AS(void *, b), (size_t)c, (int)d,
				   AS(struct sockaddr *, e), (socklen_t)f);
	case SYS_setsockopt:
		return hook_setsockopt((int)a, (int)b, (int)c, AS(void *, d),
				       (socklen_t)e);
	default: /* SYS_socket */
		return hook_socket((int)a, (int)b, (int)c);
	}
}

/* Variadic for its callers; integers are passed alike on all our machines. */
long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	shim_libc_ready();
	if (is_hooked(number))
		return hooked(number, a, b, c, d, e, f);
	return libc.syscall(number, a, b, c, d, e, f);
}
