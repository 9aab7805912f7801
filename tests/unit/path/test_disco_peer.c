/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/path/disco_peer.h"

enum { SENT_MAX = 4096 };

struct sent {
	struct ts_path_addr to;
	bool is_derp;
	size_t wire;
	uint8_t tx_id[DISCO_TX_ID_LEN];
};

struct desk {
	struct ts_disco_peer peer;
	struct sent sent[SENT_MAX];
	size_t count;
	unsigned call_me_maybes, changes, relay_searches, mtu_changes;
	unsigned trust_ends, moves, quiet_relays;
	bool has_relays;
	struct ts_path_addr best;
	unsigned probes;
	int probe_err;
	uint64_t now_ms;
};

static void on_ping(void *ctx, const struct ts_path_addr *to,
		    const uint8_t tx_id[DISCO_TX_ID_LEN], size_t wire)
{
	struct desk *d = ctx;
	struct sent *s = &d->sent[d->count++];

	assert_true(d->count <= SENT_MAX);
	*s = (struct sent){.is_derp = !to, .wire = wire};
	if (to)
		s->to = *to;
	memcpy(s->tx_id, tx_id, DISCO_TX_ID_LEN);
}

static void on_call_me_maybe(void *ctx)
{
	((struct desk *)ctx)->call_me_maybes++;
}

static void on_mtu(void *ctx)
{
	((struct desk *)ctx)->mtu_changes++;
}

static void on_trust_ended(void *ctx)
{
	((struct desk *)ctx)->trust_ends++;
}

static void on_moved(void *ctx)
{
	((struct desk *)ctx)->moves++;
}

static void on_quiet_relay(void *ctx)
{
	((struct desk *)ctx)->quiet_relays++;
}

static bool on_discover_relays(void *ctx)
{
	struct desk *d = ctx;

	d->relay_searches += d->has_relays;
	return d->has_relays;
}

static void on_best(void *ctx, const struct ts_path_addr *best)
{
	struct desk *d = ctx;

	d->changes++;
	d->best = best ? *best : (struct ts_path_addr){0};
}

static void on_probe(void *ctx, struct ts_disco_probe *probe)
{
	struct desk *d = ctx;

	d->probes++;
	d->probe_err = probe->err;
	free(probe);
}

static const struct ts_disco_ops ops = {
	.send_ping = on_ping,
	.send_call_me_maybe = on_call_me_maybe,
	.discover_relays = on_discover_relays,
	.trust_ended = on_trust_ended,
	.moved = on_moved,
	.relay_is_quiet = on_quiet_relay,
	.mtu_changed = on_mtu,
	.best_changed = on_best,
	.probe_done = on_probe,
};

static struct ts_path_addr addr(const char *text)
{
	struct ts_path_addr a = {0};

	assert_int_equal(ts_addr_parse(text, &a.addr), 0);
	return a;
}

static struct desk *new_desk(const char *const *endpoints, size_t count)
{
	struct desk *d = calloc(1, sizeof(*d));
	struct ts_addr addrs[8];

	assert_non_null(d);
	assert_int_equal(ts_crypto_init(), 0);
	d->now_ms = 100000;
	ts_disco_peer_init(&d->peer, &ops, d, false);
	for (size_t i = 0; i < count; i++)
		addrs[i] = addr(endpoints[i]).addr;
	ts_disco_peer_set_endpoints(&d->peer, addrs, count, d->now_ms);
	return d;
}

static void free_desk(struct desk *d)
{
	ts_disco_peer_deinit(&d->peer);
	free(d);
}

/* To now + ms, with every deadline on the way. */
static void pass(struct desk *d, uint64_t ms)
{
	uint64_t end_ms = d->now_ms + ms;

	while (ts_disco_peer_deadline_ms(&d->peer) <= end_ms) {
		uint64_t at_ms = ts_disco_peer_deadline_ms(&d->peer);

		assert_true(at_ms >= d->now_ms);
		d->now_ms = at_ms;
		ts_disco_peer_tick(&d->peer, d->now_ms);
		assert_true(ts_disco_peer_deadline_ms(&d->peer) > d->now_ms);
	}
	d->now_ms = end_ms;
}

static bool pong(struct desk *d, size_t of)
{
	return ts_disco_peer_got_pong(&d->peer, d->sent[of].is_derp,
				      d->sent[of].tx_id, d->now_ms);
}

/* A packet for the peer. */
static void use(struct desk *d)
{
	ts_disco_peer_sent(&d->peer, d->now_ms);
}

/* A packet, and the first ping is answered. */
static void find(struct desk *d, uint64_t after_ms)
{
	use(d);
	d->now_ms += after_ms;
	assert_true(pong(d, 0));
}

static const char *const two[] = {"192.0.2.1:1", "192.0.2.2:2"};

static void traffic_pings_all_and_calls_once_in_five_seconds(void **state)
{
	struct desk *d = new_desk(two, 2);

	(void)state;
	for (int i = 0; i < 10; i++)
		use(d);
	assert_int_equal(d->count, 2);
	assert_int_equal(d->call_me_maybes, 1);
	d->now_ms += 4999;
	use(d);
	assert_int_equal(d->count, 2);
	d->now_ms += 1;
	use(d);
	assert_int_equal(d->count, 4);
	assert_int_equal(d->call_me_maybes, 2);
	free_desk(d);
}

