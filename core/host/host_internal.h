/* SPDX-License-Identifier: BSD-3-Clause
 * host_internal.h - struct ts_host, and what its files ask of each other
 *
 *   broker_answer -> app_connect, app_listener, names   requests
 *   app_connect   -> rendezvous, app_inbound (own address), app_splice
 *   app_listener  -> app_inbound -> app_splice | app_relay
 *   datagram_*    -> app_listener (ports), names (DNS)
 *   all of them   -> flow_entries (table), hup_watch, native_socket
 */
#ifndef CORE_HOST_HOST_INTERNAL_H
#define CORE_HOST_HOST_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/key_map.h"
#include "core/base/log.h"
#include "core/broker/broker_wire.h"
#include "core/broker/option_rule.h"
#include "core/host/host.h"
#include "core/host/host_list.h"
#include "netstack/stack.h"

enum {
	/* What one connection may move before the others get their turn: a
	 * bundle of packets. Four make nobody faster, and a message that waits
	 * behind them three times as late. */
	HOST_TURN_BYTES = 64 * 1024,
	HOST_SCRATCH_BYTES = 128 * 1024,
	/* The kernel doubles it: about a tunnel's bandwidth-delay product. */
	HOST_SOCKET_BUFFER_BYTES = 256 * 1024,
	/* With shares_files: the program's own fds stay below this. */
	HOST_FD_MIN = 512,
	HOST_ENTRY_LINGER_MS = 60 * 1000,
	/* An accept queue may be slow; its entry must outlive the wait. */
	HOST_ENTRY_UNACCEPTED_MS = 600 * 1000,
	HOST_HUP_BATCH = 64,
};

struct ts_conn;
struct ts_inbound;
struct ts_broker_server;
struct ts_notify;
struct ts_proxy;
struct ts_dns_service; /* dns_service.h */
struct ts_dgrams;
struct ts_dgram_port;
struct ts_flow_listener; /* datagram_listener.c */
struct ts_forwards; /* forward.h */
struct ts_peerapi; /* peerapi.h */
struct ts_serve; /* serve_internal.h */
struct ts_tls_server; /* tls_server.h */
struct ts_stand_ins; /* stand_ins.h */
struct ts_stand_in;

/* -- flow_entries.c: the table's flows, and how long they stay ------------ */
struct ts_entry {
	struct ts_link link; /* in lingering once ended */
	struct ts_flow_key key;
	struct ts_flow_entry value;
	uint64_t expires_ms; /* UINT64_MAX: its flow lives */
	bool is_replaced;    /* a newer flow has this tuple */
	struct ts_inbound *inbound; /* for ACCEPTED; NULL: over, or none */
	struct ts_stand_in *stand_in; /* which it has; NULL: none */
	pid_t pid; /* whose connection it is; 0: unknown */
	/* tunnel_options.c */
	struct stack_tcp *tcp; /* NULL: not there yet, over, or a relay */
	struct stack_tcp_options options;
	const char *congestion; /* the program's choice; NULL: the node's */
	bool is_half_closed; /* the program ended its side */
	int receive_bytes;   /* the program's small SO_RCVBUF; 0: as usual */
};
struct ts_entries {
	struct ts_key_map by_key;
	struct ts_link lingering; /* by expires_ms */
	size_t lingering_count;
	struct ts_timer *sweep;
};

/* -- hup_watch.c: ERR and HUP of sockets that are not read now ------------ */
struct ts_hup_item {
	void (*fn)(void *ctx);
	void *ctx;
	int fd; /* -1: not watched */
};
struct ts_hup {
	int epoll_fd;
	struct ts_watch *watch;
	struct ts_hup_item *batch[HOST_HUP_BATCH]; /* being delivered */
	int batch_len;
};

