/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_client.h"

static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\n"
			       "Upgrade: DERP\r\nConnection: Upgrade\r\n\r\n";

/* A client and, played by the test, its server. */
struct wire {
	struct ts_derp_client client;
	struct ts_derp_identity identity;
	struct ts_private_key server_private;
	struct ts_public_key server;
	struct ts_box box; /* the server's */
	uint8_t out[1 << 18];
	size_t out_len;
	size_t queued;
	bool close_on_write, close_on_packet;
	unsigned ready_calls, packets, gone;
	size_t last_packet_len;
	char problem[DERP_HEALTH_TEXT_CAP];
	uint64_t now_ms;
};

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	struct wire *w = ctx;

	assert_true(len <= sizeof(w->out) - w->out_len);
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
	if (w->close_on_write)
		ts_derp_client_close(&w->client);
}

static size_t on_queued(void *ctx)
{
	return ((struct wire *)ctx)->queued;
}

static void on_ready(void *ctx, uint64_t now_ms)
{
	struct wire *w = ctx;

	assert_true(now_ms == w->now_ms);
	w->ready_calls++;
}

static void on_packet(void *ctx, const struct ts_public_key *src,
		      const uint8_t *pkt, size_t len, uint64_t now_ms)
{
	struct wire *w = ctx;

	(void)src, (void)pkt, (void)now_ms;
	w->packets++;
	w->last_packet_len = len;
	if (w->close_on_packet)
		ts_derp_client_close(&w->client);
}

static void on_peer_gone(void *ctx, const struct ts_public_key *peer)
{
	(void)peer;
	((struct wire *)ctx)->gone++;
}

static void on_health(void *ctx, const char *problem)
{
	snprintf(((struct wire *)ctx)->problem, DERP_HEALTH_TEXT_CAP, "%s",
		 problem ? problem : "");
}

static const struct ts_derp_client_ops ops = {
	.write = on_write,
	.queued = on_queued,
	.ready = on_ready,
	.packet = on_packet,
	.peer_gone = on_peer_gone,
	.health = on_health,
};

static struct wire *new_wire(void)
{
	struct wire *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(ts_crypto_init(), 0);
	ts_log_set_level(TS_LOG_OFF);
	w->now_ms = 5000;
	ts_private_key_generate(&w->identity.private_key);
	ts_public_key_from_private(&w->identity.private_key,
				   &w->identity.public_key);
	ts_private_key_generate(&w->server_private);
	ts_public_key_from_private(&w->server_private, &w->server);
	assert_int_equal(ts_box_init(&w->box, &w->server_private,
				     &w->identity.public_key),
			 0);
	ts_derp_client_init(&w->client, 1, &w->identity, &ops, w);
	return w;
}

static void free_wire(struct wire *w)
{
	ts_derp_client_deinit(&w->client);
	free(w);
}

static int open_wire(struct wire *w, bool fast, bool is_home)
{
	struct ts_derp_hello hello = {
		.host_name = "derp.test",
		.meta_key = fast ? &w->server : NULL,
		.is_home = is_home,
	};

	return ts_derp_client_open(&w->client, &hello, w->now_ms);
}

static int input(struct wire *w, const void *data, size_t len)
{
	uint8_t *copy = malloc(len + 1); /* exact but for zero */
	int err;

	assert_non_null(copy);
	memcpy(copy, data, len);
	err = ts_derp_client_input(&w->client, copy, len, w->now_ms);
	free(copy);
	return err;
}

static int input_frame(struct wire *w, enum ts_derp_frame_type type,
		       const void *payload, size_t len)
{
	static uint8_t buf[DERP_FRAME_HEADER_LEN + DERP_FRAME_MAX_LEN];
	struct ts_writer out = ts_writer_init(buf, sizeof(buf));

	assert_int_equal(ts_derp_write_frame(&out, type, payload, len), 0);
	return input(w, buf, out.len);
}

static size_t server_info(struct wire *w, const char *json, uint8_t *buf,
			  size_t cap)
{
	struct ts_writer out = ts_writer_init(buf, cap);

	assert_int_equal(
		ts_derp_write_server_info(&out, &w->box, json, strlen(json)),
		0);
	return out.len;
}

static size_t server_key(struct wire *w, uint8_t *buf, size_t cap)
{
	struct ts_writer out = ts_writer_init(buf, cap);

	assert_int_equal(ts_derp_write_server_key(&out, &w->server), 0);
	return out.len;
}

