/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What peers, servers and strangers may throw at a router. Node 1's place is
 * taken by the test, which has its keys and sends what it likes.
 */
#include "unit/path/path_sim.h"

enum { MSG_CAP = 512 };

static struct sim *attacked(void)
{
	struct sim *sim = sim_two(true);

	sim_node_stop(&sim->nodes[1]);
	sim->nodes[0].sent_disco = 0;
	return sim;
}

/* Seals payload as node `from` would, for node 0. */
static size_t seal(struct sim *sim, int from, const uint8_t *payload,
		   size_t len, uint8_t *out)
{
	struct ts_writer w = ts_writer_init(out, MSG_CAP);
	struct ts_box box;

	assert_int_equal(ts_box_init(&box, &sim->nodes[from].disco_private,
				     &sim->nodes[0].disco_key),
			 0);
	assert_int_equal(ts_disco_seal(&w, &sim->nodes[from].disco_key, &box,
				       payload, len),
			 0);
	return w.len;
}

static size_t seal_message(struct sim *sim, int from,
			   const struct ts_disco_message *msg, uint8_t *out)
{
	uint8_t payload[MSG_CAP];
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));

	assert_int_equal(ts_disco_write(&w, msg), 0);
	return seal(sim, from, payload, w.len, out);
}

/* As a RecvPacket frame off node 0's home. */
static void from_derp(struct sim *sim, const struct ts_public_key *src,
		      const uint8_t *pkt, size_t len)
{
	uint8_t frame[DERP_PACKET_HEADER_LEN + MSG_CAP];

	assert_int_equal(
		ts_derp_write_packet_header(frame, DERP_RECV_PACKET, src, len),
		0);
	memcpy(frame + DERP_PACKET_HEADER_LEN, pkt, len);
	ts_path_derp_input(sim->nodes[0].path, 1, frame,
			   DERP_PACKET_HEADER_LEN + len, sim->now_ms);
}

static struct ts_disco_message ping_from(const struct sim_node *node, uint8_t n)
{
	struct ts_disco_message msg = {.type = DISCO_PING};

	msg.ping.tx_id[0] = n;
	msg.ping.node_key = node->node_key;
	return msg;
}

static void a_ping_is_answered_where_it_came_from(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = ping_from(b, 1);
	uint8_t pkt[MSG_CAP];
	size_t len = seal_message(sim, 1, &msg, pkt), frames;

	(void)state;
	sim_input_udp(a, &b->addr, pkt, len);
	assert_int_equal(a->sent_disco, 2); /* and pinged back */
	sim_input_udp(a, &b->addr, pkt, len); /* a replay */
	assert_int_equal(a->sent_disco, 2);
	frames = a->lines[1].written_frames;
	from_derp(sim, &b->node_key, pkt, len);
	assert_int_equal(a->sent_disco, 2);
	assert_int_equal(a->lines[1].written_frames, frames + 1);
	sim_free(sim);
}

static void a_ping_naming_another_node_is_dropped(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = ping_from(b, 1);
	size_t frames = a->lines[1].written_frames;
	uint8_t pkt[MSG_CAP];
	size_t len;

	(void)state;
	msg.ping.node_key = a->node_key;
	len = seal_message(sim, 1, &msg, pkt);
	sim_input_udp(a, &b->addr, pkt, len);
	from_derp(sim, &b->node_key, pkt, len);
	assert_int_equal(a->sent_disco, 0);
	assert_int_equal(a->lines[1].written_frames, frames);
	/* Old clients name none. */
	memset(&msg.ping.node_key, 0, TS_KEY_LEN);
	len = seal_message(sim, 1, &msg, pkt);
	sim_input_udp(a, &b->addr, pkt, len);
	assert_int_equal(a->sent_disco, 2); /* and pinged back */
	sim_free(sim);
}

static void a_disco_key_through_anothers_derp_is_dropped(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0];
	struct ts_disco_message msg = ping_from(&sim->nodes[1], 1);
	size_t frames = a->lines[1].written_frames;
	uint8_t pkt[MSG_CAP];
	size_t len;

	(void)state;
	sim_node_start(sim, 2, false);
	sim_add_peer(a, 2, 1, true);
	len = seal_message(sim, 1, &msg, pkt);
	from_derp(sim, &sim->nodes[2].node_key, pkt, len);
	msg = (struct ts_disco_message){.type = DISCO_CALL_ME_MAYBE};
	msg.call_me_maybe.addrs[0] = sim->nodes[2].addr;
	msg.call_me_maybe.count = 1;
	len = seal_message(sim, 1, &msg, pkt);
	from_derp(sim, &sim->nodes[2].node_key, pkt, len);
	assert_int_equal(a->lines[1].written_frames, frames);
	assert_int_equal(a->sent_disco, 0);
	sim_free(sim);
}

