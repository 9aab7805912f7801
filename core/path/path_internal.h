/* SPDX-License-Identifier: BSD-3-Clause
 * path_internal.h - the router's and a peer's state, for the router's files
 *
 *   path_router.c   set-up, time, what is asked from outside
 *   path_peers.c    the peers, found by node key, disco key, source address
 *   path_packets.c  WireGuard packets out and in
 *   path_disco.c    disco messages out and in
 *   path_relay.c    messages to and from peer relays
 *   path_network.c  network checks, home region, own endpoints
 */
#ifndef CORE_PATH_PATH_INTERNAL_H
#define CORE_PATH_PATH_INTERNAL_H

#include "core/base/flood.h"
#include "core/base/key_map.h"
#include "core/base/token_bucket.h"
#include "core/crypto/box.h"
#include "core/path/derp_names.h"
#include "core/path/derp_pool.h"
#include "core/path/disco_peer.h"
#include "core/path/early_callers.h"
#include "core/path/endpoints.h"
#include "core/path/home_region.h"
#include "core/path/netcheck.h"
#include "core/path/path_router.h"
#include "core/path/relay_client.h"
#include "core/path/timer_heap.h"

enum {
	/* UDP addresses that we remember as a peer's; the oldest gives way. */
	PATH_SOURCES_MAX = 16,
	PATH_SOURCE_KEY_LEN = 24,
	/* Regions that are tried at once when nothing could be measured. */
	PATH_RACE_MAX = 8,
	/* Packets of unknown disco keys that we look at. */
	PATH_STRANGERS_PER_S = 50,
	PATH_STRANGERS_BURST = 100,
	/* More of what nobody asked for, in a second, is worth a line. */
	PATH_FLOOD_PER_S = 100,
	/* Offers of relayed sessions by one peer: each makes us send to
	 * addresses that the peer names. */
	PATH_OFFERS_PER_S = 1,
	PATH_OFFERS_BURST = 32,
	PATH_ASKED_MAX = 8,
	PATH_CHECK_MIN_MS = 20000, /* periodic network check */
	PATH_CHECK_SPREAD_MS = 6000,
	PATH_CHECK_FULL_MS = 300000,
	/* Between checks because DERP failed or there is no home. */
	PATH_CHECK_TROUBLE_MS = 10000,
	/* Our own addresses are doubted no more often. */
	PATH_CHECK_DOUBT_MS = 2000,
	/* A WireGuard-only peer: when to try its next endpoint. */
	PATH_PLAIN_TRY_MS = 5000,
	PATH_PLAIN_HEARD_MS = 15000,
};

struct ts_path_peer {
	struct ts_path *path;
	void *ctx;
	struct ts_public_key node_key, disco_key;
	int home_derp;
	bool is_wireguard_only;
	bool has_no_path; /* neither disco nor plain WireGuard: DERP only */
	bool has_box;
	struct ts_box box; /* our disco key and the peer's */
	struct ts_disco_peer disco;
	struct ts_heap_timer timer; /* of disco */
	struct ts_derp_route route;
	struct ts_path_addr *sources; /* heap, PATH_SOURCES_MAX, a ring */
	size_t source_count, source_next;
	struct ts_path_peer *next_same_disco;
	struct ts_token_bucket offers;
	bool has_offers; /* the bucket was filled */
	struct ts_flood ping_flood;
	/* Waits for fresh endpoints, to send a CallMeMaybe. */
	bool is_waiting;
	struct ts_path_peer *next_waiting;
	uint64_t last_send_ms;
	struct ts_path_history *history; /* NULL: none yet */
	struct ts_path_addr last_best;	 /* as history knows it */
	/* WireGuard-only: the endpoint in use, since when, last answer. */
	size_t plain_index;
	uint64_t plain_since_ms, plain_heard_ms;
};

struct ts_path_race {
	int regions[PATH_RACE_MAX]; /* still trying */
	size_t count;
	int fallback; /* home when all fail */
};

struct ts_path_asked {
	ts_path_report_fn fn;
	void *fn_ctx;
};

struct ts_path {
	struct ts_path_config config;
	struct ts_public_key node_public, disco_public;
	const struct ts_path_ops *ops;
	void *ctx;
	uint64_t now_ms; /* of the call under way */
	const struct ts_derp_map *map;
	struct ts_derp_pool pool;
	struct ts_netcheck netcheck;
	struct ts_derp_names names;
	bool has_new_names; /* since the check under way began */
	struct ts_home_history history;
	struct ts_endpoints endpoints;
	int preferred_home; /* as somebody says; 0: whichever is best */
	bool is_homeless;   /* the same */
	struct ts_path_race race;
	struct ts_relay_client relays;
	struct ts_path_settings settings;
	struct ts_timer_heap timers;
	struct ts_key_map by_node_key, by_disco_key, by_source;
	struct ts_path_peer *waiting;
	struct ts_disco_probe *finished; /* their fn is still to be called */
	struct ts_token_bucket strangers;
	bool has_strangers; /* the bucket was filled */
	uint8_t *rx_buf;    /* a packet off DERP, with its headroom */
	bool control_up;
	bool home_reported; /* derp_ready() was called for this home */
	uint64_t home_lost_ms; /* since when it cannot be reached; 0: it can */
	int told_home;      /* what net_info_changed() said last */
	enum ts_tristate told_varies, told_udp, told_ipv6;
	struct ts_path_asked asked[PATH_ASKED_MAX]; /* wait for a report */
	size_t asked_count;
	uint64_t last_send_ms; /* to any peer */
	uint64_t
		next_check_ms; /* UINT64_MAX: sleeping until there is traffic */
	uint64_t last_check_ms, next_full_ms;
	struct ts_early_callers early;
	/* Whose initiation off DERP is being taken in; NULL: nobody's. */
	const struct ts_path_peer *caller;
	struct ts_traffic in, out;
	uint64_t dropped_unknown, dropped_disco;
	struct ts_flood disco_flood, stun_flood, derp_flood;
};

