/* SPDX-License-Identifier: BSD-3-Clause
 * drop_rights.c - who may send files to whom
 *
 * One's own devices may, and whom the tailnet's rules name. The admin switches
 * it on for the whole tailnet.
 */
#include "core/drop/drop_rights.h"

#include <string.h>

#define CAP_FILE_SHARING "https://tailscale.com/cap/file-sharing"
#define CAP_TARGET "https://tailscale.com/cap/file-sharing-target"
#define CAP_SEND "https://tailscale.com/cap/file-send"

bool ts_drop_is_enabled(const struct ts_node *node)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;

	return self && ts_peer_has_cap(self, CAP_FILE_SHARING);
}

/* What the rules say of that address towards us. */
static bool is_granted(const struct ts_node *node, const struct ts_ip *from,
		       const char *cap)
{
	json_t *caps = ts_node_peer_caps(node, from);
	bool has = json_object_get(caps, cap) != NULL;

	json_decref(caps);
	return has;
}

static bool is_for_us(const struct ts_node *node, const struct ts_peer *peer)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;

	return (self && self->user == peer->user) ||
	       (peer->address_count > 0 &&
		is_granted(node, &peer->addresses[0].ip, CAP_TARGET));
}

/* Whether it is online is left out. */
static enum ts_drop_target target_of(const struct ts_node *node,
				     const struct ts_peer *peer)
{
	struct ts_addr api;

	if (ts_node_state(node) != TS_RUNNING)
		return TS_DROP_NOT_RUNNING;
	if (!ts_drop_is_enabled(node))
		return TS_DROP_MISSING_CAP;
	if (peer->os && strcmp(peer->os, "tvOS") == 0)
		return TS_DROP_UNSUPPORTED_OS;
	if (!is_for_us(node, peer))
		return TS_DROP_OTHER_USER;
	return ts_node_peerapi_of(node, peer, &api) ? TS_DROP_AVAILABLE
						    : TS_DROP_NO_PEERAPI;
}

enum ts_drop_target ts_drop_target_of(const struct ts_node *node,
				      const struct ts_peer *peer)
{
	enum ts_drop_target target = target_of(node, peer);

	if (target == TS_DROP_NOT_RUNNING || target == TS_DROP_MISSING_CAP ||
	    peer->online == TS_YES)
		return target;
	return TS_DROP_OFFLINE;
}

bool ts_drop_is_target(const struct ts_node *node, const struct ts_peer *peer)
{
	return target_of(node, peer) == TS_DROP_AVAILABLE;
}

bool ts_drop_may_send(const struct ts_node *node, const struct ts_peer *peer,
		      const struct ts_ip *from)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;

	if (!self || peer->unsigned_peerapi_only)
		return false;
	return (self->tag_count == 0 && peer->tag_count == 0 &&
		self->user == peer->user) ||
	       is_granted(node, from, CAP_SEND);
}
