/* SPDX-License-Identifier: BSD-3-Clause
 * test_argon2i.c - vectors of the reference implementation and of libsodium
 */
#include "../test.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "core/base/encode.h"
#include "core/crypto/argon2i.h"

enum { OUT_LEN = 32 };

static void assert_argon2i(uint32_t passes, uint32_t memory_kib,
			   uint32_t lanes, const char *secret,
			   const char *salt, const char *hex)
{
	const struct ts_argon2i_cost cost = {passes, memory_kib, lanes};
	uint8_t out[OUT_LEN];
	char got[2 * OUT_LEN + 1];

	assert_int_equal(ts_argon2i(&cost, secret, strlen(secret), salt,
				    strlen(salt), out, sizeof(out)),
			 0);
	assert_string_equal(ts_hex_encode(out, sizeof(out), got), hex);
}

/* phc-winner-argon2, src/test.c, version 0x13 */
static void the_reference_vectors(void **state)
{
	(void)state;
	assert_argon2i(2, 256, 1, "password", "somesalt",
		       "89e9029f4637b295beb027056a7336c4"
		       "14fadd43f6b208645281cb214a56452f");
	assert_argon2i(2, 256, 2, "password", "somesalt",
		       "4ff5ce2769a1d7f4c8a491df09d41a9f"
		       "be90e5eb02155a13e4c01e20cd4eab61");
	assert_argon2i(2, 65536, 1, "differentpassword", "somesalt",
		       "14ae8da01afea8700c2358dcef7c5358"
		       "d9021282bd88663a4562f59fb74d22ee");
}

/* With one lane libsodium has it too. */
static void any_secret_and_memory_as_libsodium(void **state)
{
	static const uint8_t salt[crypto_pwhash_argon2i_SALTBYTES] =
		"0123456789abcdef";

	(void)state;
	for (uint32_t kib = 8; kib < 80; kib += 9) {
		const struct ts_argon2i_cost cost = {3, kib, 1};
		uint8_t secret[64], ours[OUT_LEN], theirs[OUT_LEN];

		randombytes_buf(secret, sizeof(secret));
		assert_int_equal(ts_argon2i(&cost, secret, kib % 64, salt,
					    sizeof(salt), ours, OUT_LEN),
				 0);
		assert_int_equal(crypto_pwhash_argon2i(
					 theirs, OUT_LEN, (const char *)secret,
					 kib % 64, salt, 3, kib * 1024,
					 crypto_pwhash_argon2i_ALG_ARGON2I13),
				 0);
		assert_memory_equal(ours, theirs, OUT_LEN);
	}
}

static void costs_that_make_no_sense(void **state)
{
	static const struct ts_argon2i_cost wrong[] = {
		{0, 64, 1}, {1, 64, 0}, {1, 7, 1}, {1, 31, 4}};
	uint8_t out[OUT_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(ts_argon2i(&wrong[i], "s", 1, "salt", 4, out,
					    sizeof(out)),
				 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_vectors),
		cmocka_unit_test(any_secret_and_memory_as_libsodium),
		cmocka_unit_test(costs_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