/* -- path_router.c -------------------------------------------------------- */
/* May peers be reached by UDP? */
bool ts_path_is_direct_allowed(const struct ts_path *path);

/* -- path_peers.c --------------------------------------------------------- */
struct ts_path_peer *ts_path_find_node(const struct ts_path *path,
				       const struct ts_public_key *node_key);
/* The first of those with that disco key; then next_same_disco. */
struct ts_path_peer *ts_path_find_disco(const struct ts_path *path,
					const struct ts_public_key *disco_key);
struct ts_path_peer *ts_path_find_source(const struct ts_path *path,
					 const struct ts_path_addr *from);
void ts_path_add_source(struct ts_path_peer *peer,
			const struct ts_path_addr *from);
/* NULL when the peer has no usable disco key. */
const struct ts_box *ts_path_peer_box(struct ts_path_peer *peer);
/* The peer's timer follows its disco deadline. */
void ts_path_peer_rearm(struct ts_path_peer *peer);
/* Follow what is allowed: direct paths, heartbeats. */
void ts_path_peer_configure(struct ts_path_peer *peer);
void ts_path_peer_free(struct ts_path_peer *peer);

/* -- path_packets.c ------------------------------------------------------- */
/* By UDP, with a relay's header in front where there is one. */
void ts_path_send_udp(struct ts_path *path, const struct ts_path_addr *to,
		      const struct ts_geneve *header, struct ts_packet *pkt);
int ts_path_send_derp(struct ts_path_peer *peer, struct ts_packet *pkt);
void ts_path_derp_packet(void *ctx, int region, const struct ts_public_key *src,
			 const uint8_t *data, size_t len, uint64_t now_ms);

/* -- path_peers.c --------------------------------------------------------- */
void ts_path_remember(struct ts_path_peer *peer, enum ts_path_change_kind kind,
		      const struct ts_path_addr *from,
		      const struct ts_path_addr *to);

/* -- path_disco.c --------------------------------------------------------- */
extern const struct ts_disco_ops TS_PATH_DISCO_OPS;
void ts_path_disco_input_udp(struct ts_path *path,
			     const struct ts_path_addr *from,
			     const uint8_t *pkt, size_t len);
/* Makes the packet; out has room DISCO_WRITE_CAP. */
int ts_path_disco_seal(const struct ts_path *path, const struct ts_box *box,
		       const struct ts_disco_message *msg, uint8_t *out,
		       size_t *len);
/* Opens it: 0, -EBADMSG, -EMSGSIZE or -EACCES. Who watches is told that it came
 * from there; peer: whose it is, or NULL. from NULL: nobody is told. */
int ts_path_disco_open(struct ts_path *path, struct ts_path_peer *peer,
		       const struct ts_path_addr *from, const uint8_t *pkt,
		       size_t len, const struct ts_box *box,
		       struct ts_disco_message *msg);
/* It came by UDP, and nobody we know has sealed it. */
void ts_path_disco_drop(struct ts_path *path, const struct ts_path_addr *from);
/* to NULL: through DERP. What cannot be sent is lost, like any datagram. */
void ts_path_disco_send(struct ts_path_peer *peer,
			const struct ts_path_addr *to,
			const struct ts_disco_message *msg);
void ts_path_disco_input_derp(struct ts_path_peer *peer, int region,
			      const uint8_t *pkt, size_t len);
/* The endpoints are fresh: to all who wait. */
void ts_path_send_waiting(struct ts_path *path);
void ts_path_stop_waiting(struct ts_path_peer *peer);
/* Calls back for probes that ended; last thing before the router returns. */
void ts_path_flush_probes(struct ts_path *path);

/* -- path_relay.c --------------------------------------------------------- */
extern const struct ts_relay_ops TS_PATH_RELAY_OPS;
bool ts_path_discover_relays(struct ts_path_peer *peer);
/* A message of a relay server, sealed by its own disco key. */
void ts_path_relay_input(struct ts_path *path, const struct ts_path_addr *from,
			 const uint8_t *pkt, size_t len);
/* Messages about relays that came through DERP; false: it is none. */
bool ts_path_relay_message(struct ts_path_peer *peer,
			   const struct ts_disco_message *msg);

/* -- path_network.c ------------------------------------------------------- */
extern const struct ts_netcheck_ops TS_PATH_NETCHECK_OPS;
void ts_path_check_network(struct ts_path *path, bool full);
/* A path ended: the next CallMeMaybe waits for a check. */
void ts_path_doubt_network(struct ts_path *path);
/* all: known ones as well. */
void ts_path_resolve_names(struct ts_path *path, bool all);
/* There is traffic: the periodic check must run. */
void ts_path_note_activity(struct ts_path *path);
void ts_path_region_up(void *ctx, int region, uint64_t now_ms);
void ts_path_region_down(void *ctx, int region, uint64_t now_ms);
void ts_path_tell_net_info(struct ts_path *path);
void ts_path_tell_endpoints(struct ts_path *path);
void ts_path_end_asked(struct ts_path *path,
		       const struct ts_netcheck_report *report);

#endif
