/* SPDX-License-Identifier: BSD-3-Clause
 * address_table.h - what every attached process may read of the host
 *
 * A sealed memfd: the host maps it writable, programs read-only. It answers
 * without a round trip: is this destination the tailnet's; what do
 * getsockname, getpeername, accept and SO_ERROR say about a loopback tuple.
 * Header and every flow are seqlocks (odd: being written). Readers copy out
 * and never follow a pointer, so a dying host cannot hang or crash them: a
 * reader gives up after a bounded number of tries and says "not found".
 */
#ifndef CORE_BROKER_ADDRESS_TABLE_H
#define CORE_BROKER_ADDRESS_TABLE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	TS_TABLE_MAGIC = 0x74736e54,
	TS_TABLE_VERSION = 6,
	TS_TABLE_FLOW_CAP = 1 << 16, /* slots; at most 3/4 in use */
	TS_TABLE_PROBE_MAX = 64,
	TS_TABLE_PREFIX_MAX = 128,
	TS_TABLE_RESOLVER_MAX = 4,
	TS_TABLE_NODES_MAX = 8,
	TS_TABLE_TOKEN_LEN = 16,
	TS_TABLE_SUFFIX_CAP = 256,
	TS_TABLE_PATH_CAP = 108,
};

/* Who answers what programs ask the system's name servers? */
enum ts_dns_mode { TS_DNS_INTERCEPT, TS_DNS_HOST };
enum ts_listen_mode { TS_LISTEN_BOTH, TS_LISTEN_TAILNET, TS_LISTEN_HOST };

/* The part of the header that changes; copied out by readers, onto stacks that
 * may be small. */
struct ts_table_info {
	uint32_t generation; /* of the host: 1, 2, ... on re-hosting */
	int32_t host_pid;
	uint8_t node_state; /* enum ts_node_state */
	uint8_t listen_mode;
	uint8_t has_loopback6;	  /* ::1 twin of R exists */
	uint8_t one_loopback;	  /* only 127.0.0.1 may be bound */
	/* A socket bound to 0.0.0.0 connects to R from R's own address (gVisor)
	 * and not from 127.0.0.1 (Linux). */
	uint8_t source_follows;
	uint8_t resolver_count; /* of resolvers; 0: dns = host */
	uint16_t mtu;		/* of the tunnel, IP header included */
	uint16_t rendezvous_port; /* R; 0: not there */
	uint16_t rendezvous6_port;
	uint16_t datagram_port; /* W; 0: not there */
	uint8_t holds;	      /* R does; else it accepts at once */
	uint8_t prefix_count; /* of the layout's */
	/* An exit node: all is the tailnet's, but what is loopback's, and the
	 * last direct_count of the layout's prefixes. */
	uint8_t claims_rest, direct_count;
	uint8_t interface_count; /* of the layout's */
	uint8_t spare;
	struct ts_ip own_v4, own_v6; /* :: before the netmap */
	/* The system's name servers: port 53 there is the node's (dns =
	 * intercept). */
	struct ts_ip resolvers[TS_TABLE_RESOLVER_MAX];
	char suffix[TS_TABLE_SUFFIX_CAP]; /* MagicDNS, no dots around */
	char broker_path[TS_TABLE_PATH_CAP];
	char broker_abstract[TS_TABLE_PATH_CAP]; /* without leading NUL */
	uint8_t token[TS_TABLE_TOKEN_LEN]; /* proves an inherited mapping */
	/* The tailnet has resolvers of its own, or names under other suffixes:
	 * the host says of each name with dots whose it is. */
	uint8_t routes_names;
};

enum ts_flow_kind {
	TS_FLOW_NONE,
	TS_FLOW_CONNECT, /* local: the program's, remote: R's */
	TS_FLOW_ACCEPT,	 /* local: the listener's, remote: the host's end */
	TS_FLOW_BIND,	 /* local: native bind; remote zero */
	/* Datagrams. A remote end that a program's socket talks with has a
	 * virtual loopback address, which belongs to this flow alone. */
	TS_FLOW_DATAGRAM, /* local zero, remote: the virtual address */
	TS_FLOW_SEND,	  /* local: the program's native address, remote: the
			   * tailnet's; tailnet_remote: the virtual address */
	TS_FLOW_LISTEN,	  /* TCP; local: native, remote: the tailnet's: for
			   * who has to start another host */
	TS_FLOW_DEAD,	 /* tombstone: probing goes on past it */
};
enum ts_flow_state { TS_FLOW_PENDING, TS_FLOW_UP, TS_FLOW_FAILED };

