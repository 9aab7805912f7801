/* SPDX-License-Identifier: BSD-3-Clause
 * test_secret.c - wiping, comparing, randomness
 */
#include "hex.h"

#include <stdlib.h>

#include "core/crypto/secret.h"

static void init_may_be_called_again(void **state)
{
	(void)state;
	assert_int_equal(ts_crypto_init(), 0);
	assert_int_equal(ts_crypto_init(), 0);
}

static void wipe_zeroes(void **state)
{
	uint8_t data[9], zero[9] = {0};

	(void)state;
	memset(data, 'x', sizeof(data));
	ts_wipe(data, 8);
	assert_memory_equal(data, zero, 8);
	assert_int_equal(data[8], 'x');
	ts_wipe_free_text(NULL);
	ts_wipe_free_text(strdup("secret"));
}

static void equal_compares_every_byte(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	ts_random_bytes(a, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(ts_secret_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 1;
		assert_false(ts_secret_equal(a, b, sizeof(a)));
		b[i] ^= 1;
	}
}

static void random_below_stays_below_and_reaches_all(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint32_t v = ts_random_below(7);

		assert_true(v < 7);
		seen |= 1U << v;
	}
	assert_int_equal(seen, 0x7f);
	assert_int_equal(ts_random_below(1), 0);
}

static void random_values_differ(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	ts_random_bytes(a, sizeof(a));
	ts_random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	/* four equal 32-bit values in a row: 2^-96 */
	uint32_t first = ts_random_u32();
	assert_false(ts_random_u32() == first && ts_random_u32() == first &&
		     ts_random_u32() == first);
	assert_false(ts_random_u64() == ts_random_u64());
	assert_true(ts_random_u64() >> 32 || ts_random_u64() >> 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_may_be_called_again),
		cmocka_unit_test(wipe_zeroes),
		cmocka_unit_test(equal_compares_every_byte),
		cmocka_unit_test(random_below_stays_below_and_reaches_all),
		cmocka_unit_test(random_values_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