/* The whole way to ready, by fast start. */
static struct wire *ready_wire(const char *info_json)
{
	struct wire *w = new_wire();
	uint8_t buf[512];

	assert_int_equal(open_wire(w, true, false), 0);
	assert_int_equal(
		input(w, buf, server_info(w, info_json, buf, sizeof(buf))), 0);
	assert_int_equal(w->client.state, DERP_CLIENT_READY);
	assert_int_equal(w->ready_calls, 1);
	w->out_len = 0;
	return w;
}

/* n bytes of payload, in a buffer with headroom. */
static int send_packet(struct wire *w, uint8_t mark)
{
	uint8_t buf[DERP_PACKET_HEADER_LEN + 100];
	struct ts_packet pkt = {.data = buf + DERP_PACKET_HEADER_LEN,
				.len = 100};

	memset(pkt.data, mark, 100);
	return ts_derp_client_send(&w->client, &w->server, &pkt, w->now_ms);
}

/* -- opening -------------------------------------------------------------- */

static void the_plain_upgrade_in_one_segment(void **state)
{
	struct wire *w = new_wire();
	uint8_t buf[1024];
	size_t len = sizeof(upgraded) - 1;

	(void)state;
	assert_int_equal(open_wire(w, false, true), 0);
	w->out[w->out_len] = '\0';
	assert_string_equal((char *)w->out, "GET /derp HTTP/1.1\r\n"
					    "Host: derp.test\r\n"
					    "Upgrade: DERP\r\n"
					    "Connection: Upgrade\r\n\r\n");
	w->out_len = 0;
	memcpy(buf, upgraded, len);
	len += server_key(w, buf + len, sizeof(buf) - len);
	len += server_info(w, "{\"version\":2}", buf + len, sizeof(buf) - len);
	assert_int_equal(input(w, buf, len), 0);
	assert_int_equal(w->ready_calls, 1);
	/* ClientInfo, then NotePreferred right behind it. */
	assert_int_equal(w->out[0], DERP_CLIENT_INFO);
	assert_memory_equal(w->out + w->out_len - 6, "\x07\0\0\0\x01\x01", 6);
	free_wire(w);
}

static void the_plain_upgrade_in_single_bytes(void **state)
{
	struct wire *w = new_wire();
	uint8_t buf[1024];
	size_t len = sizeof(upgraded) - 1;

	(void)state;
	memcpy(buf, upgraded, len);
	len += server_key(w, buf + len, sizeof(buf) - len);
	len += server_info(w, "{\"version\":2}", buf + len, sizeof(buf) - len);
	assert_int_equal(open_wire(w, false, true), 0);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(w->ready_calls, 0);
		assert_int_equal(input(w, buf + i, 1), 0);
	}
	assert_int_equal(w->ready_calls, 1);
	free_wire(w);
}

static void a_refused_upgrade_is_an_error(void **state)
{
	static const char no[] = "HTTP/1.1 403 Forbidden\r\n\r\n";
	struct wire *w = new_wire();

	(void)state;
	assert_int_equal(open_wire(w, false, false), 0);
	assert_int_equal(input(w, no, sizeof(no) - 1), -ECONNREFUSED);
	free_wire(w);
}

static void an_endless_head_is_cut_off(void **state)
{
	struct wire *w = new_wire();
	static const char start[] = "HTTP/1.1 101 OK\r\n";
	int err = 0;

	(void)state;
	assert_int_equal(open_wire(w, false, false), 0);
	err = input(w, start, sizeof(start) - 1);
	for (int i = 0; i < 2000 && !err; i++)
		err = input(w, "X: 0123456789\r\n", 15);
	assert_true(err == -EMSGSIZE || err == -EBADMSG);
	assert_true(ts_byte_queue_len(&w->client.http) <= 16384);
	free_wire(w);
}

static void a_host_name_cannot_smuggle_header_lines(void **state)
{
	struct wire *w = new_wire();
	struct ts_derp_hello hello = {.host_name = "a\r\nX-Evil: 1"};

	(void)state;
	assert_int_equal(ts_derp_client_open(&w->client, &hello, 1), -EINVAL);
	hello = (struct ts_derp_hello){.host_name = "a", .ideal_node = "b c"};
	assert_int_equal(ts_derp_client_open(&w->client, &hello, 1), -EINVAL);
	assert_int_equal(w->out_len, 0);
	hello.ideal_node = "1b";
	assert_int_equal(ts_derp_client_open(&w->client, &hello, 1), 0);
	w->out[w->out_len] = '\0';
	assert_non_null(strstr((char *)w->out, "\r\nIdeal-Node: 1b\r\n"));
	free_wire(w);
}

