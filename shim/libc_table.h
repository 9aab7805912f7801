/* SPDX-License-Identifier: BSD-3-Clause
 * libc_table.h - the real functions behind our hooks
 *
 * Inside the shim the plain names are the hooks themselves, so everything
 * that is hooked is called as libc.name(). Written once, before first use.
 *
 * One shim serves glibc and musl: it needs only symbols that both have, and what
 * differs between them (message.h, addrinfo_list.c) asks libc.is_musl. A function
 * that this libc lacks is an entry that fails with ENOSYS: somebody may find our
 * hook by dlsym.
 */
#ifndef SHIM_LIBC_TABLE_H
#define SHIM_LIBC_TABLE_H

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

/* glibc's, which musl's headers do not have; they mean the same to programs. */
#ifndef NETDB_SUCCESS
#define NETDB_SUCCESS 0
#endif
#ifndef NETDB_INTERNAL
#define NETDB_INTERNAL (-1)
#endif

struct shim_libc {
	_Atomic bool is_ready;
	bool is_musl;
	int (*accept)(int, struct sockaddr *, socklen_t *);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*connect)(int, const struct sockaddr *, socklen_t);
	int (*listen)(int, int);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*sendmmsg)(int, struct mmsghdr *, unsigned, int);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	ssize_t (*sendto)(int, const void *, size_t, int,
			  const struct sockaddr *, socklen_t);
	int (*socket)(int, int, int);
	int (*getaddrinfo)(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **);
	void (*freeaddrinfo)(struct addrinfo *);
	int (*getnameinfo)(const struct sockaddr *, socklen_t, char *,
			   socklen_t, char *, socklen_t, int);
	struct hostent *(*gethostbyaddr)(const void *, socklen_t, int);
	int (*gethostbyaddr_r)(const void *, socklen_t, int, struct hostent *,
			       char *, size_t, struct hostent **, int *);
	struct hostent *(*gethostbyname)(const char *);
	struct hostent *(*gethostbyname2)(const char *, int);
	int (*gethostbyname_r)(const char *, struct hostent *, char *, size_t,
			       struct hostent **, int *);
	int (*gethostbyname2_r)(const char *, int, struct hostent *, char *,
				size_t, struct hostent **, int *);
};

extern struct shim_libc libc;

void shim_libc_look_up(void);

/* First line of every hook: allocators and other libraries' constructors call
 * us before our own constructor ran. */
static inline void shim_libc_ready(void)
{
	if (!atomic_load_explicit(&libc.is_ready, memory_order_acquire))
		shim_libc_look_up();
}

#endif
