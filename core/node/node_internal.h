/* SPDX-License-Identifier: BSD-3-Clause
 * node_internal.h - the one struct of core/node
 */
#ifndef CORE_NODE_NODE_INTERNAL_H
#define CORE_NODE_NODE_INTERNAL_H

#include "core/base/log.h"
#include "core/node/node.h"
#include "core/node/route_table.h"
#include "core/wireguard/wg_device.h"

enum { NODE_PINGS_MAX = 32, NODE_PING_TIMEOUT_MS = 5000 };

/* What the data plane keeps of a peer that has been spoken with. Hangs at
 * ts_peer.node_data; made with the first packet, freed with the peer. */
struct node_peer {
	struct ts_peer *peer;
	struct ts_wg_peer *wg;
	struct ts_path_peer *path;
	int64_t last_handshake_unix;
};

struct node_ping {
	bool in_use;
	enum ts_ping_kind kind;
	struct ts_ip ip;
	uint8_t token[8]; /* TSMP */
	uint16_t seq;	  /* ICMP */
	uint64_t sent_ms;
	ts_ping_fn cb;
	void *cb_ctx;
	struct ts_node *node;
};

struct ts_node {
	struct ts_node_io io;
	void *io_ctx;
	struct ts_prefs prefs;
	struct ts_private_key disco_key;
	struct ts_public_key node_public;
	enum ts_node_state state;
	enum ts_control_state control_state;
	char *error, *auth_url;
	bool derp_tried; /* the first connect attempt has ended */
	bool logging_out;
	bool lock_warned;
	uint64_t now_ms; /* of the call that is being served */

	struct ts_control *control;
	struct ts_wg *wg;
	struct ts_path *path;
	struct ts_filter *filter;
	struct ts_magic_dns *dns;
	struct stack *stack;
	struct route_table routes; /* subnet routes; addresses: the netmap */
	struct ts_key_map disco_ids; /* disco key -> node ID as a pointer */
	struct node_ping pings[NODE_PINGS_MAX];
	uint16_t ping_seq, ping_id;
	struct ts_log_limit drop_log;
};

/* node.c */
void node_update_state(struct ts_node *node);
/* node_netmap.c: the netmap's news into the cores */
extern const struct ts_control_ops node_control_ops;
/* May we exchange packets with this peer at all? */
bool node_peer_is_usable(const struct ts_node *node,
			 const struct ts_peer *peer);
/* The data plane's half of a usable peer, made when missing; or NULL. */
struct node_peer *node_peer_get(struct ts_node *node, struct ts_peer *peer);
void node_peer_drop(struct ts_node *node, struct ts_peer *peer);
/* node_packets.c: the way of a packet */
extern const struct stack_ops node_stack_ops;
extern const struct ts_wg_ops node_wg_ops;
extern const struct ts_path_ops node_path_ops;
void node_send_ip(struct ts_node *node, struct ts_peer *peer,
		  struct ts_packet *pkt);
/* node_tsmp.c: Tailscale's in-band messages (IP protocol 99) */
void node_tsmp_input(struct ts_node *node, struct node_peer *np,
		     const struct ts_packet_header *h,
		     const struct ts_packet *pkt);
void node_tsmp_reject(struct ts_node *node, struct node_peer *np,
		      const struct ts_packet_header *h);
void node_tsmp_ping(struct ts_node *node, struct ts_peer *peer,
		    const struct ts_ip *to, const uint8_t token[static 8]);
/* node_ping.c */
void node_ping_tsmp_pong(struct ts_node *node, const uint8_t token[static 8],
			 uint16_t peerapi_port);
void node_ping_echo_reply(struct ts_node *node, const struct ts_ip *from,
			  uint16_t id, uint16_t seq);
uint64_t node_ping_deadline_ms(const struct ts_node *node);
void node_ping_tick(struct ts_node *node);
void node_ping_forget_all(struct ts_node *node);

#endif
