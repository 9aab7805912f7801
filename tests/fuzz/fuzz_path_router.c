/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_path_router.c - a router among strangers and one peer that lies
 *
 * The input is a list of steps, each {kind, where, length, bytes}. Random bytes
 * do not get through a box, so some kinds seal them with the peer's key, and
 * answer the pings that the router sent. Whatever comes: so many datagrams for
 * one step and no more, bounded lists, and time always moves on.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum kind {
	RAW, SEALED, RELAYED, BY_DERP, SEALED_BY_DERP, PONG, STUN, SEND, WAIT,
	NETWORK, PING, LEARN, KIND_COUNT
};
enum {
	STEPS_MAX = 64, BYTES_MAX = 512, PEERS_MAX = 4, TICKS_MAX = 5000,
	/* All candidates in all sizes, to both of the key's nodes. */
	SENT_MAX = 4 * DISCO_CANDIDATES_MAX * (1 + PATH_MTU_SIZES_MAX),
	REGION = 1,
};

static struct world {
	struct ts_path *path;
	struct ts_path_peer *peers[PEERS_MAX];
	size_t peer_count;
	struct ts_public_key nodes[PEERS_MAX], disco;
	struct ts_box box; /* the peer's, for the router */
	uint8_t tx_id[DISCO_TX_ID_LEN], stun_tx_id[STUN_TX_ID_LEN];
	unsigned sent;
	uint64_t now_ms;
	bool wants_derp;
} w;

static void fill(void *out, uint8_t with)
{
	memset(out, with, TS_KEY_LEN);
}

/* -- what the router does ------------------------------------------------- */

static void note_ping(const uint8_t *pkt, size_t len)
{
	struct ts_disco_message msg;

	if (ts_disco_is_packet(pkt, len) &&
	    ts_path_disco_open(NULL, NULL, NULL, pkt, len, &w.box, &msg) == 0 &&
	    msg.type == DISCO_PING)
		memcpy(w.tx_id, msg.ping.tx_id, sizeof(w.tx_id));
}

static void on_udp(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		   size_t len)
{
	(void)ctx, (void)to;
	if (++w.sent > SENT_MAX)
		abort();
	if (ts_stun_read_request(pkt, len, w.stun_tx_id) != 0)
		note_ping(pkt, len);
}

static void on_derp_write(void *ctx, int region, const uint8_t *data,
			  size_t len)
{
	(void)ctx, (void)region, (void)data, (void)len;
}

static void on_derp_open(void *ctx, int region,
			 const struct ts_derp_node *node)
{
	(void)ctx, (void)node;
	w.wants_derp |= region == REGION;
}

static void on_derp_close(void *ctx, int region)
{
	(void)ctx, (void)region;
}

static void on_wireguard(void *ctx, struct ts_path_peer *peer,
			 const struct ts_path_addr *from, struct ts_packet *pkt)
{
	(void)ctx, (void)peer, (void)from;
	/* It may be opened in place, and gets a header in front. */
	memset(pkt->data, 0, pkt->len);
}

static struct ts_path_peer *add_peer(size_t i)
{
	struct ts_path_peer_config config = {
		.node_key = w.nodes[i],
		.disco_key = w.disco,
		.home_derp = REGION,
		.may_relay = true,
	};

	if (!w.peers[i]) {
		w.peers[i] = ts_path_peer_add(w.path, &config, NULL);
		w.peer_count++;
	}
	return w.peers[i];
}

static struct ts_path_peer *on_sender(void *ctx,
				      const struct ts_public_key *key)
{
	(void)ctx;
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (ts_public_key_equal(key, &w.nodes[i]))
			return add_peer(i);
	return NULL;
}

static struct ts_path_peer *on_disco(void *ctx, const struct ts_public_key *key)
{
	(void)ctx;
	return ts_public_key_equal(key, &w.disco) ? add_peer(0) : NULL;
}

static void on_endpoints(void *ctx, const struct ts_addr *endpoints,
			 const int *types, size_t count)
{
	(void)ctx, (void)endpoints, (void)types;
	if (count > ENDPOINTS_MAX)
		abort();
}

static void on_net_info(void *ctx, int home,
			const struct ts_netcheck_report *report)
{
	(void)ctx, (void)home, (void)report;
}

