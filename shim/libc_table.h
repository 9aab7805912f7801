/* SPDX-License-Identifier: BSD-3-Clause
 * libc_table.h - the real functions behind our hooks
 *
 * Inside the shim the plain names are the hooks themselves, so everything
 * that is hooked is called as libc.name(). Written once, before first use.
 *
 * One shim serves glibc and musl: it needs only symbols that both have, and
 * what differs between them (lists of addresses, say) asks libc.is_musl. A
 * function that this libc lacks is an entry that fails with ENOSYS: somebody
 * may find our hook by dlsym.
 */
#ifndef SHIM_LIBC_TABLE_H
#define SHIM_LIBC_TABLE_H

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <spawn.h>
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

/* res_query(3) and its kin; those with n have a state before the other
 * arguments. NULL: this libc has none. Not named as libc names them, because
 * some of its headers make macros of that. */
struct gaicb;
struct sigevent;
struct shim_resolver {
	int (*query)(const char *, int, int, unsigned char *, int);
	int (*search)(const char *, int, int, unsigned char *, int);
	int (*domain)(const char *, const char *, int, int, unsigned char *,
		      int);
	int (*send)(const unsigned char *, int, unsigned char *, int);
	int (*nquery)(void *, const char *, int, int, unsigned char *, int);
	int (*nsearch)(void *, const char *, int, int, unsigned char *, int);
	int (*ndomain)(void *, const char *, const char *, int, int,
		       unsigned char *, int);
	int (*nsend)(void *, const unsigned char *, int, unsigned char *, int);
};

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
	ssize_t (*recvfrom)(int, void *, size_t, int, struct sockaddr *,
			    socklen_t *);
	ssize_t (*__recvfrom_chk)(int, void *, size_t, size_t, int,
				  struct sockaddr *, socklen_t *);
	int (*recvmmsg)(int, struct mmsghdr *, unsigned, int,
			struct timespec *);
	ssize_t (*recvmsg)(int, struct msghdr *, int);
	ssize_t (*send)(int, const void *, size_t, int);
	int (*sendmmsg)(int, struct mmsghdr *, unsigned, int);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	ssize_t (*sendto)(int, const void *, size_t, int,
			  const struct sockaddr *, socklen_t);
	int (*socket)(int, int, int);
	int (*ioctl)(int, unsigned long, ...);
	int (*getifaddrs)(struct ifaddrs **);
	void (*freeifaddrs)(struct ifaddrs *);
	struct if_nameindex *(*if_nameindex)(void);
	void (*if_freenameindex)(struct if_nameindex *);
	unsigned (*if_nametoindex)(const char *);
	char *(*if_indextoname)(unsigned, char *);
	long (*syscall)(long, long, long, long, long, long, long);
	int (*execve)(const char *, char *const[], char *const[]);
	int (*execvpe)(const char *, char *const[], char *const[]);
	int (*fexecve)(int, char *const[], char *const[]);
	int (*posix_spawn)(pid_t *, const char *,
			   const posix_spawn_file_actions_t *,
			   const posix_spawnattr_t *, char *const[],
			   char *const[]);
	int (*posix_spawnp)(pid_t *, const char *,
			    const posix_spawn_file_actions_t *,
			    const posix_spawnattr_t *, char *const[],
			    char *const[]);
	void (*_exit)(int);
	void (*quick_exit)(int);
	int (*getaddrinfo)(const char *, const char *, const struct addrinfo *,
			   struct addrinfo **);
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
	void (*freeaddrinfo)(struct addrinfo *);
	int (*getaddrinfo_a)(int, struct gaicb **, int, struct sigevent *);
	struct shim_resolver resolver;
};

extern struct shim_libc libc;

void shim_libc_look_up(void);
/* What few programs call, and some glibc has in libresolv and libanl, which
 * may be loaded later than we are: looked up at its first use. Allocates. */
void shim_libc_look_up_late(void);

/* First line of every hook: allocators and other libraries' constructors call
 * us before our own constructor ran. */
static inline __attribute__((always_inline)) void shim_libc_ready(void)
{
	if (!atomic_load_explicit(&libc.is_ready, memory_order_acquire))
		shim_libc_look_up();
}

#endif