static void call_me_maybe_by_udp_is_ignored(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = {.type = DISCO_CALL_ME_MAYBE};
	uint8_t pkt[MSG_CAP];
	size_t len;

	(void)state;
	msg.call_me_maybe.addrs[0] = b->addr;
	msg.call_me_maybe.count = 1;
	len = seal_message(sim, 1, &msg, pkt);
	sim_input_udp(a, &b->addr, pkt, len);
	assert_int_equal(a->sent_disco, 0);
	from_derp(sim, &b->node_key, pkt, len);
	assert_int_equal(a->sent_disco, 1); /* pinged at once */
	sim_free(sim);
}

static void a_pong_that_answers_nothing_moves_nothing(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = {.type = DISCO_PONG};
	uint8_t pkt[MSG_CAP];
	size_t len;

	(void)state;
	sim_send(sim, 0, 1);
	msg.pong.src = a->addr;
	len = seal_message(sim, 1, &msg, pkt);
	sim_input_udp(a, &b->addr, pkt, len);
	from_derp(sim, &b->node_key, pkt, len);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void wireguard_from_a_new_address_does_not_move_the_path(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	struct ts_path_addr elsewhere = {.addr = sim->nodes[1].addr};
	uint8_t data[SIM_PKT_LEN] = {4};
	struct ts_path_peer_status status;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	elsewhere.addr.port = 9;
	sim_input_udp(a, &elsewhere.addr, data, sizeof(data));
	ts_path_learn(a->path, a->peers[1], &elsewhere, sim->now_ms);
	ts_path_peer_status(a->path, a->peers[1], sim->now_ms, &status);
	assert_true(status.is_direct);
	assert_true(ts_addr_equal(&status.best.addr, &sim->nodes[1].addr));
	sim_free(sim);
}

static void every_message_cut_at_each_length_is_survived(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	uint8_t payload[200], pkt[MSG_CAP];

	(void)state;
	memset(payload, 0xff, sizeof(payload));
	for (uint8_t type = 0; type < 12; type++) {
		payload[0] = type;
		payload[1] = 0;
		for (size_t len = 0; len <= sizeof(payload); len++) {
			size_t n = seal(sim, 1, payload, len, pkt);

			sim_input_udp(a, &b->addr, pkt, n);
			from_derp(sim, &b->node_key, pkt, n);
		}
		sim_run(sim, 100);
	}
	sim_free(sim);
}

static void garbage_of_every_length_is_survived(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	static const uint8_t magic[] = {'T', 'S', 0xf0, 0x9f, 0x92, 0xac};
	uint8_t data[SIM_PKT_LEN];

	(void)state;
	for (size_t len = 0; len < sizeof(data); len++) {
		ts_random_bytes(data, sizeof(data));
		memcpy(data, magic, sizeof(magic));
		sim_input_udp(a, &b->addr, data, len < 62 ? 62 : len);
		memcpy(data + 6, &b->disco_key, TS_KEY_LEN);
		sim_input_udp(a, &b->addr, data, len < 62 ? 62 : len);
		memcpy(data, "\x01\x01\0\0\x21\x12\xa4\x42", 8);
		sim_input_udp(a, &b->addr, data, len < 20 ? 20 : len);
	}
	assert_int_equal(a->sent_disco, 0);
	sim_free(sim);
}

static void strangers_cannot_make_us_look_up_without_limit(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0];
	struct sim_node *c = &sim->nodes[2];
	struct ts_disco_message msg;
	uint8_t pkt[MSG_CAP];
	size_t len;

	(void)state;
	sim_node_start(sim, 2, false);
	msg = ping_from(c, 1);
	len = seal_message(sim, 2, &msg, pkt);
	for (int i = 0; i < 1000; i++)
		sim_input_udp(a, &c->addr, pkt, len);
	assert_in_range(a->unknown_disco_calls, 90, 110);
	a->unknown_disco_calls = 0;
	sim->now_ms += 1000;
	pkt[len - 1] ^= 1; /* overheard, and sealed by nobody */
	for (int i = 0; i < 10; i++)
		sim_input_udp(a, &c->addr, pkt, len);
	assert_int_equal(a->unknown_disco_calls, 0);
	assert_int_equal(a->sent_disco, 0);
	sim_free(sim);
}

