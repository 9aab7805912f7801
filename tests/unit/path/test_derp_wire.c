/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/path/bytes.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto/secret.h"
#include "core/path/derp_info_json.h"
#include "core/path/derp_wire.h"

enum { SEEN_MAX = 16 };

struct seen {
	uint8_t types[SEEN_MAX];
	size_t lens[SEEN_MAX];
	uint32_t sum; /* of the payloads' bytes */
	size_t count;
	int stop_with;
};

static int see(void *ctx, const struct ts_derp_frame *frame)
{
	struct seen *seen = ctx;

	assert_true(seen->count < SEEN_MAX);
	seen->types[seen->count] = frame->type;
	seen->lens[seen->count++] = frame->len;
	for (size_t i = 0; i < frame->len; i++)
		seen->sum += frame->payload[i];
	return seen->stop_with;
}

static struct ts_public_key some_key(void)
{
	struct ts_public_key key;

	memset(key.bytes, 0x5a, TS_KEY_LEN);
	return key;
}

/* Frames of several kinds, one of unknown type between them. */
static size_t several_frames(uint8_t *out, size_t cap)
{
	struct ts_writer w = ts_writer_init(out, cap);
	struct ts_public_key key = some_key();
	uint8_t packet[100] = {1, 2, 3};

	assert_int_equal(ts_derp_write_server_key(&w, &key), 0);
	assert_int_equal(ts_derp_write_frame(&w, DERP_KEEP_ALIVE, NULL, 0), 0);
	ts_write_bytes(&w, "\x77\x00\x00\x00\x09otherwise", 14);
	assert_int_equal(ts_derp_write_frame(&w, DERP_HEALTH, "ill", 3), 0);
	ts_write_bytes(&w, "\x78\x00\x00\x00\x00", 5);
	assert_int_equal(ts_derp_write_frame(&w, DERP_RECV_PACKET, packet, 100),
			 0);
	assert_int_equal(ts_derp_write_frame(&w, DERP_KEEP_ALIVE, NULL, 0), 0);
	return w.len;
}

static void a_stream_in_pieces_of_any_size_gives_the_same_frames(void **state)
{
	static const uint8_t types[] = {DERP_SERVER_KEY, DERP_KEEP_ALIVE,
					DERP_HEALTH, DERP_RECV_PACKET,
					DERP_KEEP_ALIVE};
	uint8_t in[512];
	size_t len = several_frames(in, sizeof(in));
	uint32_t sum = 0;

	(void)state;
	for (size_t piece = len; piece > 0; piece--) {
		struct ts_derp_stream s;
		struct seen seen = {0};

		ts_derp_stream_init(&s);
		for (size_t at = 0; at < len; at += piece) {
			size_t n = len - at < piece ? len - at : piece;
			uint8_t *copy = malloc(n); /* exact: ASan watches */

			assert_non_null(copy);
			memcpy(copy, in + at, n);
			assert_int_equal(
				ts_derp_stream_input(&s, copy, n, see, &seen),
				0);
			free(copy);
		}
		assert_int_equal(seen.count, sizeof(types));
		assert_memory_equal(seen.types, types, sizeof(types));
		if (piece == len)
			sum = seen.sum;
		assert_int_equal(seen.sum, sum);
		ts_derp_stream_deinit(&s);
	}
}

static void a_cut_stream_gives_only_whole_frames(void **state)
{
	uint8_t in[512];
	size_t len = several_frames(in, sizeof(in));

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		struct ts_derp_stream s;
		struct seen seen = {0};

		ts_derp_stream_init(&s);
		assert_int_equal(ts_derp_stream_input(&s, in, cut, see, &seen),
				 0);
		assert_true(seen.count < 5);
		ts_derp_stream_deinit(&s);
	}
}

static void refuses(uint8_t type, uint32_t len)
{
	uint8_t in[DERP_FRAME_HEADER_LEN];
	struct ts_writer w = ts_writer_init(in, sizeof(in));
	struct ts_derp_stream s;
	struct seen seen = {0};

	ts_write_u8(&w, type);
	ts_write_be32(&w, len);
	ts_derp_stream_init(&s);
	assert_int_equal(ts_derp_stream_input(&s, in, sizeof(in), see, &seen),
			 -EMSGSIZE);
	ts_derp_stream_deinit(&s);
}

static void oversize_frames_end_the_stream(void **state)
{
	(void)state;
	refuses(DERP_KEEP_ALIVE, DERP_FRAME_MAX_LEN + 1);
	refuses(0x77, DERP_FRAME_MAX_LEN + 1);
	refuses(0x77, UINT32_MAX);
	refuses(DERP_RECV_PACKET, TS_KEY_LEN + DERP_PACKET_MAX_LEN + 1);
	refuses(DERP_SEND_PACKET, DERP_FRAME_MAX_LEN);
}

