/* SPDX-License-Identifier: BSD-3-Clause
 * path_relay.c - messages to and from peer relays
 *
 * Sessions are asked for, and offered, through DERP, where the server vouches
 * for the sender's node key; handshakes go by UDP and are sealed by the relay
 * server's own disco key, which came with the offer.
 */
#include <errno.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

static struct ts_relay_pair pair_of(struct ts_path_peer *peer)
{
	return (struct ts_relay_pair){
		.peer = peer,
		.our_disco = peer->path->disco_public,
		.peer_disco = peer->disco_key,
	};
}

bool ts_path_discover_relays(struct ts_path_peer *peer)
{
	struct ts_path *path = peer->path;
	struct ts_relay_pair pair = pair_of(peer);

	return !path->settings.no_relays &&
	       ts_relay_client_discover(&path->relays, &pair, path->now_ms);
}

/* -- out ------------------------------------------------------------------ */

static int init_box(void *ctx, const struct ts_public_key *disco_key,
		    struct ts_box *out)
{
	const struct ts_path *path = ctx;

	return ts_box_init(out, &path->config.disco_key, disco_key);
}

/* The relay is a peer like others, but that we ask it is no reason to keep
 * state for it. */
static void send_allocate(void *ctx, const struct ts_relay_server *server,
			  const struct ts_disco_allocate_relay *request)
{
	static const struct ts_derp_route no_route;
	struct ts_path *path = ctx;
	struct ts_disco_message msg = {
		.type = DISCO_ALLOCATE_RELAY_REQUEST,
		.allocate_relay = *request,
	};
	uint8_t buf[TS_PACKET_HEADROOM + DISCO_WRITE_CAP];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM};
	struct ts_box box;
	int err = init_box(path, &server->disco_key, &box);

	if (!err)
		err = ts_path_disco_seal(path, &box, &msg, pkt.data, &pkt.len);
	if (!err)
		err = ts_derp_pool_send(&path->pool, server->home_derp,
					&no_route, &server->node_key, &pkt,
					path->now_ms);
	if (err)
		path->dropped_disco++;
	ts_wipe(&box, sizeof(box));
}

static void send_via(void *ctx, void *peer,
		     const struct ts_disco_relay_endpoint *endpoint)
{
	struct ts_disco_message msg = {
		.type = DISCO_CALL_ME_MAYBE_VIA,
		.call_me_maybe_via = *endpoint,
	};

	(void)ctx;
	ts_path_disco_send(peer, NULL, &msg);
}

static void send_bind(void *ctx, const struct ts_box *box,
		      const struct ts_path_addr *to,
		      const struct ts_disco_message *msg)
{
	struct ts_path *path = ctx;
	struct ts_geneve header = {
		.control = true,
		.proto = GENEVE_PROTO_DISCO,
		.vni = to->vni,
	};
	uint8_t buf[TS_PACKET_HEADROOM + DISCO_WRITE_CAP];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM};

	if (ts_path_disco_seal(path, box, msg, pkt.data, &pkt.len) == 0)
		ts_path_send_udp(path, to, &header, &pkt);
}

static void send_ping(void *ctx, void *peer, const struct ts_path_addr *to,
		      const uint8_t tx_id[DISCO_TX_ID_LEN])
{
	const struct ts_path *path = ctx;
	struct ts_disco_message msg = {.type = DISCO_PING};

	memcpy(msg.ping.tx_id, tx_id, DISCO_TX_ID_LEN);
	msg.ping.node_key = path->node_public;
	ts_path_disco_send(peer, to, &msg);
}

/* -- news from the handshakes --------------------------------------------- */

static bool is_current(void *ctx, void *peer_ctx,
		       const struct ts_disco_relay_endpoint *endpoint)
{
	const struct ts_path *path = ctx;
	const struct ts_path_peer *peer = peer_ctx;
	const struct ts_path_quality *best = &peer->disco.best;

	return best->to.vni == endpoint->vni &&
	       ts_public_key_equal(&best->relay, &endpoint->server_disco) &&
	       ts_disco_peer_is_trusted(&peer->disco, path->now_ms);
}

static void ready(void *ctx, void *peer_ctx, const struct ts_path_quality *to)
{
	const struct ts_path *path = ctx;
	struct ts_path_peer *peer = peer_ctx;

	ts_disco_peer_relay_ready(&peer->disco, to, path->now_ms);
}

const struct ts_relay_ops TS_PATH_RELAY_OPS = {
	.init_box = init_box,
	.send_allocate = send_allocate,
	.send_via = send_via,
	.send_bind = send_bind,
	.send_ping = send_ping,
	.is_current = is_current,
	.ready = ready,
};

/* -- in ------------------------------------------------------------------- */

void ts_path_relay_input(struct ts_path *path, const struct ts_path_addr *from,
			 const uint8_t *pkt, size_t len)
{
	struct ts_public_key sender;
	struct ts_disco_message msg;
	const struct ts_box *box;

	ts_disco_read_sender(pkt, &sender);
	box = ts_relay_client_box(&path->relays, &sender);
	if (!box ||
	    ts_path_disco_open(path, NULL, from, pkt, len, box, &msg) != 0 ||
	    msg.type != DISCO_BIND_RELAY_CHALLENGE) {
		ts_path_disco_drop(path, from);
		return;
	}
	ts_relay_client_challenge(&path->relays, &sender, from,
				  &msg.bind_relay, path->now_ms);
}

static bool may_offer(struct ts_path_peer *peer)
{
	const struct ts_path *path = peer->path;

	if (path->settings.no_relays || !ts_path_is_direct_allowed(path) ||
	    !peer->disco.may_relay)
		return false;
	if (!peer->has_offers)
		ts_token_bucket_init(&peer->offers, PATH_OFFERS_PER_S,
				     PATH_OFFERS_BURST, path->now_ms);
	peer->has_offers = true;
	return ts_token_bucket_take(&peer->offers, 1, path->now_ms);
}

bool ts_path_relay_message(struct ts_path_peer *peer,
			   const struct ts_disco_message *msg)
{
	struct ts_path *path = peer->path;
	struct ts_relay_pair pair = pair_of(peer);

	if (msg->type == DISCO_ALLOCATE_RELAY_RESPONSE) {
		ts_relay_client_allocated(&path->relays, &peer->node_key,
					  &msg->allocated_relay, path->now_ms);
		return true;
	}
	if (msg->type != DISCO_CALL_ME_MAYBE_VIA || !may_offer(peer))
		return false;
	ts_relay_client_offered(&path->relays, &pair, &msg->call_me_maybe_via,
				path->now_ms);
	return true;
}
