/* SPDX-License-Identifier: BSD-3-Clause
 * node.h - one tailnet node: control, WireGuard, paths, filter, names, stack
 *
 * Joins the cores and does no I/O itself: core/engine gives it clocks,
 * sockets and streams through ts_node_io. All on one loop thread.
 *
 *   stack -> filter out -> route -> wireguard seal -> path -> io
 *   io -> path -> wireguard open -> source check -> filter in -> stack
 */
#ifndef CORE_NODE_NODE_H
#define CORE_NODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/control/control_client.h"
#include "core/dns/magic_dns.h"
#include "core/filter/packet_filter.h"
#include "core/model/netmap.h"
#include "core/model/prefs.h"
#include "core/node/capture.h"
#include "core/node/cert_report.h"
#include "core/path/path_router.h"
#include "core/path/portmap.h"
#include "core/tka/tka.h"
#include "netstack/stack.h"

struct ts_node;

/* ipn.State, with upstream's numbers. */
enum ts_node_state {
	TS_NO_STATE = 0,
	TS_NEEDS_LOGIN = 2,
	TS_NEEDS_MACHINE_AUTH = 3,
	TS_STOPPED = 4,
	TS_STARTING = 5,
	TS_RUNNING = 6,
};
const char *ts_node_state_name(enum ts_node_state state);

struct ts_node_io {
	/* control: as in ts_control_ops */
	void (*control_fetch_key)(void *ctx, const char *url);
	void (*control_dial)(void *ctx, const struct ts_control_target *targets,
			     size_t count);
	void (*control_write)(void *ctx, const uint8_t *data, size_t len);
	void (*control_hangup)(void *ctx);
	/* paths: as in ts_path_ops */
	void (*udp_send)(void *ctx, const struct ts_addr *to,
			 const uint8_t *pkt, size_t len);
	void (*udp_send_whole)(void *ctx, const struct ts_addr *to,
			       const uint8_t *pkt, size_t len);
	/* Where a packet of len bytes can be made that udp_send() need not
	 * copy, with room around it. NULL, or NULL in its place: nowhere. */
	uint8_t *(*udp_room)(void *ctx, size_t len);
	void (*derp_open)(void *ctx, int region,
			  const struct ts_derp_node *node);
	void (*derp_write)(void *ctx, int region, const uint8_t *data,
			   size_t len);
	void (*derp_close)(void *ctx, int region);
	size_t (*derp_queued)(void *ctx, int region);
	void (*derp_latency)(void *ctx, int region,
			     const struct ts_derp_node *node);
	void (*derp_latency_cancel)(void *ctx);
	void (*resolve)(void *ctx, const char *host);
	/* clocks */
	uint64_t (*wall_clock_ns)(void *ctx);
	/* The clock of every now_ms. The stack sends when a program writes,
	 * without a call of the node: then the node looks itself. NULL: the
	 * time of the last call, which may be long ago. */
	uint64_t (*now_ms)(void *ctx);
	/* The same clock, finer, for the latency of pings and the round trips
	 * of connections; NULL: whole milliseconds. */
	uint64_t (*monotonic_us)(void *ctx);
	/* A login needs an auth key (mints_auth_key): answer with
	 * ts_node_auth_key_made() or ts_node_auth_key_failed(). */
	void (*want_auth_key)(void *ctx);
	/* The state file must be written (ts_node_store_profile()). */
	void (*persist)(void *ctx);
	/* Why what was to be kept is not, or NULL: it is. May be NULL. */
	const char *(*state_trouble)(void *ctx);
	/* For warnings and metrics. May be NULL. */
	void (*cert_report)(void *ctx, struct ts_cert_report *out);
	/* What the node serves is something else now. May be NULL. */
	void (*serve_changed)(void *ctx);
	/* What others want to know */
	void (*state_changed)(void *ctx, enum ts_node_state state,
			      const char *error);
	void (*auth_url)(void *ctx, const char *url);
	void (*netmap_changed)(void *ctx, unsigned changes);
	/* HEAD that page, as the control server wants; what it says does not
	 * matter. NULL: it is not done. */
	void (*head)(void *ctx, const char *url);
	/* The control server wants a person to visit that page. May be NULL. */
	void (*browse)(void *ctx, const char *url);
	/* The control server asks something by HTTP; NULL: no answers. */
	ts_c2n_fn c2n;
	/* Before it: each peer that is new or another / about to be freed.
	 * These three may be NULL. */
	void (*peer_changed)(void *ctx, const struct ts_peer *peer);
	void (*peer_removed)(void *ctx, const struct ts_peer *peer);
	/* The user's preferences, or whose the node is. is_login: the latter,
	 * by a login that has just succeeded. */
	void (*prefs_changed)(void *ctx, bool is_login);
	/* a TCP SYN for us that the filter let in: stack_syn_* decides */
	void (*inbound_syn)(void *ctx, struct stack_syn *syn,
			    const struct ts_addr *local,
			    const struct ts_addr *remote);
	void (*syn_gone)(void *ctx, struct stack_syn *syn);
	/* As in stack_ops: for a network that we route; may be NULL. */
	void (*forward_udp)(void *ctx, const struct ts_addr *from,
			    const struct ts_addr *to, const uint8_t *data,
			    size_t len);
	void (*forward_echo)(void *ctx, const struct ts_ip *from,
			     const struct ts_ip *to, uint16_t id, uint16_t seq,
			     const uint8_t *data, size_t len);
};

