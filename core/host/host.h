/* SPDX-License-Identifier: BSD-3-Clause
 * host.h - the programs' side of nodes: broker, rendezvous, splices
 *
 * Serves every attached program for one or more nodes on the loop's thread:
 * broker_server takes requests, rendezvous holds and releases connects,
 * app_listener registers ports and carries inbound connections to them,
 * app_splice moves the bytes between the program's loopback socket and lwIP.
 */
#ifndef CORE_HOST_HOST_H
#define CORE_HOST_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/broker/address_table.h"
#include "core/loop/loop.h"
#include "core/node/node.h"
#include "core/state/node_rules.h"

struct ts_host;
struct ts_drop_box; /* core/drop/drop_box.h */
struct ts_member; /* one of its nodes */

enum { TS_HOST_NODES_MAX = 8 };

/* DNS over HTTPS, by whoever has a client for it. status 0: no answer. */
typedef void (*ts_doh_fn)(void *ctx, int status, const uint8_t *body,
			  size_t len);
struct ts_doh_ops {
	/* A request that is a POST of the query, or NULL; ips: where the
	 * server is; none: its name has to be looked up. fn is called once
	 * unless it is cancelled, and never inside. */
	void *(*start)(void *ctx, const char *url, const struct ts_ip *ips,
		       size_t ip_count, const uint8_t *query, size_t len,
		       ts_doh_fn fn, void *fn_ctx);
	void (*cancel)(void *request);
};

/* TLS towards a server, over a connected socket that stays the caller's, by
 * whoever has a client and the system's roots (core/io/link_tls.h). */
struct ts_tls_client_ops {
	/* wants_h2: HTTP/2 is offered, before HTTP/1.1. */
	void *(*open)(void *ctx, int fd, const char *host, bool is_verified,
		      bool wants_h2);
	void (*close)(void *tls); /* NULL is fine */
	/* 0: done; -EAGAIN: wait as wants_write() says; else failed: err has
	 * one line why. */
	int (*handshake)(void *tls, char err[static 256]);
	bool (*wants_write)(const void *tls);
	bool (*is_h2)(const void *tls); /* after that: it is spoken */
	/* > 0 bytes, 0: the end, -EAGAIN, else failed. After an event of the
	 * socket until -EAGAIN. */
	void (*readable)(void *tls);
	ssize_t (*read)(void *tls, void *out, size_t cap);
	ssize_t (*write)(void *tls, const void *data, size_t len);
};

/* Certificates for TLS that the host ends (tls_server.h). error NULL: here it
 * is, as two PEM texts, whose chain begins with the leaf. */
typedef void (*ts_host_cert_fn)(void *ctx, const char *key_pem,
				const char *chain_pem, const char *error);
struct ts_host_cert_ops {
	/* name: as a client asks for it. fn is called once unless it is
	 * cancelled, and never inside; after limit_ms at the latest. NULL: out
	 * of memory, or too many wait. */
	void *(*start)(void *ctx, const char *name, unsigned limit_ms,
		       ts_host_cert_fn fn, void *fn_ctx);
	void (*cancel)(void *request);
	/* What is shown for this name to a CA that asks whether it is ours
	 * (tls-alpn-01), valid until the loop runs on. false: nothing. */
	bool (*proof)(void *ctx, const char *name, const char **key_pem,
		      const char **chain_pem);
	/* A program listens behind TLS: clients will come. */
	void (*listened)(void *ctx);
};

/* What one of the nodes has of its own. */
struct ts_member_config {
	const char *name;      /* for TSNET_NODE; NULL: it cannot be named */
	const char *interface; /* as programs are shown it; NULL: by order */
	const char *localapi_path; /* where nothing served may lead; or NULL */
	enum ts_listen_mode listen;        /* for programs that have it alone */
	const struct ts_node_rules *rules; /* NULL: none; the host reads them
					    * as long as it is open */
	/* Programs' listeners at these ports: TLS is ended in front of them.
	 * Read as long as the host is open. */
	const uint16_t *tls_ports;
	size_t tls_port_count;
	void *doh_ctx; /* for its questions by HTTPS */
};