/* -- rendezvous.c --------------------------------------------------------- */
struct ts_rendezvous {
	int fd4, fd6, dummy4, dummy6; /* -1: none; 6 is the twin on ::1 */
	uint16_t port4, port6;
	uid_t uid; /* SO_REUSEPORT joins sockets of one uid only */
	bool holds;	   /* SYNs stay unanswered; else accepted at once */
	bool one_loopback; /* only 127.0.0.1 may be bound */
	/* Where a socket bound to 0.0.0.0 connects from: R's own address
	 * (gVisor) or 127.0.0.1 (Linux). */
	bool source_follows;
	struct ts_watch *watch4, *watch6; /* only when it does not hold */
};

/* -- members.c: the host's nodes ------------------------------------------ */
/* One of them, with what peers have of it. A flow belongs to one from its
 * beginning to its end. */
struct ts_member {
	struct ts_host *host;
	struct ts_node *node; /* another one after a change of profile */
	unsigned index;       /* of host->members */
	char *name;           /* NULL: it cannot be named */
	char *interface;      /* NULL: as its order has it */
	enum ts_listen_mode listen;
	const struct ts_node_rules *rules; /* NULL: none */
	const uint16_t *tls_ports; /* of programs' listeners */
	size_t tls_port_count;
	void *doh_ctx;
	uint64_t patience_end_ms; /* until then it may come up any moment */
	struct ts_view *view;     /* NULL: no program has named it */
	struct ts_forwards *forwards;
	struct ts_peerapi *peerapi;
	struct ts_drop_box *drop_box; /* NULL: no files are taken */
	struct ts_log_limit drop_limit, drop_failure_limit;
	struct ts_serve *serve;
	struct ts_proxy *proxy; /* NULL: not asked for */
	char localapi_path[108]; /* where nothing served leads; "": none */
	const struct ts_host_cert_ops *certs; /* NULL: none */
	void *certs_ctx;
};

/* -- views.c: what a program sees ----------------------------------------- */
/* All nodes by the rules is what host->table tells; this is one alone, as
 * programs see it that TSNET_NODE restricts to it. Their flows are in both. */
struct ts_view {
	struct ts_table *table;
	struct ts_table_info info;
	struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX];
	struct ts_table_interface interfaces[TS_TABLE_NODES_MAX];
};

struct ts_host {
	struct ts_loop *loop;
	struct ts_member members[TS_HOST_NODES_MAX];
	unsigned member_count;
	uint64_t timeout_ms;
	bool in_process, shares_files, has_hurry;
	bool is_ending; /* takes nothing new */
	bool is_closed; /* the tables are what is left */
	struct ts_table *table;
	struct ts_table_info info; /* as published last */
	struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX]; /* info's */
	struct ts_table_interface interfaces[TS_TABLE_NODES_MAX];
	struct ts_entries entries;
	struct ts_hup hup;
	struct ts_rendezvous rv;
	uint64_t net; /* its network namespace, by the kernel's name */
	bool has_net;
	struct ts_broker_server *server;
	struct ts_notify *notify; /* seccomp listeners; NULL: none yet */
	struct ts_dns_service *dns;
	const struct ts_doh_ops *doh; /* NULL: none */
	const struct ts_tls_client_ops *tls_client; /* NULL: none */
	void *tls_client_ctx;
	struct ts_link dns_streams;
	size_t dns_stream_count;
	struct ts_dgrams *dgrams;       /* app_datagram.h */
	struct ts_tls_server *tls;
	struct ts_stand_ins *stand_ins;
	struct ts_timer *ready_timer;	/* pumps what is in ready */
	struct ts_timer *changed_timer; /* the node changed: tell all */
	struct ts_timer *patience_timer; /* no more for a node */
	struct ts_timer *drain_timer;	/* drain.c; NULL: never needed yet */
	struct ts_link conns, inbounds, splices, relays, listeners, ready;
	struct ts_timer *sweep; /* held connects whose program is gone */
	struct ts_timer *inbound_look; /* those that nobody accepts */
	bool is_looking;	       /* it is set */
	size_t held_count, held_max;
	size_t listener_count;
	uint64_t next_id; /* of connections, for the log */
	uint8_t *scratch; /* HOST_SCRATCH_BYTES, used within one call */
	struct ts_log_limit full_limit, route_limit;
};