struct ts_node_config {
	struct ts_private_key machine_key;
	/* Moved into the node (which wipes it): hostname, control URL, flags,
	 * tags and the persistent keys. */
	struct ts_prefs *prefs;
	const char *control_url; /* when prefs has none; or NULL */
	const char *backend_log_id; /* 64 hex */
	const char *auth_key;	    /* NULL: interactive login */
	bool mints_auth_key; /* no auth_key: io.want_auth_key gets one */
	const char *app;	    /* Hostinfo.App: the program's name, or NULL */
	bool ephemeral, force_login;
	bool direct; /* false: DERP only */
	bool path_mtu; /* measure what direct paths carry */
	bool os_has_ipv6;
	bool fixed_port; /* the user chose the UDP port */
	const struct ts_addr *endpoints; /* as the user says; copied */
	size_t endpoint_count;
	/* Moved into the node: Tailnet Lock's chain as stored, or empty, with
	 * the disk for more. NULL: in memory only. */
	struct ts_tka_chonk *tka;
	bool tka_is_damaged; /* what is stored cannot be read */
	const char *congestion; /* as stack_set_congestion(); NULL: default */
	/* as uname and os-release say; distro may be NULL */
	const char *os_version, *machine_arch, *distro, *distro_version;
	bool container;
};

/* Copies the strings; NULL when out of memory. ctx goes to every io call. */
struct ts_node *ts_node_new(struct ts_node_config *config,
			    const struct ts_node_io *io, void *ctx,
			    uint64_t now_ms);
void ts_node_free(struct ts_node *node);
void ts_node_start(struct ts_node *node, uint64_t now_ms);
/* In its place, as the preferences do not want it to run: says so. */
void ts_node_stay_stopped(struct ts_node *node, uint64_t now_ms);
/* The server that it belongs to. */
const char *ts_node_control_url(const struct ts_node *node);
/* Tell the server that we leave, forget our keys and the tailnet, and store
 * that; ends in state TS_NEEDS_LOGIN within 15 s, with an error when the server
 * could not be told. Nothing but a new login follows. */
void ts_node_logout(struct ts_node *node, uint64_t now_ms);
/* Have a person log in at an address that io.auth_url tells (again, if one is
 * being waited for), under a new key. A node that runs goes on under the
 * present one until then. */
void ts_node_login_interactive(struct ts_node *node, uint64_t now_ms);
/* Log in with this auth key. force_new_key: a node that is logged in does so
 * again under a new key, and runs on meanwhile; else it only keeps the auth key
 * for when the server asks. 0, -EINVAL (no key), -ENOMEM. */
int ts_node_login(struct ts_node *node, const char *auth_key,
		  bool force_new_key, uint64_t now_ms);
/* Answers to io.want_auth_key: a key for one login, or why there is none yet,
 * refused or out of reach (it is still waited for). */
void ts_node_auth_key_made(struct ts_node *node, const char *auth_key,
			   uint64_t now_ms);
void ts_node_auth_key_failed(struct ts_node *node, const char *error,
			     bool is_refused, uint64_t now_ms);

/* What the engine's I/O has to say. */
void ts_node_control_key_fetched(struct ts_node *node, int http_status,
				 const char *body, size_t len,
				 const char *error, uint64_t now_ms);
void ts_node_control_connected(struct ts_node *node, uint64_t now_ms);
void ts_node_control_input(struct ts_node *node, const uint8_t *data,
			   size_t len, uint64_t now_ms);