static void a_peer_without_candidates_is_not_called(void **state)
{
	struct desk *d = new_desk(NULL, 0);

	(void)state;
	use(d);
	pass(d, 20000);
	assert_int_equal(d->count, 0);
	assert_int_equal(d->call_me_maybes, 0);
	free_desk(d);
}

static void a_pong_gives_trust_and_silence_takes_it(void **state)
{
	struct desk *d = new_desk(two, 1);
	struct ts_path_addr want = addr(two[0]);

	(void)state;
	find(d, 30);
	assert_false(pong(d, 0)); /* a replay */
	assert_true(ts_path_addr_equal(&d->best, &want));
	assert_int_equal(d->peer.best.latency_us, 30000);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms + 6500));
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms + 6501));
	pass(d, 6501);
	assert_true(ts_path_addr_is_set(&d->peer.best.to)); /* in doubt */
	pass(d, 5000); /* the heartbeats went unanswered */
	assert_false(ts_path_addr_is_set(&d->peer.best.to));
	assert_false(ts_path_addr_is_set(&d->best));
	free_desk(d);
}

static void heartbeats_run_for_45_seconds_after_the_last_packet(void **state)
{
	struct desk *d = new_desk(two, 1);
	size_t answered = 0;

	(void)state;
	use(d);
	for (int i = 0; i < 100; i++) {
		while (answered < d->count)
			assert_true(pong(d, answered++));
		pass(d, 1000);
	}
	/* 1 at first, then at 3, 6 .. 42 s */
	assert_int_equal(d->count, 15);
	assert_true(ts_disco_peer_deadline_ms(&d->peer) == UINT64_MAX);
	free_desk(d);
}

static void a_slow_direct_path_is_reviewed_every_minute(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_path_addr other = addr(two[1]);
	unsigned reviews = 0;
	size_t seen = 2;

	(void)state;
	find(d, 100);
	for (int i = 0; i < 1300; i++) { /* 130 s, in use, answered in 100 ms */
		size_t sent = d->count;

		use(d);
		pass(d, 100);
		for (; seen < sent; seen++) {
			if (ts_path_addr_equal(&d->sent[seen].to, &other))
				reviews++;
			else
				pong(d, seen);
		}
	}
	assert_int_equal(reviews, 2);
	free_desk(d);
}

static void a_fast_direct_path_is_left_alone(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_path_addr other = addr(two[1]);

	(void)state;
	find(d, 2);
	for (size_t i = 0, seen = 2; i < 1300; i++) {
		use(d);
		ts_disco_peer_heard(&d->peer, &d->best, d->now_ms);
		pass(d, 98);
		d->now_ms += 2;
		for (; seen < d->count; seen++) {
			assert_false(
				ts_path_addr_equal(&d->sent[seen].to, &other));
			pong(d, seen);
		}
	}
	free_desk(d);
}

static void a_better_pong_moves_a_worse_one_does_not(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_path_addr first = addr(two[0]), second = addr(two[1]);

	(void)state;
	use(d);
	d->now_ms += 50;
	assert_true(pong(d, 1));
	assert_true(ts_path_addr_equal(&d->best, &second));
	d->now_ms += 10;
	assert_true(pong(d, 0)); /* 60 ms against 50 */
	assert_true(ts_path_addr_equal(&d->best, &second));
	d->count = 0;
	ts_disco_peer_network_changed(&d->peer, d->now_ms);
	assert_int_equal(d->count, 2); /* it is in use: at once */
	d->now_ms += 10;
	assert_true(pong(d, 0));
	assert_true(ts_path_addr_equal(&d->best, &first));
	assert_int_equal(d->peer.best.latency_us, 10000);
	free_desk(d);
}

static void a_pong_through_derp_moves_nothing(void **state)
{
	struct desk *d = new_desk(two, 1);

	(void)state;
	use(d);
	assert_true(ts_disco_peer_got_pong(&d->peer, true, d->sent[0].tx_id,
					   d->now_ms));
	assert_false(ts_path_addr_is_set(&d->best));
	free_desk(d);
}

static void a_late_pong_is_unknown(void **state)
{
	struct desk *d = new_desk(two, 1);

	(void)state;
	use(d);
	pass(d, 5000);
	assert_false(pong(d, 0));
	assert_false(ts_path_addr_is_set(&d->best));
	free_desk(d);
}

static void a_duplicate_ping_is_not_answered(void **state)
{
	struct desk *d = new_desk(NULL, 0);
	struct ts_path_addr from = addr("192.0.2.9:9");
	uint8_t tx_id[DISCO_TX_ID_LEN] = {1};

	(void)state;
	assert_true(ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms));
	assert_false(ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms));
	from.addr.port++;
	assert_true(ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms));
	assert_int_equal(d->peer.candidates.count, 2);
	free_desk(d);
}