static void a_derp_server_that_talks_nonsense_is_left(void **state)
{
	static const uint8_t oversize[] = {DERP_RECV_PACKET, 0, 0x20, 0, 0};
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0];
	unsigned conn = a->lines[1].conn;

	(void)state;
	ts_path_derp_input(a->path, 1, oversize, sizeof(oversize), sim->now_ms);
	assert_false(ts_path_derp_is_connected(a->path, 1));
	assert_false(a->lines[1].is_open);
	sim_run(sim, 200);
	assert_true(a->lines[1].conn > conn);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	/* What comes for connections that we have not is ignored. */
	ts_path_derp_input(a->path, 2, oversize, sizeof(oversize), sim->now_ms);
	ts_path_derp_input(a->path, -7, oversize, sizeof(oversize),
			   sim->now_ms);
	ts_path_derp_closed(a->path, 99, "what", sim->now_ms);
	ts_path_derp_opened(a->path, 99, NULL, sim->now_ms);
	sim_free(sim);
}

static void a_packet_through_derp_reaches_wireguard(void **state)
{
	struct sim *sim = attacked();
	uint8_t data[SIM_PKT_LEN] = {4};

	(void)state;
	from_derp(sim, &sim->nodes[1].node_key, data, sizeof(data));
	assert_int_equal(sim->nodes[0].got_derp[1], 1);
	sim_free(sim);
}

static void health_of_two_nodes_with_one_key_is_told(void **state)
{
	static const uint8_t ill[] = {DERP_HEALTH, 0, 0, 0, 3, 'd', 'u', 'p'};
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	ts_path_derp_input(a->path, 1, ill, sizeof(ill), sim->now_ms);
	assert_string_equal(a->problem, "dup");
	sim_hang_up(sim, 0, 1);
	assert_string_equal(a->problem, "");
	sim_free(sim);
}

static void two_nodes_with_one_disco_key_are_told_apart(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct sim_node *twin = &sim->nodes[2];
	struct ts_path_peer_config config = {.home_derp = 1};
	struct ts_disco_message msg;
	struct ts_addr from = b->addr;
	uint8_t pkt[MSG_CAP], data[SIM_PKT_LEN] = {4};

	(void)state;
	sim_node_start(sim, 2, false);
	config.node_key = twin->node_key;
	config.disco_key = b->disco_key;
	a->peers[2] = ts_path_peer_add(a->path, &config, twin);
	assert_non_null(a->peers[2]);
	msg = ping_from(b, 1);
	sim_input_udp(a, &from, pkt, seal_message(sim, 1, &msg, pkt));
	msg = ping_from(twin, 2);
	from.port++;
	sim_input_udp(a, &from, pkt, seal_message(sim, 1, &msg, pkt));
	assert_int_equal(a->sent_disco, 4); /* each is pinged back */
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_udp[2], 1);
	from.port--;
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_udp[1], 1);
	/* Either may go first. */
	ts_path_peer_remove(a->path, a->peers[2]);
	msg = ping_from(b, 3);
	sim_input_udp(a, &from, pkt, seal_message(sim, 1, &msg, pkt));
	assert_int_equal(a->sent_disco, 5);
	ts_path_peer_remove(a->path, a->peers[1]);
	msg = ping_from(b, 4);
	sim_input_udp(a, &from, pkt, seal_message(sim, 1, &msg, pkt));
	assert_int_equal(a->sent_disco, 5);
	sim_free(sim);
}

/* -- peer relays ---------------------------------------------------------- */

enum { VIA_CAP = 1024 };

/* An offer of node 1: a session at a relay with that many addresses. */
static struct ts_disco_message offer(const struct sim *sim, size_t addr_count,
				     uint64_t lamport_id)
{
	struct ts_disco_message msg = {.type = DISCO_CALL_ME_MAYBE_VIA};
	struct ts_disco_relay_endpoint *e = &msg.call_me_maybe_via;
	struct ts_private_key key;

	ts_private_key_generate(&key);
	ts_public_key_from_private(&key, &e->server_disco);
	e->client_disco[0] = sim->nodes[0].disco_key;
	e->client_disco[1] = sim->nodes[1].disco_key;
	e->lamport_id = lamport_id;
	e->vni = 9;
	e->bind_lifetime_ns = UINT64_MAX;
	e->addrs.count = addr_count;
	for (size_t i = 0; i < addr_count; i++) {
		const uint8_t ip[4] = {198, 18, 0, (uint8_t)(i + 1)};

		e->addrs.addrs[i].ip = ts_ip_from_v4(ip);
		e->addrs.addrs[i].port = 53;
	}
	return msg;
}

