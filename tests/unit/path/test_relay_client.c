/* SPDX-License-Identifier: BSD-3-Clause
 * test_relay_client.c - requests, offers and handshakes, message by message
 */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/path/relay_client.h"
#include "tests/relay_server.h"

enum { SENT_MAX = 4096 };

struct sent {
	struct ts_path_addr to;
	struct ts_disco_message msg;
};

struct desk {
	struct ts_relay_client client;
	struct ts_private_key our_private;
	struct ts_relay_pair pair;
	struct ts_relay_server relay; /* the node */
	struct relay_server server;   /* what it offers */
	unsigned requests, vias, pings, readies;
	struct ts_disco_allocate_relay request;
	struct sent sent[SENT_MAX];
	size_t sent_count;
	uint8_t tx_id[DISCO_TX_ID_LEN];
	struct ts_path_quality path;
	bool is_current;
	uint64_t now_ms;
};

static int on_box(void *ctx, const struct ts_public_key *key,
		  struct ts_box *out)
{
	return ts_box_init(out, &((struct desk *)ctx)->our_private, key);
}

static void on_allocate(void *ctx, const struct ts_relay_server *server,
			const struct ts_disco_allocate_relay *request)
{
	struct desk *d = ctx;

	(void)server;
	d->requests++;
	d->request = *request;
}

static void on_via(void *ctx, void *peer,
		   const struct ts_disco_relay_endpoint *endpoint)
{
	(void)peer;
	(void)endpoint;
	((struct desk *)ctx)->vias++;
}

static void on_bind(void *ctx, const struct ts_box *box,
		    const struct ts_path_addr *to,
		    const struct ts_disco_message *msg)
{
	struct desk *d = ctx;

	(void)box;
	assert_true(d->sent_count < SENT_MAX);
	d->sent[d->sent_count++] = (struct sent){.to = *to, .msg = *msg};
}

static void on_ping(void *ctx, void *peer, const struct ts_path_addr *to,
		    const uint8_t tx_id[DISCO_TX_ID_LEN])
{
	struct desk *d = ctx;

	(void)peer;
	(void)to;
	d->pings++;
	memcpy(d->tx_id, tx_id, DISCO_TX_ID_LEN);
}

static bool on_current(void *ctx, void *peer,
		       const struct ts_disco_relay_endpoint *endpoint)
{
	(void)peer;
	(void)endpoint;
	return ((struct desk *)ctx)->is_current;
}