static void pongs_are_rate_limited(void **state)
{
	struct desk *d = new_desk(NULL, 0);
	struct ts_path_addr from = addr("192.0.2.9:9");
	unsigned answered = 0;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		uint8_t tx_id[DISCO_TX_ID_LEN] = {0};

		memcpy(tx_id, &i, sizeof(i));
		answered += ts_disco_peer_got_ping(&d->peer, &from, tx_id,
						   d->now_ms + i / 10);
	}
	assert_in_range(answered, DISCO_PONGS_BURST,
			DISCO_PONGS_BURST + DISCO_PONGS_PER_S);
	assert_int_equal(d->peer.dropped_pongs, 10000 - answered);
	free_desk(d);
}

static void candidates_are_bounded_and_silent_ones_give_way(void **state)
{
	struct desk *d = new_desk(two, 2);
	uint8_t tx_id[DISCO_TX_ID_LEN] = {0};

	(void)state;
	for (uint16_t i = 1; i <= 1000; i++) {
		struct ts_path_addr from = addr("192.0.2.9:9");

		from.addr.port = i;
		ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms);
	}
	assert_int_equal(d->peer.candidates.count, DISCO_CANDIDATES_MAX);
	assert_true(d->peer.candidates.dropped > 800);
	d->now_ms += 45001;
	use(d);
	assert_int_equal(d->peer.candidates.count, 2);
	free_desk(d);
}

/* The addresses may be made up, from a ping that somebody overheard. */
static void told_candidates_find_room_among_learned_ones(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_disco_endpoints e = {.count = 1};
	uint8_t tx_id[DISCO_TX_ID_LEN] = {0};

	(void)state;
	for (uint16_t i = 1; i <= 1000; i++) {
		struct ts_path_addr from = addr("192.0.2.9:9");

		from.addr.port = i;
		ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms);
	}
	e.addrs[0] = addr("192.0.2.5:5").addr;
	d->count = 0;
	ts_disco_peer_got_call_me_maybe(&d->peer, &e, d->now_ms);
	assert_int_equal(d->peer.candidates.count, DISCO_CANDIDATES_MAX);
	assert_int_equal(d->count, DISCO_CANDIDATES_MAX);
	assert_true(ts_addr_equal(&d->sent[d->count - 1].to.addr,
				  &e.addrs[0]));
	free_desk(d);
}

static void call_me_maybe_pings_at_once_and_replaces_its_set(void **state)
{
	struct desk *d = new_desk(two, 1);
	struct ts_disco_endpoints e = {.count = 3};
	struct ts_path_addr last;

	(void)state;
	e.addrs[0] = addr("192.0.2.5:5").addr;
	e.addrs[1] = addr("[fe80::1]:5").addr; /* no zone */
	e.addrs[2] = addr("[2001:db8::1]:5").addr;
	use(d);
	ts_disco_peer_got_call_me_maybe(&d->peer, &e, d->now_ms);
	assert_int_equal(d->count, 1 + 3); /* the first one a second time */
	assert_int_equal(d->call_me_maybes, 1);
	e.count = 1;
	e.addrs[0] = addr("192.0.2.6:6").addr;
	ts_disco_peer_got_call_me_maybe(&d->peer, &e, d->now_ms);
	assert_int_equal(d->peer.candidates.count, 2);
	last = addr("192.0.2.6:6");
	assert_true(ts_path_addr_equal(&d->sent[d->count - 1].to, &last));
	free_desk(d);
}

static void a_flood_of_calls_sends_a_bounded_number_of_pings(void **state)
{
	struct desk *d = new_desk(NULL, 0);
	struct ts_disco_endpoints e = {.count = DISCO_ENDPOINTS_MAX};

	(void)state;
	for (uint16_t i = 0; i < DISCO_ENDPOINTS_MAX; i++) {
		e.addrs[i] = addr("192.0.2.6:6").addr;
		e.addrs[i].port = (uint16_t)(i + 1);
	}
	for (int i = 0; i < 1000; i++)
		ts_disco_peer_got_call_me_maybe(&d->peer, &e, d->now_ms);
	assert_int_equal(d->count, DISCO_PINGS_MAX);
	assert_true(d->peer.dropped_pings > 0);
	pass(d, 5000);
	assert_int_equal(d->peer.pings.count, 0);
	free_desk(d);
}

static void addresses_that_are_none_are_not_pinged(void **state)
{
	static const char *const bad[] = {
		"0.0.0.0:1",   "[::]:1",       "224.0.0.1:1",      "1.2.3.4:0",
		"[ff02::1]:1", "127.3.3.40:1", "255.255.255.255:9"};
	struct desk *d = new_desk(bad, 7);

	(void)state;
	assert_int_equal(d->peer.candidates.count, 0);
	free_desk(d);
}

static void an_endpoint_that_left_the_netmap_is_dropped(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_addr keep = addr(two[1]).addr;

	(void)state;
	use(d);
	assert_true(pong(d, 0));
	ts_disco_peer_set_endpoints(&d->peer, &keep, 1, d->now_ms);
	assert_int_equal(d->peer.candidates.count, 1);
	assert_false(ts_path_addr_is_set(&d->best));
	free_desk(d);
}

