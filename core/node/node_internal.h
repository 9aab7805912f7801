/* SPDX-License-Identifier: BSD-3-Clause
 * node_internal.h - the one struct of core/node
 */
#ifndef CORE_NODE_NODE_INTERNAL_H
#define CORE_NODE_NODE_INTERNAL_H

#include "core/base/flood.h"
#include "core/base/log.h"
#include "core/base/second_quota.h"
#include "core/filter/local_nets.h"
#include "core/node/capture.h"
#include "core/node/exit_node.h"
#include "core/node/node.h"
#include "core/node/node_dns.h"
#include "core/node/node_lock.h"
#include "core/node/route_table.h"
#include "core/wireguard/wg_device.h"

enum {
	NODE_PINGS_MAX = 32,
	/* Later than the stock CLI's own 5 s, which it reports better. */
	NODE_PING_TIMEOUT_MS = 6000,
	/* Unwanted messages in a second that are worth a line: handshakes under
	 * load; of no session, as a peer sends for a while that has not noticed
	 * our new start; TSMP messages without an answer. */
	NODE_HANDSHAKE_FLOOD_PER_S = 100,
	NODE_STRAY_FLOOD_PER_S = 1000,
	NODE_TSMP_FLOOD_PER_S = 100,
	/* Our answers to one peer by TSMP. */
	NODE_TSMP_PER_S = 1000,
};

/* What the node keeps of a peer. Hangs at ts_peer.node_data from the peer's
 * first appearance on. It says what the tables hold of the peer: an update
 * has already replaced the old keys and routes when we hear of it. */
struct node_peer {
	struct ts_peer *peer;
	/* The data plane's half: made with the first packet, or both NULL. */
	struct ts_wg_peer *wg;
	struct ts_path_peer *path;
	int64_t last_handshake_unix;
	struct ts_public_key disco_key; /* as in disco_ids; zero: not there */
	struct ts_prefix *routes;	/* as in the route table */
	size_t route_count;
	bool is_unsigned; /* as the filter was told */
	bool is_relay;	  /* for us, as the filter says */
	struct ts_second_quota tsmp; /* our answers by TSMP */
	unsigned moved_round; /* the node's: what waits for it tries again */
};

/* What we route for others: node_forward.c */
struct node_forward {
	struct ts_prefix *routes; /* offered by us, and approved */
	size_t route_count;
	struct ts_prefix *lans; /* the networks that this machine is in */
	size_t lan_count;
};

/* node_serve.c */
struct node_serve {
	json_t *config; /* NULL: none */
	struct ts_prefix *vips; /* addresses of services that we host */
	size_t vip_count;
	struct ts_prefix *nets; /* with what we route: the filter's */
};

struct node_ping {
	bool in_use;
	enum ts_ping_kind kind;
	size_t size; /* disco */
	struct ts_ip ip;
	uint8_t token[8]; /* TSMP */
	uint16_t seq;	  /* ICMP */
	struct stack_tcp *tcp; /* PeerAPI, while it lasts */
	struct ts_addr peerapi;
	uint64_t sent_ms;
	uint64_t sent_us; /* by ts_node_io.monotonic_us, when there is one */
	ts_ping_fn cb;
	void *cb_ctx;
	struct ts_node *node;
};

/* node_dns.c */
struct node_dns {
	struct ts_dns_routes *list;
	unsigned round;
	bool has_exit_node;
	char *exit_node_doh; /* URL; NULL: none, or it does not answer names */
	json_t *exit_node_resolvers; /* or NULL */
	/* What the list was made of. */
	json_t *made_of, *made_with_resolvers;
	char *made_with_doh;
	bool accepts, had_exit_node;
	const struct ts_node_dns_host *host;
	void *host_ctx;
};

struct ts_node {
	struct ts_node_io io;
	void *io_ctx;
	struct ts_prefs prefs;
	char *own_hostname; /* when the preferences have none */
	char *own_control_url; /* the same */
	struct ts_private_key disco_key;
	struct ts_public_key node_public;
	enum ts_node_state state;
	enum ts_control_state control_state;
	char *error, *auth_url;
	bool derp_tried; /* the first connect attempt has ended */
	bool measures_mtu; /* packets follow what paths carry */
	/* May packets flow at all? Not without an address, nor once our key
	 * has run out or was given back. */
	bool is_open;
	bool filter_is_stale; /* a peer that the filter looks at changed */
	bool relays_are_stale; /* a peer that relays for us changed */
	bool has_moved; /* a peer of this round */
	unsigned moved_round;
	uint64_t expiry_check_ms;
	const struct ts_derp_map *derp_map; /* as the path layer has it */
	uint64_t now_ms; /* of the call that is being served */