static void on_ready(void *ctx, int region, bool connected)
{
	(void)ctx, (void)region, (void)connected;
}

static void on_pong(void *ctx, int err, const struct ts_path_pong *pong)
{
	(void)ctx, (void)err, (void)pong;
}

static const struct ts_path_ops ops = {
	.udp_send = on_udp,
	.udp_send_whole = on_udp,
	.derp_write = on_derp_write,
	.derp_open = on_derp_open,
	.derp_close = on_derp_close,
	.wireguard = on_wireguard,
	.unknown_sender = on_sender,
	.unknown_disco = on_disco,
	.endpoints_changed = on_endpoints,
	.net_info_changed = on_net_info,
	.derp_ready = on_ready,
};

/* -- what happens to it --------------------------------------------------- */

static struct ts_addr place(uint8_t where)
{
	const uint8_t ip[4] = {198, 51, 100, (uint8_t)(where & 0x7f)};

	return (struct ts_addr){ts_ip_from_v4(ip), (uint16_t)(1000 + where)};
}

static size_t seal(const uint8_t *payload, size_t len, uint8_t *out)
{
	struct ts_writer writer = ts_writer_init(out, DISCO_WRITE_CAP);

	ts_disco_seal(&writer, &w.disco, &w.box, payload, len);
	return writer.len;
}

static void input(uint8_t where, const uint8_t *bytes, size_t len)
{
	uint8_t *buf = malloc(TS_PACKET_HEADROOM + len + TS_PACKET_TAILROOM);
	struct ts_packet pkt = {buf + TS_PACKET_HEADROOM, len};
	struct ts_addr from = place(where);

	memcpy(pkt.data, bytes, len);
	ts_path_input_udp(w.path, &from, &pkt, w.now_ms);
	free(buf);
}

static void relayed(uint8_t where, const uint8_t *bytes, size_t len)
{
	uint8_t pkt[DISCO_GENEVE_LEN + DISCO_WRITE_CAP];
	struct ts_writer writer = ts_writer_init(pkt, DISCO_GENEVE_LEN);
	struct ts_geneve header = {
		.control = where & 1,
		.proto = where & 2 ? GENEVE_PROTO_WIREGUARD
				   : GENEVE_PROTO_DISCO,
		.vni = 1 + (where >> 4),
	};

	ts_geneve_write(&writer, &header);
	input(where, pkt, writer.len + seal(bytes, len, pkt + writer.len));
}

static void by_derp(uint8_t where, const uint8_t *bytes, size_t len)
{
	struct ts_public_key src = w.nodes[where % PEERS_MAX];

	if (where & 0x80)
		src.bytes[0] ^= 1; /* nobody we know */
	ts_path_derp_packet(w.path, REGION, &src, bytes, len, w.now_ms);
}

static void pong(uint8_t where)
{
	struct ts_disco_message msg = {.type = DISCO_PONG};
	uint8_t payload[64], pkt[DISCO_WRITE_CAP];
	struct ts_writer writer = ts_writer_init(payload, sizeof(payload));

	memcpy(msg.pong.tx_id, w.tx_id, sizeof(w.tx_id));
	msg.pong.src = place(where);
	ts_disco_write(&writer, &msg);
	if (where & 0x80)
		by_derp(0, pkt, seal(payload, writer.len, pkt));
	else
		input(where, pkt, seal(payload, writer.len, pkt));
}

static void stun(uint8_t where)
{
	uint8_t pkt[STUN_RESPONSE_MAX_LEN];
	struct ts_addr mapped = place(where);

	input(where, pkt, ts_stun_write_response(w.stun_tx_id, &mapped, pkt));
}

static void send_packet(uint8_t where)
{
	uint8_t buf[TS_PACKET_HEADROOM + 64 + TS_PACKET_TAILROOM] = {0};
	struct ts_packet pkt = {buf + TS_PACKET_HEADROOM, 64};
	struct ts_path_peer *peer = w.peers[where % PEERS_MAX];

	if (peer)
		ts_path_send(w.path, peer, &pkt, w.now_ms);
}