static void on_probe_fn(void *ctx, int err, uint64_t latency_us,
			const struct ts_path_addr *to, bool is_derp)
{
	(void)ctx, (void)err, (void)latency_us, (void)to, (void)is_derp;
}

static void a_probe_ends_once_with_its_first_pong(void **state)
{
	struct desk *d = new_desk(two, 2);

	(void)state;
	assert_int_equal(ts_disco_peer_probe(&d->peer, true, 0, on_probe_fn,
					     NULL, d->now_ms),
			 0);
	assert_int_equal(d->count, 3);
	assert_true(d->sent[0].is_derp);
	assert_true(pong(d, 1));
	assert_int_equal(d->probes, 1);
	assert_true(pong(d, 0));
	pass(d, 6000);
	assert_int_equal(d->probes, 1);
	assert_int_equal(d->probe_err, 0);
	free_desk(d);
}

static void a_probe_of_a_size_says_so(void **state)
{
	struct desk *d = new_desk(two, 2);

	(void)state;
	assert_int_equal(ts_disco_peer_probe(&d->peer, true, 500, on_probe_fn,
					     NULL, d->now_ms),
			 0);
	assert_int_equal(d->count, 3);
	assert_int_equal(d->sent[0].wire, 500); /* DERP: no IP packet */
	for (int i = 1; i < 3; i++)
		assert_int_equal(d->sent[i].wire,
				 500 + (ts_ip_is_v4(&d->sent[i].to.addr.ip)
						? 28 : 48));
	assert_true(pong(d, 1));
	assert_int_equal(d->probes, 1);
	assert_int_equal(d->probe_err, 0);
	assert_int_equal(d->mtu_changes, 0); /* no search for the path's MTU */
	free_desk(d);
}

static void a_probe_without_an_answer_times_out_once(void **state)
{
	struct desk *d = new_desk(two, 2);

	(void)state;
	assert_int_equal(ts_disco_peer_probe(&d->peer, false, 0, on_probe_fn,
					     NULL, d->now_ms),
			 0);
	pass(d, 4999);
	assert_int_equal(d->probes, 0);
	pass(d, 1);
	assert_int_equal(d->probes, 1);
	assert_int_equal(d->probe_err, -ETIMEDOUT);
	assert_int_equal(ts_disco_peer_probe(&d->peer, false, 0, on_probe_fn,
					     NULL, d->now_ms),
			 0);
	free_desk(d); /* gives it up */
	d = new_desk(NULL, 0);
	assert_int_equal(ts_disco_peer_probe(&d->peer, false, 0, on_probe_fn,
					     NULL, d->now_ms),
			 -EHOSTUNREACH);
	free_desk(d);
}

static bool better(const char *a, uint64_t a_ms, const char *b, uint64_t b_ms)
{
	struct ts_path_quality qa = {.to = addr(a), .latency_us = a_ms * 1000};
	struct ts_path_quality qb = {.to = addr(b), .latency_us = b_ms * 1000};

	return ts_path_is_better(&qa, &qb);
}

static void better_has_points_and_hysteresis(void **state)
{
	struct ts_path_quality direct = {.to = addr("1.1.1.1:1"),
					 .latency_us = 900000};
	struct ts_path_quality relay = {.to = addr("2.2.2.2:2"),
					.latency_us = 1000};
	struct ts_path_quality none = {0};

	(void)state;
	assert_true(better("1.1.1.1:1", 10, "2.2.2.2:2", 100));
	assert_false(better("1.1.1.1:1", 100, "2.2.2.2:2", 10));
	assert_false(better("1.1.1.1:1", 99, "2.2.2.2:2", 100)); /* 1 % */
	assert_true(better("1.1.1.1:1", 97, "2.2.2.2:2", 100));
	assert_false(better("1.1.1.1:1", 10, "1.1.1.1:1", 100)); /* the same */
	assert_true(better("10.0.0.1:1", 100, "2.2.2.2:2", 90));
	assert_false(better("10.0.0.1:1", 100, "2.2.2.2:2", 50));
	assert_true(better("[2001:db8::1]:1", 100, "2.2.2.2:2", 95));
	assert_true(better("127.0.0.1:1", 100, "10.0.0.1:1", 75));
	assert_true(better("169.254.1.1:1", 10, "192.168.1.1:1", 10));
	assert_false(better("10.0.0.1:1", 0, "10.0.0.2:1", 1)); /* one grain */
	relay.to.vni = 7;
	assert_true(ts_path_is_better(&direct, &relay));
	assert_false(ts_path_is_better(&relay, &direct));
	assert_true(ts_path_is_better(&relay, &none));
	assert_false(ts_path_is_better(&none, &relay));
}

/* One direct path, trusted. */
static struct desk *new_direct(void)
{
	struct desk *d = new_desk(two, 1);

	use(d);
	pass(d, 10);
	assert_true(pong(d, 0));
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	return d;
}