struct ts_flow_key {
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP; echo sockets: UDP */
	struct ts_addr local, remote; /* as the program's native socket sees */
};
struct ts_flow_entry {
	uint8_t kind, state;
	int32_t error; /* positive errno when TS_FLOW_FAILED */
	struct ts_addr tailnet_local, tailnet_remote;
};

/* What stands for one node. */
struct ts_table_interface {
	char name[16];       /* IFNAMSIZ */
	struct ts_ip v4, v6; /* own addresses; :: for none */
};

struct ts_table_slot {
	_Atomic uint32_t seq;
	struct ts_flow_key key;
	struct ts_flow_entry entry;
};
struct ts_table_layout {
	uint32_t magic, version;
	uint32_t flow_cap, slot_size;
	_Atomic uint32_t info_seq;
	struct ts_table_info info;
	struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX]; /* info_seq's, too */
	struct ts_table_interface interfaces[TS_TABLE_NODES_MAX]; /* as well */
	struct ts_table_slot slots[]; /* flow_cap of them */
};

/* -- host ----------------------------------------------------------------- */
struct ts_table; /* write side */
struct ts_table *ts_table_new(void); /* memfd made, mapped, sealed; or NULL */
void ts_table_free(struct ts_table *t);
int ts_table_fd(const struct ts_table *t); /* read-only fd to hand out */
const struct ts_table_layout *ts_table_layout(const struct ts_table *t);
/* prefixes: all TS_TABLE_PREFIX_MAX of them, used from both ends; interfaces:
 * as many as info says. */
void ts_table_set_info(struct ts_table *t, const struct ts_table_info *info,
		       const struct ts_prefix *prefixes,
		       const struct ts_table_interface *interfaces);
/* Adds or replaces. 0 or -ENOSPC. */
int ts_table_put(struct ts_table *t, const struct ts_flow_key *key,
		 const struct ts_flow_entry *entry);
void ts_table_remove(struct ts_table *t, const struct ts_flow_key *key);

/* -- programs (async-signal-safe: no malloc, no lock) --------------------- */
/* Maps fd read-only and checks it; NULL with *err -EBADMSG, -ENOMEM. */
const struct ts_table_layout *ts_table_map(int fd, int *err);
void ts_table_unmap(const struct ts_table_layout *t);
bool ts_table_read_info(const struct ts_table_layout *t,
			struct ts_table_info *out);
bool ts_table_find(const struct ts_table_layout *t,
		   const struct ts_flow_key *key, struct ts_flow_entry *out);
/* The listeners, one by one: *at is 0 at the beginning; false: no more. */
bool ts_table_next_listener(const struct ts_table_layout *t, uint32_t *at,
			    struct ts_flow_key *out);
/* Is ip inside one of the prefixes, or in none of the direct ones while an exit
 * node is used? Never loopback and multicast, which are for the caller to
 * know. Cheap: no copy of the info. Service IPs
 * count; before the netmap (no own address yet) so do the static prefixes. */
bool ts_table_claims(const struct ts_table_layout *t, const struct ts_ip *ip);
/* Without a copy of the info either: is it an address of this node; has the
 * tailnet resolvers; is its suffix known; its MTU; the host's port for
 * datagrams. */
bool ts_table_get_interface(const struct ts_table_layout *t, unsigned i,
			    struct ts_table_interface *out);
bool ts_table_is_own(const struct ts_table_layout *t, const struct ts_ip *ip);
static inline bool ts_table_routes_names(const struct ts_table_layout *t)
{
	return __atomic_load_n(&t->info.routes_names, __ATOMIC_ACQUIRE);
}
static inline bool ts_table_has_suffix(const struct ts_table_layout *t)
{
	return __atomic_load_n(&t->info.suffix[0], __ATOMIC_ACQUIRE);
}
uint16_t ts_table_mtu(const struct ts_table_layout *t);
uint16_t ts_table_datagram_port(const struct ts_table_layout *t);

#endif
