/* SPDX-License-Identifier: BSD-3-Clause
 * The vectors are those of PROTOCOL appendix B, made with upstream's code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/base/encode.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"

static const char MACHINE[] =
	"101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e6f";
static const char CONTROL[] =
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f";
static const char CLIENT_EPH[] =
	"707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e4f";
static const char SERVER_EPH[] =
	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbe7f";
static const char INITIATION[] =
	"009101006023b7bb8c91ae008711fb12846780bcdf1e065f821bdfec49f57e7c7dcd"
	"4c48233e3656b8d011d79289238e398d21992719757cfddd7b176b1542816cfce250"
	"2c9e0d5a1f52682b6b32262b5c874658c39d1feb6d320dd80bfe318d5aab519c61";
static const char RESPONSE[] =
	"020030605a725d2a4adfeeb1a29e17edd621c1b7593ee8cdbc44ac6c4ab6e2f805d2"
	"3ccad3c9a0e67a46e2079e74e5608a159f";
static const char HASH[] =
	"a53756579002be4585d14458a46f1de01fbb21887a7d1b747b1b8cae91806ec4";
static const char RECORD_HELLO[] =
	"040015d4a48155615b28c909173f726d10d9c5af500ba75a";
static const char RECORD_WORLD[] =
	"040015d7d212e41eab3fd82338b850f8f044862fa2ff48e8";

static struct ts_private_key private_key(const char *hex)
{
	struct ts_private_key key;

	assert_int_equal(
		ts_hex_decode(hex, strlen(hex), key.bytes, TS_KEY_LEN), 0);
	return key;
}

static void assert_hex(const void *data, size_t len, const char *hex)
{
	char *text = malloc(2 * len + 1);

	assert_string_equal(ts_hex_encode(data, len, text), hex);
	free(text);
}

struct ends {
	struct ts_noise_session client, server;
	uint8_t initiation[TS_NOISE_INITIATION_LEN];
	uint8_t response[TS_NOISE_RESPONSE_LEN];
};

static void shake_hands(struct ends *e)
{
	struct ts_private_key machine = private_key(MACHINE);
	struct ts_private_key control = private_key(CONTROL);
	struct ts_private_key client_eph = private_key(CLIENT_EPH);
	struct ts_private_key server_eph = private_key(SERVER_EPH);
	struct ts_noise_initiator hs;
	struct ts_public_key control_pub;

	ts_public_key_from_private(&control, &control_pub);
	assert_int_equal(ts_noise_initiate(&hs, &machine, &control_pub,
					   &client_eph, 145, e->initiation),
			 0);
	assert_int_equal(ts_noise_respond(&control, &server_eph, e->initiation,
					  e->response, &e->server),
			 0);
	assert_int_equal(ts_noise_finish(&hs, e->response, &e->client), 0);
}

static void ends_deinit(struct ends *e)
{
	ts_noise_session_deinit(&e->client);
	ts_noise_session_deinit(&e->server);
}

static void handshake_matches_upstream_byte_for_byte(void **state)
{
	struct ts_private_key machine = private_key(MACHINE);
	struct ts_public_key machine_pub;
	struct ends e;

	(void)state;
	shake_hands(&e);
	ts_public_key_from_private(&machine, &machine_pub);
	assert_hex(e.initiation, sizeof(e.initiation), INITIATION);
	assert_hex(e.response, sizeof(e.response), RESPONSE);
	assert_hex(e.client.handshake_hash, TS_BLAKE2S_LEN, HASH);
	assert_hex(e.server.handshake_hash, TS_BLAKE2S_LEN, HASH);
	assert_true(ts_public_key_equal(&e.server.remote, &machine_pub));
	assert_int_equal(e.server.version, 145);
	ends_deinit(&e);
}

static void records_match_upstream_byte_for_byte(void **state)
{
	uint8_t record[5 + TS_NOISE_RECORD_OVERHEAD];
	uint8_t plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len;
	struct ends e;

	(void)state;
	shake_hands(&e);
	assert_int_equal(ts_noise_seal_record(&e.client,
					      (const uint8_t *)"hello", 5,
					      record),
			 0);
	assert_hex(record, sizeof(record), RECORD_HELLO);
	assert_int_equal(ts_noise_open_record(&e.server, record,
					      sizeof(record), plain,
					      &plain_len),
			 (int)sizeof(record));
	assert_int_equal(plain_len, 5);
	assert_memory_equal(plain, "hello", 5);
	assert_int_equal(ts_noise_seal_record(&e.client,
					      (const uint8_t *)"world", 5,
					      record),
			 0);
	assert_hex(record, sizeof(record), RECORD_WORLD);
	ends_deinit(&e);
}

static void records_go_both_ways_up_to_the_limit(void **state)
{
	static uint8_t data[TS_NOISE_PLAIN_MAX + 1];
	uint8_t record[TS_NOISE_FRAME_MAX + 1], plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len = 1;
	struct ends e;

	(void)state;
	shake_hands(&e);
	ts_random_bytes(data, sizeof(data));
	assert_int_equal(ts_noise_seal_record(&e.server, data,
					      TS_NOISE_PLAIN_MAX, record),
			 0);
	assert_int_equal(ts_noise_open_record(&e.client, record,
					      TS_NOISE_FRAME_MAX, plain,
					      &plain_len),
			 TS_NOISE_FRAME_MAX);
	assert_memory_equal(plain, data, TS_NOISE_PLAIN_MAX);
	assert_int_equal(ts_noise_seal_record(&e.server, data,
					      TS_NOISE_PLAIN_MAX + 1, record),
			 -EMSGSIZE);
	assert_int_equal(ts_noise_seal_record(&e.server, NULL, 0, record), 0);
	assert_int_equal(ts_noise_open_record(&e.client, record,
					      TS_NOISE_RECORD_OVERHEAD, plain,
					      &plain_len),
			 TS_NOISE_RECORD_OVERHEAD);
	assert_int_equal(plain_len, 0);
	ends_deinit(&e);
}

static void a_record_cut_anywhere_needs_more(void **state)
{
	uint8_t record[5 + TS_NOISE_RECORD_OVERHEAD];
	uint8_t plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len;
	struct ends e;

	(void)state;
	shake_hands(&e);
	ts_noise_seal_record(&e.client, (const uint8_t *)"hello", 5, record);
	for (size_t cut = 0; cut < sizeof(record); cut++)
		assert_int_equal(ts_noise_open_record(&e.server, record, cut,
						      plain, &plain_len),
				 -EAGAIN);
	assert_int_equal(ts_noise_open_record(&e.server, record,
					      sizeof(record), plain,
					      &plain_len),
			 (int)sizeof(record));
	ends_deinit(&e);
}

static void hostile_records_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[4];
		int err;
	} cases[] = {
		{{5, 0, 16, 0}, -EBADMSG},
		{{1, 0, 96, 0}, -EBADMSG},
		{{4, 0, 15, 0}, -EBADMSG},
		{{4, 0, 0, 0}, -EBADMSG},
		{{4, 0x0f, 0xfe, 0}, -EMSGSIZE},
		{{4, 0xff, 0xff, 0}, -EMSGSIZE},
	};
	uint8_t plain[TS_NOISE_PLAIN_MAX], record[64] = {4, 0, 61};
	size_t plain_len;
	struct ends e;

	(void)state;
	shake_hands(&e);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ts_noise_open_record(&e.server,
						      cases[i].bytes, 4, plain,
						      &plain_len),
				 cases[i].err);
	assert_int_equal(ts_noise_open_record(&e.server, record, 64, plain,
					      &plain_len),
			 -EACCES);
	ends_deinit(&e);
}

static void an_exhausted_counter_ends_the_session(void **state)
{
	uint8_t record[64], plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len;
	struct ends e;

	(void)state;
	shake_hands(&e);
	ts_noise_seal_record(&e.client, NULL, 0, record);
	e.client.send_counter = UINT64_MAX;
	e.server.recv_counter = UINT64_MAX;
	assert_int_equal(ts_noise_open_record(&e.server, record,
					      TS_NOISE_RECORD_OVERHEAD, plain,
					      &plain_len),
			 -EOVERFLOW);
	assert_int_equal(ts_noise_seal_record(&e.client, NULL, 0, record),
			 -EOVERFLOW);
	ends_deinit(&e);
}

static void a_changed_bit_in_the_initiation_is_refused(void **state)
{
	struct ts_private_key control = private_key(CONTROL);
	struct ends e;

	(void)state;
	shake_hands(&e);
	ends_deinit(&e);
	for (size_t i = 0; i < sizeof(e.initiation); i++) {
		uint8_t bad[TS_NOISE_INITIATION_LEN];
		struct ts_noise_session s;
		int err;

		memcpy(bad, e.initiation, sizeof(bad));
		bad[i] ^= 1;
		err = ts_noise_respond(&control, NULL, bad, e.response, &s);
		assert_true(err == -EACCES || err == -EBADMSG);
	}
}

static void a_changed_bit_in_the_response_is_refused(void **state)
{
	struct ts_private_key machine = private_key(MACHINE);
	struct ts_private_key control = private_key(CONTROL);
	struct ts_public_key control_pub;
	struct ts_noise_initiator hs, copy;
	struct ts_noise_session server, client;
	uint8_t initiation[TS_NOISE_INITIATION_LEN];
	uint8_t response[TS_NOISE_RESPONSE_LEN];

	(void)state;
	ts_public_key_from_private(&control, &control_pub);
	assert_int_equal(ts_noise_initiate(&hs, &machine, &control_pub, NULL,
					   145, initiation),
			 0);
	assert_int_equal(ts_noise_respond(&control, NULL, initiation, response,
					  &server),
			 0);
	for (size_t i = 0; i < sizeof(response); i++) {
		int err;

		copy = hs;
		response[i] ^= 0x40;
		err = ts_noise_finish(&copy, response, &client);
		assert_true(err == -EACCES || err == -EBADMSG);
		response[i] ^= 0x40;
	}
	assert_int_equal(ts_noise_finish(&hs, response, &client), 0);
	ts_noise_session_deinit(&client);
	ts_noise_session_deinit(&server);
}

static void a_low_order_server_key_is_refused(void **state)
{
	struct ts_private_key machine = private_key(MACHINE);
	struct ts_public_key zero = {{0}};
	struct ts_noise_initiator hs;
	uint8_t out[TS_NOISE_INITIATION_LEN];

	(void)state;
	assert_int_equal(
		ts_noise_initiate(&hs, &machine, &zero, NULL, 145, out),
		-EACCES);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_matches_upstream_byte_for_byte),
		cmocka_unit_test(records_match_upstream_byte_for_byte),
		cmocka_unit_test(records_go_both_ways_up_to_the_limit),
		cmocka_unit_test(a_record_cut_anywhere_needs_more),
		cmocka_unit_test(hostile_records_are_refused),
		cmocka_unit_test(an_exhausted_counter_ends_the_session),
		cmocka_unit_test(a_changed_bit_in_the_initiation_is_refused),
		cmocka_unit_test(a_changed_bit_in_the_response_is_refused),
		cmocka_unit_test(a_low_order_server_key_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
