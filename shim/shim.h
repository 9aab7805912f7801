/* SPDX-License-Identifier: BSD-3-Clause
 * shim.h - the one process-wide instance, and what its files ask of each other
 *
 *   hook_*        what programs call: decide, delegate, convert
 *   dest_rule     does this address, or this name, belong to the tailnet?
 *   flow          what the table knows about a socket
 *   loopback      which 127.x.y.z to use
 *   native        what the kernel knows about a socket
 *   listener      which sockets the host knows to be listening
 *   socket_options, tunnel_info   options that are more than the kernel's
 *   interface     the network interface that programs are shown
 *   memory_probe  may a pointer of the program be followed?
 *   datagram_*    which loopback address stands for whom, control data, sizes
 *   echo_socket   a UDP socket in place of one of ping's
 *   attach        requests to the host;  host_start: a host where none is
 *   environment   what tsrun told us;    note: words for a person
 *   cancellation  our own work is no cancellation point
 *   exec_*        what a new program must be told (exec.h)
 *
 * Functions return 0 or a negative errno unless they say otherwise; hooks
 * turn that into -1 and errno (shim_to_libc). A hook that succeeds leaves
 * errno as it was. No hook holds a lock while it waits, and after the
 * constructor none allocates, but where libc's own function does.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/broker/address_table.h"
#include "core/broker/broker_wire.h"

enum {
	SHIM_BROKERS_MAX = 8, /* re-hostings that one process can follow */
	SHIM_HOSTENT_BYTES = 1024,
	SHIM_LIBRARY_CAP = 1024,
	SHIM_SETTINGS_CAP = 4096,
	SHIM_LISTENERS_MAX = 1024, /* fds that are remembered */
};

struct shim_broker {
	char path[TS_TABLE_PATH_CAP];
	char abstract[TS_TABLE_PATH_CAP]; /* without the leading NUL */
};

enum shim_environment { SHIM_ENV_UNREAD, SHIM_ENV_READ };

struct shim {
	/* Written once, by environment.c. */
	_Atomic int environment; /* enum shim_environment */
	bool is_hosted;		 /* tsrun hosts: never host here */
	bool is_notified;	 /* and serves our system calls */
	bool is_configured;	 /* a node was asked for */
	bool is_debug;
	bool has_exit_node;   /* TSNET_EXIT_NODE */
	bool listen_is_known; /* from TSNET_LISTEN */
	uint8_t listen_mode;  /* enum ts_listen_mode, if known */
	char suffix[TS_TABLE_SUFFIX_CAP];
	char node[72]; /* TSNET_NODE; a cut one is longer than any name */

	/* exec_environment.c, written once. */
	bool follows_exec;
	bool has_notify; /* the host watches programs without libc */
	char library[SHIM_LIBRARY_CAP];
	uint32_t settings_count, settings_len;
	char settings[SHIM_SETTINGS_CAP]; /* "NAME=value", NUL, ... */

	/* Old mappings stay: another thread may still read one. */
	const struct ts_table_layout *_Atomic table;
	const struct shim_broker *_Atomic broker;
	struct shim_broker brokers[SHIM_BROKERS_MAX]; /* under `starting` */
	unsigned broker_count;			      /* under `starting` */
	_Atomic uint64_t starting; /* pid and tid of who starts a host, or 0 */
	_Atomic uint32_t host_asked_s;	 /* by shim_follow_host, as below */
	_Atomic uint32_t attach_failed_s; /* when, CLOCK_MONOTONIC; 0: never */

	_Atomic unsigned interface_index; /* 0: not chosen yet */
	_Atomic uint32_t listeners[SHIM_LISTENERS_MAX]; /* listener.c */

	/* Has this process, or one it was forked from, tied a socket to the
	 * tailnet's interface? */
	_Atomic bool has_tied;
	/* Has this process, or one it was forked from, ever had such sockets?
	 * Those that have not pay nothing for them. */
	_Atomic bool has_echo_sockets; /* echo_socket.c */
	_Atomic bool has_size_rules;   /* datagram_size.c */
	_Atomic bool has_late_errors;  /* datagram_way.c */

	/* Of gethostbyname and its kin, whose results are static in libc. */
	struct hostent hostent;
	char hostent_bytes[SHIM_HOSTENT_BYTES];
#ifdef __GLIBC__
	/* hook_names_async.c: two calls that use it write the same. */
	struct gaicb nothing_to_look_up;
#endif
};