uint64_t ts_host_now_ms(const struct ts_host *host);

/* -- native_socket.c ------------------------------------------------------ */
/* The one place where fds become ours: keeps them out of the program's low
 * numbers when they are shared. Takes fd (may be -1), returns its final number. */
int ts_sock_keep(const struct ts_host *host, int fd);
/* Non-blocking TCP socket of addr's family, CLOEXEC, SO_REUSEADDR, NODELAY;
 * with TTL 255 and bounded buffers. fd or -errno. */
int ts_sock_open(const struct ts_host *host, const struct ts_ip *ip);
/* SO_SNDBUF or SO_RCVBUF, counted as the kernel reads it back. -1 is fine. */
void ts_sock_buffer(int fd, int name, int bytes);
int ts_sock_reuse_port(int fd);
int ts_sock_bind(int fd, const struct ts_addr *addr);
/* 0 also while in progress. */
int ts_sock_connect(int fd, const struct ts_addr *addr);
/* TCP_ESTABLISHED, TCP_SYN_SENT, ... or -errno (not a TCP socket). */
int ts_sock_state(int fd);
int ts_sock_error(int fd); /* takes SO_ERROR: 0 or -errno */
int ts_sock_local(int fd, struct ts_addr *out);
int ts_sock_peer(int fd, struct ts_addr *out);
void ts_sock_reset(int fd); /* closes with RST; -1 is fine */
void ts_sock_close(int fd); /* closes; -1 is fine */
/* A connection whose host is killed must not look as if the peer had ended it:
 * from now on the kernel resets it when nobody closes it otherwise. */
void ts_sock_break_at_death(int fd);
void ts_sock_finish(int fd); /* closes such a one in order; -1 is fine */
size_t ts_sock_unread(int fd);
/* A random 127.x.y.z, none of the conventional ones. */
struct ts_ip ts_sock_random_loopback(const struct ts_host *host);
struct ts_ip ts_sock_loopback(bool v6); /* 127.0.0.1 or ::1 */

/* -- hurry.c -------------------------------------------------------------- */
void ts_hurry_open(struct ts_host *host);
void ts_hurry_close(const struct ts_host *host);
/* Between them no call waits for long: EINTR. */
void ts_hurry_begin(void);
void ts_hurry_end(void);
/* On programs' sockets. 0 or -errno: -EINPROGRESS where it would wait. */
int ts_hurry_connect(int fd, const struct sockaddr *addr, socklen_t len);
/* fd or -errno: -EAGAIN where it would wait. */
int ts_hurry_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags);
/* Closes what may be the last of a program's sockets. -1 is fine. */
void ts_hurry_drop(int fd);

/* -- flow_entries.c ------------------------------------------------------- */
int ts_entries_open(struct ts_host *host);
void ts_entries_close(struct ts_host *host);
/* Adds; a former flow of this tuple is forgotten. NULL: no room. */
struct ts_entry *ts_entry_put(struct ts_host *host,
			      const struct ts_flow_key *key,
			      const struct ts_flow_entry *value);
void ts_entry_publish(struct ts_host *host, struct ts_entry *entry);
/* The flow is over; the entry stays for linger_ms. NULL is fine. */
void ts_entry_end(struct ts_host *host, struct ts_entry *entry,
		  uint64_t linger_ms);
/* Gone now, not lingering. NULL is fine. */
void ts_entry_drop(struct ts_host *host, struct ts_entry *entry);
struct ts_entry *ts_entry_find(const struct ts_host *host,
			       const struct ts_flow_key *key);