static void a_large_frame_of_unknown_type_is_skipped_unkept(void **state)
{
	static uint8_t in[DERP_FRAME_HEADER_LEN + DERP_FRAME_MAX_LEN];
	struct ts_writer w = ts_writer_init(in, sizeof(in));
	struct ts_derp_stream s;
	struct seen seen = {0};

	(void)state;
	ts_write_u8(&w, 0x77);
	ts_write_be32(&w, DERP_FRAME_MAX_LEN);
	ts_derp_stream_init(&s);
	for (size_t at = 0; at < sizeof(in); at += 1021) {
		size_t n = sizeof(in) - at < 1021 ? sizeof(in) - at : 1021;

		assert_int_equal(
			ts_derp_stream_input(&s, in + at, n, see, &seen), 0);
		assert_int_equal(ts_byte_queue_len(&s.payload), 0);
	}
	assert_int_equal(seen.count, 0);
	w = ts_writer_init(in, sizeof(in));
	ts_derp_write_frame(&w, DERP_HEALTH, "x", 1);
	assert_int_equal(ts_derp_stream_input(&s, in, w.len, see, &seen), 0);
	assert_int_equal(seen.count, 1);
	ts_derp_stream_deinit(&s);
}

static void an_error_of_the_callback_stops_the_stream(void **state)
{
	uint8_t in[512];
	size_t len = several_frames(in, sizeof(in));
	struct seen seen = {.stop_with = -EPROTO};
	struct ts_derp_stream s;

	(void)state;
	ts_derp_stream_init(&s);
	assert_int_equal(ts_derp_stream_input(&s, in, len, see, &seen),
			 -EPROTO);
	assert_int_equal(seen.count, 1);
	ts_derp_stream_deinit(&s);
}

static struct ts_derp_frame frame_of(const uint8_t *bytes, size_t len)
{
	return (struct ts_derp_frame){
		.type = bytes[0],
		.payload = bytes + DERP_FRAME_HEADER_LEN,
		.len = len - DERP_FRAME_HEADER_LEN,
	};
}

static void small_frames_round_trip(void **state)
{
	uint8_t buf[DERP_SMALL_FRAME_CAP], data[DERP_PING_LEN] = "abcdefg";
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	struct ts_public_key key = some_key(), got;
	struct ts_derp_frame frame;
	uint8_t reason, got_data[DERP_PING_LEN];
	uint32_t in_ms, for_ms;
	bool preferred;

	(void)state;
	assert_int_equal(ts_derp_write_server_key(&w, &key), 0);
	assert_int_equal(w.len, 5 + 8 + 32);
	assert_memory_equal(buf + 5, "DERP\xf0\x9f\x94\x91", 8);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_server_key(&frame, &got), 0);
	assert_true(ts_public_key_equal(&key, &got));
	frame.len--;
	assert_int_equal(ts_derp_read_server_key(&frame, &got), -EBADMSG);

	w = ts_writer_init(buf, sizeof(buf));
	assert_int_equal(ts_derp_write_note_preferred(&w, true), 0);
	assert_memory_equal(buf, "\x07\x00\x00\x00\x01\x01", 6);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_note_preferred(&frame, &preferred), 0);
	assert_true(preferred);

	w = ts_writer_init(buf, sizeof(buf));
	assert_int_equal(ts_derp_write_peer_gone(&w, &key, DERP_GONE_NOT_HERE),
			 0);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_peer_gone(&frame, &got, &reason), 0);
	assert_int_equal(reason, DERP_GONE_NOT_HERE);
	frame.len--; /* an old server */
	assert_int_equal(ts_derp_read_peer_gone(&frame, &got, &reason), 0);
	assert_int_equal(reason, DERP_GONE_DISCONNECTED);
	frame.len--;
	assert_int_equal(ts_derp_read_peer_gone(&frame, &got, &reason),
			 -EBADMSG);

	w = ts_writer_init(buf, sizeof(buf));
	assert_int_equal(ts_derp_write_ping(&w, DERP_PING, data), 0);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_ping(&frame, got_data), 0);
	assert_memory_equal(data, got_data, DERP_PING_LEN);
	frame.len--;
	assert_int_equal(ts_derp_read_ping(&frame, got_data), -EBADMSG);

	w = ts_writer_init(buf, sizeof(buf));
	assert_int_equal(ts_derp_write_restarting(&w, 1000, 30000), 0);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_restarting(&frame, &in_ms, &for_ms), 0);
	assert_int_equal(in_ms, 1000);
	assert_int_equal(for_ms, 30000);
	frame.len--;
	assert_int_equal(ts_derp_read_restarting(&frame, &in_ms, &for_ms),
			 -EBADMSG);
}

static void packets_round_trip(void **state)
{
	uint8_t buf[DERP_PACKET_HEADER_LEN + 10] = {0};
	struct ts_public_key key = some_key(), got;
	struct ts_derp_frame frame;
	const uint8_t *pkt;
	size_t len;

	(void)state;
	assert_int_equal(
		ts_derp_write_packet_header(buf, DERP_SEND_PACKET, &key, 10),
		0);
	frame = frame_of(buf, sizeof(buf));
	assert_int_equal(ts_derp_read_packet(&frame, &got, &pkt, &len), 0);
	assert_ptr_equal(pkt, buf + DERP_PACKET_HEADER_LEN);
	assert_int_equal(len, 10);
	assert_true(ts_public_key_equal(&key, &got));
	frame.len = TS_KEY_LEN - 1;
	assert_int_equal(ts_derp_read_packet(&frame, &got, &pkt, &len),
			 -EBADMSG);
	assert_int_equal(ts_derp_write_packet_header(buf, DERP_SEND_PACKET,
						     &key,
						     DERP_PACKET_MAX_LEN + 1),
			 -EMSGSIZE);
}

