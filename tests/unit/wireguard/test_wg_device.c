/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_device.c - two devices talk over a simulated network
 */
#include "wg_net.h"

#include <errno.h>

static struct net net;

static struct ts_wg_peer_stats stats_of(int id)
{
	struct ts_wg_peer_stats stats;

	ts_wg_peer_stats(net.ends[id].peer, &stats);
	return stats;
}

static void handshake(void)
{
	net_say(&net, 0, 1, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 1);
}

static void first_packet_opens_a_session_both_ways(void **state)
{
	(void)state;
	handshake();
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	assert_int_equal(net.ends[1].sent_types[WG_RESPONSE], 1);
	assert_int_equal(net.ends[1].got[0], 1);
	assert_int_equal(net.ends[1].last_len, 100);
	assert_int_equal(net.ends[0].ups, 1);
	assert_int_equal(net.ends[1].ups, 1);
	net_say(&net, 1, 2, 1280);
	net_run(&net, 1);
	assert_int_equal(net.ends[0].got[0], 2);
	assert_int_equal(net.ends[0].last_len, 1280);
	assert_int_equal(net.ends[1].sent_types[WG_INITIATION], 0);
	assert_true(stats_of(0).has_session);
	assert_int_equal(stats_of(0).last_handshake_ms, 1000);
	assert_int_equal(stats_of(0).tx_bytes, 148 + 16 + 112 + 16);
	assert_int_equal(stats_of(1).rx_bytes, 148 + 16 + 112 + 16);
}

static void responder_waits_for_the_first_valid_packet(void **state)
{
	(void)state;
	net.filter_type = WG_TRANSPORT;
	net_say(&net, 0, 1, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[0].ups, 1);
	assert_int_equal(net.ends[1].ups, 0);
	/* It has keys, but may not use them. */
	net_say(&net, 1, 2, 100);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], 0);
	net.filter_type = 0;
	net_say(&net, 0, 3, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].ups, 1);
	assert_int_equal(net.ends[0].delivered, 1);
	assert_int_equal(net.ends[0].got[0], 2);
}

static void empty_packet_confirms_when_nothing_is_staged(void **state)
{
	(void)state;
	handshake();
	net_run(&net, 121000);
	net_say(&net, 0, 2, 100); /* rekey; goes out under the old keys */
	net_run(&net, 100);
	assert_int_equal(net.ends[0].ups, 2);
	assert_int_equal(net.ends[1].ups, 2);
	assert_int_equal(net.ends[1].delivered, 2);
	assert_int_equal(net.ends[0].last_sent_len, WG_KEEPALIVE_LEN);
}

static void both_at_once_ends_in_a_session_at_once(void **state)
{
	(void)state;
	net.is_held = true;
	net_say(&net, 0, 1, 100);
	net_say(&net, 1, 2, 100);
	net.is_held = false;
	net_run(&net, 10);
	assert_int_equal(net.ends[0].delivered, 1);
	assert_int_equal(net.ends[1].delivered, 1);
	for (uint32_t i = 3; i < 10; i++) {
		net_say(&net, i % 2, i, 100);
		net_run(&net, 1);
	}
	assert_int_equal(net.ends[0].delivered, 5);
	assert_int_equal(net.ends[1].delivered, 4);
	net_run(&net, 6000);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	assert_int_equal(net.ends[1].sent_types[WG_INITIATION], 1);
}

/* One way works at first: the session that is confirmed is enough. */
static void confirmed_session_ends_our_own_attempt(void **state)
{
	struct net_msg *ours, *theirs;

	(void)state;
	net.is_held = true;
	net_say(&net, 0, 1, 100);
	net_say(&net, 1, 2, 100);
	ours = net.queue;
	theirs = ours->next;
	net.queue = NULL;
	assert_int_equal(net_input(&net, 0, theirs->bytes, theirs->len), 0);
	free(ours);
	free(theirs);
	assert_int_equal(net.ends[0].wg->handshakes.len, 1);
	net.is_held = false;
	net_run(&net, 20000);
	assert_int_equal(net.ends[0].wg->handshakes.len, 0);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	assert_int_equal(net.ends[0].delivered, 1);
	assert_int_equal(net.ends[1].delivered, 1);
}