/* -- hup_watch.c ---------------------------------------------------------- */
int ts_hup_open(struct ts_host *host);
void ts_hup_close(struct ts_host *host);
enum ts_hup_kind { HUP_ONLY, HUP_OR_EOF };
/* item's fn and ctx are set by the caller; called once per edge. */
int ts_hup_add(struct ts_host *host, struct ts_hup_item *item, int fd,
	       enum ts_hup_kind kind);
void ts_hup_remove(struct ts_host *host, struct ts_hup_item *item);

/* -- rendezvous.c, self_test.c -------------------------------------------- */
int ts_rendezvous_open(struct ts_host *host, bool never_hold,
		       char err[static 256]);
void ts_rendezvous_close(struct ts_host *host);
/* After a change of uid: a new R, or the old one when that fails. */
void ts_rendezvous_follow_uid(struct ts_host *host);
bool ts_rendezvous_owns(const struct ts_host *host, const struct ts_addr *at);
/* Simultaneous open: from R's address at to the held socket. fd or -errno. */
int ts_rendezvous_connect_back(const struct ts_host *host,
			       const struct ts_addr *at,
			       const struct ts_addr *program);
/* Fills what R can do; logs what is missing. */
void ts_self_test(struct ts_host *host);

/* -- app_connect.c -------------------------------------------------------- */
/* Owns fd (the program's socket) from here. */
void ts_conn_request(struct ts_host *host, const struct ts_broker_request *req,
		     int fd, pid_t pid, struct ts_broker_reply *rep);
/* The same, and nobody hears an answer: the connect fails, without a trace. */
void ts_conn_turn_away(struct ts_host *host,
		       const struct ts_broker_request *req, int fd, pid_t pid);
void ts_conns_node_changed(struct ts_host *host);
/* By a process that is not this one. */
bool ts_conns_are_held_for_others(const struct ts_host *host);
void ts_conns_close(struct ts_host *host);
/* Where R does not hold: the program's connection arrived at R. */
void ts_conns_arrived(struct ts_host *host, int fd);
/* For a connect to our own address: the listener took it, or not. */
void ts_conn_far_end_up(struct ts_conn *conn);
void ts_conn_far_end_gone(struct ts_conn *conn, int err);

/* -- held_sweep.c --------------------------------------------------------- */
struct ts_held {
	pid_t pid;
	uint64_t inode;
	bool is_held; /* some process that we may look into has it open */
	bool is_elsewhere; /* our own process does not count */
};
/* Fills is_held of each. What cannot be known counts as held. */
void ts_held_look(const struct ts_host *host, struct ts_held *held,
		  size_t count);

/* -- notify_made.c -------------------------------------------------------- */
/* A peer's connection is brought to a listener: is it there? */
void ts_notify_before_inbound(struct ts_host *host);

/* -- held_pace.c ---------------------------------------------------------- */
/* The socket in SYN_SENT knocks often from now on. What ts_held_unpace() wants
 * to undo it; 0: nothing was done. */
int ts_held_pace(int fd);
void ts_held_unpace(int fd, int before_ms);

/* -- app_listener.c ------------------------------------------------------- */
/* What comes from the internet (serve_funnel.c). */
enum ts_funnel { TS_FUNNEL_NONE, TS_FUNNEL_TOO, TS_FUNNEL_ONLY };
struct ts_listener {
	struct ts_link link;
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
	struct ts_addr tailnet; /* ip :: = all own, 0.0.0.0 = own IPv4 */
	/* 0.0.0.0 for dual-stack sockets, too; :: is IPv6 alone */
	struct ts_addr native;
	unsigned servers;  /* the members that serve it, as bits */
	bool is_listening; /* LISTEN came; else BIND or BOUND only */
	bool is_fallback; /* what nobody else listens at; tailnet has no port */
	uint8_t shares; /* TS_BROKER_REUSE, TS_BROKER_REUSE_PORT */
	bool is_tls;	/* TLS is ended in front of it */
	enum ts_funnel funnel;
	int deferred_s;	/* TCP_DEFER_ACCEPT, where notify_bind.c took it */
	/* UDP: in the tailnet of each member that serves it; NULL: not there */
	struct ts_dgram_port *ports[TS_HOST_NODES_MAX];
	struct ts_flow_listener *flows; /* UDP by connected sockets, or NULL */
	uint64_t made_ms;
	uint64_t id; /* grows */
};
/* false: hold the request until the node has its addresses. */
bool ts_listener_bind(struct ts_host *host, const struct ts_broker_request *req,
		      struct ts_broker_reply *rep);