void ts_node_control_closed(struct ts_node *node, const char *error,
			    uint64_t now_ms);
void ts_node_udp_input(struct ts_node *node, const struct ts_addr *from,
		       struct ts_packet *pkt, uint64_t now_ms);
/* What stays (packet.h) of the packets so far will not from now on. */
void ts_node_udp_reuse(struct ts_node *node);
void ts_node_derp_opened(struct ts_node *node, int region,
			 const struct ts_public_key *meta_cert_key,
			 uint64_t now_ms);
void ts_node_derp_input(struct ts_node *node, int region, const uint8_t *data,
			size_t len, uint64_t now_ms);
void ts_node_derp_closed(struct ts_node *node, int region, const char *error,
			 uint64_t now_ms);
void ts_node_derp_drained(struct ts_node *node, int region, uint64_t now_ms);
void ts_node_resolved(struct ts_node *node, const char *host,
		      const struct ts_ip *ips, size_t count, uint64_t now_ms);
void ts_node_derp_latency(struct ts_node *node, int region,
			  uint64_t latency_us, uint64_t now_ms);
/* Interface addresses with the UDP port, at start and after a change. */
void ts_node_local_endpoints(struct ts_node *node, const struct ts_addr *addrs,
			     size_t count, uint64_t now_ms);
/* As in portmap.h: where the gateway lets peers in (NULL: nowhere any more),
 * and what it speaks. */
void ts_node_port_mapping(struct ts_node *node, const struct ts_addr *external,
			  uint64_t now_ms);
bool ts_node_port_mapped(const struct ts_node *node, struct ts_addr *out);
void ts_node_portmap_found(struct ts_node *node,
			   const struct ts_portmap_found *found,
			   uint64_t now_ms);
/* The kernel does not send to this address. */
void ts_node_udp_refused(struct ts_node *node, const struct ts_addr *to,
			 uint64_t now_ms);
void ts_node_network_changed(struct ts_node *node, uint64_t now_ms);
uint64_t ts_node_deadline_ms(const struct ts_node *node);
void ts_node_tick(struct ts_node *node, uint64_t now_ms);
/* Public form of our keys, and where we can be reached. */
void ts_node_public_key(const struct ts_node *node,
			struct ts_public_key *out);
size_t ts_node_endpoints(const struct ts_node *node,
			 const struct ts_addr **out);
int ts_node_home_region(const struct ts_node *node); /* 0: none */
/* Capabilities of a peer towards us (whois): new object, caller decrefs. */
json_t *ts_node_peer_caps(const struct ts_node *node, const struct ts_ip *src);
/* Towards this address. */
json_t *ts_node_peer_caps_to(const struct ts_node *node,
			     const struct ts_ip *src, const struct ts_ip *dst);
/* The server said no to the last attempt to log in: ts_node_error(). */
bool ts_node_is_refused(const struct ts_node *node);
/* By ts_node_logout(). */
bool ts_node_is_logged_out(const struct ts_node *node);
size_t ts_node_live_derps(const struct ts_node *node); /* connected regions */
/* As ts_control_request(), ts_control_ask() and ts_control_expire_at(). */
int ts_node_request(struct ts_node *node, const char *path, const char *body,
		    ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms);
int ts_node_ask(struct ts_node *node, const struct ts_control_ask *ask,
		ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms);
int ts_node_expire_at(struct ts_node *node, int64_t expiry_unix,
		      ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms);
bool ts_node_in_map_poll(const struct ts_node *node);
#define TS_CAP_TAILNET_LOCK "https://tailscale.com/cap/tailnet-lock"
/* Tailnet Lock: the authority, or NULL; whether it vouches for our own key;
 * what a person should know, or NULL. */
const struct ts_tka *ts_node_tka(const struct ts_node *node);
/* Another profile's chain, as in ts_node_config. */
void ts_node_set_tka(struct ts_node *node, struct ts_tka_chonk *chonk,
		     bool is_damaged, uint64_t now_ms);
bool ts_node_key_is_signed(const struct ts_node *node);
const char *ts_node_lock_problem(const struct ts_node *node);
/* The route for an address: who would carry a packet to it. */
enum ts_route {
	TS_ROUTE_PEER,	  /* a peer, by address or accepted route */
	TS_ROUTE_SELF,	  /* one of our own addresses */
	TS_ROUTE_SERVICE, /* 100.100.100.100 */
	TS_ROUTE_NONE,	  /* tailnet range, but nobody there */
	TS_ROUTE_HOST,	  /* not the tailnet's */
};
enum ts_route ts_node_route(const struct ts_node *node, const struct ts_ip *ip,
			    const struct ts_peer **peer);