static void at_most_three_keypairs_are_kept(void **state)
{
	(void)state;
	handshake();
	for (uint32_t i = 0; i < 20; i++) {
		net_run(&net, 185000); /* both have to start anew, at once */
		net.is_held = true;
		net_say(&net, 0, i, 100);
		net_say(&net, 1, i, 100);
		net.is_held = false;
		net_run(&net, 6000);
		for (int id = 0; id < 2; id++) {
			assert_in_range(net.ends[id].wg->keypairs.len, 1, 3);
			assert_int_equal(net.ends[id].wg->handshakes.len, 0);
		}
	}
	assert_int_equal(net.ends[0].delivered, 20);
	assert_int_equal(net.ends[1].delivered, 21);
	ts_wg_peer_remove(net.ends[0].wg, net.ends[0].peer);
	assert_int_equal(net.ends[0].wg->keypairs.len, 0);
}

static void staged_packets_go_out_in_order(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		net_say(&net, 0, i, 200);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].delivered, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(net.ends[1].got[i], i);
}

static void staged_queue_drops_the_oldest(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < WG_STAGED_MAX + 10; i++)
		net_say(&net, 0, i, 200);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].delivered, WG_STAGED_MAX);
	assert_int_equal(net.ends[1].got[0], 10);
	assert_int_equal(stats_of(0).dropped_staged, 10);
}

static void initiation_is_repeated_20_times_then_given_up(void **state)
{
	(void)state;
	net.is_cut = true;
	net_say(&net, 0, 1, 100);
	net_run(&net, 4999);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_run(&net, 334);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	net_run(&net, 120000);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 20);
	assert_int_equal(stats_of(0).dropped_staged, 1);
	/* A new packet starts over. */
	net.is_cut = false;
	net_say(&net, 0, 2, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].delivered, 1);
	assert_int_equal(net.ends[1].got[0], 2);
}

static void packets_without_a_session_do_not_hurry_initiations(void **state)
{
	(void)state;
	net.is_cut = true;
	for (int i = 0; i < 300; i++) {
		net_say(&net, 0, 1, 100);
		net_run(&net, 1000);
	}
	/* 5 s and 0..333 ms apart, and never given up. */
	assert_in_range(net.ends[0].sent_types[WG_INITIATION], 300 / 6,
			300 / 5);
}

static void initiator_rekeys_at_120_s_when_sending(void **state)
{
	(void)state;
	handshake();
	net_run_until(&net, 1000 + 120000);
	net_say(&net, 1, 2, 100); /* the responder does not */
	net_run(&net, 1);
	net_say(&net, 0, 3, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION] +
				 net.ends[1].sent_types[WG_INITIATION],
			 2);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	assert_int_equal(net.ends[1].delivered, 2);
	assert_int_equal(net.ends[0].delivered, 1);
}

static void initiator_rekeys_at_165_s_when_only_receiving(void **state)
{
	(void)state;
	handshake();
	net_run_until(&net, 1000 + 164000);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_say(&net, 1, 2, 100);
	net_run(&net, 2000);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net.filter_type = WG_INITIATION; /* once a session, if it is lost */
	net_say(&net, 1, 3, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	net_say(&net, 1, 4, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	assert_int_equal(net.ends[0].delivered, 3);
	assert_int_equal(net.ends[0].peer->tries, 1); /* not begun anew */
}

static void sessions_end_at_180_s(void **state)
{
	uint8_t old[NET_MSG_CAP];
	size_t old_len;

	(void)state;
	handshake();
	net.is_held = true;
	net_say(&net, 0, 2, 100);
	net.is_held = false;
	net_drop_all(&net);
	old_len = net.ends[0].last_sent_len;
	memcpy(old, net.ends[0].last_sent, old_len);
	net.is_cut = true;
	net_run_until(&net, 1000 + 180000);
	net.is_cut = false;
	net_drop_all(&net);
	assert_int_equal(net_input(&net, 1, old, old_len), -EPROTO);
	net.is_held = true;
	unsigned before = net.ends[1].sent_types[WG_TRANSPORT];
	net_say(&net, 1, 3, 100);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before);
	net.is_held = false;
	net_run(&net, 6000);
	assert_int_equal(net.ends[0].got[net.ends[0].delivered - 1], 3);
}

static void keepalive_after_10_s_of_only_receiving(void **state)
{
	(void)state;
	handshake();
	unsigned before = net.ends[1].sent_types[WG_TRANSPORT];
	net_run_until(&net, 1000 + 9999);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before + 1);
	assert_int_equal(net.ends[1].last_sent_len, WG_KEEPALIVE_LEN);
	assert_int_equal(net.ends[0].delivered, 0); /* not an IP packet */
	/* And none answers a keepalive. */
	net_run(&net, 60000);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before + 1);
	assert_int_equal(net.ends[0].sent_types[WG_TRANSPORT], 1);
}