static void on_ready(void *ctx, void *peer, const struct ts_path_quality *path)
{
	struct desk *d = ctx;

	assert_ptr_equal(peer, d->pair.peer);
	d->readies++;
	d->path = *path;
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

static void random_key(struct ts_public_key *out)
{
	struct ts_private_key key;

	ts_private_key_generate(&key);
	ts_public_key_from_private(&key, out);
}

static struct desk *new_desk(void)
{
	struct desk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	assert_int_equal(ts_crypto_init(), 0);
	ts_log_set_level(TS_LOG_OFF);
	d->now_ms = 100000;
	ts_private_key_generate(&d->our_private);
	ts_public_key_from_private(&d->our_private, &d->pair.our_disco);
	random_key(&d->pair.peer_disco);
	d->pair.peer = d;
	random_key(&d->relay.node_key);
	random_key(&d->relay.disco_key);
	d->relay.home_derp = 1;
	relay_server_init(&d->server);
	assert_int_equal(ts_addr_parse("203.0.113.9:3479",
				       &d->server.addrs[0]), 0);
	d->server.addr_count = 1;
	ts_relay_client_init(&d->client, &ops, d);
	ts_relay_client_set_servers(&d->client, &d->relay, 1);
	return d;
}

static void free_desk(struct desk *d)
{
	ts_relay_client_deinit(&d->client);
	free(d);
}

static void pass(struct desk *d, uint64_t ms)
{
	uint64_t end_ms = d->now_ms + ms;

	while (ts_relay_client_deadline_ms(&d->client) <= end_ms) {
		d->now_ms = ts_relay_client_deadline_ms(&d->client);
		ts_relay_client_tick(&d->client, d->now_ms);
		assert_true(ts_relay_client_deadline_ms(&d->client) >
			    d->now_ms);
	}
	d->now_ms = end_ms;
}

static struct ts_disco_allocated_relay answer_of(struct desk *d)
{
	struct ts_disco_allocated_relay answer;

	assert_true(relay_server_allocate(&d->server, &d->request, &answer));
	return answer;
}

static struct ts_disco_allocated_relay ask(struct desk *d)
{
	assert_true(ts_relay_client_discover(&d->client, &d->pair, d->now_ms));
	return answer_of(d);
}

static struct ts_path_addr relay_addr(const struct desk *d)
{
	return (struct ts_path_addr){
		.addr = d->server.addrs[0],
		.vni = RELAY_FIRST_VNI,
	};
}

static struct ts_disco_bind_relay challenge_of(const struct desk *d)
{
	return (struct ts_disco_bind_relay){
		.vni = RELAY_FIRST_VNI,
		.generation = 1,
		.remote_key = d->pair.peer_disco,
		.challenge = {1, 2, 3},
	};
}

static void challenge(struct desk *d, const struct ts_path_addr *from,
		      const struct ts_disco_bind_relay *c)
{
	ts_relay_client_challenge(&d->client, &d->server.disco, from, c,
				  d->now_ms);
}

static void a_request_is_repeated_once_and_given_up(void **state)
{
	struct desk *d = new_desk();

	(void)state;
	assert_true(ts_relay_client_discover(&d->client, &d->pair, d->now_ms));
	assert_int_equal(d->requests, 1);
	/* One at a time. */
	assert_true(ts_relay_client_discover(&d->client, &d->pair, d->now_ms));
	assert_int_equal(d->requests, 1);
	pass(d, 2999);
	assert_int_equal(d->requests, 1);
	pass(d, 1);
	assert_int_equal(d->requests, 2);
	pass(d, 7000);
	assert_int_equal(d->requests, 2);
	assert_int_equal(d->client.request_count, 0);
	assert_int_equal(ts_relay_client_deadline_ms(&d->client), UINT64_MAX);
	free_desk(d);
}

static void without_relays_nobody_is_asked(void **state)
{
	struct desk *d = new_desk();

	(void)state;
	ts_relay_client_set_servers(&d->client, &d->relay, 0);
	assert_false(ts_relay_client_discover(&d->client, &d->pair,
					      d->now_ms));
	/* Nor is the peer, to relay to itself. */
	d->relay.disco_key = d->pair.peer_disco;
	ts_relay_client_set_servers(&d->client, &d->relay, 1);
	ts_relay_client_discover(&d->client, &d->pair, d->now_ms);
	assert_int_equal(d->requests, 0);
	free_desk(d);
}

static void only_the_answer_to_a_request_counts(void **state)
{
	struct desk *d = new_desk();
	struct ts_disco_allocated_relay good = ask(d), bad;
	struct ts_public_key other;

	(void)state;
	random_key(&other);
	ts_relay_client_allocated(&d->client, &other, &good, d->now_ms);
	bad = good;
	bad.generation++;
	ts_relay_client_allocated(&d->client, &d->relay.node_key, &bad,
				  d->now_ms);
	bad = good;
	bad.endpoint.client_disco[0] = other;
	ts_relay_client_allocated(&d->client, &d->relay.node_key, &bad,
				  d->now_ms);
	assert_int_equal(d->sent_count, 0);
	ts_relay_client_allocated(&d->client, &d->relay.node_key, &good,
				  d->now_ms);
	assert_int_equal(d->sent_count, 1);
	assert_int_equal(d->vias, 1);
	assert_int_equal(d->sent[0].msg.type, DISCO_BIND_RELAY);
	assert_int_not_equal(d->sent[0].msg.bind_relay.generation, 0);
	assert_int_equal(d->sent[0].to.vni, RELAY_FIRST_VNI);
	ts_relay_client_allocated(&d->client, &d->relay.node_key, &good,
				  d->now_ms); /* once */
	assert_int_equal(d->sent_count, 1);
	free_desk(d);
}

static void start(struct desk *d)
{
	struct ts_disco_allocated_relay good = ask(d);

	ts_relay_client_allocated(&d->client, &d->relay.node_key, &good,
				  d->now_ms);
	assert_int_equal(d->client.handshake_count, 1);
}

static void the_first_good_challenge_is_answered(void **state)
{
	struct desk *d = new_desk();
	struct ts_path_addr from = relay_addr(d), other = from;
	struct ts_disco_bind_relay c = challenge_of(d);

	(void)state;
	start(d);
	c.vni++;
	challenge(d, &from, &c);
	c = challenge_of(d);
	c.remote_key = d->pair.our_disco;
	challenge(d, &from, &c);
	other.vni++;
	challenge(d, &other, &c);
	assert_int_equal(d->sent_count, 1);
	c = challenge_of(d);
	challenge(d, &from, &c);
	assert_int_equal(d->sent_count, 2);
	assert_int_equal(d->sent[1].msg.type, DISCO_BIND_RELAY_ANSWER);
	assert_memory_equal(d->sent[1].msg.bind_relay.challenge, c.challenge,
			    sizeof(c.challenge));
	assert_int_equal(d->pings, 1);
	other = from;
	other.addr.port++; /* the second address was slower */
	challenge(d, &other, &c);
	assert_int_equal(d->sent_count, 2);
	free_desk(d);
}

static void a_pong_ends_it_and_pings_are_limited(void **state)
{
	struct desk *d = new_desk();
	struct ts_path_addr from = relay_addr(d);
	struct ts_disco_bind_relay c = challenge_of(d);
	uint8_t wrong[DISCO_TX_ID_LEN] = {0};

	(void)state;
	start(d);
	ts_relay_client_ping(&d->client, d, &from, d->now_ms);
	assert_int_equal(d->pings, 0); /* not bound yet */
	challenge(d, &from, &c);
	for (int i = 0; i < 100; i++)
		ts_relay_client_ping(&d->client, d, &from, d->now_ms);
	assert_int_equal(d->pings, RELAY_PINGS_MAX);
	assert_false(ts_relay_client_pong(&d->client, d, &from, wrong,
					  d->now_ms));
	assert_false(ts_relay_client_pong(&d->client, &wrong, &from, d->tx_id,
					  d->now_ms));
	d->now_ms += 12;
	assert_true(ts_relay_client_pong(&d->client, d, &from, d->tx_id,
					 d->now_ms));
	assert_int_equal(d->readies, 1);
	assert_int_equal(d->path.latency_us, 12000);
	assert_int_equal(d->path.to.vni, RELAY_FIRST_VNI);
	assert_true(ts_public_key_equal(&d->path.relay, &d->server.disco));
	assert_int_equal(d->client.handshake_count, 0);
	assert_null(ts_relay_client_box(&d->client, &d->server.disco));
	free_desk(d);
}

static void a_handshake_ends_with_its_lifetime(void **state)
{
	struct desk *d = new_desk();
	struct ts_disco_allocated_relay offer = ask(d);

	(void)state;
	offer.endpoint.bind_lifetime_ns = 5000000000u;
	ts_relay_client_offered(&d->client, &d->pair, &offer.endpoint,
				d->now_ms);
	pass(d, 4999);
	assert_int_equal(d->client.handshake_count, 1);
	pass(d, 1);
	assert_int_equal(d->client.handshake_count, 0);
	offer.endpoint.bind_lifetime_ns = UINT64_MAX;
	ts_relay_client_offered(&d->client, &d->pair, &offer.endpoint,
				d->now_ms);
	pass(d, RELAY_HANDSHAKE_MAX_MS);
	assert_int_equal(d->client.handshake_count, 0);
	free_desk(d);
}

static void of_one_relay_the_newest_offer_counts(void **state)
{
	struct desk *d = new_desk();
	struct ts_disco_allocated_relay offer = ask(d);
	struct ts_disco_relay_endpoint *e = &offer.endpoint;

	(void)state;
	e->lamport_id = 5;
	ts_relay_client_offered(&d->client, &d->pair, e, d->now_ms);
	assert_int_equal(d->sent_count, 1);
	ts_relay_client_offered(&d->client, &d->pair, e, d->now_ms);
	e->vni = 99;
	ts_relay_client_offered(&d->client, &d->pair, e, d->now_ms);
	e->lamport_id = 4;
	ts_relay_client_offered(&d->client, &d->pair, e, d->now_ms);
	assert_int_equal(d->sent_count, 1);
	e->lamport_id = 6;
	ts_relay_client_offered(&d->client, &d->pair, e, d->now_ms);
	assert_int_equal(d->sent_count, 2);
	assert_int_equal(d->sent[1].to.vni, 99);
	assert_int_equal(d->client.handshake_count, 1);
	assert_int_equal(d->vias, 0); /* the peer knows it already */
	free_desk(d);
}

static void hostile_offers_are_refused(void **state)
{
	struct desk *d = new_desk();
	struct ts_disco_allocated_relay offer = ask(d);
	struct ts_disco_relay_endpoint e = offer.endpoint;
	static const char *const nowhere[] = {
		"0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1",
		"127.3.3.40:1", "[fe80::1]:1", "192.0.2.1:0"};

	(void)state;
	random_key(&e.client_disco[0]); /* for others */
	ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	e = offer.endpoint;
	e.vni = 0;
	ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	e.vni = 1 << 24;
	ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	e = offer.endpoint;
	e.addrs.count = 6;
	for (int i = 0; i < 6; i++)
		assert_int_equal(ts_addr_parse(nowhere[i], &e.addrs.addrs[i]),
				 0);
	ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	e = offer.endpoint;
	memset(&e.server_disco, 0, sizeof(e.server_disco));
	ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	assert_int_equal(d->sent_count, 0);
	assert_int_equal(d->client.handshake_count, 0);
	assert_int_equal(d->client.dropped_offers, 5);
	for (int i = 0; i < 200; i++) {
		random_key(&e.server_disco);
		ts_relay_client_offered(&d->client, &d->pair, &e, d->now_ms);
	}
	assert_int_equal(d->client.handshake_count, RELAY_PEER_HANDSHAKES_MAX);
	free_desk(d);
}

static void an_offer_for_the_path_in_use_is_not_bound(void **state)
{
	struct desk *d = new_desk();
	struct ts_disco_allocated_relay good = ask(d);

	(void)state;
	d->is_current = true;
	ts_relay_client_allocated(&d->client, &d->relay.node_key, &good,
				  d->now_ms);
	assert_int_equal(d->vias, 1); /* the peer may have lost it */
	assert_int_equal(d->sent_count, 0);
	free_desk(d);
}

static void another_peers_session_is_not_touched(void **state)
{
	struct desk *d = new_desk();
	struct ts_relay_pair evil = {.our_disco = d->pair.our_disco};
	struct ts_disco_allocated_relay offer;
	struct ts_path_addr from = relay_addr(d);
	struct ts_disco_bind_relay c = challenge_of(d);

	(void)state;
	start(d);
	random_key(&evil.peer_disco);
	evil.peer = &evil;
	offer = answer_of(d);
	offer.endpoint.client_disco[0] = evil.our_disco;
	offer.endpoint.client_disco[1] = evil.peer_disco;
	offer.endpoint.lamport_id = UINT64_MAX;
	ts_relay_client_offered(&d->client, &evil, &offer.endpoint, d->now_ms);
	assert_int_equal(d->client.handshake_count, 2);
	challenge(d, &from, &c);
	assert_true(ts_relay_client_pong(&d->client, d, &from, d->tx_id,
					 d->now_ms));
	ts_relay_client_cancel(&d->client, &evil);
	assert_int_equal(d->client.handshake_count, 0);
	free_desk(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_repeated_once_and_given_up),
		cmocka_unit_test(without_relays_nobody_is_asked),
		cmocka_unit_test(only_the_answer_to_a_request_counts),
		cmocka_unit_test(the_first_good_challenge_is_answered),
		cmocka_unit_test(a_pong_ends_it_and_pings_are_limited),
		cmocka_unit_test(a_handshake_ends_with_its_lifetime),
		cmocka_unit_test(of_one_relay_the_newest_offer_counts),
		cmocka_unit_test(hostile_offers_are_refused),
		cmocka_unit_test(an_offer_for_the_path_in_use_is_not_bound),
		cmocka_unit_test(another_peers_session_is_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
