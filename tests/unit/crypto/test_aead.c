/* SPDX-License-Identifier: BSD-3-Clause
 * test_aead.c - RFC 8439 section 2.8.2 and draft-irtf-cfrg-xchacha-03
 * appendix A.3.1; both implementations against each other at many lengths
 */
#include "hex.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/crypto/aead.h"
#include "core/crypto/secret.h"

static const char sunscreen[] =
	"Ladies and Gentlemen of the class of '99: If I could offer you only "
	"one tip for the future, sunscreen would be it.";
static const char sealed_8439[] =
	"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	"3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	"92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	"3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691";
static const char sealed_xchacha[] =
	"bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
	"731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
	"2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
	"21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";

enum { TEXT_LEN = sizeof(sunscreen) - 1, SEALED_LEN = TEXT_LEN + 16 };

/* NULL at first, then that of the fast implementation, where there is one. */
static struct ts_aead_unit *unit;

struct inputs {
	uint8_t key[32], nonce[24], ad[12];
};

static void read_inputs(struct inputs *v, const char *nonce)
{
	from_hex("808182838485868788898a8b8c8d8e8f"
		 "909192939495969798999a9b9c9d9e9f",
		 v->key, 32);
	from_hex("50515253c0c1c2c3c4c5c6c7", v->ad, 12);
	from_hex(nonce, v->nonce, 24);
}

static void rfc8439_vector_seals_and_opens(void **state)
{
	uint8_t buf[SEALED_LEN];
	struct inputs v;
	struct ts_aead *aead;

	(void)state;
	read_inputs(&v, "070000004041424344454647");
	aead = ts_aead_new(unit, v.key);
	assert_non_null(aead);
	for (int round = 0; round < 2; round++) { /* the key stays */
		memcpy(buf, sunscreen, TEXT_LEN);
		ts_aead_seal(aead, v.nonce, v.ad, 12, buf, TEXT_LEN, buf);
		assert_hex(buf, sealed_8439);
		assert_int_equal(ts_aead_unseal(aead, v.nonce, v.ad, 12, buf,
						SEALED_LEN, buf),
				 0);
		assert_memory_equal(buf, sunscreen, TEXT_LEN);
	}
	ts_aead_free(aead);
}

static void one_shot_gives_the_same(void **state)
{
	uint8_t buf[SEALED_LEN];
	struct inputs v;

	(void)state;
	read_inputs(&v, "070000004041424344454647");
	memcpy(buf, sunscreen, TEXT_LEN);
	ts_aead_seal_once(v.key, v.nonce, v.ad, 12, buf, TEXT_LEN, buf);
	assert_hex(buf, sealed_8439);
	assert_int_equal(ts_aead_unseal_once(v.key, v.nonce, v.ad, 12, buf,
					     SEALED_LEN, buf),
			 0);
	assert_memory_equal(buf, sunscreen, TEXT_LEN);
}

static void xchacha_vector_seals_and_opens(void **state)
{
	uint8_t buf[SEALED_LEN];
	struct inputs v;

	(void)state;
	read_inputs(&v, "404142434445464748494a4b4c4d4e4f5051525354555657");
	memcpy(buf, sunscreen, TEXT_LEN);
	ts_xaead_seal(v.key, v.nonce, v.ad, 12, buf, TEXT_LEN, buf);
	assert_hex(buf, sealed_xchacha);
	assert_int_equal(
		ts_xaead_unseal(v.key, v.nonce, v.ad, 12, buf, SEALED_LEN, buf),
		0);
	assert_memory_equal(buf, sunscreen, TEXT_LEN);
	buf[0] ^= 1;
	assert_int_equal(
		ts_xaead_unseal(v.key, v.nonce, v.ad, 12, buf, SEALED_LEN, buf),
		-EACCES);
}