static void sending_into_silence_ends_the_trust_soon(void **state)
{
	struct desk *d = new_direct();

	(void)state;
	use(d);
	pass(d, DOUBT_SILENCE_MS - 1);
	use(d);
	assert_int_equal(d->count, 1);
	pass(d, 1);
	use(d);
	assert_int_equal(d->count, 2); /* asked */
	use(d);
	assert_int_equal(d->count, 2);
	pass(d, DOUBT_WAIT_MS - 1);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	assert_int_equal(d->moves, 1);
	pass(d, 1);
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	assert_true(ts_path_addr_is_set(&d->best)); /* both are used */
	assert_int_equal(d->trust_ends, 1);
	assert_int_equal(d->moves, 2);
	assert_int_equal(d->count, 3); /* every candidate, with a call */
	assert_int_equal(d->call_me_maybes, 2);
	assert_true(pong(d, 1)); /* late, but it works */
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	free_desk(d);
}

static void what_comes_back_takes_the_doubt_away(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]), other = addr(two[1]);
	size_t count = d->count;

	(void)state;
	for (int i = 0; i < 25; i++) { /* short of a heartbeat */
		use(d);
		pass(d, 100);
		ts_disco_peer_heard(&d->peer, &best, d->now_ms);
	}
	assert_int_equal(d->count, count);
	/* The same by another way is no proof of this one. */
	for (int i = 0; i < 11; i++) {
		use(d);
		pass(d, 100);
		ts_disco_peer_heard(&d->peer, &other, d->now_ms);
	}
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	free_desk(d);
}

static void a_busy_peer_that_falls_silent_is_asked(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]);

	(void)state;
	for (int i = 0; i < 2 * DOUBT_BUSY_PACKETS; i++) {
		pass(d, 20);
		ts_disco_peer_heard(&d->peer, &best, d->now_ms);
	}
	pass(d, DOUBT_QUIET_MS - 1);
	assert_int_equal(d->count, 1);
	pass(d, 1);
	assert_int_equal(d->count, 2);
	pass(d, DOUBT_WAIT_MS);
	assert_int_equal(d->trust_ends, 1);
	/* Heard again: what waits need not wait for its time-out. */
	assert_int_equal(d->moves, 2);
	ts_disco_peer_heard(&d->peer, &(struct ts_path_addr){.vni = 9},
			    d->now_ms);
	assert_int_equal(d->moves, 3);
	ts_disco_peer_heard(&d->peer, &best, d->now_ms);
	assert_int_equal(d->moves, 3);
	free_desk(d);
}

static void a_few_packets_are_no_stream(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]);

	(void)state;
	for (int i = 0; i < DOUBT_BUSY_PACKETS - 1; i++)
		ts_disco_peer_heard(&d->peer, &best, d->now_ms);
	pass(d, 2000);
	assert_int_equal(d->count, 1);
	free_desk(d);
}

static void a_relay_that_falls_silent_is_told(void **state)
{
	struct desk *d = new_desk(two, 0);
	struct ts_path_addr derp = {.addr = ts_path_derp_addr(1)};

	(void)state;
	for (int i = 0; i < DOUBT_BUSY_PACKETS; i++)
		ts_disco_peer_heard(&d->peer, &derp, d->now_ms);
	pass(d, DOUBT_QUIET_MS);
	assert_int_equal(d->quiet_relays, 1);
	assert_int_equal(d->count, 0);
	free_desk(d);
}

static void a_peer_heard_elsewhere_ends_the_trust_once(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]), other = addr(two[1]);

	(void)state;
	/* While the path works it is only the other end's choice. */
	ts_disco_peer_heard(&d->peer, &best, d->now_ms);
	pass(d, DOUBT_ELSEWHERE_MS - 1);
	ts_disco_peer_heard(&d->peer, &other, d->now_ms);
	pass(d, 0);
	assert_int_equal(d->trust_ends, 0);
	pass(d, 1);
	ts_disco_peer_heard(&d->peer, &other, d->now_ms);
	pass(d, 0);
	assert_int_equal(d->trust_ends, 1);
	assert_int_equal(d->count, 2);
	assert_true(pong(d, 1));
	/* It goes on like that: no news. */
	for (int i = 0; i < 20; i++) {
		pass(d, 100);
		ts_disco_peer_heard(&d->peer, &other, d->now_ms);
	}
	assert_int_equal(d->trust_ends, 1);
	free_desk(d);
}

static void a_refused_address_ends_the_trust(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]), other = addr(two[1]);

	(void)state;
	assert_false(ts_disco_peer_refused(&d->peer, &other.addr, d->now_ms));
	assert_true(ts_disco_peer_refused(&d->peer, &best.addr, d->now_ms));
	pass(d, 0);
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	assert_int_equal(d->trust_ends, 1);
	assert_false(ts_disco_peer_refused(&d->peer, &best.addr, d->now_ms));
	free_desk(d);
}