static void data_before_the_keepalive_brings_another(void **state)
{
	(void)state;
	handshake();
	unsigned before = net.ends[1].sent_types[WG_TRANSPORT];
	net_run(&net, 5000);
	net_say(&net, 0, 2, 100);
	net_run_until(&net, 1000 + 19999);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before + 1);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before + 2);
	net_run(&net, 60000);
	assert_int_equal(net.ends[1].sent_types[WG_TRANSPORT], before + 2);
}

static void new_handshake_after_15_s_of_silence(void **state)
{
	(void)state;
	handshake();
	net_run(&net, 20000);
	net.is_cut = true;
	net_say(&net, 0, 2, 100);
	net_run(&net, 14999);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_run(&net, 335);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
}

static void idle_peers_lose_their_keys_and_timers_at_540_s(void **state)
{
	(void)state;
	handshake();
	net_run_until(&net, 1000 + 539000);
	assert_true(stats_of(0).has_session);
	assert_int_equal(net.ends[0].idles, 0);
	net_run(&net, 1001);
	assert_int_equal(net.ends[0].idles, 1);
	assert_int_equal(net.ends[1].idles, 1);
	assert_null(ts_wg_peer_find(net.ends[0].wg, &net.ends[1].public));
	assert_true(ts_wg_deadline_ms(net.ends[0].wg) == UINT64_MAX);
	assert_true(ts_wg_deadline_ms(net.ends[1].wg) == UINT64_MAX);
}

static void restarted_peer_is_heard_again(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	handshake();
	ts_wg_free(b->wg);
	b->wg = ts_wg_new(&b->key, &end_ops, b);
	b->peer = NULL;
	b->takes_strangers = true;
	net_run(&net, 10000);
	net_say(&net, 0, 2, 100); /* lost: it has no such index */
	net_run(&net, 1);
	assert_int_equal(b->last_err, -EPROTO);
	net_run(&net, 16000);
	assert_int_equal(b->strangers, 1);
	assert_int_equal(net.ends[0].ups, 2);
	net_say(&net, 0, 3, 100);
	net_run(&net, 1);
	assert_int_equal(b->got[b->delivered - 1], 3);
}

static void restarted_peer_is_called_at_once_if_we_know(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	handshake();
	ts_wg_free(b->wg);
	b->wg = ts_wg_new(&b->key, &end_ops, b);
	b->peer = NULL;
	b->takes_strangers = true;
	ts_wg_peer_restarted(net.ends[0].wg, net.ends[0].peer, net.now_ms);
	net_say(&net, 0, 2, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[0].ups, 2);
	assert_int_equal(b->got[b->delivered - 1], 2);
}

/* We hear of it when it has already called us. */
static void late_news_of_a_restart_lose_nothing(void **state)
{
	struct end *a = &net.ends[0], *b = &net.ends[1];

	(void)state;
	handshake();
	ts_wg_peer_restarted(a->wg, a->peer, net.now_ms);
	net_say(&net, 1, 3, 100);
	net_run(&net, 100);
	assert_int_equal(a->got[a->delivered - 1], 3);
	net_say(&net, 0, 4, 100);
	net_run(&net, 100);
	assert_int_equal(b->got[b->delivered - 1], 4);
	net_say(&net, 1, 5, 100);
	net_run(&net, 100);
	assert_int_equal(a->got[a->delivered - 1], 5);
}

