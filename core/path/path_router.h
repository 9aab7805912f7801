/* SPDX-License-Identifier: BSD-3-Clause
 * path_router.h - the way to each peer: UDP addresses found by disco, or DERP
 *
 * Sans-IO. WireGuard hands sealed packets in; the router sends each on the
 * peer's best path: a trusted direct UDP address, else DERP, else both while
 * trust is in doubt. Datagrams off the network come in here first: disco and
 * STUN are consumed, WireGuard messages are attributed to a peer and handed
 * back. Only a pong moves the send path (PROTOCOL 21.9).
 *
 * Ops may come from within any call that has now_ms. From an op it is fine to
 * send, to add peers and to report a DERP stream as opened or closed, and from
 * wireguard() to update or remove them; not to free the router or to set its
 * map, keys or endpoints.
 * Source: wgengine/magicsock/{magicsock,endpoint}.go, disco/disco.go
 */
#ifndef CORE_PATH_PATH_ROUTER_H
#define CORE_PATH_PATH_ROUTER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/packet.h"
#include "core/crypto/keys.h"
#include "core/model/netmap.h"
#include "core/path/path_addr.h"

struct ts_path;
struct ts_path_peer;
struct ts_relay_server;
struct ts_netcheck_report;

struct ts_path_ops {
	/* One datagram from our UDP socket. The bytes are the caller's. */
	void (*udp_send)(void *ctx, const struct ts_addr *to,
			 const uint8_t *pkt, size_t len);
	/* The same, but never in fragments: larger than the way out allows, it
	 * is lost. Needed with measure_mtu only. */
	void (*udp_send_whole)(void *ctx, const struct ts_addr *to,
			       const uint8_t *pkt, size_t len);
	/* Bytes for the TCP/TLS stream of a DERP region's connection. */
	void (*derp_write)(void *ctx, int region, const uint8_t *data,
			   size_t len);
	/* Open (TCP, TLS) to this node of a region: answered with
	 * ts_path_derp_opened() or ts_path_derp_closed(). */
	void (*derp_open)(void *ctx, int region,
			  const struct ts_derp_node *node);
	/* Close; no callback follows. */
	void (*derp_close)(void *ctx, int region);
	/* A WireGuard message arrived. peer: whom the source belongs to - a
	 * hint only - or NULL (an unknown UDP address). from: real address, a
	 * relay's with its VNI, or 127.3.3.40:region for DERP. Call
	 * ts_path_learn() once WireGuard has authenticated it. */
	void (*wireguard)(void *ctx, struct ts_path_peer *peer,
			  const struct ts_path_addr *from,
			  struct ts_packet *pkt);
	/* DERP names a sender that is not in the router (a lazy peer): look it
	 * up in the netmap and add it, or return NULL to drop. */
	struct ts_path_peer *(*unknown_sender)(void *ctx,
					       const struct ts_public_key *key);
	/* A disco packet came by UDP, sealed by this disco key, which belongs
	 * to no peer of the router: look it up in the netmap and add the peer,
	 * or return NULL to drop. So a lazy peer can open a direct path before
	 * there was traffic. The packet was authenticated as this key's; calls
	 * are rate-limited. May be NULL: such packets are dropped. */
	struct ts_path_peer *(*unknown_disco)(
		void *ctx, const struct ts_public_key *disco_key);
	/* Bytes given to derp_write() that wait in the region's stream. Above
	 * 64 KiB packets are queued here, where the oldest of 32 is dropped,
	 * until ts_path_derp_drained() or the next look (every 20 ms). May be
	 * NULL: the stream never counts as slow. */
	size_t (*derp_queued)(void *ctx, int region);
	/* How long does this node take to answer GET /derp/latency-check by
	 * TLS? Answered with ts_path_derp_latency(), until cancelled. Both may
	 * be NULL: UDP alone tells latencies. */
	void (*derp_latency)(void *ctx, int region,
			     const struct ts_derp_node *node);
	void (*derp_latency_cancel)(void *ctx);
	/* The addresses of this name? Answered with ts_path_resolved(), later.
	 * May be NULL: names are not asked by STUN. */
	void (*resolve)(void *ctx, const char *host);
	/* The DERP server reports a problem with our connection (two nodes with
	 * our key, usually), or NULL: it is over. May be NULL. */
	void (*derp_health)(void *ctx, int region, const char *problem);
	/* ts_path_peer_mtu() is another now. May be NULL. */
	void (*peer_mtu_changed)(void *ctx, struct ts_path_peer *peer,
				 size_t mtu);
	/* The peer is reached by another path, or is heard again: whatever
	 * waits for its answer need wait no longer. May be NULL. */
	void (*peer_moved)(void *ctx, struct ts_path_peer *peer);
	/* Our candidate endpoints changed (STUN, local addresses); types as in
	 * tailcfg.EndpointType. */
	void (*endpoints_changed)(void *ctx, const struct ts_addr *endpoints,
				  const int *types, size_t count);
	/* Home region chosen or changed, NAT findings; report as it is during
	 * this call. */
	void (*net_info_changed)(void *ctx, int home_region,
				 const struct ts_netcheck_report *report);
	/* The first attempt to connect to the home region ended (success or
	 * not): the node may call itself Running. Once for each home. */
	void (*derp_ready)(void *ctx, int region, bool connected);
};

