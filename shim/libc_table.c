/* SPDX-License-Identifier: BSD-3-Clause
 * libc_table.c - look the real functions up
 *
 * All at once and only once; a second thread that comes in the middle does
 * the same work again and stores the same values. The search neither allocates
 * nor blocks, and after the constructor (environment.c) ran no hook searches
 * any more, so that hooks stay usable in signal handlers.
 */
#include "shim/libc_table.h"

#include <stddef.h>

#include "core/base/err.h"
#include "shim/elf_symbols.h"

struct shim_libc libc;

#define ENTRY(name) {#name, offsetof(struct shim_libc, name)}

static const struct {
	const char *name;
	size_t at;
} entries[] = {
	ENTRY(accept),	       ENTRY(accept4),
	ENTRY(bind),	       ENTRY(connect),
	ENTRY(listen),	       ENTRY(getpeername),
	ENTRY(getsockname),    ENTRY(getsockopt),
	ENTRY(setsockopt),     ENTRY(sendmmsg),
	ENTRY(sendmsg),	       ENTRY(sendto),
	ENTRY(socket),	       ENTRY(getaddrinfo),
	ENTRY(getnameinfo),    ENTRY(gethostbyaddr),
	ENTRY(gethostbyaddr_r), ENTRY(gethostbyname),
	ENTRY(gethostbyname2), ENTRY(gethostbyname_r),
	ENTRY(gethostbyname2_r),
	ENTRY(ioctl),	       ENTRY(getifaddrs),
	ENTRY(freeifaddrs),    ENTRY(if_nameindex),
	ENTRY(if_freenameindex), ENTRY(if_nametoindex),
	ENTRY(if_indextoname),
};

void shim_libc_look_up(void)
{
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		void *fn = shim_next_symbol(entries[i].name);

		*(void **)((char *)&libc + entries[i].at) = fn;
	}
	atomic_store_explicit(&libc.is_ready, true, memory_order_release);
}