static void an_initiation_is_not_waited_for_on_another_path(void **state)
{
	struct end *a = &net.ends[0], *b = &net.ends[1];

	(void)state;
	net.is_cut = true;
	net_say(&net, 0, 2, 100);
	net_run(&net, 1000); /* its next try would be after five */
	net.is_cut = false;
	ts_wg_peer_moved(a->wg, a->peer, net.now_ms);
	net_run(&net, 100);
	assert_int_equal(a->ups, 1);
	assert_int_equal(b->got[b->delivered - 1], 2);
	/* With a session there is nothing to try again. */
	ts_wg_peer_moved(a->wg, a->peer, net.now_ms);
	net_run(&net, 1000);
	assert_int_equal(a->ups, 1);
}

static void restart_while_packets_wait_starts_another_handshake(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	net.is_cut = true;
	net_say(&net, 0, 1, 100);
	net_run(&net, 100);
	net.is_cut = false;
	ts_wg_peer_restarted(net.ends[0].wg, net.ends[0].peer, net.now_ms);
	net_run(&net, 100);
	assert_int_equal(b->delivered, 1);
}

static void strangers_are_asked_about_and_may_be_refused(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	ts_wg_peer_remove(b->wg, b->peer);
	net_say(&net, 0, 1, 100);
	net_run(&net, 1);
	assert_int_equal(b->strangers, 1);
	assert_int_equal(b->last_err, -EACCES);
	b->takes_strangers = true;
	net_run(&net, 6000);
	assert_int_equal(b->strangers, 2);
	assert_int_equal(b->delivered, 1);
}

/* Anyone can name a known static key: the peer that was added for it goes. */
static void peer_added_for_a_forged_initiation_goes_again(void **state)
{
	struct end *b = &net.ends[1];
	uint8_t msg[WG_INITIATION_LEN];

	(void)state;
	ts_wg_peer_remove(b->wg, b->peer);
	b->takes_strangers = true;
	net.is_held = true;
	net_say(&net, 0, 1, 100);
	memcpy(msg, net.queue->bytes, sizeof(msg));
	msg[100] ^= 1; /* the timestamp's seal: the claim stays unproved */
	net_drop_all(&net);
	struct ts_wg_cookie_jar jar;
	ts_wg_cookie_jar_init(&jar, &b->public);
	ts_wg_macs_add(&jar, msg, sizeof(msg), net.now_ms);
	assert_int_equal(net_input(&net, 1, msg, sizeof(msg)), -EACCES);
	assert_int_equal(b->strangers, 1);
	assert_int_equal(b->sent_types[WG_RESPONSE], 0);
	net.is_cut = true;
	net_run(&net, 541000);
	assert_int_equal(b->idles, 1);
}

static void replays_are_refused(void **state)
{
	struct net_msg *m;
	uint8_t initiation[WG_INITIATION_LEN], data[256];
	size_t data_len;

	(void)state;
	net.is_held = true;
	net_say(&net, 0, 1, 100);
	m = net.queue;
	memcpy(initiation, m->bytes, sizeof(initiation));
	net.is_held = false;
	net_run(&net, 100);
	data_len = net.ends[0].last_sent_len;
	memcpy(data, net.ends[0].last_sent, data_len);
	assert_int_equal(net_input(&net, 1, data, data_len), -EALREADY);
	assert_int_equal(stats_of(1).dropped_replay, 1);
	assert_int_equal(net_input(&net, 1, initiation, sizeof(initiation)),
			 -EPROTO);
	assert_int_equal(net.ends[1].sent_types[WG_RESPONSE], 1);
	assert_int_equal(net.ends[1].delivered, 1);
	/* The session has not suffered. */
	net_say(&net, 1, 2, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[0].delivered, 1);
}

static void replayed_response_is_refused(void **state)
{
	uint8_t response[WG_RESPONSE_LEN];
	struct net_msg *m;

	(void)state;
	net.is_held = true;
	net_say(&net, 0, 1, 100);
	m = net.queue;
	net.queue = NULL;
	assert_int_equal(net_input(&net, 1, m->bytes, m->len), 0);
	free(m);
	assert_int_equal(net.queue->bytes[0], WG_RESPONSE);
	memcpy(response, net.queue->bytes, sizeof(response));
	net_drop_all(&net);
	assert_int_equal(net_input(&net, 0, response, sizeof(response)), 0);
	assert_int_equal(net_input(&net, 0, response, sizeof(response)),
			 -EPROTO);
	assert_int_equal(net.ends[0].ups, 1);
}

