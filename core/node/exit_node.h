/* SPDX-License-Identifier: BSD-3-Clause
 * exit_node.h - the node through which everything goes that is nobody's
 */
#ifndef CORE_NODE_EXIT_NODE_H
#define CORE_NODE_EXIT_NODE_H

#include "core/control/control_client.h"
#include "core/model/netmap.h"

struct ts_node;

enum { NODE_EXIT_DNS_MAX = 4 };

struct node_exit {
	bool is_wanted;
	int64_t peer_id; /* 0: there is none (yet), and all of it is stopped */
	bool has_v4, has_v6; /* what it offers to us */
	char *suggested;     /* stable ID; NULL: none yet */
	/* Resolvers behind one that only speaks WireGuard: in whatever range
	 * they are, it leads there. */
	struct ts_ip dns[NODE_EXIT_DNS_MAX];
	size_t dns_count;
};

/* The user's wish, or the netmap, or our home relay has changed. true: so has
 * the exit node. */
bool node_exit_update(struct ts_node *node);
void node_exit_deinit(struct ts_node *node);
/* Our home relay is another one, or answers otherwise: who was chosen by us may
 * not be the best any more. */
void node_exit_home_changed(struct ts_node *node);
/* Who gets a packet to ip that no other route is for; 0: nobody. */
int64_t node_exit_for(const struct ts_node *node, const struct ts_ip *ip);
/* May there be an exit node's route to ip at all? */
bool node_exit_covers(const struct ts_node *node, const struct ts_ip *ip);

/* exit_suggest.c: which one to use. What it looks at, and nothing else: */
struct node_exit_view {
	const struct ts_netmap *map;
	const struct ts_net_info *net; /* home relay, latencies */
	const char *before;	       /* the last suggestion, or NULL */
	uint32_t (*random_below)(uint32_t limit);
};
struct node_exit_view node_exit_view(const struct ts_node *node);
bool node_exit_offers(const struct ts_peer *peer); /* both default routes */
/* *out NULL: there is none. 0; -EAGAIN: our home relay is not known yet. */
int node_exit_suggest(const struct node_exit_view *view,
		      const struct ts_peer **out);

#endif
