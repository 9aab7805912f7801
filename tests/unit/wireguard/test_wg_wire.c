/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_wire.c - layouts by offset, as the paper prints them
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wireguard/wg_wire.h"

static void initiation_has_its_fields_in_place(void **state)
{
	struct ts_wg_initiation in = {.sender = 0x04030201}, out;
	uint8_t bytes[WG_INITIATION_LEN];

	(void)state;
	memset(in.ephemeral.bytes, 'e', 32);
	memset(in.sealed_static, 's', 48);
	memset(in.sealed_timestamp, 't', 28);
	memset(bytes, 0xff, sizeof(bytes));
	ts_wg_write_initiation(&in, bytes);
	assert_memory_equal(bytes, "\1\0\0\0\1\2\3\4", 8);
	assert_int_equal(bytes[8], 'e');
	assert_int_equal(bytes[40], 's');
	assert_int_equal(bytes[88], 't');
	for (int i = 116; i < 148; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(ts_wg_read_initiation(bytes, sizeof(bytes), &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void response_has_its_fields_in_place(void **state)
{
	struct ts_wg_response in = {.sender = 1, .receiver = 0x08070605}, out;
	uint8_t bytes[WG_RESPONSE_LEN];

	(void)state;
	memset(in.ephemeral.bytes, 'e', 32);
	memset(in.sealed_empty, 'n', 16);
	ts_wg_write_response(&in, bytes);
	assert_memory_equal(bytes, "\2\0\0\0\1\0\0\0\5\6\7\10", 12);
	assert_int_equal(bytes[12], 'e');
	assert_int_equal(bytes[44], 'n');
	assert_int_equal(bytes[59], 'n');
	assert_int_equal(bytes[60], 0);
	assert_int_equal(ts_wg_read_response(bytes, sizeof(bytes), &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void cookie_reply_has_its_fields_in_place(void **state)
{
	struct ts_wg_cookie_reply in = {.receiver = 7}, out;
	uint8_t bytes[WG_COOKIE_REPLY_LEN];

	(void)state;
	memset(in.nonce, 'n', 24);
	memset(in.sealed_cookie, 'c', 32);
	ts_wg_write_cookie_reply(&in, bytes);
	assert_memory_equal(bytes, "\3\0\0\0\7\0\0\0n", 9);
	assert_int_equal(bytes[32], 'c');
	assert_int_equal(ts_wg_read_cookie_reply(bytes, sizeof(bytes), &out),
			 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void transport_has_its_fields_in_place(void **state)
{
	struct ts_wg_transport in = {7, 0x0102030405060708}, out;
	uint8_t bytes[WG_KEEPALIVE_LEN] = {0};

	(void)state;
	ts_wg_write_transport(&in, bytes);
	assert_memory_equal(bytes, "\4\0\0\0\7\0\0\0\10\7\6\5\4\3\2\1", 16);
	assert_int_equal(ts_wg_read_transport(bytes, sizeof(bytes), &out), 0);
	assert_int_equal(out.counter, in.counter);
	assert_int_equal(out.receiver, 7);
}

static void other_lengths_and_types_are_badmsg(void **state)
{
	uint8_t bytes[200] = {0};
	struct ts_wg_initiation i;
	struct ts_wg_response r;
	struct ts_wg_cookie_reply c;
	struct ts_wg_transport t;

	(void)state;
	for (size_t len = 0; len < sizeof(bytes); len++) {
		bytes[0] = 1;
		assert_int_equal(ts_wg_read_initiation(bytes, len, &i),
				 len == 148 ? 0 : -EBADMSG);
		bytes[0] = 2;
		assert_int_equal(ts_wg_read_response(bytes, len, &r),
				 len == 92 ? 0 : -EBADMSG);
		bytes[0] = 3;
		assert_int_equal(ts_wg_read_cookie_reply(bytes, len, &c),
				 len == 64 ? 0 : -EBADMSG);
		bytes[0] = 4;
		assert_int_equal(ts_wg_read_transport(bytes, len, &t),
				 len >= 32 ? 0 : -EBADMSG);
	}
	bytes[0] = 1;
	bytes[2] = 1; /* the reserved bytes are zero */
	assert_int_equal(ts_wg_read_initiation(bytes, 148, &i), -EBADMSG);
}

static void inner_length_comes_from_the_ip_header(void **state)
{
	uint8_t v4[64] = {0x45, 0, 0, 50}, v6[64] = {0x60, 0, 0, 0, 0, 10};

	(void)state;
	assert_int_equal(ts_wg_inner_len(v4, 64), 50);
	assert_int_equal(ts_wg_inner_len(v6, 64), 50);
	for (size_t cut = 0; cut < 50; cut++) {
		assert_int_equal(ts_wg_inner_len(v4, cut), 0);
		assert_int_equal(ts_wg_inner_len(v6, cut), 0);
	}
	v4[3] = 19;
	assert_int_equal(ts_wg_inner_len(v4, 64), 0);
	v4[0] = 0x55;
	assert_int_equal(ts_wg_inner_len(v4, 64), 0);
	v6[4] = 0xff;
	assert_int_equal(ts_wg_inner_len(v6, 64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initiation_has_its_fields_in_place),
		cmocka_unit_test(response_has_its_fields_in_place),
		cmocka_unit_test(cookie_reply_has_its_fields_in_place),
		cmocka_unit_test(transport_has_its_fields_in_place),
		cmocka_unit_test(other_lengths_and_types_are_badmsg),
		cmocka_unit_test(inner_length_comes_from_the_ip_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