static void initiations_closer_than_20_ms_are_refused(void **state)
{
	struct ts_wg_identity id;
	struct ts_wg_remote remote;
	struct ts_wg_cookie_jar jar;
	static const uint64_t at_ms[] = {0, 10, 30};
	static const int want[] = {0, -EPROTO, 0};

	(void)state;
	ts_wg_identity_init(&id, &net.ends[0].key);
	assert_int_equal(ts_wg_remote_init(&remote, &id, &net.ends[1].public),
			 0);
	ts_wg_cookie_jar_init(&jar, &net.ends[1].public);
	for (size_t i = 0; i < 3; i++) {
		uint8_t stamp[WG_TIMESTAMP_LEN], bytes[WG_INITIATION_LEN];
		struct ts_wg_handshake hs;
		struct ts_wg_initiation msg;

		ts_wg_timestamp(net.wall_ns + i * 1000000000, stamp);
		ts_wg_initiation_create(&id, &remote, 7, stamp, &hs, &msg);
		ts_wg_write_initiation(&msg, bytes);
		ts_wg_macs_add(&jar, bytes, sizeof(bytes), 0);
		net.now_ms = 1000 + at_ms[i];
		assert_int_equal(net_input(&net, 1, bytes, sizeof(bytes)),
				 want[i]);
	}
}

/* What the kernel or an attacker may do to any message. */
static void cut_or_changed_messages_are_refused(void **state)
{
	uint8_t bytes[NET_MSG_CAP];

	(void)state;
	for (int type = WG_INITIATION; type <= WG_TRANSPORT; type++) {
		size_t len;
		int to = type == WG_RESPONSE;

		net_deinit(&net);
		net_init(&net, 7);
		if (type == WG_COOKIE_REPLY)
			continue; /* test_wg_cookie.c */
		net.is_held = true;
		net_say(&net, !to, 1, 100);
		while (net.queue->bytes[0] != type) {
			struct net_msg *m = net.queue;

			net.queue = m->next;
			net_input(&net, m->to, m->bytes, m->len);
			free(m);
		}
		to = net.queue->to;
		len = net.queue->len;
		memcpy(bytes, net.queue->bytes, len);
		for (size_t cut = 0; cut < len; cut++)
			assert_true(net_input(&net, to, bytes, cut) < 0);
		for (size_t at = 0; at < len; at++) {
			bool is_mac2 =
				type != WG_TRANSPORT && at >= len - WG_MAC_LEN;

			if (is_mac2) /* only looked at under load */
				continue;
			bytes[at] ^= 0x01;
			assert_true(net_input(&net, to, bytes, len) < 0);
			bytes[at] ^= 0x01;
		}
		assert_int_equal(net_input(&net, to, bytes, len), 0);
	}
}

static void wrong_responder_key_gets_no_session(void **state)
{
	struct ts_private_key other;

	(void)state;
	ts_private_key_generate(&other);
	ts_wg_set_key(net.ends[1].wg, &other);
	net_say(&net, 0, 1, 100);
	net_run(&net, 1000);
	assert_int_equal(net.ends[1].last_err, -EACCES);
	assert_int_equal(net.ends[1].sent_types[WG_RESPONSE], 0);
}

static void new_key_forgets_sessions_and_keeps_peers(void **state)
{
	struct end *a = &net.ends[0];

	(void)state;
	handshake();
	ts_wg_set_key(a->wg, &a->key);
	assert_false(stats_of(0).has_session);
	assert_ptr_equal(ts_wg_peer_find(a->wg, &net.ends[1].public), a->peer);
	net_run(&net, 100);
	net_say(&net, 0, 2, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 2);
}

static void under_load_a_cookie_is_asked_for(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	/* Fill the imagined queue. */
	for (int i = 0; i < WG_LOAD_QUEUE_MAX + 1; i++)
		ts_wg_load_is_high(&b->wg->load, net.now_ms);
	net_say(&net, 0, 1, 100);
	net_run(&net, 100);
	assert_int_equal(b->sent_types[WG_RESPONSE], 0);
	assert_int_equal(b->last_err, -EAGAIN);
	assert_int_equal(net.ends[0].last_err, 0); /* the cookie was taken */
	/* It triggers nothing; the next try carries mac2. */
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_run_until(&net, 1000 + 4900);
	for (int i = 0; i < WG_LOAD_QUEUE_MAX + 1; i++)
		ts_wg_load_is_high(&b->wg->load, net.now_ms);
	net_run(&net, 600);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	assert_int_equal(b->sent_types[WG_RESPONSE], 1);
	assert_int_equal(b->delivered, 1);
}