/* Do packets for this address come to us: our own, or one that we route? */
bool ts_node_forwards(const struct ts_node *node, const struct ts_ip *dst);
/* The networks that this machine is in, at start and after a change. */
void ts_node_set_lans(struct ts_node *node, const struct ts_prefix *lans,
		      size_t count, uint64_t now_ms);
size_t ts_node_lans(const struct ts_node *node, const struct ts_prefix **out);
/* What the user wants of routes; a copy is made. 0 or -ENOMEM. */
int ts_node_set_route_prefs(struct ts_node *node,
			    const struct ts_route_prefs *prefs,
			    uint64_t now_ms);
/* Do we route anything for others? */
bool ts_node_is_router(const struct ts_node *node);
/* Where on the network of this machine a packet of a peer for dst goes: there,
 * or to what a 4via6 address stands for. 0, or -EHOSTUNREACH: nowhere. */
int ts_node_forward_target(const struct ts_node *node, const struct ts_ip *dst,
			   struct ts_ip *out);
/* Goes all that is nobody's through an exit node, be it that it is not there?
 * *peer: it, or NULL. */
bool ts_node_uses_exit(const struct ts_node *node,
		       const struct ts_peer **peer);
/* Our PeerAPI's, which follows from our address; 0: no address of that family.
 */
uint16_t ts_node_peerapi_port(const struct ts_node *node, bool v6);
/* A peer's, in a family that we have an address of. */
bool ts_node_peerapi_of(const struct ts_node *node, const struct ts_peer *peer,
			struct ts_addr *out);
/* May peer, at from, use us as its exit node, as far as names go? */
bool ts_node_lets_out(const struct ts_node *node, const struct ts_peer *peer,
		      const struct ts_ip *from);
/* Which exit node would be the best now; NULL: none. 0; -EAGAIN: it cannot be
 * told before our home relay is known. */
int ts_node_suggest_exit(struct ts_node *node, const struct ts_peer **out);
enum ts_node_state ts_node_state(const struct ts_node *node);
const char *ts_node_error(const struct ts_node *node); /* last, or NULL */
const char *ts_node_auth_url(const struct ts_node *node); /* or NULL */
const struct ts_netmap *ts_node_netmap(const struct ts_node *node);
struct stack *ts_node_stack(const struct ts_node *node);
struct ts_ip ts_node_ip(const struct ts_node *node, bool v6); /* :: if none */
enum ts_dns_answer ts_node_lookup(const struct ts_node *node, const char *name,
				  bool want_v4, bool want_v6,
				  struct ts_dns_result *out);
const char *ts_node_reverse(const struct ts_node *node,
			    const struct ts_ip *ip);
/* One DNS message, as ts_magic_dns_answer() has it. */
int ts_node_dns_answer(const struct ts_node *node, const uint8_t *query,
		       size_t len, bool udp, uint8_t *out, size_t out_cap);
/* Packets that were sent and wait for a peer's handshake, which began within
 * the last second: what a node that is about to end should wait for. */
size_t ts_node_unsent(const struct ts_node *node, uint64_t now_ms);
/* Peer (or self) that owns this address, for whois; NULL: nobody. */
const struct ts_peer *ts_node_whois(const struct ts_node *node,
				    const struct ts_ip *ip);
const struct ts_prefs *ts_node_prefs(const struct ts_node *node);
/* Other preferences from now on, with everything that follows: WantRunning off
 * takes the node off the tailnet, on brings it back; names, flags and tags are
 * told to the control server. Takes the contents of next, whose keys and
 * identity must be the present ones. */
void ts_node_edit_prefs(struct ts_node *node, struct ts_prefs *next,
			uint64_t now_ms);

/* For tests of a tailnet (tailscale debug). As ts_path_pick_new_home() and its
 * neighbours have it; */
int ts_node_pick_new_home(struct ts_node *node, uint64_t now_ms);
int ts_node_prefer_home(struct ts_node *node, int region, uint64_t now_ms);
void ts_node_set_homeless(struct ts_node *node, bool homeless,
			  uint64_t now_ms);