void ts_listener_bound(struct ts_host *host,
		       const struct ts_broker_request *req,
		       struct ts_broker_reply *rep);
/* Owns fd from here, which may be -1. */
void ts_listener_listen(struct ts_host *host,
			const struct ts_broker_request *req, int fd,
			struct ts_broker_reply *rep);
/* Who is asked for connections that nobody listens for: the first to have
 * registered after the one of that id (0: of all), or NULL. */
struct ts_listener *ts_listener_fallback(const struct ts_member *member,
					 uint64_t after_id);
/* Its program has closed it. */
void ts_listener_end(struct ts_host *host, struct ts_listener *l);
/* The best listener for an own address of member, or NULL. */
struct ts_listener *ts_listener_for(const struct ts_member *member,
				    uint8_t proto, const struct ts_addr *local);
/* The one that is served at this native address, or NULL. */
struct ts_listener *ts_listener_at(const struct ts_host *host, uint8_t proto,
				   const struct ts_addr *native);
/* It refused: forget it when its socket is gone. */
void ts_listener_refused(struct ts_host *host, uint8_t proto,
			 const struct ts_addr *native);
/* Forgets those that is_gone says it of, and whose port is free. */
void ts_listeners_forget(struct ts_host *host,
			 bool (*is_gone)(const struct ts_listener *l,
					 const void *ctx),
			 const void *ctx);
void ts_listeners_close(struct ts_host *host);

/* -- datagram_listener.c -------------------------------------------------- */
/* l is served by connected sockets, which go by fd, one end of a pair. Takes
 * fd. 0, -EINVAL (no such socket), -ENOMEM. */
int ts_flow_listener_new(struct ts_host *host, struct ts_listener *l, int fd);
void ts_flow_listener_free(struct ts_flow_listener *flows); /* NULL is fine */

/* -- app_inbound.c -------------------------------------------------------- */
/* A program's connect to our own address local; remote is its tailnet end.
 * NULL: *err, -ECONNREFUSED when nobody listens. */
struct ts_inbound *ts_inbound_from_self(struct ts_member *member,
					struct ts_conn *conn,
					const struct ts_addr *local,
					const struct ts_addr *remote, int *err);
/* From the internet, with a connection of the tunnel's that is up already:
 * takes it. */
void ts_inbound_from_funnel(struct ts_member *member, struct stack_tcp *tcp,
			    const struct ts_addr *local,
			    const struct ts_addr *remote);
/* The connecting program's end is up: bytes may flow once accepted. Owns fd
 * and entry from here. */
void ts_inbound_join(struct ts_inbound *in, int fd, struct ts_entry *entry);
/* The connecting program gave up before that. */
void ts_inbound_abandon(struct ts_inbound *in);
void ts_inbound_accepted(struct ts_host *host,
			 const struct ts_broker_request *req, int fd, pid_t pid,
			 struct ts_broker_reply *rep);
void ts_inbounds_end(struct ts_member *member); /* all there are now */
void ts_inbounds_close(struct ts_host *host);
/* Bytes of programs that the peers' handshakes hold up. */
size_t ts_inbounds_undelivered(const struct ts_host *host);

/* -- other_end.c ---------------------------------------------------------- */
int ts_other_end_open(void); /* what to ask by; fd or -errno */
/* Of our loopback connection, as the listener's side would name it: true when
 * the kernel has no such socket. What cannot be known is not lost. */