extern struct shim shim;

/* -- environment.c -------------------------------------------------------- */
void shim_read_environment(void);
/* The engine's threads, and a thread that starts it, go straight to libc; so
 * does a process whose system calls the host serves (seccomp), */
bool shim_is_engine_thread(void);
/* but for names, which are no system calls. */
bool shim_resolves_natively(void);
int shim_mark_engine_thread(int on); /* returns what it was */

/* -- note.c --------------------------------------------------------------- */
void shim_note(const char *fmt, ...) /* with TSNET_SHIM_DEBUG=1 only */
	__attribute__((format(printf, 1, 2)));
void shim_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* -- cancellation.c ------------------------------------------------------- */
/* Both return what it was, for shim_cancel_set(). */
int shim_cancel_put_off(void);
int shim_cancel_set(int state);
/* Without errno, and no cancellation point. */
void shim_close(int fd);

/* -- attach.c ------------------------------------------------------------- */
/* Makes sure that the table is there; starts a host where one may. */
int shim_attach(void);
/* Is the table there, or can it be had from tsrun's host? Never starts one. */
const struct ts_table_layout *shim_table(void);
/* For what a plain LD_PRELOAD must not start a node for. */
const struct ts_table_layout *shim_table_if_configured(void);
/* Alone, the host may be a process that has ended, and a server that only
 * accepts never asks: asks, once a second at most. */
void shim_follow_host(void);
void shim_follow_host_now(void); /* however often */
/* One request; pass_fd -1: none. 0: rep is the host's answer (see rep->error).
 * Negative: no answer. Fills version, token and what attaching takes. */
int shim_ask(struct ts_broker_request *req, int pass_fd,
	     struct ts_broker_reply *rep);
/* The same, with rep->error as the result. */
int shim_ask_for(struct ts_broker_request *req, int pass_fd,
		 struct ts_broker_reply *rep);
/* One request whose answer is known (UNANSWERED): under tsrun it is only sent,
 * and waits for the host. 0 or -errno. */
int shim_tell(struct ts_broker_request *req, int pass_fd);

/* Is the host a thread of this very process? Not in a vfork child. */
bool shim_host_is_here(void);
/* Waits until it has delivered what was sent, 5 s at most; ends: and tells the
 * peers that no more will come. */
void shim_host_drain(bool ends);

/* -- room.c --------------------------------------------------------------- */
/* fn(arg), where the program's descriptors are all in use: with a table of
 * descriptors of its own, in which keep_fd is open; -EMFILE when that cannot
 * be had. */
int shim_with_room(int keep_fd, int (*fn)(void *arg), void *arg);

/* -- host_start.c --------------------------------------------------------- */
/* A new shim.broker in place of dead (may be NULL). */
int shim_host_start(const struct shim_broker *dead);

/* -- dest_rule.c ---------------------------------------------------------- */
bool shim_claims_ip(const struct ts_ip *ip);
/* The same for what a program passed and shim_can_read_addr() has seen; *out is
 * only set when claimed. */
bool shim_claims(const struct sockaddr *addr, socklen_t len,
		 struct ts_addr *out);
/* -- hosts_file.c --------------------------------------------------------- */
bool shim_hosts_file_has(const char *name); /* no dot at its end */

/* -- dest_rule.c, names --------------------------------------------------- */
enum shim_name_rule {
	SHIM_NAME_LIBC,	      /* never ours */
	SHIM_NAME_NODE_FIRST, /* libc only when the node says so */
	SHIM_NAME_LIBC_FIRST, /* the node only when libc knows nothing */
};
enum shim_name_rule shim_name_rule(const char *name);
/* The same for the name of a DNS query: reverse names may be ours. */
enum shim_name_rule shim_query_rule(const char *name);
bool shim_name_is_under(const char *name, const char *suffix);

