/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_cookie.c - MACs and cookies between a checker and a jar
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/crypto/secret.h"
#include "core/wireguard/wg_cookie.h"

static struct ts_wg_cookie_checker checker;
static struct ts_wg_cookie_jar jar;
static struct ts_addr from;
static uint8_t msg[WG_INITIATION_LEN];

static int setup(void **state)
{
	struct ts_public_key key;

	(void)state;
	ts_random_bytes(&key, sizeof(key));
	ts_wg_cookie_checker_init(&checker, &key);
	ts_wg_cookie_jar_init(&jar, &key);
	memset(msg, 0, sizeof(msg));
	ts_random_bytes(msg, sizeof(msg) - 2 * WG_MAC_LEN);
	from.ip = ts_ip_from_v4_host(0x01020304);
	from.port = 41641;
	return 0;
}

/* One rejected message: reply made, read and taken. */
static int exchange(uint64_t now_ms)
{
	uint8_t bytes[WG_COOKIE_REPLY_LEN];
	struct ts_wg_cookie_reply reply;

	ts_wg_cookie_make(&checker, msg, sizeof(msg), &from, now_ms, bytes);
	assert_int_equal(ts_wg_read_cookie_reply(bytes, sizeof(bytes), &reply),
			 0);
	assert_memory_equal(&reply.receiver, msg + 4, 4);
	return ts_wg_cookie_take(&jar, &reply, now_ms);
}

static void mac1_covers_all_before_it(void **state)
{
	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_true(ts_wg_mac1_is_right(&checker, msg, sizeof(msg)));
	for (size_t at = 0; at < sizeof(msg) - WG_MAC_LEN; at++) {
		msg[at] ^= 4;
		assert_false(ts_wg_mac1_is_right(&checker, msg, sizeof(msg)));
		msg[at] ^= 4;
	}
}

static void mac2_is_zero_without_a_cookie(void **state)
{
	static const uint8_t zero[WG_MAC_LEN];

	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_memory_equal(msg + sizeof(msg) - WG_MAC_LEN, zero, WG_MAC_LEN);
	assert_false(ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &from, 0));
}

static void cookie_makes_mac2_right_for_120_s(void **state)
{
	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 1000);
	assert_int_equal(exchange(1000), 0);
	ts_wg_macs_add(&jar, msg, sizeof(msg), 121000);
	assert_true(
		ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &from, 121000));
	assert_false(
		ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &from, 121001));
	memset(msg + sizeof(msg) - WG_MAC_LEN, 0, WG_MAC_LEN);
	ts_wg_macs_add(&jar, msg, sizeof(msg), 121001);
	assert_int_equal(msg[sizeof(msg) - 1] | msg[sizeof(msg) - 2], 0);
}

static void mac2_is_bound_to_the_source(void **state)
{
	struct ts_addr other = from;

	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_int_equal(exchange(0), 0);
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_true(ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &from, 0));
	other.port++;
	assert_false(
		ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &other, 0));
	other = from;
	other.ip.bytes[15]++;
	assert_false(
		ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &other, 0));
}

static void secret_is_renewed_after_120_s(void **state)
{
	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_int_equal(exchange(0), 0);
	assert_int_equal(exchange(120001), 0);
	ts_wg_macs_add(&jar, msg, sizeof(msg), 120001);
	assert_true(
		ts_wg_mac2_is_right(&checker, msg, sizeof(msg), &from, 120001));
}

static void reply_answers_only_the_last_message(void **state)
{
	uint8_t bytes[WG_COOKIE_REPLY_LEN];
	struct ts_wg_cookie_reply reply;

	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	ts_wg_cookie_make(&checker, msg, sizeof(msg), &from, 0, bytes);
	ts_wg_read_cookie_reply(bytes, sizeof(bytes), &reply);
	msg[10] ^= 1;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	assert_int_equal(ts_wg_cookie_take(&jar, &reply, 0), -EACCES);
	assert_false(jar.has_cookie);
}

static void unasked_reply_is_refused(void **state)
{
	(void)state;
	assert_int_equal(exchange(0), -EPROTO);
}

static void changed_or_cut_reply_is_refused(void **state)
{
	uint8_t bytes[WG_COOKIE_REPLY_LEN];
	struct ts_wg_cookie_reply reply;

	(void)state;
	ts_wg_macs_add(&jar, msg, sizeof(msg), 0);
	ts_wg_cookie_make(&checker, msg, sizeof(msg), &from, 0, bytes);
	for (size_t cut = 0; cut < sizeof(bytes); cut++)
		assert_int_equal(ts_wg_read_cookie_reply(bytes, cut, &reply),
				 -EBADMSG);
	for (size_t at = 8; at < sizeof(bytes); at++) {
		bytes[at] ^= 1;
		ts_wg_read_cookie_reply(bytes, sizeof(bytes), &reply);
		assert_int_equal(ts_wg_cookie_take(&jar, &reply, 0), -EACCES);
		bytes[at] ^= 1;
	}
}

static int group_setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

#define CASE(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(mac1_covers_all_before_it),
		CASE(mac2_is_zero_without_a_cookie),
		CASE(cookie_makes_mac2_right_for_120_s),
		CASE(mac2_is_bound_to_the_source),
		CASE(secret_is_renewed_after_120_s),
		CASE(reply_answers_only_the_last_message),
		CASE(unasked_reply_is_refused),
		CASE(changed_or_cut_reply_is_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