static void a_handshake_asks_at_once(void **state)
{
	struct desk *d = new_direct();

	(void)state;
	ts_disco_peer_ask(&d->peer, d->now_ms);
	ts_disco_peer_ask(&d->peer, d->now_ms);
	assert_int_equal(d->count, 2);
	pass(d, DOUBT_WAIT_MS);
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	ts_disco_peer_ask(&d->peer, d->now_ms); /* nothing to ask about */
	assert_int_equal(d->count, 3);
	free_desk(d);
}

static void a_search_repeats_its_pings_for_a_while(void **state)
{
	struct desk *d = new_desk(two, 1);

	(void)state;
	use(d);
	assert_int_equal(d->count, 1);
	pass(d, DISCO_REPEAT_MS);
	assert_int_equal(d->count, 2);
	pass(d, DISCO_REPEAT_LAST_MS);
	assert_int_equal(d->count, 3);
	pass(d, 3900);
	assert_int_equal(d->count, 3);
	d->now_ms += DISCO_SEARCH_MS; /* not for ever */
	ts_disco_peer_tick(&d->peer, d->now_ms);
	d->count = 0;
	use(d);
	pass(d, 1500);
	assert_true(d->count <= 1);
	assert_true(d->count == 0 || pong(d, 0));
	free_desk(d);
}

static void who_pings_is_pinged_back(void **state)
{
	struct desk *d = new_desk(two, 1);
	struct ts_path_addr from = addr(two[1]);
	uint8_t tx_id[DISCO_TX_ID_LEN] = {1};

	(void)state;
	assert_true(ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms));
	assert_int_equal(d->count, 1);
	assert_true(ts_path_addr_equal(&d->sent[0].to, &from));
	/* Not for each of many. */
	for (tx_id[0] = 2; tx_id[0] < 20; tx_id[0]++) {
		pass(d, 20);
		ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms);
	}
	assert_int_equal(d->count, 2);
	assert_true(pong(d, 1));
	pass(d, 1000);
	tx_id[0] = 20;
	ts_disco_peer_got_ping(&d->peer, &from, tx_id, d->now_ms);
	assert_int_equal(d->count, 2); /* there is a path */
	free_desk(d);
}

static void derp_is_back_so_call_again(void **state)
{
	struct desk *d = new_desk(two, 1);

	(void)state;
	ts_disco_peer_derp_is_up(&d->peer, d->now_ms); /* nobody asked */
	assert_int_equal(d->call_me_maybes, 0);
	use(d);
	assert_int_equal(d->call_me_maybes, 1);
	ts_disco_peer_derp_is_up(&d->peer, d->now_ms); /* just now */
	assert_int_equal(d->call_me_maybes, 1);
	pass(d, DISCO_CALL_AGAIN_MS);
	ts_disco_peer_derp_is_up(&d->peer, d->now_ms);
	assert_int_equal(d->call_me_maybes, 2);
	assert_int_equal(d->moves, 1);
	free_desk(d);
}

static void a_question_now_and_then_costs_no_pings(void **state)
{
	struct desk *d = new_direct();
	struct ts_path_addr best = addr(two[0]);
	size_t from = d->count, beats = 0;

	(void)state;
	for (int i = 0; i < 30; i++) {
		use(d);
		pass(d, 40);
		ts_disco_peer_heard(&d->peer, &best, d->now_ms);
		pass(d, 960);
		for (; from < d->count; from++, beats++)
			pong(d, from);
	}
	assert_true(beats <= 10); /* a heartbeat in 3 s */
	free_desk(d);
}

static void a_slow_path_has_more_time(void **state)
{
	struct desk *d = new_desk(two, 1);

	(void)state;
	use(d);
	pass(d, 600);
	assert_true(pong(d, 0));
	use(d);
	pass(d, 500);
	use(d);
	pass(d, 2300);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	pass(d, 100);
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	free_desk(d);
}

/* Answers all pings from number *from on that the link is wide enough for. */
static void answer(struct desk *d, size_t *from, size_t link)
{
	for (; *from < d->count; (*from)++)
		if (d->sent[*from].wire <= link)
			pong(d, *from);
}

/* So many seconds with traffic; the link answers after a moment. */
static void chat(struct desk *d, size_t *from, size_t link, unsigned s)
{
	for (unsigned i = 0; i < s; i++) {
		use(d);
		pass(d, 1);
		answer(d, from, link);
		pass(d, 999);
	}
}

static void a_path_is_measured_when_it_is_new(void **state)
{
	struct desk *d = new_desk(two, 1);
	size_t from = 0;

	(void)state;
	d->peer.probes_mtu = true;
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1280);
	chat(d, &from, 1500, 1);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1440);
	chat(d, &from, 9000, 10); /* what was lost by chance is tried again */
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 8928);
	free_desk(d);
}

static struct desk *on_a_jumbo_link(size_t *from)
{
	struct desk *d = new_desk(two, 1);

	*from = 0;
	d->peer.probes_mtu = true;
	chat(d, from, 9000, 20);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 8928);
	d->mtu_changes = 0;
	return d;
}

