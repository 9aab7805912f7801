/* SPDX-License-Identifier: BSD-3-Clause
 * hooks.h - every function that we put before libc's
 *
 * Each has a name of its own in C and libc's name in the object file: so libc's
 * headers (transparent unions, nonnull, fortified inlines) do not get in the
 * way, and a plain call of libc's name cannot be written by mistake.
 * libtsnet_shim.map lists the same names.
 */
#ifndef SHIM_HOOKS_H
#define SHIM_HOOKS_H

#include <netdb.h>
#include <spawn.h>
#include <sys/socket.h>

struct gaicb;
struct sigevent;

#define SHIM_HOOK(name) __asm__(#name) __attribute__((visibility("default")))

int hook_connect(int fd, const struct sockaddr *addr, socklen_t len)
	SHIM_HOOK(connect);

int hook_bind(int fd, const struct sockaddr *addr, socklen_t len)
	SHIM_HOOK(bind);
int hook_listen(int fd, int backlog) SHIM_HOOK(listen);
int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
	SHIM_HOOK(accept);
int hook_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
	SHIM_HOOK(accept4);

int hook_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
	SHIM_HOOK(getpeername);
int hook_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
	SHIM_HOOK(getsockname);
int hook_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
	SHIM_HOOK(getsockopt);
int hook_setsockopt(int fd, int level, int name, const void *value,
		    socklen_t len) SHIM_HOOK(setsockopt);

ssize_t hook_send(int fd, const void *buf, size_t len, int flags)
	SHIM_HOOK(send);
ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len)
	SHIM_HOOK(sendto);
ssize_t hook_sendmsg(int fd, const struct msghdr *msg, int flags)
	SHIM_HOOK(sendmsg);
int hook_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
	SHIM_HOOK(sendmmsg);

ssize_t hook_recvfrom(int fd, void *buf, size_t len, int flags,
		      struct sockaddr *addr, socklen_t *addr_len)
	SHIM_HOOK(recvfrom);
ssize_t hook_recvfrom_chk(int fd, void *buf, size_t len, size_t buf_len,
			  int flags, struct sockaddr *addr,
			  socklen_t *addr_len) SHIM_HOOK(__recvfrom_chk);
ssize_t hook_recvmsg(int fd, struct msghdr *msg, int flags)
	SHIM_HOOK(recvmsg);
int hook_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
		  struct timespec *timeout) SHIM_HOOK(recvmmsg);

int hook_getaddrinfo(const char *host, const char *service,
		     const struct addrinfo *hints, struct addrinfo **out)
	SHIM_HOOK(getaddrinfo);
int hook_getnameinfo(const struct sockaddr *addr, socklen_t addr_len,
		     char *host, socklen_t host_cap, char *service,
		     socklen_t service_cap, int flags) SHIM_HOOK(getnameinfo);
struct hostent *hook_gethostbyname(const char *name) SHIM_HOOK(gethostbyname);
struct hostent *hook_gethostbyname2(const char *name, int family)
	SHIM_HOOK(gethostbyname2);
int hook_gethostbyname_r(const char *name, struct hostent *ent, char *buf,
			 size_t cap, struct hostent **out, int *h_err)
	SHIM_HOOK(gethostbyname_r);
int hook_gethostbyname2_r(const char *name, int family, struct hostent *ent,
			  char *buf, size_t cap, struct hostent **out,
			  int *h_err) SHIM_HOOK(gethostbyname2_r);
struct hostent *hook_gethostbyaddr(const void *addr, socklen_t len, int family)
	SHIM_HOOK(gethostbyaddr);
int hook_gethostbyaddr_r(const void *addr, socklen_t len, int family,
			 struct hostent *ent, char *buf, size_t cap,
			 struct hostent **out, int *h_err)
	SHIM_HOOK(gethostbyaddr_r);

void hook_freeaddrinfo(struct addrinfo *list) SHIM_HOOK(freeaddrinfo);
int hook_getaddrinfo_a(int mode, struct gaicb **list, int count,
		       struct sigevent *event) SHIM_HOOK(getaddrinfo_a);

/* Programs that were built with an older glibc know these under the name with
 * underscores. */
#define SHIM_HOOK_ALIAS(of, name)                                              \
	__asm__(#name) __attribute__((visibility("default"), alias(#of)))

int hook_res_query(const char *name, int class, int type,
		   unsigned char *answer, int cap) SHIM_HOOK(res_query);
int hook_res_search(const char *name, int class, int type,
		    unsigned char *answer, int cap) SHIM_HOOK(res_search);
int hook_res_querydomain(const char *name, const char *domain, int class,
			 int type, unsigned char *answer, int cap)
	SHIM_HOOK(res_querydomain);
int hook_res_send(const unsigned char *query, int len, unsigned char *answer,
		  int cap) SHIM_HOOK(res_send);
int hook_res_nquery(void *state, const char *name, int class, int type,
		    unsigned char *answer, int cap) SHIM_HOOK(res_nquery);
int hook_res_nsearch(void *state, const char *name, int class, int type,
		     unsigned char *answer, int cap) SHIM_HOOK(res_nsearch);
int hook_res_nquerydomain(void *state, const char *name, const char *domain,
			  int class, int type, unsigned char *answer, int cap)
	SHIM_HOOK(res_nquerydomain);
int hook_res_nsend(void *state, const unsigned char *query, int len,
		   unsigned char *answer, int cap) SHIM_HOOK(res_nsend);
/* hook_exec.c */
int hook_execve(const char *path, char *const argv[], char *const env[])
	SHIM_HOOK(execve);
int hook_execv(const char *path, char *const argv[]) SHIM_HOOK(execv);
int hook_execvp(const char *file, char *const argv[]) SHIM_HOOK(execvp);
int hook_execvpe(const char *file, char *const argv[], char *const env[])
	SHIM_HOOK(execvpe);
int hook_fexecve(int fd, char *const argv[], char *const env[])
	SHIM_HOOK(fexecve);
int hook_execveat(int fd, const char *path, char *const argv[],
		  char *const env[], int flags) SHIM_HOOK(execveat);
int hook_execl(const char *path, const char *arg, ...) SHIM_HOOK(execl);
int hook_execlp(const char *file, const char *arg, ...) SHIM_HOOK(execlp);
int hook_execle(const char *path, const char *arg, ...) SHIM_HOOK(execle);
int hook_posix_spawn(pid_t *pid, const char *path,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr, char *const argv[],
		     char *const env[]) SHIM_HOOK(posix_spawn);
int hook_posix_spawnp(pid_t *pid, const char *file,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attr, char *const argv[],
		      char *const env[]) SHIM_HOOK(posix_spawnp);

/* hook_process.c */
void hook__exit(int status) SHIM_HOOK(_exit) __attribute__((noreturn));
void hook__Exit(int status) SHIM_HOOK(_Exit) __attribute__((noreturn));
void hook_quick_exit(int status) SHIM_HOOK(quick_exit)
	__attribute__((noreturn));

int hook_socket(int domain, int type, int protocol) SHIM_HOOK(socket);

long hook_syscall(long number, long a, long b, long c, long d, long e, long f)
	SHIM_HOOK(syscall);

void hook_engine_thread(int on) SHIM_HOOK(tsnet_shim_engine_thread);

#endif