static size_t seal_offer(struct sim *sim, const struct ts_disco_message *msg,
			 uint8_t out[VIA_CAP])
{
	uint8_t payload[VIA_CAP];
	struct ts_writer p = ts_writer_init(payload, sizeof(payload));
	struct ts_writer w = ts_writer_init(out, VIA_CAP);
	struct ts_box box;

	assert_int_equal(ts_box_init(&box, &sim->nodes[1].disco_private,
				     &sim->nodes[0].disco_key),
			 0);
	assert_int_equal(ts_disco_write(&p, msg), 0);
	assert_int_equal(ts_disco_seal(&w, &sim->nodes[1].disco_key, &box,
				       payload, p.len),
			 0);
	return w.len;
}

static void offer_by_derp(struct sim *sim, const struct ts_disco_message *msg)
{
	uint8_t frame[DERP_PACKET_HEADER_LEN + VIA_CAP];
	size_t len = seal_offer(sim, msg, frame + DERP_PACKET_HEADER_LEN);

	ts_derp_write_packet_header(frame, DERP_RECV_PACKET,
				    &sim->nodes[1].node_key, len);
	ts_path_derp_input(sim->nodes[0].path, 1, frame,
			   DERP_PACKET_HEADER_LEN + len, sim->now_ms);
}

/* A peer makes us send to addresses that it chooses: so much, no more. */
static void a_flood_of_offers_is_bounded(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0];
	struct ts_disco_message msg;
	unsigned sent = a->sent_udp;

	(void)state;
	for (uint64_t i = 0; i < 500; i++) {
		msg = offer(sim, 25, i + 1);
		offer_by_derp(sim, &msg);
	}
	assert_true(a->sent_udp > sent);
	assert_true(a->sent_udp - sent <= 32 * RELAY_BIND_ADDRS_MAX);
	sent = a->sent_udp;
	for (uint64_t i = 0; i < 1000; i++) { /* ten seconds of it */
		msg = offer(sim, 25, i + 1000);
		offer_by_derp(sim, &msg);
		sim_run(sim, 10);
	}
	assert_true(a->sent_udp - sent <= 11 * RELAY_BIND_ADDRS_MAX + 20);
	sim_run(sim, RELAY_HANDSHAKE_MAX_MS);
	sim_free(sim);
}

static void offers_come_through_derp_alone(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = offer(sim, 1, 1);
	uint8_t pkt[VIA_CAP];
	size_t len = seal_offer(sim, &msg, pkt);
	unsigned sent = a->sent_udp;

	(void)state;
	sim_input_udp(a, &b->addr, pkt, len);
	assert_int_equal(a->sent_udp, sent);
	offer_by_derp(sim, &msg);
	assert_int_equal(a->sent_udp, sent + 1);
	sim_free(sim);
}

static void geneve_garbage_is_survived(void **state)
{
	struct sim *sim = attacked();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = ping_from(b, 1);
	uint8_t header[] = {0, 0x80, 0x7a, 0x11, 0, 0, 9, 0};
	uint8_t pkt[sizeof(header) + MSG_CAP];
	/* What is shorter is taken for WireGuard's. */
	const size_t least = sizeof(header) + DISCO_PACKET_MIN_LEN;
	size_t len;

	(void)state;
	msg.type = DISCO_BIND_RELAY_CHALLENGE;
	memset(&msg.bind_relay, 7, sizeof(msg.bind_relay));
	memcpy(pkt, header, sizeof(header));
	len = sizeof(header) + seal_message(sim, 1, &msg, pkt + sizeof(header));
	/* Sealed by a peer, not by a relay: no handshake message. */
	sim_input_udp(a, &b->addr, pkt, len);
	for (size_t cut = least; cut <= len; cut++)
		sim_input_udp(a, &b->addr, pkt, cut);
	pkt[1] = 0; /* and no message of a peer either */
	for (size_t cut = least; cut <= len; cut++)
		sim_input_udp(a, &b->addr, pkt, cut);
	assert_int_equal(a->sent_disco, 0);
	assert_int_equal(a->got_udp[1], 0);
	sim_free(sim);
}

/* -- what a flood is worth in the log ------------------------------------- */

struct lines {
	unsigned count;
	char last[256];
};

static void take_line(void *ctx, enum ts_log_level level, const char *line)
{
	struct lines *lines = ctx;

	if (level != TS_LOG_WARN)
		return;
	lines->count++;
	snprintf(lines->last, sizeof(lines->last), "%s", line);
}

static struct sim *listened_to(struct lines *lines)
{
	struct sim *sim = attacked();

	*lines = (struct lines){0};
	ts_log_set_sink(take_line, lines);
	ts_log_set_level(TS_LOG_WARN);
	return sim;
}