static void narrower_path_is_noticed_by_two_heartbeats(void **state)
{
	size_t from;
	struct desk *d = on_a_jumbo_link(&from);

	(void)state;
	chat(d, &from, 1500, 7);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1440);
	assert_int_equal(d->mtu_changes, 1);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	assert_int_equal(d->changes, 1); /* the path itself was never lost */
	chat(d, &from, 9000, 61);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 8928);
	free_desk(d);
}

static void path_too_narrow_for_all_sizes_has_1280(void **state)
{
	size_t from;
	struct desk *d = on_a_jumbo_link(&from);

	(void)state;
	chat(d, &from, 1399, 10);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1280);
	assert_int_equal(d->mtu_changes, 1);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	free_desk(d);
}

static void one_large_ping_lost_changes_nothing(void **state)
{
	size_t from;
	struct desk *d = on_a_jumbo_link(&from);

	(void)state;
	for (int i = 0; i < 10; i++) {
		chat(d, &from, 1500, 3); /* one heartbeat */
		chat(d, &from, 9000, 3);
		assert_int_equal(ts_disco_peer_mtu(&d->peer), 8928);
	}
	assert_int_equal(d->mtu_changes, 0);
	free_desk(d);
}

static void another_path_carries_1280_until_it_is_measured(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_path_quality q = {.to = addr("203.0.113.9:3479")};
	size_t from = 0;

	(void)state;
	d->peer.probes_mtu = true;
	chat(d, &from, 9000, 10);
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 8928);
	pass(d, 20000); /* lost */
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1280);
	q.to.vni = 7;
	ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
	from = d->count;
	for (int i = 0; i < 3; i++) {
		pass(d, 3000);
		for (; from < d->count; from++) {
			assert_int_equal(d->sent[from].wire, 0);
			if (d->sent[from].to.vni != 0)
				pong(d, from);
		}
	}
	assert_int_equal(ts_disco_peer_mtu(&d->peer), 1280);
	free_desk(d);
}

static void measuring_costs_little(void **state)
{
	struct desk *d = new_desk(two, 1);
	size_t from = 0, bytes = 0, before;

	(void)state;
	d->peer.probes_mtu = true;
	chat(d, &from, 1500, 20);
	before = d->count;
	chat(d, &from, 1500, 60);
	for (size_t i = before; i < d->count; i++)
		bytes += d->sent[i].wire <= 1500 ? d->sent[i].wire : 0;
	assert_true(bytes <= 21 * 1500);
	free_desk(d);
}

static struct ts_path_quality relayed(uint32_t vni, uint8_t relay)
{
	struct ts_path_quality q = {
		.to = addr("203.0.113.9:3479"),
		.latency_us = 1000,
		.relay = {.bytes = {relay}},
	};

	q.to.vni = vni;
	return q;
}

static void relays_are_asked_every_30_s_or_60_s_when_in_use(void **state)
{
	struct desk *d = new_desk(two, 2);
	struct ts_path_quality q = relayed(7, 1);

	(void)state;
	use(d);
	assert_int_equal(d->relay_searches, 0); /* it knows none */
	d->peer.may_relay = true;
	use(d);
	d->has_relays = true;
	for (int i = 0; i < 59; i++) {
		use(d);
		pass(d, 500);
	}
	assert_int_equal(d->relay_searches, 1);
	pass(d, 1000);
	assert_int_equal(d->relay_searches, 2);
	for (int i = 0; i < 57; i++) { /* trusted all the time */
		use(d);
		ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
		pass(d, 1000);
	}
	assert_int_equal(d->relay_searches, 2);
	for (int i = 0; i < 6; i++) {
		use(d);
		ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
		pass(d, 1000);
	}
	assert_int_equal(d->relay_searches, 3);
	free_desk(d);
}

static void a_trusted_direct_path_needs_no_relay(void **state)
{
	struct desk *d = new_desk(two, 1);
	struct ts_path_quality q = relayed(7, 1);

	(void)state;
	d->has_relays = true;
	d->peer.may_relay = true;
	use(d);
	assert_int_equal(d->relay_searches, 1);
	assert_true(pong(d, 0));
	pass(d, 1000);
	ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
	assert_int_equal(d->best.vni, 0);
	d->peer.relays_asked_ms = 0;
	use(d);
	assert_int_equal(d->relay_searches, 1);
	pass(d, 7000); /* no trust any more */
	ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
	assert_int_equal(d->best.vni, 7);
	free_desk(d);
}

static void a_new_session_of_the_same_relay_is_used_at_once(void **state)
{
	struct desk *d = new_desk(two, 0);
	struct ts_path_quality q = relayed(7, 1), same = relayed(8, 1);
	struct ts_path_quality slower = relayed(9, 2);

	(void)state;
	ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
	assert_int_equal(d->best.vni, 7);
	same.latency_us = slower.latency_us = 9000;
	ts_disco_peer_relay_ready(&d->peer, &slower, d->now_ms);
	assert_int_equal(d->best.vni, 7);
	ts_disco_peer_relay_ready(&d->peer, &same, d->now_ms);
	assert_int_equal(d->best.vni, 8);
	free_desk(d);
}

