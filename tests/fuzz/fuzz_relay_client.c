/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_relay_client.c - requests, offers and handshakes with peer relays in
 * any order: the lists stay within their limits, and time always moves on
 *
 * Each step is an operation, a peer, a relay, and a number.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/path/relay_client.h"

enum { PEERS = 3, STEP_LEN = 4 };

struct world {
	struct ts_relay_client client;
	struct ts_disco_allocate_relay request;
	uint8_t tx_id[DISCO_TX_ID_LEN];
	unsigned readies;
	uint64_t now_ms;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_box(void *ctx, const struct ts_public_key *key,
		  struct ts_box *out)
{
	(void)ctx;
	memset(out, 0, sizeof(*out));
	return key->bytes[0] == 0xff ? -1 : 0;
}

static void on_allocate(void *ctx, const struct ts_relay_server *server,
			const struct ts_disco_allocate_relay *request)
{
	(void)server;
	((struct world *)ctx)->request = *request;
}

static void on_via(void *ctx, void *peer,
		   const struct ts_disco_relay_endpoint *endpoint)
{
	(void)ctx;
	(void)peer;
	(void)endpoint;
}

static void on_bind(void *ctx, const struct ts_box *box,
		    const struct ts_path_addr *to,
		    const struct ts_disco_message *msg)
{
	(void)ctx;
	(void)box;
	if (to->vni != msg->bind_relay.vni || msg->bind_relay.generation == 0)
		abort();
}

static void on_ping(void *ctx, void *peer, const struct ts_path_addr *to,
		    const uint8_t tx_id[DISCO_TX_ID_LEN])
{
	(void)peer;
	if (to->vni == 0)
		abort();
	memcpy(((struct world *)ctx)->tx_id, tx_id, DISCO_TX_ID_LEN);
}

static bool on_current(void *ctx, void *peer,
		       const struct ts_disco_relay_endpoint *endpoint)
{
	(void)ctx;
	(void)peer;
	return endpoint->vni == 5;
}

static void on_ready(void *ctx, void *peer, const struct ts_path_quality *path)
{
	(void)peer;
	if (path->to.vni == 0)
		abort();
	((struct world *)ctx)->readies++;
}

static const struct ts_relay_ops ops = {
	.init_box = on_box,
	.send_allocate = on_allocate,
	.send_via = on_via,
	.send_bind = on_bind,
	.send_ping = on_ping,
	.is_current = on_current,
	.ready = on_ready,
};

static struct ts_public_key key(uint8_t kind, uint8_t number)
{
	return (struct ts_public_key){.bytes = {number, kind, 1}};
}

static struct ts_path_addr addr(uint8_t number)
{
	const uint8_t ip[4] = {198, 18, 0, 1};

	return (struct ts_path_addr){
		.addr = {.ip = ts_ip_from_v4(ip), .port = 3478},
		.vni = 1 + number % 7,
	};
}

static struct ts_disco_relay_endpoint
endpoint(const struct ts_relay_pair *pair, uint8_t relay, uint8_t number)
{
	return (struct ts_disco_relay_endpoint){
		.server_disco = key('s', relay),
		.client_disco = {pair->our_disco, pair->peer_disco},
		.lamport_id = number,
		.vni = 1 + number % 7,
		.bind_lifetime_ns = (uint64_t)number * 1000000000u,
		.addrs = {.addrs = {addr(0).addr}, .count = 1},
	};
}

static void step(struct world *w, const uint8_t s[static STEP_LEN])
{
	static char peers[PEERS];
	struct ts_relay_client *c = &w->client;
	uint8_t relay = s[2], number = s[3];
	struct ts_relay_pair pair = {
		.peer = &peers[s[1] % PEERS],
		.our_disco = key('o', 0),
		.peer_disco = key('p', s[1] % PEERS),
	};
	struct ts_path_addr from = addr(number);
	struct ts_public_key server = key('s', relay), node = key('n', relay);
	struct ts_disco_relay_endpoint e = endpoint(&pair, relay, number);
	struct ts_disco_allocated_relay answer = {w->request.generation, e};
	struct ts_disco_bind_relay bind = {from.vni, 1, pair.peer_disco, {0}};

	switch (s[0] % 8) {
	case 0:
		ts_relay_client_discover(c, &pair, w->now_ms);
		break;
	case 1:
		ts_relay_client_offered(c, &pair, &e, w->now_ms);
		break;
	case 2:
		ts_relay_client_allocated(c, &node, &answer, w->now_ms);
		break;
	case 3:
		if (ts_relay_client_box(c, &server))
			ts_relay_client_challenge(c, &server, &from, &bind,
						  w->now_ms);
		break;
	case 4:
		ts_relay_client_ping(c, pair.peer, &from, w->now_ms);
		break;
	case 5:
		ts_relay_client_pong(c, pair.peer, &from, w->tx_id, w->now_ms);
		break;
	case 6:
		ts_relay_client_cancel(c, pair.peer);
		break;
	default:
		w->now_ms += (uint64_t)number * 100;
		ts_relay_client_tick(c, w->now_ms);
		if (ts_relay_client_deadline_ms(c) <= w->now_ms)
			abort();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct world *w = calloc(1, sizeof(*w));
	struct ts_relay_server servers[3];

	if (!w)
		return 0;
	ts_log_set_level(TS_LOG_OFF);
	for (uint8_t i = 0; i < 3; i++)
		servers[i] = (struct ts_relay_server){key('n', i),
						      key('d', i), 1};
	ts_relay_client_init(&w->client, &ops, w);
	ts_relay_client_set_servers(&w->client, servers, 3);
	for (; len >= STEP_LEN; data += STEP_LEN, len -= STEP_LEN)
		step(w, data);
	if (w->client.handshake_count > PEERS * RELAY_PEER_HANDSHAKES_MAX ||
	    w->client.request_count > RELAY_REQUESTS_MAX)
		abort();
	/* Whatever was under way ends by itself. */
	w->now_ms += RELAY_REQUEST_MS + RELAY_HANDSHAKE_MAX_MS;
	ts_relay_client_tick(&w->client, w->now_ms);
	ts_relay_client_tick(&w->client, w->now_ms + RELAY_REQUEST_MS);
	if (w->client.handshake_count != 0 || w->client.request_count != 0)
		abort();
	ts_relay_client_deinit(&w->client);
	free(w);
	return 0;
}