struct info_pair {
	struct ts_box mine, theirs, wrong;
	struct ts_public_key client;
};

static struct info_pair make_pair(void)
{
	struct ts_private_key a, b;
	struct ts_public_key server;
	struct info_pair pair;

	assert_int_equal(ts_crypto_init(), 0);
	ts_private_key_generate(&a);
	ts_private_key_generate(&b);
	ts_public_key_from_private(&a, &pair.client);
	ts_public_key_from_private(&b, &server);
	assert_int_equal(ts_box_init(&pair.mine, &a, &server), 0);
	assert_int_equal(ts_box_init(&pair.theirs, &b, &pair.client), 0);
	assert_int_equal(ts_box_init(&pair.wrong, &b, &server), 0);
	return pair;
}

static void client_info_opens_at_the_server_only(void **state)
{
	struct info_pair pair = make_pair();
	uint8_t buf[512];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	struct ts_public_key got;
	struct ts_derp_frame frame;
	size_t len;

	(void)state;
	assert_int_equal(ts_derp_write_client_info(&w, &pair.client, &pair.mine,
						   "{\"version\":2}", 13),
			 0);
	frame = frame_of(buf, w.len);
	assert_int_equal(ts_derp_read_client_info_key(&frame, &got), 0);
	assert_true(ts_public_key_equal(&got, &pair.client));
	assert_int_equal(ts_derp_open_info(&frame, &pair.theirs, json, &len),
			 0);
	assert_string_equal(json, "{\"version\":2}");
	assert_int_equal(ts_derp_open_info(&frame, &pair.wrong, json, &len),
			 -EACCES);
	for (size_t cut = 0; cut < frame.len; cut++) {
		struct ts_derp_frame part = frame;

		part.len = cut;
		assert_int_not_equal(
			ts_derp_open_info(&part, &pair.theirs, json, &len), 0);
	}
}

static void an_info_of_excessive_length_is_refused(void **state)
{
	static uint8_t payload[TS_BOX_OVERHEAD + DERP_INFO_JSON_MAX_LEN + 1];
	struct info_pair pair = make_pair();
	struct ts_derp_frame frame = {
		.type = DERP_SERVER_INFO,
		.payload = payload,
		.len = sizeof(payload),
	};
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));
	size_t len;

	(void)state;
	assert_int_equal(ts_derp_open_info(&frame, &pair.mine, json, &len),
			 -EMSGSIZE);
	assert_int_equal(ts_derp_write_server_info(&w, &pair.mine, json,
						   DERP_INFO_JSON_MAX_LEN + 1),
			 -EMSGSIZE);
}

static void info_json_is_lenient_in_what_it_reads(void **state)
{
	static const char text[] =
		"{\"Version\":2,\"tokenbucketbytespersecond\":1000,"
		"\"TokenBucketBytesBurst\":2000,\"new\":[]}";
	struct ts_derp_server_info info;
	struct ts_derp_client_info client;
	char out[128];

	(void)state;
	assert_int_equal(
		ts_derp_server_info_from_json(text, sizeof(text) - 1, &info),
		0);
	assert_int_equal(info.version, 2);
	assert_int_equal(info.bucket_bytes_per_s, 1000);
	assert_int_equal(info.bucket_burst_bytes, 2000);
	assert_int_equal(ts_derp_server_info_from_json("[]", 2, &info),
			 -EBADMSG);
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++)
		assert_int_equal(
			ts_derp_server_info_from_json(text, cut, &info),
			-EBADMSG);
	assert_true(ts_derp_server_info_to_json(&info, out, sizeof(out)) > 0);
	assert_int_equal(ts_derp_server_info_to_json(&info, out, 10), -ENOBUFS);
	client = (struct ts_derp_client_info){.version = 2,
					      .can_ack_pings = true};
	assert_true(ts_derp_client_info_to_json(&client, out, sizeof(out)) > 0);
	assert_string_equal(out, "{\"version\":2,\"CanAckPings\":true}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_stream_in_pieces_of_any_size_gives_the_same_frames),
		cmocka_unit_test(a_cut_stream_gives_only_whole_frames),
		cmocka_unit_test(oversize_frames_end_the_stream),
		cmocka_unit_test(
			a_large_frame_of_unknown_type_is_skipped_unkept),
		cmocka_unit_test(an_error_of_the_callback_stops_the_stream),
		cmocka_unit_test(small_frames_round_trip),
		cmocka_unit_test(packets_round_trip),
		cmocka_unit_test(client_info_opens_at_the_server_only),
		cmocka_unit_test(an_info_of_excessive_length_is_refused),
		cmocka_unit_test(info_json_is_lenient_in_what_it_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