static void whom_a_relay_vouches_for_needs_no_cookie(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	for (int i = 0; i < WG_LOAD_QUEUE_MAX + 1; i++)
		ts_wg_load_is_high(&b->wg->load, net.now_ms);
	net.ends[0].is_vouched = true;
	net_say(&net, 0, 1, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	assert_int_equal(b->sent_types[WG_RESPONSE], 1);
	assert_int_equal(b->delivered, 1);
}

static void cookie_of_another_address_does_not_count(void **state)
{
	struct end *b = &net.ends[1];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < WG_LOAD_QUEUE_MAX + 1; i++)
			ts_wg_load_is_high(&b->wg->load, net.now_ms);
		if (round == 0)
			net_say(&net, 0, 1, 100);
		net_run(&net, 5);
		net.ends[0].from.port++; /* a stranger's NAT mapping */
		net_run_until(&net, 1000 + 5000 - 5);
		for (int i = 0; i < WG_LOAD_QUEUE_MAX + 1; i++)
			ts_wg_load_is_high(&b->wg->load, net.now_ms);
	}
	net_run(&net, 500);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	assert_int_equal(b->sent_types[WG_RESPONSE], 0);
}

static void address_changes_do_not_matter(void **state)
{
	(void)state;
	handshake();
	for (uint32_t i = 2; i < 20; i++) {
		net.ends[0].from.port++;
		net.ends[0].from.ip = ts_ip_from_v4_host(i);
		net_say(&net, 0, i, 100);
		net_run(&net, 1);
	}
	assert_int_equal(net.ends[1].delivered, 19);
}

static void reordered_packets_are_all_taken_once(void **state)
{
	bool seen[2001] = {false};

	(void)state;
	handshake();
	net.delay_max_ms = 50;
	net.twice_percent = 30;
	for (uint32_t i = 1; i <= 2000; i++) {
		net_say(&net, 0, i, 100);
		if (i % 20 == 0)
			net_run(&net, 1);
	}
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 2001);
	for (unsigned i = 1; i < net.ends[1].delivered; i++) {
		assert_false(seen[net.ends[1].got[i]]);
		seen[net.ends[1].got[i]] = true;
	}
	assert_true(stats_of(1).dropped_replay > 300);
}

static void packets_behind_the_window_are_refused(void **state)
{
	uint8_t old[256];
	size_t old_len;

	(void)state;
	handshake();
	net.is_held = true;
	net_say(&net, 0, 2, 100);
	net_drop_all(&net);
	net.is_held = false;
	old_len = net.ends[0].last_sent_len;
	memcpy(old, net.ends[0].last_sent, old_len);
	net.ends[0].peer->keypairs.current->send_counter += WG_REPLAY_WINDOW;
	net_say(&net, 0, 3, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].delivered, 2);
	assert_int_equal(net_input(&net, 1, old, old_len), -EALREADY);
}

static void counters_end_before_they_wrap(void **state)
{
	(void)state;
	handshake();
	net_run(&net, 6000);
	net.ends[0].peer->keypairs.current->send_counter =
		WG_REJECT_AFTER_MESSAGES - 1;
	net_say(&net, 0, 2, 100); /* the last one, and time to rekey */
	net_say(&net, 0, 3, 100); /* waits for new keys */
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 3);
	assert_int_equal(net.ends[0].ups, 2);
}

static void malformed_inner_packets_are_dropped(void **state)
{
	static const uint8_t starts[][4] = {
		{0x45, 0, 0, 200}, /* longer than the packet */
		{0x45, 0, 0, 19},  /* shorter than its header */
		{0x65, 0, 0, 0},   /* version 6, but too short */
		{0x15, 0, 0, 32},  /* no such version */
	};

	(void)state;
	handshake();
	for (size_t i = 0; i < 4; i++) {
		uint8_t buf[TS_PACKET_HEADROOM + 32 + TS_PACKET_TAILROOM] = {0};
		struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM,
					.len = 32};

		memcpy(pkt.data, starts[i], 4);
		ts_wg_send(net.ends[0].wg, net.ends[0].peer, &pkt, net.now_ms);
		net_run(&net, 1);
		assert_int_equal(net.ends[1].last_err, 0);
	}
	assert_int_equal(net.ends[1].delivered, 1);
	assert_int_equal(stats_of(1).dropped_bad, 4);
}

