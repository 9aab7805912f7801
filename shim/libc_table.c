/* SPDX-License-Identifier: BSD-3-Clause
 * libc_table.c - look the real functions up
 *
 * All at once and only once; a second thread that comes in the middle does
 * the same work again and stores the same values. The search neither allocates
 * nor blocks, and after the constructor (environment.c) ran no hook searches
 * any more, so that hooks stay usable in signal handlers.
 */
#include "shim/libc_table.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/err.h"
#include "shim/elf_symbols.h"

struct shim_libc libc;

#define ENTRY(name) {#name, offsetof(struct shim_libc, name)}

#define LATE(name, library, member)                                            \
	{"__" #name, library, offsetof(struct shim_libc, member)}

/* Names, not pointers to names: those would be relocated in every program. */
static const struct {
	char name[18];
	uint16_t at;
} entries[] = {
	ENTRY(accept),	       ENTRY(accept4),
	ENTRY(bind),	       ENTRY(connect),
	ENTRY(listen),	       ENTRY(getpeername),
	ENTRY(getsockname),    ENTRY(getsockopt),
	ENTRY(setsockopt),     ENTRY(recvfrom),
	ENTRY(__recvfrom_chk), ENTRY(recvmmsg),
	ENTRY(recvmsg),	       ENTRY(send),
	ENTRY(sendmmsg),
	ENTRY(sendmsg),	       ENTRY(sendto),
	ENTRY(socket), ENTRY(syscall),	       ENTRY(getaddrinfo),
	ENTRY(getnameinfo),    ENTRY(gethostbyaddr),
	ENTRY(gethostbyaddr_r), ENTRY(gethostbyname),
	ENTRY(gethostbyname2), ENTRY(gethostbyname_r),
	ENTRY(gethostbyname2_r), ENTRY(freeaddrinfo),
	ENTRY(ioctl),	       ENTRY(getifaddrs),
	ENTRY(freeifaddrs),    ENTRY(if_nameindex),
	ENTRY(if_freenameindex), ENTRY(if_nametoindex),
	ENTRY(if_indextoname),
	ENTRY(execve),	       ENTRY(execvpe),
	ENTRY(fexecve),	       ENTRY(posix_spawn),
	ENTRY(posix_spawnp),   ENTRY(_exit),
	ENTRY(quick_exit),
};

/* Before 2.34 glibc has them under the name with underscores only. */
static const struct {
	char old_name[20];
	char library[16];
	uint16_t at;
} late_entries[] = {
	LATE(res_query, "libresolv.so.2", resolver.query),
	LATE(res_search, "libresolv.so.2", resolver.search),
	LATE(res_querydomain, "libresolv.so.2", resolver.domain),
	LATE(res_send, "libresolv.so.2", resolver.send),
	LATE(res_nquery, "libresolv.so.2", resolver.nquery),
	LATE(res_nsearch, "libresolv.so.2", resolver.nsearch),
	LATE(res_nquerydomain, "libresolv.so.2", resolver.ndomain),
	LATE(res_nsend, "libresolv.so.2", resolver.nsend),
	LATE(getaddrinfo_a, "libanl.so.1", getaddrinfo_a),
};

static void **place(size_t at)
{
	return (void **)((char *)&libc + at);
}

static long is_missing(void)
{
	errno = ENOSYS;
	return -1;
}

void shim_libc_look_up(void)
{
	/* Of glibc in all its versions, and of nothing that imitates it. */
	libc.is_musl = !shim_next_symbol("__libc_freeres");
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		void *fn = shim_next_symbol(entries[i].name);

		*place(entries[i].at) = fn ? fn
					   : (void *)(uintptr_t)is_missing;
	}
	atomic_store_explicit(&libc.is_ready, true, memory_order_release);
}

/* In a library that is there already, however it came in. */
static void *symbol_in(const struct shim_dl *dl, const char *library,
		       const char *name, const char *old_name)
{
	void *handle = dl->open(library, RTLD_LAZY | RTLD_NOLOAD);
	void *fn = handle ? dl->sym(handle, name) : NULL;

	return handle && !fn ? dl->sym(handle, old_name) : fn;
}

/* musl has no second library, and may have no GNU hash table. */
static void *late_symbol(const struct shim_dl *dl, size_t i)
{
	const char *old_name = late_entries[i].old_name;
	const char *name = old_name + strlen("__");
	void *fn;

	if (libc.is_musl)
		return shim_next_symbol(name);
	fn = shim_elf_search(name);
	if (!fn)
		fn = shim_elf_search(old_name);
	return fn ? fn : symbol_in(dl, late_entries[i].library, name,
				   old_name);
}

void shim_libc_look_up_late(void)
{
	struct shim_dl dl;

	if (!shim_dl_ready(&dl))
		return;
	for (size_t i = 0; i < ARRAY_LEN(late_entries); i++) {
		void **fn = place(late_entries[i].at);

		if (!*fn)
			*fn = late_symbol(&dl, i);
	}
}