bool ts_other_end_is_lost(int fd, const struct ts_flow_key *key);

/* -- app_splice.c: loopback socket <-> tunnel ----------------------------- */
/* Owns fd, tcp and entry from here, in every case. */
void ts_splice_start(struct ts_member *member, int fd, struct stack_tcp *tcp,
		     struct ts_entry *entry);
/* The same for a connection of a peer with a host behind us, which no program
 * has: ended(ctx) once it is over. */
void ts_splice_forward(struct ts_member *member, int fd, struct stack_tcp *tcp,
		       void (*ended)(void *ctx), void *ctx);
void ts_splices_pump_ready(void *host);
void ts_splices_close(struct ts_member *member);

/* -- tunnel_options.c: a program's socket options, in the tunnel ---------- */
/* From the program's socket fd into entry, and on to its connection. NULL and
 * -1 are fine. */
void ts_tunnel_read_options(struct ts_entry *entry, int fd);
/* Of our socket to the program, and of the one, if any (-1), where what we send
 * there comes from: no larger than the program's own. */
void ts_tunnel_bound_buffers(const struct ts_entry *entry, int fd, int from_fd);
/* The connection is there; NULL: it is not any more. */
void ts_tunnel_attach(struct ts_entry *entry, struct stack_tcp *tcp);
/* Nothing more is sent: is the peer still there? */
void ts_tunnel_half_closed(struct ts_entry *entry);
/* TCP_CONGESTION of a connection whose socket cannot be had. */
void ts_tunnel_set_congestion(struct ts_host *host,
			      const struct ts_broker_request *req,
			      enum ts_cc cc);
/* The program chooses it for its socket fd, if the kernel takes it. */
void ts_tunnel_mark_congestion(int fd, enum ts_cc cc);
void ts_tunnel_options(struct ts_host *host,
		       const struct ts_broker_request *req, int fd,
		       struct ts_broker_reply *rep);
void ts_tunnel_info(struct ts_host *host, const struct ts_broker_request *req,
		    struct ts_broker_reply *rep);

/* -- app_relay.c: loopback socket <-> loopback socket --------------------- */
struct ts_relay_end {
	int fd;
	struct ts_entry *entry;
};
/* Owns both ends from here, in every case. member: whose own address joins
 * them; NULL: nobody's. */
void ts_relay_start(struct ts_host *host, const struct ts_member *member,
		    const struct ts_relay_end ends[2]);
/* Those of member, or (NULL) all. */
void ts_relays_end(struct ts_host *host, const struct ts_member *member);
size_t ts_relays_undelivered(const struct ts_host *host);

/* -- datagrams: app_datagram.h -------------------------------------------- */
int ts_dgrams_open(struct ts_host *host);
/* After the listeners, which have ports. */
void ts_dgrams_close(struct ts_host *host);
/* Bytes of datagrams that programs have sent and that are still here. */
size_t ts_dgrams_undelivered(const struct ts_host *host);
void ts_dgrams_node_changed(struct ts_host *host);
/* As ts_host_leave_node() and ts_host_enter_node(). */
void ts_dgrams_leave_node(struct ts_member *member);
void ts_dgrams_enter_node(struct ts_member *member);
/* SEND and CONNECT. They own fd (the program's socket, or -1) from here. */
void ts_dgram_send(struct ts_host *host, const struct ts_broker_request *req,
		   int fd, pid_t pid, struct ts_broker_reply *rep);
void ts_dgram_connect(struct ts_host *host,
		      const struct ts_broker_request *req, int fd, pid_t pid,
		      struct ts_broker_reply *rep);
/* The program is about to disconnect fd, or to connect it elsewhere. */
void ts_dgram_leave(struct ts_host *host, int fd);
/* A port of ours in the tailnet, counted; 0: a free one. NULL: *err. */
struct ts_dgram_port *ts_dgram_port_get(struct ts_member *member,
					uint16_t number, int *err);