/* another discovery key: sessions and paths begin anew, connections stay; */
void ts_node_rotate_disco_key(struct ts_node *node, uint64_t now_ms);
/* the addresses of the peers that may relay for us: how many; */
size_t ts_node_relay_servers(const struct ts_node *node, struct ts_ip *out,
			     size_t cap);
/* no link to the server until the next start or login; what works goes on. */
void ts_node_disconnect_control(struct ts_node *node, uint64_t now_ms);
void ts_node_reconnect_control(struct ts_node *node, uint64_t now_ms);

struct ts_node_peer_status {
	struct ts_path_peer_status path;
	uint64_t rx_bytes, tx_bytes;
	int64_t last_handshake_unix; /* 0: never */
	bool in_wireguard;
};
void ts_node_peer_status(const struct ts_node *node,
			 const struct ts_peer *peer, uint64_t now_ms,
			 struct ts_node_peer_status *out);

/* What became of its paths lately, oldest first; their count. */
size_t ts_node_peer_changes(const struct ts_node *node,
			    const struct ts_peer *peer,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX]);

/* As control knows it. */
const struct ts_net_info *ts_node_net_info(const struct ts_node *node);
/* As ts_path_check(). */
int ts_node_netcheck(struct ts_node *node, uint64_t now_ms,
		     ts_path_report_fn fn, void *fn_ctx);

/* Packets inside the tunnel, in and out, as a capture file that never ends.
 * wake(ctx) is called, in the middle of other work, whenever there is something
 * to read; it must not call back. At most four at a time: -EAGAIN; -ENOMEM. The
 * sink outlives the node: then it has ended once all is read. */
struct ts_capture_sink;
int ts_node_capture_open(struct ts_node *node, enum ts_capture_format format,
			 void (*wake)(void *ctx), void *ctx,
			 struct ts_capture_sink **out);
size_t ts_capture_read(struct ts_capture_sink *sink, void *out, size_t cap);
bool ts_capture_has_ended(const struct ts_capture_sink *sink);
void ts_capture_close(struct ts_capture_sink *sink);

/* What is wrong, for people: an array of texts, or an object of upstream's
 * UnhealthyState by code. New objects; both empty when all is well. */
json_t *ts_node_health_texts(const struct ts_node *node);
json_t *ts_node_health_warnings(const struct ts_node *node);
/* Did any of the host's name servers answer? */
void ts_node_dns_result(struct ts_node *node, bool was_answered);

/* Why a packet inside the tunnel was dropped, with upstream's names. */
enum ts_dropped {
	TS_DROPPED_ACL,
	TS_DROPPED_MULTICAST,
	TS_DROPPED_LINK_LOCAL,
	TS_DROPPED_TOO_SHORT,
	TS_DROPPED_ERROR, /* no way to the peer */
	TS_DROPPED_COUNT,
};
/* All metrics as Prometheus' text; heap, NULL: no memory. The first are those
 * that upstream documents (tailscaled_...), the second its internal ones. */
char *ts_node_user_metrics(const struct ts_node *node);
char *ts_node_client_metrics(const struct ts_node *node);

enum ts_ping_kind {
	TS_PING_DISCO,
	TS_PING_TSMP,
	TS_PING_ICMP,
	TS_PING_PEERAPI, /* the peer's HTTP server */
};
/* Of len bytes of text, as the control server and the LocalAPI write it; a
 * negative number: none that is served. */
int ts_ping_kind_parse(const char *text, size_t len);
struct ts_ping_result {
	int err; /* 0, -ETIMEDOUT, -EHOSTUNREACH */
	uint64_t latency_us;
	/* The path, direct or by a peer relay (vni); zero otherwise. */
	struct ts_path_addr endpoint;
	int derp_region;	 /* via DERP */
	uint16_t peerapi_port;	 /* TSMP */
	struct ts_addr peerapi;	 /* of that kind of ping; port 0: none */
	bool is_local_ip;
	struct ts_ip node_ip; /* of the peer that answers; zero: none */
	char node_name[64];   /* its name without the tailnet's */
};
typedef void (*ts_ping_fn)(void *ctx, const struct ts_ping_result *result);
/* size: of a disco ping, as ts_path_ping() has it; else 0. cb is called once,
 * at the latest after 6 s. */
void ts_node_ping(struct ts_node *node, const struct ts_ip *ip,
		  enum ts_ping_kind kind, size_t size, uint64_t now_ms,
		  ts_ping_fn cb, void *cb_ctx);

#endif