/* -- native.c ------------------------------------------------------------- */
int shim_native_local(int fd, struct ts_addr *out);
int shim_native_peer(int fd, struct ts_addr *out);
int shim_native_bind(int fd, int domain, const struct ts_addr *addr);
int shim_native_connect(int fd, int domain, const struct ts_addr *addr);
/* An int option's value (>= 0) or a negative errno. */
int shim_native_option(int fd, int level, int name);
int shim_native_domain(int fd);
int shim_native_protocol(int fd); /* IPPROTO_TCP, ... or a negative errno */
bool shim_native_is_tcp(int fd);
int shim_native_tcp_state(int fd); /* TCP_CLOSE, ... */
bool shim_native_is_v6_only(int fd);
/* Takes the pending error: 0 or a negative errno. */
int shim_native_take_error(int fd);
/* Writes addr as the kernel would: cut to *len, *len the whole length.
 * -EAFNOSUPPORT: the family cannot say it. */
int shim_write_addr(const struct ts_addr *addr, int domain,
		    struct sockaddr *out, socklen_t *len);
/* Both: -EFAULT, -EINVAL for a program's bad pointers and lengths. */
int shim_write_sockaddr(const struct sockaddr_storage *ss, socklen_t whole,
			struct sockaddr *out, socklen_t *len);

/* -- loopback.c ----------------------------------------------------------- */
struct ts_ip shim_loopback_random(const struct ts_table_info *info);

/* -- flow.c --------------------------------------------------------------- */
bool shim_flow_find(const struct ts_addr *local, const struct ts_addr *remote,
		    struct ts_flow_entry *out);
/* What the program bound, for a native address that the host chose. */
bool shim_flow_find_bind(uint8_t proto, const struct ts_addr *local,
			 struct ts_flow_entry *out);
/* Whom a virtual address stands for, and the other way round. */
bool shim_flow_find_datagram(const struct ts_addr *virtual,
			     struct ts_flow_entry *out);
bool shim_flow_find_send(const struct ts_addr *local,
			 const struct ts_addr *tailnet,
			 struct ts_addr *virtual);
/* A connect that is held or failed has no peer to ask the kernel for. */
bool shim_flow_find_unconnected(const struct ts_addr *local,
				struct ts_flow_entry *out);
bool shim_flow_find_failed(const struct ts_addr *local,
			   struct ts_flow_entry *out);
/* err, or the recorded errno when err is -ECONNRESET and fd's flow failed. */
int shim_flow_error(int fd, int err);

/* -- listener.c ----------------------------------------------------------- */
uint8_t shim_bind_flags(int fd); /* of BIND, BOUND, LISTEN */
/* fd is bound natively in place of this tailnet address. */
int shim_listener_tell_bound(int fd, const struct ts_addr *tailnet);
/* fd listens now: 0, or -EADDRINUSE when the tailnet's port is taken. */
int shim_listener_tell(int fd);
/* The same for one that may listen since before we could know. */
void shim_listener_meet(int fd);
/* Another host has taken over from the one that had this table. */
void shim_listeners_move(const struct ts_table_layout *old);
/* Before listen(): whatever had this number is gone. */
void shim_listener_forget(int fd);
/* The same of a new socket. */
void shim_listener_is_fresh(int fd, int type);
/* TCP_DEFER_ACCEPT: the host's connections need a queue that does not wait for
 * data, so it is taken off the tailnet's listeners. */
void shim_listener_defer_was_set(int fd);
int shim_listener_defer(int fd); /* seconds that were taken */
bool shim_listens_to(const struct ts_table_layout *table,
		     enum ts_listen_mode mode);

/* -- memory_probe.c ------------------------------------------------------- */
/* Memory of the program that the kernel has not been through yet. */
bool shim_can_read(const void *memory, size_t len);
bool shim_can_write(void *memory, size_t len);
/* An address, of a length that the kernel would take, for a call with fd. */
bool shim_can_read_addr(int fd, const struct sockaddr *addr, socklen_t len);

/* -- socket_options.c ----------------------------------------------------- */
/* After the kernel has taken it: 0, or why not after all. */
int shim_option_was_set(int fd, int level, int name, const void *value,
			socklen_t len);
/* After the kernel has written *len bytes: puts the tunnel's in their place. */
void shim_option_was_read(int fd, int level, int name, void *value,
			  socklen_t *len);

/* -- interface.c ---------------------------------------------------------- */
struct shim_interface {
	struct ts_table_interface its;
	int order; /* of the nodes */
	unsigned index;
	uint16_t mtu;
};
/* Of the node that has this address; else the first's. */
unsigned shim_interface_of(const struct ts_ip *own);
/* The i-th; false: there is none, as there is no host, or no such node. */
bool shim_interface_get(unsigned i, struct shim_interface *out);
/* By its name, or (NULL) its number. */
bool shim_interface_find(const char *name, unsigned index,
			 struct shim_interface *out);