void ts_dgram_port_put(struct ts_dgram_port *port); /* NULL is fine */

/* -- names.c -------------------------------------------------------------- */
/* false: hold the request until the netmap is there. */
bool ts_names_answer(struct ts_host *host, const struct ts_broker_request *req,
		     struct ts_broker_reply *rep);

/* Addresses in an answer of member's for a program that has not named a node
 * (node: as in the request): stand-ins where it would go elsewhere. */
void ts_names_tell(struct ts_member *member, uint8_t node,
		   struct ts_broker_reply *rep);

/* -- drain.c -------------------------------------------------------------- */
/* false: hold the request; it is looked at again soon. */
bool ts_drain_answer(struct ts_host *host, const struct ts_broker_request *req,
		     pid_t pid, struct ts_broker_reply *rep);

/* -- request_proof.c ------------------------------------------------------ */
/* After the rendezvous, whose network namespace is ours. */
void ts_request_proof_open(struct ts_host *host);
/* Puts the name that the socket fd (or -1) has into the request that speaks of
 * it. 0, or the errno to answer with. */
int ts_request_prove(const struct ts_host *host, struct ts_broker_request *req,
		     int fd);
/* Is fd the connection with these two ends? */
bool ts_request_is_of(const struct ts_host *host,
		      const struct ts_flow_key *key, int fd);

/* -- broker_server.c ------------------------------------------------------ */
int ts_broker_open(struct ts_host *host, const struct ts_host_config *config,
		   char err[static 256]);
void ts_broker_close(struct ts_host *host);
/* Answers held requests that can be answered now. */
void ts_broker_retry_held(struct ts_host *host);

/* -- members.c ------------------------------------------------------------ */
bool ts_member_has_netmap(const struct ts_member *member);
/* Stopped, or its auth key was refused: nothing to wait for. */
bool ts_member_is_down(const struct ts_member *member);
int ts_members_open(struct ts_host *host, struct ts_node *first,
		    const struct ts_member_config *config);
/* NULL: there is none of that name. */
struct ts_member *ts_member_named(struct ts_host *host, const char *name);
/* It has no netmap yet, and may have one soon. */
bool ts_member_is_awaited(const struct ts_member *member);
/* The first of several that is, or NULL. */
struct ts_member *ts_members_awaited(struct ts_host *host);
/* What peers have begun and nobody has taken up ends, before the splices. */
void ts_members_stop(struct ts_host *host);
/* And the rest, after them. */
void ts_members_close(struct ts_host *host);
/* Their texts, once nobody publishes them any more. */
void ts_members_free(struct ts_host *host);
void ts_members_node_changed(struct ts_host *host);

/* -- views.c -------------------------------------------------------------- */
/* The table for a program that names this node; NULL: no memory. */
struct ts_table *ts_view_open(struct ts_member *member);
void ts_views_close(struct ts_host *host);
/* In all tables: 0 or -ENOSPC. */
int ts_views_put(struct ts_host *host, const struct ts_entry *entry);
void ts_views_remove(struct ts_host *host, const struct ts_flow_key *key);
void ts_views_publish(struct ts_host *host);
/* Whose token is it? 0: of all, else 1 + a member's index; negative: none. */
int ts_view_of_token(const struct ts_host *host,
		     const uint8_t token[static TS_TABLE_TOKEN_LEN]);

/* -- host.c, table_info.c ------------------------------------------------- */
void ts_host_publish(struct ts_host *host);
/* Of the nodes together; the first's own addresses are the info's. */
void ts_table_info_from_nodes(struct ts_table_info *info,
			      struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX],
			      const struct ts_member *members, unsigned count);
/* Their interfaces: named as the user says, or as their order does. */
void ts_table_fill_interfaces(
	struct ts_table_info *info,
	struct ts_table_interface interfaces[TS_TABLE_NODES_MAX],
	const struct ts_member *members, unsigned count);

#endif