static void both_libraries_agree_at_every_length(void **state)
{
	uint8_t in[2000], a[2016], b[2016];
	struct inputs v;
	struct ts_aead *aead;

	(void)state;
	read_inputs(&v, "010203040506070809101112");
	aead = ts_aead_new(unit, v.key);
	memset(in, 0x5a, sizeof(in));
	for (size_t len = 0; len <= sizeof(in); len++) {
		ts_aead_seal(aead, v.nonce, v.ad, len % 13, in, len, a);
		ts_aead_seal_once(v.key, v.nonce, v.ad, len % 13, in, len, b);
		assert_memory_equal(a, b, len + 16);
		assert_int_equal(ts_aead_unseal(aead, v.nonce, v.ad, len % 13,
						b, len + 16, b),
				 0);
		assert_memory_equal(b, in, len);
		a[len * 7 % (len + 16)] ^= 1;
		assert_int_equal(ts_aead_unseal(aead, v.nonce, v.ad, len % 13,
						a, len + 16, a),
				 -EACCES);
		if (len > 0)
			assert_memory_not_equal(a, in, len);
	}
	ts_aead_free(aead);
}

static void any_flipped_bit_or_cut_is_refused(void **state)
{
	uint8_t good[SEALED_LEN], bad[SEALED_LEN];
	struct inputs v;
	struct ts_aead *aead;

	(void)state;
	read_inputs(&v, "070000004041424344454647");
	aead = ts_aead_new(unit, v.key);
	from_hex(sealed_8439, good, sizeof(good));
	for (size_t bit = 0; bit < 8 * sizeof(good); bit++) {
		memcpy(bad, good, sizeof(good));
		bad[bit / 8] ^= (uint8_t)(1 << (bit % 8));
		assert_int_equal(ts_aead_unseal(aead, v.nonce, v.ad, 12, bad,
						sizeof(bad), bad),
				 -EACCES);
	}
	for (size_t cut = 0; cut < sizeof(good); cut++) {
		memcpy(bad, good, sizeof(good));
		assert_int_equal(
			ts_aead_unseal(aead, v.nonce, v.ad, 12, bad, cut, bad),
			-EACCES);
	}
	ts_aead_free(aead);
}

static void refused_packet_leaves_no_plain_text(void **state)
{
	uint8_t buf[SEALED_LEN], zero[TEXT_LEN] = {0};
	struct inputs v;
	struct ts_aead *aead;

	(void)state;
	read_inputs(&v, "070000004041424344454647");
	aead = ts_aead_new(unit, v.key);
	from_hex(sealed_8439, buf, sizeof(buf));
	buf[SEALED_LEN - 1] ^= 1;
	ts_aead_unseal(aead, v.nonce, v.ad, 12, buf, sizeof(buf), buf);
	assert_memory_equal(buf, zero, TEXT_LEN);
	ts_aead_free(aead);
}

static void nonces_put_the_counter_last(void **state)
{
	uint8_t nonce[12];

	(void)state;
	ts_nonce_le(0x0102030405060708, nonce);
	assert_hex(nonce, "000000000807060504030201");
	ts_nonce_be(0x0102030405060708, nonce);
	assert_hex(nonce, "000000000102030405060708");
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

/* A build that lost it would be slow, and right in all else. */
static bool has_fast(void)
{
#ifdef TS_HAVE_IPSEC_MB
	return __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc8439_vector_seals_and_opens),
		cmocka_unit_test(one_shot_gives_the_same),
		cmocka_unit_test(xchacha_vector_seals_and_opens),
		cmocka_unit_test(both_libraries_agree_at_every_length),
		cmocka_unit_test(any_flipped_bit_or_cut_is_refused),
		cmocka_unit_test(refused_packet_leaves_no_plain_text),
		cmocka_unit_test(nonces_put_the_counter_last),
	};

	int failed = cmocka_run_group_tests(tests, setup, NULL);

	unit = ts_aead_unit_new();
	if (!unit && has_fast()) {
		fputs("no libipsec-mb in this build\n", stderr);
		failed++;
	}
	if (unit)
		failed += cmocka_run_group_tests_name("fast", tests, setup,
						      NULL);
	ts_aead_unit_free(unit);
	return failed;
}
