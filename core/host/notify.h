/* SPDX-License-Identifier: BSD-3-Clause
 * notify.h - system calls of programs that cannot be preloaded
 *
 * Static and Go programs run under a seccomp filter whose notifications come
 * to us (core/engine/notify_exec.h installs it). We do for them what the shim
 * does inside a program: rewrite addresses, ask the host's own functions.
 *
 *   notify_tree    a listener: takes calls, finds who handles them, answers
 *   notify_target  a program's memory and its descriptors
 *   notify_socket  questions to a program's socket
 *   notify_made    sockets that we make, where none can be fetched
 *   notify_node    which node a program has named
 *   notify_wait    calls that are held until something happens
 *   notify_message a message in a program's memory
 *   notify_way     the loopback address that stands for a datagram's end
 *   notify_connect, notify_bind, notify_accept, notify_names, notify_options,
 *   notify_send, notify_receive
 *                  the calls themselves
 */
#ifndef CORE_HOST_NOTIFY_H
#define CORE_HOST_NOTIFY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/host/host_internal.h"

enum {
	NOTIFY_SOCKADDR_CAP = 128, /* the kernel's sockaddr_storage */
	NOTIFY_UNREPORTED_MAX = 64,
};

/* What a handler says: a result (negative: errno), or one of these. */
enum {
	NOTIFY_CONTINUE = INT_MIN,  /* the kernel does it, as called */
	NOTIFY_LATER = INT_MIN + 1, /* held, or answered already */
};

struct notify_tree;
struct notify_room; /* notify_message.h */

struct notify_call {
	struct notify_tree *tree;
	uint64_t id;
	pid_t tid;
	int nr;
	uint64_t args[6];
};

/* A call that was done but could not be answered, since a signal had come: if
 * the program makes it again, this is its answer. */
struct notify_unreported {
	pid_t tid;
	int nr, result;
	uint64_t args[6];
	uint64_t until_ms;
};

/* A connection taken from a listener whose accept() was interrupted. */
struct notify_orphan {
	struct ts_link link; /* in ts_notify.orphans */
	uint64_t inode;	     /* of the listener */
	int fd;
	uint64_t until_ms;
};

struct ts_notify {
	struct ts_host *host;
	struct ts_link trees, waits, orphans;
	pid_t caller; /* whose call is being served */
	size_t orphan_count;
	struct ts_timer *sweep; /* of waits whose call was interrupted */
	uint64_t sweep_ms;	/* its interval */
	struct notify_unreported unreported[NOTIFY_UNREPORTED_MAX];
	unsigned unreported_count;
	struct notify_room *room; /* NULL: no datagrams yet */
	bool makes_sockets;	  /* since none can be fetched */
	struct ts_link made;	  /* struct notify_made */
	struct ts_key_map made_by_inode;
	size_t made_count;
	struct ts_timer *made_timer;
	uint64_t made_next_ms; /* not to be looked at sooner, for a peer */
	struct ts_log_limit limit;
};

struct notify_tree {
	struct ts_link link;
	struct ts_notify *notify;
	struct ts_host *host;
	struct ts_watch *watch;
	int fd;
	pid_t pid; /* who brought it */
	void *request, *response; /* of the kernel's sizes */
	size_t request_size, response_size;
};

/* -- notify_tree.c -------------------------------------------------------- */
/* NOTIFY. Owns fd. */
void ts_notify_request(struct ts_host *host, int fd, pid_t pid,
		       struct ts_broker_reply *rep);
void ts_notify_close(struct ts_host *host);
/* The node has news: held calls may go on. */
void ts_notify_node_changed(struct ts_host *host);
/* Does the program still wait for this call? */
bool ts_notify_is_valid(const struct notify_call *call);
void ts_notify_answer(const struct notify_call *call, int result);
/* The program gets fd (which stays ours) as its result. The new number,
 * -ENOENT when it does not wait any more, -EMFILE, ... */
int ts_notify_answer_fd(const struct notify_call *call, int fd, bool cloexec);