struct ts_path_config {
	struct ts_private_key node_key;
	struct ts_private_key disco_key;
	bool disable_direct; /* DERP only: TS_DEBUG_ALWAYS_USE_DERP */
	bool measure_mtu;    /* of direct paths */
	bool port_is_fixed;  /* the user chose the UDP socket's port */
	/* Where the user says that we can be reached; copied. */
	const struct ts_addr *endpoints;
	size_t endpoint_count;
};

struct ts_path *ts_path_new(const struct ts_path_config *config,
			    const struct ts_path_ops *ops, void *ctx);
void ts_path_free(struct ts_path *path);
void ts_path_set_node_key(struct ts_path *path,
			  const struct ts_private_key *node_key,
			  uint64_t now_ms);
/* While there is no peer: all that was said under the old one is void. */
void ts_path_set_disco_key(struct ts_path *path,
			   const struct ts_private_key *disco_key);
/* Kept by reference until the next call; NULL: none. Regions whose definition
 * changed are closed, home is measured anew (STUN latency; with no UDP, the
 * first region that connects). */
void ts_path_set_derp_map(struct ts_path *path, const struct ts_derp_map *map,
			  uint64_t now_ms);
/* Addresses of our interfaces with the UDP socket's port. */
void ts_path_set_local_endpoints(struct ts_path *path,
				 const struct ts_addr *addrs, size_t count,
				 uint64_t now_ms);
/* What the tailnet wants of us; all false at first. */
struct ts_path_settings {
	bool silent_disco; /* no heartbeats */
	bool no_relays;    /* neither ask relays nor take offers */
	bool tcp_only;     /* DERP, and not a datagram, not even for STUN */
	bool always_stun;  /* check the network while idle too */
};
void ts_path_configure(struct ts_path *path,
		       const struct ts_path_settings *settings,
		       uint64_t now_ms);
/* The nodes that may relay for us; copied, at most RELAY_SERVERS_MAX. */
void ts_path_set_relays(struct ts_path *path,
			const struct ts_relay_server *relays, size_t count);
/* The gateway maps this address to our UDP socket; NULL: no more. */
void ts_path_set_port_mapping(struct ts_path *path, const struct ts_addr *addr,
			      uint64_t now_ms);
/* Control is reachable: the home region may be changed. */
void ts_path_set_control_up(struct ts_path *path, bool up);

/* For tests of a tailnet: another home, any, until the next check; this one
 * whenever it answers (0: whichever is best); none at all. -ENETDOWN (no map),
 * -EAGAIN (control would not hear of it), -ENOENT (there is no such region). */
int ts_path_pick_new_home(struct ts_path *path, uint64_t now_ms);
int ts_path_prefer_home(struct ts_path *path, int region, uint64_t now_ms);
void ts_path_set_homeless(struct ts_path *path, bool homeless,
			  uint64_t now_ms);

struct ts_path_peer_config {
	struct ts_public_key node_key, disco_key;
	int home_derp;
	const struct ts_addr *endpoints;
	size_t endpoint_count;
	bool is_wireguard_only;
	bool may_relay; /* its version knows peer relays */
};
struct ts_path_peer *ts_path_peer_add(struct ts_path *path,
				      const struct ts_path_peer_config *config,
				      void *peer_ctx);
void ts_path_peer_update(struct ts_path *path, struct ts_path_peer *peer,
			 const struct ts_path_peer_config *config,
			 uint64_t now_ms);
void ts_path_peer_remove(struct ts_path *path, struct ts_path_peer *peer);
void *ts_path_peer_ctx(const struct ts_path_peer *peer);

/* The largest packet inside the tunnel that the peer's path carries now, as
 * far as it has been measured; 1,280 where it has not. */
size_t ts_path_peer_mtu(const struct ts_path_peer *peer);
/* A sealed WireGuard packet; headroom of 37 bytes is used for DERP. 0, or
 * -EHOSTUNREACH when there is neither an address nor a DERP region. */
int ts_path_send(struct ts_path *path, struct ts_path_peer *peer,
		 struct ts_packet *pkt, uint64_t now_ms);
void ts_path_input_udp(struct ts_path *path, const struct ts_addr *from,
		       struct ts_packet *pkt, uint64_t now_ms);
/* WireGuard authenticated a datagram from this address as this peer: remember
 * the attribution (never moves the send path). */
void ts_path_learn(struct ts_path *path, struct ts_path_peer *peer,
		   const struct ts_path_addr *from, uint64_t now_ms);
/* WireGuard authenticated it, and the attribution was right. */
void ts_path_heard(struct ts_path_peer *peer, const struct ts_path_addr *from,
		   uint64_t now_ms);