static void delivery_may_answer_or_remove_the_peer(void **state)
{
	(void)state;
	net.ends[1].replies = true;
	handshake();
	assert_int_equal(net.ends[0].delivered, 1);
	net.ends[1].replies = false;
	net.ends[1].removes_on_delivery = true;
	net_say(&net, 0, 2, 100);
	net_run(&net, 1);
	assert_int_equal(net.ends[1].delivered, 2);
	assert_null(ts_wg_peer_find(net.ends[1].wg, &net.ends[0].public));
}

static void wall_clock_set_back_does_not_block_handshakes(void **state)
{
	(void)state;
	handshake();
	net.wall_ns -= 3600ULL * 1000000000;
	net_run(&net, 200000);
	net_say(&net, 0, 2, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 2);
}

static void everything_arrives_at_last_over_a_bad_network(void **state)
{
	(void)state;
	net.loss_percent = 30;
	net.twice_percent = 20;
	net.delay_max_ms = 300;
	net.ends[1].replies = true;
	/* An hour: 30 sessions, each handshake with 3 losses in 10. */
	for (uint32_t i = 0; i < 3600; i++) {
		net_say(&net, 0, i, 100);
		net_run(&net, 1000);
	}
	assert_true(net.ends[1].delivered > 3600 * 60 / 100);
	assert_true(net.ends[0].delivered > 3600 * 40 / 100);
	assert_true(net.ends[0].ups >= 28);
	/* No storms. */
	assert_true(net.ends[0].sent_types[WG_INITIATION] +
			    net.ends[1].sent_types[WG_INITIATION] <
		    150);
}

/* Peers that were idle are gone, as the node has it: add them on demand. */
static void say_lazily(int from, uint32_t number)
{
	struct end *end = &net.ends[from], *other = &net.ends[!from];

	if (!end->peer)
		end->peer = ts_wg_peer_add(end->wg, &other->public, other);
	assert_non_null(end->peer);
	net_say(&net, from, number, 100);
}

/* A day without a packet: no keys, no timers, and the next packet works. */
static void a_day_of_silence(void **state)
{
	(void)state;
	net.ends[0].takes_strangers = net.ends[1].takes_strangers = true;
	handshake();
	net_run(&net, 24ull * 3600 * 1000);
	assert_int_equal(net.ends[0].idles, 1);
	assert_int_equal(net.ends[1].idles, 1);
	assert_int_equal(ts_wg_deadline_ms(net.ends[0].wg), UINT64_MAX);
	assert_int_equal(ts_wg_deadline_ms(net.ends[1].wg), UINT64_MAX);
	say_lazily(0, 2);
	net_run(&net, 1000);
	assert_int_equal(net.ends[1].delivered, 2);
}

/* Both slept for eight hours with a session: what is said then starts over. */
static void a_clock_jump_of_eight_hours(void **state)
{
	(void)state;
	net.ends[0].takes_strangers = net.ends[1].takes_strangers = true;
	handshake();
	net.now_ms += 8ull * 3600 * 1000;
	say_lazily(1, 2);
	net_run(&net, 1000);
	say_lazily(0, 3);
	net_run(&net, 1000);
	assert_int_equal(net.ends[0].delivered, 1);
	assert_int_equal(net.ends[1].delivered, 2);
}

/* One of them forgot the session: the other one finds out after 15 s. */
static void a_session_that_only_one_side_has(void **state)
{
	(void)state;
	net.ends[1].takes_strangers = true;
	handshake();
	net_run(&net, 12000); /* its keepalive has come */
	ts_wg_peer_remove(net.ends[1].wg, net.ends[1].peer);
	net.ends[1].peer = NULL;
	net_say(&net, 0, 2, 100);
	net_run(&net, 14000);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 1);
	net_run(&net, 1400);
	assert_int_equal(net.ends[0].sent_types[WG_INITIATION], 2);
	net_say(&net, 0, 3, 100);
	net_run(&net, 100);
	assert_int_equal(net.ends[1].delivered, 2);
}