/* Cheap: could this be its name? */
bool shim_interface_may_be(const char name[static IFNAMSIZ]);
/* Is this socket for the tailnet alone? */
bool shim_is_tied(int fd);
/* SO_BINDTODEVICE, when the kernel has said ENODEV; SO_BINDTOIFINDEX, before
 * the kernel. -ENODEV: not ours. */
int shim_tie_by_name(int fd, const void *value, socklen_t len);
int shim_tie_by_index(int fd, const void *value);
/* The kernel tied it to something else. */
void shim_untie(int fd);
/* In place of lo's, where the kernel has told that. */
int shim_tied_name(int fd, void *value, socklen_t *len);
void shim_tied_index(int fd, void *value, socklen_t len);

/* -- listener.c, of datagrams --------------------------------------------- */
/* fd is bound natively, perhaps to a wildcard: 0, or -EADDRINUSE. */
int shim_listener_tell_datagrams(int fd);
/* The same for one that somebody else may have bound. */
void shim_listener_meet_datagrams(int fd);
/* fd is connected to the tailnet: to be done again with another host. */
void shim_listener_note(int fd);

/* -- datagram_way.c ------------------------------------------------------- */
struct shim_way {
	struct ts_addr tailnet; /* the true destination */
	int domain;
	struct sockaddr_storage virtual;
	socklen_t len;
};
/* Which address stands for to (way->tailnet) at this datagram socket. */
int shim_way_find(int fd, uint8_t proto, struct shim_way *way);
int shim_way_connect(int fd, int domain, uint8_t proto,
		     const struct ts_addr *to);
/* An option was set: perhaps that errors are wanted from now on. */
void shim_way_option_was_set(int fd, int level, int name);
/* fd is about to have no tailnet peer any more: the host takes in first what
 * was sent. lets_go: what comes next must not have its loopback address. */
void shim_way_leave(int fd, bool lets_go);
/* The flow that fd is connected to. */
bool shim_way_peer(int fd, struct ts_flow_entry *out);
/* Another host has taken over from the one that had this table. */
void shim_way_move(int fd, const struct ts_table_layout *old);
/* The flow of a loopback source; false: a local sender. */
bool shim_way_back(const struct sockaddr *addr, socklen_t len,
		   struct ts_flow_entry *out);

/* -- datagram_size.c ------------------------------------------------------ */
enum { SHIM_SIZE_FITS = 1280 - 48 }; /* needs no look at the rules */
/* May len bytes be sent to this address? segment: UDP_SEGMENT of the message,
 * or 0. */
int shim_size_check(int fd, const struct ts_addr *to, size_t len,
		    unsigned segment);
/* The same for a socket that may be connected to the tailnet, or not. */
int shim_size_check_connected(int fd, size_t len, unsigned segment);
void shim_size_rule_was_set(int level, int name);
/* IP_MTU or IPV6_MTU: the tunnel's, where that is less. */
int shim_size_mtu(int fd, int native);

/* -- echo_socket.c -------------------------------------------------------- */
/* In place of a socket that the kernel refused with err. */
int shim_echo_open(int domain, int type, int protocol, int err);
/* Puts a UDP socket in place of this ICMP socket. */
int shim_echo_replace(int fd, int domain);
/* 0, or what fd stands in for: IPPROTO_ICMP or IPPROTO_ICMPV6. */
uint8_t shim_echo_protocol(int fd);
bool shim_echo_is_raw(int fd);
/* What a stand-in says to destinations on the host network, or 0. */
int shim_echo_refusal(int fd);
/* An option that the stand-in does not have, but keeps. */
bool shim_echo_keeps_option(int fd, int level, int name, socklen_t len);

/* -- socket_copy.c -------------------------------------------------------- */
/* Puts a fresh UDP socket in place of fd, with its options and flags. */
int shim_socket_replace(int fd, int domain);

/* -- hook_connect.c ------------------------------------------------------- */
/* For MSG_FASTOPEN: connect to a claimed address. */
int shim_connect_tailnet(int fd, const struct sockaddr *addr, socklen_t len,
			 const struct ts_addr *dst);

static inline int shim_to_libc(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

#endif