static void frames_at_the_wrong_time_are_errors(void **state)
{
	struct wire *w = new_wire();
	uint8_t buf[512];

	(void)state;
	assert_int_equal(input(w, "x", 1), -EPROTO); /* closed */
	assert_int_equal(open_wire(w, false, false), 0);
	assert_int_equal(input(w, upgraded, sizeof(upgraded) - 1), 0);
	assert_int_equal(input_frame(w, DERP_RECV_PACKET, buf, 64), -EPROTO);
	assert_int_equal(w->packets, 0);
	free_wire(w);
	w = ready_wire("{\"version\":2}");
	assert_int_equal(input(w, buf, server_info(w, "{}", buf, sizeof(buf))),
			 -EPROTO);
	free_wire(w);
}

static void a_greeting_without_magic_is_refused(void **state)
{
	struct wire *w = new_wire();
	uint8_t payload[40] = "DERPxxxx";

	(void)state;
	assert_int_equal(open_wire(w, false, false), 0);
	assert_int_equal(input(w, upgraded, sizeof(upgraded) - 1), 0);
	assert_int_equal(
		input_frame(w, DERP_SERVER_KEY, payload, sizeof(payload)),
		-EBADMSG);
	free_wire(w);
}

static void a_server_key_of_low_order_is_refused(void **state)
{
	struct wire *w = new_wire();
	uint8_t payload[40] = "DERP\xf0\x9f\x94\x91";

	(void)state;
	assert_int_equal(open_wire(w, false, false), 0);
	assert_int_equal(input(w, upgraded, sizeof(upgraded) - 1), 0);
	assert_int_equal(
		input_frame(w, DERP_SERVER_KEY, payload, sizeof(payload)),
		-EACCES);
	free_wire(w);
}

static void a_server_info_of_another_key_is_refused(void **state)
{
	struct wire *w = new_wire();
	uint8_t buf[512];

	(void)state;
	assert_int_equal(open_wire(w, true, false), 0);
	ts_private_key_generate(&w->server_private);
	assert_int_equal(ts_box_init(&w->box, &w->server_private,
				     &w->identity.public_key),
			 0);
	assert_int_equal(input(w, buf, server_info(w, "{}", buf, sizeof(buf))),
			 -EACCES);
	assert_int_equal(w->ready_calls, 0);
	free_wire(w);
}

static void a_server_that_says_nothing_times_out(void **state)
{
	struct wire *w = new_wire();

	(void)state;
	assert_int_equal(open_wire(w, true, false), 0);
	assert_true(ts_derp_client_deadline_ms(&w->client) ==
		    w->now_ms + DERP_HANDSHAKE_TIMEOUT_MS);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 9999), 0);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 10000),
			 -ETIMEDOUT);
	free_wire(w);
}

/* -- running -------------------------------------------------------------- */

static void every_frame_cut_at_each_length_is_survived(void **state)
{
	static const enum ts_derp_frame_type types[] = {
		DERP_SERVER_KEY,     DERP_CLIENT_INFO, DERP_SERVER_INFO,
		DERP_SEND_PACKET,    DERP_RECV_PACKET, DERP_KEEP_ALIVE,
		DERP_NOTE_PREFERRED, DERP_PEER_GONE,   DERP_PEER_PRESENT,
		DERP_FORWARD_PACKET, DERP_WATCH_CONNS, DERP_CLOSE_PEER,
		DERP_PING,           DERP_PONG,        DERP_HEALTH,
		DERP_RESTARTING};
	uint8_t payload[80];

	(void)state;
	memset(payload, 0xff, sizeof(payload));
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (size_t len = 0; len <= sizeof(payload); len++) {
			struct wire *w = ready_wire("{\"version\":2}");
			int err = input_frame(w, types[t], payload, len);

			if (types[t] == DERP_RECV_PACKET ||
			    types[t] == DERP_PEER_GONE)
				assert_int_equal(
					err, len < TS_KEY_LEN ? -EBADMSG : 0);
			if (types[t] == DERP_PING)
				assert_int_equal(w->out_len,
						 len < DERP_PING_LEN ? 0 : 13);
			free_wire(w);
		}
	}
}