	struct ts_control *control;
	struct ts_wg *wg;
	struct ts_path *path;
	struct ts_filter *filter;
	struct ts_magic_dns *dns;
	struct node_dns dns_routes;
	struct stack *stack;
	struct route_table routes; /* subnet routes; addresses: the netmap */
	struct node_forward forward;
	struct node_exit exit;
	struct node_serve serve;
	struct ts_key_map disco_ids; /* disco key -> struct node_peer */
	struct node_ping pings[NODE_PINGS_MAX];
	uint16_t ping_seq;
	struct stack_echo *echo; /* of pings by ICMP */
	struct ts_log_limit drop_log, reject_log;
	struct ts_flood handshake_flood, stray_flood, tsmp_flood;
	struct ts_net_info net_info;
	bool has_net_info; /* the path layer has spoken */
	struct ts_addr port_mapping; /* port 0: none */
	struct node_lock lock;	     /* Tailnet Lock */
	struct ts_capture_sink *capture; /* a list; NULL: nobody listens */
	/* Whence the packet came that WireGuard opens; NULL: none. */
	const struct ts_path_addr *heard_from;
	/* Packets inside the tunnel that were dropped; source: sent by a peer
	 * from an address that is not its own. */
	uint64_t dropped_in[TS_DROPPED_COUNT], dropped_out[TS_DROPPED_COUNT];
	uint64_t dropped_source;
	/* For health: since when the map is followed, or is not (one of them is
	 * 0); look-ups in a row that no name server answered; what a relay
	 * server complains of, or NULL. */
	uint64_t poll_since_ms, poll_lost_ms;
	unsigned dns_failures;
	char *derp_problem;
	int derp_problem_region;
};

/* node.c */
void node_update_state(struct ts_node *node);
int64_t node_wall_s(const struct ts_node *node);
void node_tell_net_info(struct ts_node *node);
void node_prefs_changed(struct ts_node *node, bool is_login);
/* node_netmap.c: the netmap's news into the cores */
extern const struct ts_control_ops node_control_ops;
/* Into, and out of, what the node knows of its peers. */
void node_peer_enter(struct ts_node *node, struct ts_peer *peer);
void node_peer_leave(struct ts_node *node, struct ts_peer *peer);
/* node_peers.c: what the tables hold of each peer */
/* May we exchange packets with this peer at all? */
bool node_peer_is_usable(const struct ts_node *node,
			 const struct ts_peer *peer);
/* A usable peer with its data plane's half, made when missing; or NULL. */
struct node_peer *node_peer_get(struct ts_node *node, struct ts_peer *peer);
/* End the data plane's half: sessions, paths. */
void node_peer_close(struct ts_node *node, struct ts_peer *peer);
void node_peers_close_unusable(struct ts_node *node);
/* The netmap has a new version of the peer: bring the tables up to date. */
void node_peer_update(struct ts_node *node, struct ts_peer *peer);
/* Out of all tables, before the peer is freed. */
void node_peer_forget(struct ts_node *node, struct ts_peer *peer);
void node_peers_update_routes(struct ts_node *node);
/* The peer that has this address, or a network behind it has. */
struct ts_peer *node_owner_of(const struct ts_node *node,
			      const struct ts_ip *ip);
/* Who carries a packet to it: that one, else the exit node. */
struct ts_peer *node_peer_for(const struct ts_node *node,
			      const struct ts_ip *ip);
/* May this peer send from that address? */
bool node_peer_may_send_from(const struct ts_node *node,
			     const struct ts_peer *peer,
			     const struct ts_ip *src);
/* node_paths.c: relays, and attributes that concern paths */
/* Can there be a relay between it and us? */
bool node_peer_may_relay(const struct ts_peer *peer);
/* The peer is new, or changed; or it goes. */
void node_relay_update(struct ts_node *node, struct node_peer *np);
void node_relay_forget(struct ts_node *node, struct node_peer *np);
/* The filter changed: all peers anew. */
void node_relays_judge(struct ts_node *node);
/* Once all is judged: the path layer hears of it, if there is news. */
void node_relays_tell(struct ts_node *node);
void node_paths_configure(struct ts_node *node);
/* Another path leads to the peer, or it is heard again. */
void node_peer_moved(struct ts_node *node, struct node_peer *np);
/* For all who moved; not while somebody sends. */
void node_moved_tick(struct ts_node *node);
/* node_packets.c: the way of a packet */
extern const struct stack_ops node_stack_ops;
extern const struct ts_wg_ops node_wg_ops;
extern const struct ts_path_ops node_path_ops;
void node_send_ip(struct ts_node *node, struct ts_peer *peer,
		  struct ts_packet *pkt, const struct ts_packet_header *h);