/* Ticked at its own deadlines a device gets on, its peer being gone. */
static void deadlines_move_on(void **state)
{
	unsigned same = 0;

	(void)state;
	handshake();
	net.is_cut = true;
	for (int i = 0; i < 100000; i++) {
		uint64_t due_ms = ts_wg_deadline_ms(net.ends[0].wg);

		if (i % 50 == 0 || due_ms == UINT64_MAX) {
			say_lazily(0, 2);
			continue;
		}
		same = due_ms > net.now_ms ? 0 : same + 1;
		assert_true(same < 4);
		if (due_ms > net.now_ms)
			net.now_ms = due_ms;
		ts_wg_tick(net.ends[0].wg, net.now_ms);
	}
	assert_true(net.now_ms > 24ull * 3600 * 1000);
}

static void own_and_invalid_keys_are_no_peers(void **state)
{
	struct ts_public_key zero = {{0}};

	(void)state;
	assert_null(ts_wg_peer_add(net.ends[0].wg, &zero, &net));
	assert_null(ts_wg_peer_add(net.ends[0].wg, &net.ends[0].public, &net));
	assert_ptr_equal(ts_wg_peer_add(net.ends[0].wg, &net.ends[1].public,
					&net.ends[1]),
			 net.ends[0].peer);
}

static int setup(void **state)
{
	(void)state;
	net_init(&net, 12345);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	net_deinit(&net);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(first_packet_opens_a_session_both_ways),
		CASE(responder_waits_for_the_first_valid_packet),
		CASE(empty_packet_confirms_when_nothing_is_staged),
		CASE(both_at_once_ends_in_a_session_at_once),
		CASE(confirmed_session_ends_our_own_attempt),
		CASE(at_most_three_keypairs_are_kept),
		CASE(staged_packets_go_out_in_order),
		CASE(staged_queue_drops_the_oldest),
		CASE(initiation_is_repeated_20_times_then_given_up),
		CASE(packets_without_a_session_do_not_hurry_initiations),
		CASE(initiator_rekeys_at_120_s_when_sending),
		CASE(initiator_rekeys_at_165_s_when_only_receiving),
		CASE(sessions_end_at_180_s),
		CASE(keepalive_after_10_s_of_only_receiving),
		CASE(data_before_the_keepalive_brings_another),
		CASE(new_handshake_after_15_s_of_silence),
		CASE(idle_peers_lose_their_keys_and_timers_at_540_s),
		CASE(restarted_peer_is_heard_again),
		CASE(restarted_peer_is_called_at_once_if_we_know),
		CASE(late_news_of_a_restart_lose_nothing),
		CASE(an_initiation_is_not_waited_for_on_another_path),
		CASE(restart_while_packets_wait_starts_another_handshake),
		CASE(strangers_are_asked_about_and_may_be_refused),
		CASE(peer_added_for_a_forged_initiation_goes_again),
		CASE(replays_are_refused),
		CASE(replayed_response_is_refused),
		CASE(initiations_closer_than_20_ms_are_refused),
		CASE(cut_or_changed_messages_are_refused),
		CASE(wrong_responder_key_gets_no_session),
		CASE(new_key_forgets_sessions_and_keeps_peers),
		CASE(under_load_a_cookie_is_asked_for),
		CASE(whom_a_relay_vouches_for_needs_no_cookie),
		CASE(cookie_of_another_address_does_not_count),
		CASE(address_changes_do_not_matter),
		CASE(reordered_packets_are_all_taken_once),
		CASE(packets_behind_the_window_are_refused),
		CASE(counters_end_before_they_wrap),
		CASE(malformed_inner_packets_are_dropped),
		CASE(delivery_may_answer_or_remove_the_peer),
		CASE(wall_clock_set_back_does_not_block_handshakes),
		CASE(everything_arrives_at_last_over_a_bad_network),
		CASE(a_day_of_silence),
		CASE(a_clock_jump_of_eight_hours),
		CASE(a_session_that_only_one_side_has),
		CASE(deadlines_move_on),
		CASE(own_and_invalid_keys_are_no_peers),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