static void a_ping_is_answered_with_its_bytes(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");

	(void)state;
	assert_int_equal(input_frame(w, DERP_PING, "12345678", 8), 0);
	assert_memory_equal(w->out,
			    "\x13\0\0\0\x08"
			    "12345678",
			    13);
	w->queued = DERP_STREAM_QUEUED_MAX_BYTES + 1;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(input_frame(w, DERP_PING, "12345678", 8), 0);
	assert_int_equal(w->out_len, 13); /* not a way to fill our memory */
	assert_int_equal(w->client.dropped_pongs, 1000);
	free_wire(w);
}

static void packets_gone_peers_and_health_are_handed_on(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");
	uint8_t buf[64] = {0};

	(void)state;
	assert_int_equal(input_frame(w, DERP_RECV_PACKET, buf, 64), 0);
	assert_int_equal(w->last_packet_len, 32);
	assert_int_equal(input_frame(w, DERP_PEER_GONE, buf, 33), 0);
	assert_int_equal(w->gone, 1);
	assert_int_equal(input_frame(w, DERP_HEALTH, "dup\n\x01licate", 11), 0);
	assert_string_equal(w->problem, "dup??licate");
	assert_int_equal(input_frame(w, DERP_HEALTH, "", 0), 0);
	assert_string_equal(w->problem, "");
	assert_int_equal(input_frame(w, DERP_HEALTH, "again", 5), 0);
	ts_derp_client_close(&w->client);
	assert_string_equal(w->problem, "");
	free_wire(w);
}

static void before_the_introduction_32_packets_wait_the_newest(void **state)
{
	struct wire *w = new_wire();
	size_t at = 0;

	(void)state;
	for (uint8_t i = 0; i < 40; i++)
		assert_int_equal(send_packet(w, i), 0);
	assert_int_equal(w->out_len, 0);
	assert_int_equal(w->client.dropped_queue, 8);
	assert_int_equal(open_wire(w, true, false), 0);
	for (uint8_t i = 8; i < 40; i++) {
		at = w->out_len - (size_t)(40 - i) * (5 + 32 + 100);
		assert_int_equal(w->out[at], DERP_SEND_PACKET);
		assert_int_equal(w->out[at + 5 + 32], i);
	}
	assert_int_equal(send_packet(w, 40), 0); /* ServerInfo is not needed */
	assert_int_equal(w->out[w->out_len - 1], 40);
	free_wire(w);
}

static void a_slow_stream_queues_and_goes_on_when_drained(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");

	(void)state;
	w->queued = DERP_STREAM_QUEUED_MAX_BYTES + 1;
	for (uint8_t i = 0; i < 40; i++)
		assert_int_equal(send_packet(w, i), 0);
	assert_int_equal(w->out_len, 0);
	assert_true(ts_derp_client_deadline_ms(&w->client) ==
		    w->now_ms + DERP_SLOW_RETRY_MS);
	w->now_ms += DERP_SLOW_RETRY_MS;
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms), 0);
	assert_int_equal(w->out_len, 0);
	w->queued = 0;
	assert_int_equal(send_packet(w, 40), 0); /* keeps its turn */
	assert_int_equal(w->out_len, 0);
	ts_derp_client_drained(&w->client, w->now_ms);
	assert_int_equal(w->out_len, 32 * 137);
	assert_int_equal(w->out[37], 9);
	assert_true(ts_derp_client_deadline_ms(&w->client) >
		    w->now_ms + 100000);
	free_wire(w);
}

static void the_servers_rate_is_obeyed(void **state)
{
	struct wire *w = ready_wire("{\"version\":2,"
				    "\"TokenBucketBytesPerSecond\":1370,"
				    "\"TokenBucketBytesBurst\":411}");

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(send_packet(w, 1), 0);
	assert_int_equal(w->out_len, 3 * 137);
	assert_int_equal(w->client.dropped_rate, 7);
	w->now_ms += 100; /* 137 bytes' worth */
	assert_int_equal(send_packet(w, 1), 0);
	assert_int_equal(send_packet(w, 1), 0);
	assert_int_equal(w->out_len, 4 * 137);
	free_wire(w);
}