static void listen_no_more(struct sim *sim)
{
	ts_log_set_level(TS_LOG_OFF);
	ts_log_set_sink(NULL, NULL);
	sim_free(sim);
}

enum { FLOOD_MS = 3000 };

static void a_flood_of_unknown_discos_is_one_line(void **state)
{
	struct lines lines;
	struct sim *sim = listened_to(&lines);
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = ping_from(b, 1);
	uint8_t pkt[MSG_CAP];
	size_t len = seal_message(sim, 1, &msg, pkt);

	(void)state;
	for (uint64_t ms = 0; ms < FLOOD_MS; ms++, sim->now_ms++) {
		ts_random_bytes(pkt + DISCO_MAGIC_LEN, TS_KEY_LEN);
		sim_input_udp(a, &b->addr, pkt, len);
	}
	assert_int_equal(lines.count, 1);
	assert_non_null(strstr(lines.last, "discovery messages"));
	assert_int_equal(a->sent_disco, 0);
	listen_no_more(sim);
}

static void a_flood_of_a_peers_pings_is_one_line(void **state)
{
	struct lines lines;
	struct sim *sim = listened_to(&lines);
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_disco_message msg = ping_from(b, 1);
	uint8_t pkt[MSG_CAP];

	(void)state;
	for (uint64_t ms = 0; ms < FLOOD_MS; ms++, sim->now_ms++) {
		ts_random_bytes(msg.ping.tx_id, DISCO_TX_ID_LEN);
		sim_input_udp(a, &b->addr, pkt,
			      seal_message(sim, 1, &msg, pkt));
	}
	assert_int_equal(lines.count, 1);
	assert_non_null(strstr(lines.last, "pings"));
	assert_in_range(a->sent_disco, 200, 200 + 50 * 4); /* pongs */
	listen_no_more(sim);
}

static void a_flood_of_stun_answers_is_one_line(void **state)
{
	struct lines lines;
	struct sim *sim = listened_to(&lines);
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	uint8_t pkt[STUN_RESPONSE_MAX_LEN], tx_id[STUN_TX_ID_LEN] = {0};

	(void)state;
	for (uint64_t ms = 0; ms < FLOOD_MS; ms++, sim->now_ms++)
		sim_input_udp(a, &b->addr, pkt,
			      ts_stun_write_response(tx_id, &b->addr, pkt));
	assert_int_equal(lines.count, 1);
	assert_non_null(strstr(lines.last, "STUN"));
	listen_no_more(sim);
}

static void a_flood_of_strangers_by_derp_is_one_line(void **state)
{
	struct lines lines;
	struct sim *sim = listened_to(&lines);
	struct ts_public_key src;
	uint8_t pkt[148] = {1};

	(void)state;
	for (uint64_t ms = 0; ms < FLOOD_MS; ms++, sim->now_ms++) {
		ts_random_bytes(&src, sizeof(src));
		pkt[0] = ms % 2 ? 1 : 4; /* every other one may be early */
		from_derp(sim, &src, pkt, sizeof(pkt));
	}
	assert_int_equal(lines.count, 1);
	assert_non_null(strstr(lines.last, "no peers of ours"));
	listen_no_more(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_of_offers_is_bounded),
		cmocka_unit_test(a_flood_of_unknown_discos_is_one_line),
		cmocka_unit_test(a_flood_of_a_peers_pings_is_one_line),
		cmocka_unit_test(a_flood_of_stun_answers_is_one_line),
		cmocka_unit_test(a_flood_of_strangers_by_derp_is_one_line),
		cmocka_unit_test(offers_come_through_derp_alone),
		cmocka_unit_test(geneve_garbage_is_survived),
		cmocka_unit_test(a_ping_is_answered_where_it_came_from),
		cmocka_unit_test(a_ping_naming_another_node_is_dropped),
		cmocka_unit_test(a_disco_key_through_anothers_derp_is_dropped),
		cmocka_unit_test(call_me_maybe_by_udp_is_ignored),
		cmocka_unit_test(a_pong_that_answers_nothing_moves_nothing),
		cmocka_unit_test(
			wireguard_from_a_new_address_does_not_move_the_path),
		cmocka_unit_test(every_message_cut_at_each_length_is_survived),
		cmocka_unit_test(garbage_of_every_length_is_survived),
		cmocka_unit_test(
			strangers_cannot_make_us_look_up_without_limit),
		cmocka_unit_test(a_derp_server_that_talks_nonsense_is_left),
		cmocka_unit_test(a_packet_through_derp_reaches_wireguard),
		cmocka_unit_test(health_of_two_nodes_with_one_key_is_told),
		cmocka_unit_test(two_nodes_with_one_disco_key_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