static void a_relayed_path_has_heartbeats_and_is_lost_without(void **state)
{
	struct desk *d = new_desk(two, 0);
	struct ts_path_quality q = relayed(7, 1);

	(void)state;
	ts_disco_peer_relay_ready(&d->peer, &q, d->now_ms);
	use(d);
	pass(d, 3000);
	assert_int_equal(d->count, 1);
	assert_int_equal(d->sent[0].to.vni, 7);
	assert_true(pong(d, 0));
	pass(d, 6000);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	pass(d, 6000);
	assert_false(ts_path_addr_is_set(&d->best));
	/* A late pong does not bring it back: that takes a handshake. */
	assert_false(pong(d, 1));
	pong(d, d->count - 1);
	assert_false(ts_path_addr_is_set(&d->best));
	free_desk(d);
}

static void silent_disco_has_no_heartbeats(void **state)
{
	struct desk *d = new_desk(two, 1);
	struct ts_path_addr best = addr(two[0]), other = addr(two[1]);
	size_t count;

	(void)state;
	d->peer.is_silent = true;
	use(d);
	assert_true(pong(d, 0));
	count = d->count;
	for (int i = 0; i < 20; i++) { /* what it sends is proof enough */
		pass(d, 1000);
		ts_disco_peer_heard(&d->peer, &best, d->now_ms);
		use(d);
	}
	assert_int_equal(d->count, count);
	assert_true(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	for (int i = 0; i < 8; i++) {
		pass(d, 1000);
		ts_disco_peer_heard(&d->peer, &other, d->now_ms);
	}
	assert_false(ts_disco_peer_is_trusted(&d->peer, d->now_ms));
	free_desk(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			sending_into_silence_ends_the_trust_soon),
		cmocka_unit_test(what_comes_back_takes_the_doubt_away),
		cmocka_unit_test(a_question_now_and_then_costs_no_pings),
		cmocka_unit_test(a_busy_peer_that_falls_silent_is_asked),
		cmocka_unit_test(a_few_packets_are_no_stream),
		cmocka_unit_test(a_relay_that_falls_silent_is_told),
		cmocka_unit_test(a_peer_heard_elsewhere_ends_the_trust_once),
		cmocka_unit_test(a_refused_address_ends_the_trust),
		cmocka_unit_test(a_handshake_asks_at_once),
		cmocka_unit_test(a_search_repeats_its_pings_for_a_while),
		cmocka_unit_test(who_pings_is_pinged_back),
		cmocka_unit_test(derp_is_back_so_call_again),
		cmocka_unit_test(a_slow_path_has_more_time),
		cmocka_unit_test(
			relays_are_asked_every_30_s_or_60_s_when_in_use),
		cmocka_unit_test(a_trusted_direct_path_needs_no_relay),
		cmocka_unit_test(
			a_new_session_of_the_same_relay_is_used_at_once),
		cmocka_unit_test(
			a_relayed_path_has_heartbeats_and_is_lost_without),
		cmocka_unit_test(silent_disco_has_no_heartbeats),
		cmocka_unit_test(a_path_is_measured_when_it_is_new),
		cmocka_unit_test(narrower_path_is_noticed_by_two_heartbeats),
		cmocka_unit_test(path_too_narrow_for_all_sizes_has_1280),
		cmocka_unit_test(one_large_ping_lost_changes_nothing),
		cmocka_unit_test(
			another_path_carries_1280_until_it_is_measured),
		cmocka_unit_test(measuring_costs_little),
		cmocka_unit_test(
			traffic_pings_all_and_calls_once_in_five_seconds),
		cmocka_unit_test(a_peer_without_candidates_is_not_called),
		cmocka_unit_test(a_pong_gives_trust_and_silence_takes_it),
		cmocka_unit_test(
			heartbeats_run_for_45_seconds_after_the_last_packet),
		cmocka_unit_test(a_slow_direct_path_is_reviewed_every_minute),
		cmocka_unit_test(a_fast_direct_path_is_left_alone),
		cmocka_unit_test(a_better_pong_moves_a_worse_one_does_not),
		cmocka_unit_test(a_pong_through_derp_moves_nothing),
		cmocka_unit_test(a_late_pong_is_unknown),
		cmocka_unit_test(a_duplicate_ping_is_not_answered),
		cmocka_unit_test(pongs_are_rate_limited),
		cmocka_unit_test(
			candidates_are_bounded_and_silent_ones_give_way),
		cmocka_unit_test(
			told_candidates_find_room_among_learned_ones),
		cmocka_unit_test(
			call_me_maybe_pings_at_once_and_replaces_its_set),
		cmocka_unit_test(
			a_flood_of_calls_sends_a_bounded_number_of_pings),
		cmocka_unit_test(addresses_that_are_none_are_not_pinged),
		cmocka_unit_test(an_endpoint_that_left_the_netmap_is_dropped),
		cmocka_unit_test(a_probe_ends_once_with_its_first_pong),
		cmocka_unit_test(a_probe_of_a_size_says_so),
		cmocka_unit_test(a_probe_without_an_answer_times_out_once),
		cmocka_unit_test(better_has_points_and_hysteresis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