static void a_silent_server_is_given_up_after_two_minutes(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");
	uint64_t start_ms = w->now_ms;

	(void)state;
	w->now_ms += 60000;
	assert_int_equal(input_frame(w, DERP_KEEP_ALIVE, "", 0), 0);
	assert_true(ts_derp_client_deadline_ms(&w->client) ==
		    start_ms + 180000);
	w->now_ms += 119999;
	assert_int_equal(input(w, "\x06\0", 2), 0); /* no whole frame */
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms), 0);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 1),
			 -ETIMEDOUT);
	free_wire(w);
}

static void a_check_wants_its_pong_in_three_seconds(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");
	uint8_t data[8];

	(void)state;
	ts_derp_client_check(&w->client, w->now_ms);
	assert_int_equal(w->out[0], DERP_PING);
	memcpy(data, w->out + 5, 8);
	assert_int_equal(input_frame(w, DERP_PONG, "whatever", 8), 0);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 2999), 0);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 3000),
			 -ETIMEDOUT);
	assert_int_equal(input_frame(w, DERP_PONG, data, 8), 0);
	assert_int_equal(ts_derp_client_tick(&w->client, w->now_ms + 3000), 0);
	free_wire(w);
}

static void home_changes_are_noted(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");

	(void)state;
	ts_derp_client_set_home(&w->client, true);
	assert_memory_equal(w->out, "\x07\0\0\0\x01\x01", 6);
	ts_derp_client_set_home(&w->client, true);
	assert_int_equal(w->out_len, 6);
	ts_derp_client_set_home(&w->client, false);
	assert_memory_equal(w->out + 6, "\x07\0\0\0\x01\x00", 6);
	free_wire(w);
}

static void a_restart_is_waited_for_but_not_for_ever(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");

	(void)state;
	assert_int_equal(input_frame(w, DERP_RESTARTING,
				     "\x00\x00\x03\xe8\x00\x00\x00\x00", 8),
			 0);
	assert_int_equal(w->client.restart_in_ms, 1000);
	assert_int_equal(input_frame(w, DERP_RESTARTING,
				     "\xff\xff\xff\xff\x00\x00\x00\x00", 8),
			 0);
	assert_int_equal(w->client.restart_in_ms, 10000);
	free_wire(w);
}

static void closing_below_a_callback_is_safe(void **state)
{
	struct wire *w = ready_wire("{\"version\":2}");
	uint8_t two[2 * (5 + 40)] = {0};

	(void)state;
	w->close_on_packet = true;
	two[0] = two[45] = DERP_RECV_PACKET;
	two[4] = two[49] = 40;
	assert_int_equal(input(w, two, sizeof(two)), -ECANCELED);
	assert_int_equal(w->packets, 1);
	free_wire(w);
	w = new_wire();
	w->close_on_write = true;
	assert_int_equal(open_wire(w, true, true), -ECANCELED);
	assert_int_equal(w->client.state, DERP_CLIENT_CLOSED);
	free_wire(w);
	w = ready_wire("{\"version\":2}");
	w->close_on_write = true;
	assert_int_equal(input_frame(w, DERP_PING, "12345678", 8), -ECANCELED);
	free_wire(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plain_upgrade_in_one_segment),
		cmocka_unit_test(the_plain_upgrade_in_single_bytes),
		cmocka_unit_test(a_refused_upgrade_is_an_error),
		cmocka_unit_test(an_endless_head_is_cut_off),
		cmocka_unit_test(a_host_name_cannot_smuggle_header_lines),
		cmocka_unit_test(frames_at_the_wrong_time_are_errors),
		cmocka_unit_test(a_greeting_without_magic_is_refused),
		cmocka_unit_test(a_server_key_of_low_order_is_refused),
		cmocka_unit_test(a_server_info_of_another_key_is_refused),
		cmocka_unit_test(a_server_that_says_nothing_times_out),
		cmocka_unit_test(every_frame_cut_at_each_length_is_survived),
		cmocka_unit_test(a_ping_is_answered_with_its_bytes),
		cmocka_unit_test(packets_gone_peers_and_health_are_handed_on),
		cmocka_unit_test(
			before_the_introduction_32_packets_wait_the_newest),
		cmocka_unit_test(a_slow_stream_queues_and_goes_on_when_drained),
		cmocka_unit_test(the_servers_rate_is_obeyed),
		cmocka_unit_test(a_silent_server_is_given_up_after_two_minutes),
		cmocka_unit_test(a_check_wants_its_pong_in_three_seconds),
		cmocka_unit_test(home_changes_are_noted),
		cmocka_unit_test(a_restart_is_waited_for_but_not_for_ever),
		cmocka_unit_test(closing_below_a_callback_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