struct ts_host_config {
	struct ts_member_config first;
	const char *socket_path; /* broker's path (mode 0600), or NULL */
	const char *abstract_name; /* without the leading NUL, or NULL */
	enum ts_dns_mode dns;
	/* With several nodes: where stand-ins are (stand_ins.h). */
	struct ts_prefix stand_in4, stand_in6;
	const char *resolv_conf; /* NULL: the system's */
	const struct ts_doh_ops *doh; /* NULL: no DNS over HTTPS */
	const struct ts_tls_client_ops *tls_client; /* NULL: no TLS */
	void *tls_client_ctx;
	unsigned timeout_s; /* how long a connect or a name waits for a node
			     * that is not running yet */
	bool in_process; /* same process as (the first of) the programs */
	bool shares_files; /* ... and its descriptors are the program's too */
	bool never_hold; /* tests: as on a kernel where connects cannot be
			  * held; programs see success early */
};

/* With its first node. NULL: err has one line why (for example: no loopback
 * interface). Runs the self-test of SHIM-EXPERIMENTS 3. */
struct ts_host *ts_host_open(struct ts_loop *loop, struct ts_node *node,
			     const struct ts_host_config *config,
			     char err[static 256]);
struct ts_member *ts_host_first(struct ts_host *host);
/* Where files that peers send to it go; NULL: nowhere. */
void ts_host_set_drop_box(struct ts_member *member, struct ts_drop_box *box);
/* Where this node's certificates come from; without it there is no TLS. */
void ts_host_set_certs(struct ts_member *member,
		       const struct ts_host_cert_ops *ops, void *ctx);
/* One more, before the loop runs; TS_HOST_NODES_MAX in all. NULL: out of
 * memory. */
struct ts_member *ts_host_add(struct ts_host *host, struct ts_node *node,
			      const struct ts_member_config *config);
/* Closes all; connections are aborted. */
void ts_host_close(struct ts_host *host);
/* In a child that was forked from a process with an in-process host: closes
 * the copies of the host's descriptors, and touches nothing else. For fork
 * handlers: async-signal-safe. */
void ts_host_disown(void);
/* To be called by the engine when the node says so. */
void ts_host_state_changed(struct ts_host *host);
void ts_host_netmap_changed(struct ts_host *host);
void ts_host_inbound_syn(struct ts_member *member, struct stack_syn *syn,
			 const struct ts_addr *local,
			 const struct ts_addr *remote);
void ts_host_syn_gone(struct ts_member *member, struct stack_syn *syn);
/* Another node takes the place of this one, which is still whole: all that has
 * an end in the tailnet ends. */
void ts_host_leave_node(struct ts_member *member);
/* And here it is; the former one may be gone. In the same turn of the loop. */
void ts_host_enter_node(struct ts_member *member, struct ts_node *node);
/* Of a peer, for a network that the node routes. */
void ts_host_forward_udp(struct ts_member *member, const struct ts_addr *from,
			 const struct ts_addr *to, const uint8_t *data,
			 size_t len);
void ts_host_forward_echo(struct ts_member *member, const struct ts_ip *from,
			  const struct ts_ip *to, uint16_t id, uint16_t seq,
			  const uint8_t *data, size_t len);
/* The program that the host lives in ends: no more will come from it. */
void ts_host_finish(struct ts_host *host);
/* From now on programs of other processes are sent to the next host. */
void ts_host_take_no_more(struct ts_host *host);
/* Have other processes connections here, or are about to? */
bool ts_host_serves_others(const struct ts_host *host);
/* Has a peer yet to end a connection that a program has ended? */
bool ts_host_is_lingering(const struct ts_host *host);
/* Bytes that programs wrote and the tunnel has not delivered yet. */
size_t ts_host_undelivered(const struct ts_host *host);
const struct ts_table_layout *ts_host_table(const struct ts_host *host);
int ts_host_table_fd(const struct ts_host *host);

#endif