/* -- notify_target.c ------------------------------------------------------ */
/* 0, -EFAULT (not all of it is there), -ESRCH (the call is over), or -EPERM:
 * we may not look into that process. */
int ts_notify_read(const struct notify_call *call, uint64_t at, void *out,
		   size_t len);
int ts_notify_write(const struct notify_call *call, uint64_t at,
		    const void *data, size_t len);
/* The program's descriptor as one of ours: the same open file. -EBADF, ...
 * Where that is denied (notify_made.c), of the sockets that we made; -EISCONN:
 * it was one of them, and is connected; -EPERM: of another one. */
int ts_notify_fetch(const struct notify_call *call, int fd);
/* Is pidfd_getfd allowed? */
bool ts_notify_can_fetch(void);
/* May the memory of this process be read? */
bool ts_notify_can_read(pid_t pid);
/* Does another one fit into its table? */
bool ts_notify_has_room(const struct notify_call *call);
/* May anybody bind it? */
bool ts_notify_is_free_port(uint16_t port);
/* May the program? */
bool ts_notify_may_bind(const struct notify_call *call, uint16_t port);

/* The sockaddr of a call, read once. *is_inet: out has its address. 0, or
 * NOTIFY_CONTINUE: the kernel's own complaint, or a negative errno. */
struct notify_sockaddr {
	struct sockaddr_storage native;
	socklen_t len;
	bool is_inet;
	struct ts_addr addr;
};
int ts_notify_read_sockaddr(const struct notify_call *call, uint64_t at,
			    uint64_t len, struct notify_sockaddr *out);
/* As the kernel writes what it returns: cut to *len_at, which stays. */
int ts_notify_write_cut(const struct notify_call *call, uint64_t at,
			uint64_t len_at, const void *value, size_t len,
			int32_t *written);
/* As the kernel writes a name: cut to *len, *len the whole length. */
int ts_notify_write_sockaddr(const struct notify_call *call, uint64_t addr_at,
			     uint64_t len_at, const struct sockaddr_storage *ss,
			     socklen_t len);

/* -- notify_socket.c ------------------------------------------------------ */
int ts_notify_option(int fd, int level, int name); /* value or -errno */
int ts_notify_domain(int fd);
bool ts_notify_is_tcp(int fd);
bool ts_notify_is_udp(int fd);
uint8_t ts_notify_bind_flags(int fd); /* of BIND, BOUND, LISTEN */
bool ts_notify_is_v6_only(int fd);
bool ts_notify_is_blocking(int fd);
/* SO_SNDTIMEO or SO_RCVTIMEO in ms, 0: none. */
uint64_t ts_notify_time_limit(int fd, int name);
int ts_notify_bind_native(int fd, int domain, const struct ts_addr *addr);
/* Never waits, also on a socket that does. */
int ts_notify_connect_native(int fd, int domain, const struct ts_addr *addr);
int ts_notify_take_error(int fd); /* SO_ERROR: 0 or -errno */
/* err, or the recorded errno when err is -ECONNRESET and fd's flow failed. */
int ts_notify_flow_error(const struct ts_host *host, int fd, int err);
bool ts_notify_flow_find(const struct ts_host *host,
			 const struct ts_addr *local,
			 const struct ts_addr *remote,
			 struct ts_flow_entry *out);
/* What the program bound, for a native address that the host chose. */
bool ts_notify_find_bind(const struct ts_host *host, uint8_t proto,
			 const struct ts_addr *local,
			 struct ts_flow_entry *out);

/* -- notify_node.c -------------------------------------------------------- */
/* The node that the caller has named, as in struct ts_broker_request. 0, or
 * -ENETDOWN: there is none of that name. */
int ts_notify_node(struct ts_host *host, uint8_t *node);

/* -- notify_made.c -------------------------------------------------------- */
int ts_notify_socket(const struct notify_call *call);
int ts_notify_made_fetch(const struct notify_call *call, int fd);
/* The two ends of a connection whose file is not ours any more. */
bool ts_notify_made_ends(const struct notify_call *call, int fd,
			 struct ts_addr *local, struct ts_addr *peer,
			 int *domain);