static void learn(uint8_t where)
{
	struct ts_path_addr from = {.addr = place(where),
				    .vni = where >> 5};
	struct ts_path_peer *peer = w.peers[where % PEERS_MAX];

	if (!peer)
		return;
	ts_path_learn(w.path, peer, &from, w.now_ms);
	ts_path_heard(peer, &from, w.now_ms);
}

static void wait(uint64_t ms)
{
	uint64_t end_ms = w.now_ms + ms;
	unsigned ticks = 0;

	while (ts_path_deadline_ms(w.path) <= end_ms) {
		uint64_t at_ms = ts_path_deadline_ms(w.path);

		if (at_ms > w.now_ms)
			w.now_ms = at_ms;
		w.sent = 0;
		ts_path_tick(w.path, w.now_ms);
		if (++ticks > TICKS_MAX)
			abort(); /* a busy loop */
	}
	w.now_ms = end_ms;
}

static void step(uint8_t op, uint8_t where, const uint8_t *bytes, size_t len)
{
	uint8_t pkt[DISCO_WRITE_CAP];

	w.sent = 0;
	switch (op % KIND_COUNT) {
	case RAW:
		input(where, bytes, len);
		break;
	case SEALED:
		input(where, pkt, seal(bytes, len, pkt));
		break;
	case RELAYED:
		relayed(where, bytes, len);
		break;
	case BY_DERP:
		by_derp(where, bytes, len);
		break;
	case SEALED_BY_DERP:
		by_derp(where, pkt, seal(bytes, len, pkt));
		break;
	case PONG:
		pong(where);
		break;
	case STUN:
		stun(where);
		break;
	case SEND:
		send_packet(where);
		break;
	case WAIT:
		wait(where * 100u);
		break;
	case NETWORK:
		ts_path_network_changed(w.path, w.now_ms);
		break;
	case PING:
		if (w.peers[where % PEERS_MAX])
			ts_path_ping(w.path, w.peers[where % PEERS_MAX],
				     where * 40u, w.now_ms, on_pong, NULL);
		break;
	case LEARN:
		learn(where);
		break;
	}
	if (w.wants_derp) {
		struct ts_public_key key;

		w.wants_derp = false;
		fill(key.bytes, 0x77);
		ts_path_derp_opened(w.path, REGION, &key, w.now_ms);
	}
}

static void open_world(void)
{
	static char ip[] = "192.0.2.1", host[] = "derp.example";
	static struct ts_derp_node node = {
		.region_id = REGION, .host_name = host, .ipv4 = ip,
		.stun_port = 3478, .derp_port = 443};
	static struct ts_derp_region region = {
		.id = REGION, .nodes = &node, .node_count = 1};
	static const struct ts_derp_map map = {
		.regions = &region, .region_count = 1};
	struct ts_path_config config = {.measure_mtu = true};
	struct ts_private_key disco;
	struct ts_addr local = place(1);

	memset(&w, 0, sizeof(w));
	w.now_ms = 100000;
	fill(config.node_key.bytes, 0x41);
	fill(config.disco_key.bytes, 0x42);
	fill(disco.bytes, 0x43);
	ts_public_key_from_private(&disco, &w.disco);
	for (size_t i = 0; i < PEERS_MAX; i++)
		fill(w.nodes[i].bytes, (uint8_t)(0x50 + i));
	w.path = ts_path_new(&config, &ops, NULL);
	if (!w.path ||
	    ts_box_init(&w.box, &disco, &w.path->disco_public) != 0)
		abort();
	ts_path_set_derp_map(w.path, &map, w.now_ms);
	ts_path_set_local_endpoints(w.path, &local, 1, w.now_ms);
	ts_path_set_control_up(w.path, true);
	add_peer(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);

	ts_crypto_init();
	ts_log_set_level(TS_LOG_OFF);
	open_world();
	for (int i = 0; i < STEPS_MAX && r.left >= 3; i++) {
		uint8_t op = ts_read_u8(&r), where = ts_read_u8(&r);
		size_t n = ts_read_u8(&r) * 2u;

		if (n > r.left)
			n = r.left;
		step(op, where, ts_read_view(&r, n), n);
	}
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (w.peers[i] &&
		    w.peers[i]->disco.candidates.count >
			    DISCO_CANDIDATES_MAX)
			abort();
	ts_path_free(w.path);
	return 0;
}