bool node_is_self(const struct ts_node *node, const struct ts_ip *ip);
/* node_capture.c: only while node->capture is not NULL */
/* peer NULL: nobody routes it. */
void node_capture_out(struct ts_node *node, enum ts_capture_path path,
		      const struct ts_peer *peer, const uint8_t *data,
		      size_t len);
/* dst_before: as it came; NULL: it was not translated. */
void node_capture_in(struct ts_node *node, const struct ts_peer *peer,
		     const struct ts_packet *pkt,
		     const struct ts_ip *dst_before);
/* The node goes: whoever listens reads what is left. */
void node_capture_end(struct ts_node *node);
/* node_metrics.c: one more that the filter did not let through */
void node_count_drop(uint64_t counters[static TS_DROPPED_COUNT],
		     const struct ts_packet_header *h);
/* node_health.c */
/* control_state has changed. */
void node_health_follow_poll(struct ts_node *node);
/* problem NULL: it is over. */
void node_health_derp(struct ts_node *node, int region, const char *problem);
/* node_forward.c: networks that we route for others. true: they changed. */
bool node_forward_update(struct ts_node *node);
bool node_forward_set_lans(struct ts_node *node, const struct ts_prefix *lans,
			   size_t count);
void node_forward_deinit(struct ts_node *node);
struct ts_local_routes node_forward_nets(const struct ts_node *node);
/* node_serve.c: the configuration, the preference or our capabilities are
 * others. update: true when other addresses are hosted; the filter is the
 * caller's to refresh. */
void node_serve_follow(struct ts_node *node);
bool node_serve_update(struct ts_node *node);
void node_serve_deinit(struct ts_node *node);
/* With the addresses of services; good until the next call. */
struct ts_local_routes node_serve_nets(struct ts_node *node,
				       struct ts_local_routes routes);
/* node_routes.c: prefs.routes are others */
void node_routes_follow_prefs(struct ts_node *node);
/* peerapi_port.c: tell control, once we have an address */
void node_peerapi_publish(struct ts_node *node);
/* node_netmap.c: compile the rules, and whom they are for, anew */
void node_filter_refresh(struct ts_node *node);
/* node_masq.c: our address as this peer knows it */
void node_masq_out(const struct ts_node *node, const struct ts_peer *peer,
		   struct ts_packet *pkt, const struct ts_packet_header *h);
void node_masq_in(const struct ts_node *node, const struct ts_peer *peer,
		  struct ts_packet *pkt, struct ts_packet_header *h);
/* node_tsmp.c: Tailscale's in-band messages (IP protocol 99) */
void node_tsmp_input(struct ts_node *node, struct node_peer *np,
		     const struct ts_packet_header *h,
		     const struct ts_packet *pkt);
void node_tsmp_reject(struct ts_node *node, struct node_peer *np,
		      const struct ts_packet_header *h);
void node_tsmp_ping(struct ts_node *node, struct ts_peer *peer,
		    const struct ts_ip *to, const uint8_t token[static 8]);
/* node_dns.c: the DNS configuration, or we ourselves, have changed */
void node_dns_update(struct ts_node *node);
/* The gate was opened, or closed. */
void node_dns_update_routes(struct ts_node *node);
/* All names by way of this peer from now on, if it takes them; NULL: nobody is
 * there yet, or none is wanted. To be called again when the peer changes. */
void node_dns_use_exit_node(struct ts_node *node, bool is_wanted,
			    const struct ts_peer *peer);
void node_dns_deinit(struct ts_node *node);
/* node_ping.c */
/* Both end it; err as in ts_ping_result. */
void node_ping_succeed(struct node_ping *ping);
void node_ping_fail(struct node_ping *ping, int err);
/* peerapi_ping.c */
void node_peerapi_ping(struct ts_node *node, struct node_ping *ping,
		       const struct ts_peer *peer);
void node_ping_tsmp_pong(struct ts_node *node, const uint8_t token[static 8],
			 uint16_t peerapi_port);
/* Once there is a stack. */
int node_ping_open(struct ts_node *node);
uint64_t node_ping_deadline_ms(const struct ts_node *node);
void node_ping_tick(struct ts_node *node);
void node_ping_forget_all(struct ts_node *node);
/* ping_request.c: pings that the control server asks for */
void node_ping_request(struct ts_node *node, const char *url,
		       const char *types, const struct ts_ip *ip);
/* ping_answer_json.c: tailcfg.PingResponse as text; heap, NULL: no memory */
char *node_ping_answer(const struct ts_node *node, const char *type,
		       const struct ts_ip *ip,
		       const struct ts_ping_result *result);

#endif