/* The socket of this connect() is on its way: ours until it is there. */
void ts_notify_made_connecting(const struct notify_call *call);
/* fd was handed to the program. */
void ts_notify_made_accepted(const struct notify_call *call, int fd,
			     const struct ts_addr *local,
			     const struct ts_addr *peer);
/* A stream socket goes elsewhere: from now on it is the program's alone. */
void ts_notify_made_leave(const struct notify_call *call);
/* Closes what programs have closed: all, or what may be in somebody's way. */
void ts_notify_made_sweep(struct ts_notify *notify);
void ts_notify_made_look(struct ts_notify *notify);
void ts_notify_made_close(struct ts_notify *notify);

/* -- notify_wait.c -------------------------------------------------------- */
struct notify_wait;
/* The result, or NOTIFY_LATER: not yet. */
typedef int (*ts_notify_try_fn)(const struct notify_call *call, int fd);
struct notify_hold {
	ts_notify_try_fn fn;
	int fd;		 /* owned from here; -1: none */
	unsigned events; /* of fd, to try again at; 0: when the node changes */
	uint64_t queue; /* the same: who has waited longest is first; 0: none */
	uint64_t limit_ms; /* 0: none */
	int limit_result;
};
/* Returns NOTIFY_LATER, or a negative errno. */
int ts_notify_hold(const struct notify_call *call,
		   const struct notify_hold *hold);
/* Forgets the calls that were interrupted. */
void ts_notify_sweep(struct ts_notify *notify);
/* All of a tree (NULL: all there are). */
void ts_notify_drop_waits(struct ts_notify *notify,
			  const struct notify_tree *tree);
void ts_notify_retry_waits(struct ts_notify *notify);

/* -- the calls ------------------------------------------------------------ */
bool ts_notify_claims(const struct ts_host *host, const struct ts_addr *addr);
int ts_notify_connect(const struct notify_call *call);
/* To a claimed address, without waiting: 0, -EINPROGRESS, ... Then, when its
 * socket has something to say: 0, -EAGAIN: not yet, or why not. */
int ts_notify_connect_begin(const struct notify_call *call, int fd,
			    const struct ts_addr *dst);
int ts_notify_connect_end(const struct notify_call *call, int fd);
int ts_notify_bind(const struct notify_call *call);
int ts_notify_listen(const struct notify_call *call);
/* fd listens, perhaps since before we could know: 0 or -EADDRINUSE. */
int ts_notify_tell_listener(struct ts_host *host, int fd);
/* TCP_DEFER_ACCEPT was set on a listener: takes it off, if need be. */
void ts_notify_defer(struct ts_host *host, int fd);
int ts_notify_deferred(const struct ts_host *host, int fd); /* seconds */
int ts_notify_accept(const struct notify_call *call);
int ts_notify_getsockname(const struct notify_call *call);
int ts_notify_getpeername(const struct notify_call *call);
int ts_notify_getsockopt(const struct notify_call *call);
int ts_notify_setsockopt(const struct notify_call *call);
int ts_notify_send(const struct notify_call *call);
int ts_notify_receive(const struct notify_call *call);
/* A datagram socket that may be bound since before we could know: 0, or
 * -EADDRINUSE. */
int ts_notify_meet_datagrams(struct ts_host *host, int fd);

/* -- notify_way.c --------------------------------------------------------- */
/* What stands for to at this datagram socket: its length, or -errno. */
int ts_notify_way(const struct notify_call *call, int fd,
		  const struct ts_addr *to, struct sockaddr_storage *out);
/* The flow of a loopback source; false: a local sender. */
bool ts_notify_way_back(const struct ts_host *host, const struct ts_addr *from,
			struct ts_flow_entry *out);
int ts_notify_connect_udp(const struct notify_call *call, int fd,
			  const struct ts_addr *to);
/* fd is about to have no tailnet peer any more. lets_go: what comes next must
 * not have its loopback address. */
void ts_notify_leave_udp(struct ts_host *host, int fd, bool lets_go);

#endif