/* Did it come through DERP? */
bool ts_path_is_derp(const struct ts_path_addr *from);
/* An answer to where a packet came from, whoever that was: it is no traffic of
 * the peer's. peer: the sender, as far as the source tells, or NULL. */
void ts_path_answer(struct ts_path *path, struct ts_path_peer *peer,
		    const struct ts_path_addr *to, struct ts_packet *pkt,
		    uint64_t now_ms);

/* The map has other nodes: who called too early may be among them. */
void ts_path_map_changed(struct ts_path *path, uint64_t now_ms);

void ts_path_derp_opened(struct ts_path *path, int region,
			 const struct ts_public_key *meta_cert_key,
			 uint64_t now_ms); /* key: fast start, or NULL */
void ts_path_derp_input(struct ts_path *path, int region, const uint8_t *data,
			size_t len, uint64_t now_ms);
void ts_path_derp_closed(struct ts_path *path, int region, const char *error,
			 uint64_t now_ms);
/* The region's stream can take more (less than 64 KiB wait in it). */
void ts_path_derp_drained(struct ts_path *path, int region, uint64_t now_ms);
/* count 0: no answer. */
void ts_path_resolved(struct ts_path *path, const char *host,
		      const struct ts_ip *ips, size_t count, uint64_t now_ms);
/* latency_us 0: no answer. */
void ts_path_derp_latency(struct ts_path *path, int region, uint64_t latency_us,
			  uint64_t now_ms);
/* Check the network anew, all regions; fn gets the report and home once. When
 * a check is under way: its report. 0, -EAGAIN (too many wait) or -ENETDOWN
 * (no DERP map: fn is not called). With the router goes the report: NULL. */
typedef void (*ts_path_report_fn)(void *ctx,
				  const struct ts_netcheck_report *report,
				  int home_region);
int ts_path_check(struct ts_path *path, uint64_t now_ms, ts_path_report_fn fn,
		  void *fn_ctx);
uint64_t ts_path_deadline_ms(const struct ts_path *path);
void ts_path_tick(struct ts_path *path, uint64_t now_ms);
/* The kernel does not send to this address: EHOSTUNREACH and its like. */
void ts_path_refused(struct ts_path *path, const struct ts_addr *to,
		     uint64_t now_ms);
/* Link change: trust no address, STUN again, check DERP. */
void ts_path_network_changed(struct ts_path *path, uint64_t now_ms);

/* A disco ping for "tailscale ping", of size bytes with its header, at most
 * DISCO_PING_MAX_LEN, or 0: as short as it is. By UDP it is not cut. cb gets
 * the latency and the path, or err -ETIMEDOUT after 5 s, -EHOSTUNREACH (nowhere
 * to send to, before this returns), -ECANCELED (peer or router went away).
 * Exactly once. */
struct ts_path_pong {
	uint64_t latency_us;
	struct ts_path_addr from; /* 127.3.3.40:region for DERP */
	int derp_region;          /* 0: direct or by a peer relay */
};
typedef void (*ts_path_ping_fn)(void *ctx, int err,
				const struct ts_path_pong *pong);
void ts_path_ping(struct ts_path *path, struct ts_path_peer *peer, size_t size,
		  uint64_t now_ms, ts_path_ping_fn cb, void *cb_ctx);

struct ts_path_peer_status {
	bool is_direct, is_relayed; /* neither: DERP */
	struct ts_path_addr best;   /* when one of them */
	int derp_region;            /* region used, or the peer's home */
	bool active;         /* sent within the last 45 s */
	uint64_t last_send_ms;
};
void ts_path_peer_status(const struct ts_path *path,
			 const struct ts_path_peer *peer, uint64_t now_ms,
			 struct ts_path_peer_status *out);
/* WireGuard's packets by the way that they took, headers and handshakes with
 * them, as sent and as received. */
enum ts_way {
	TS_WAY_DIRECT4,
	TS_WAY_DIRECT6,
	TS_WAY_DERP,
	TS_WAY_RELAY4,
	TS_WAY_RELAY6,
	TS_WAY_COUNT,
};
struct ts_traffic {
	uint64_t packets[TS_WAY_COUNT], bytes[TS_WAY_COUNT];
};
struct ts_path_traffic {
	struct ts_traffic in, out;
	uint64_t dropped_unknown, dropped_disco;
};
void ts_path_traffic(const struct ts_path *path, struct ts_path_traffic *out);
int ts_path_home_region(const struct ts_path *path); /* 0: none yet */
/* Connected (ServerInfo seen) to that region right now? */
bool ts_path_derp_is_connected(const struct ts_path *path, int region);
/* Since when the home region cannot be reached; 0: it can, or nobody tried. */
uint64_t ts_path_home_lost_ms(const struct ts_path *path);
size_t ts_path_endpoints(const struct ts_path *path,
			 const struct ts_addr **out);

#endif
