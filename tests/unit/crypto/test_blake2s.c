/* SPDX-License-Identifier: BSD-3-Clause
 * test_blake2s.c - RFC 7693 (appendix B, and the self-test of appendix E),
 * HMAC against Python's hmac and hashlib, and wireguard-go's KDF vectors
 * (device/kdf_test.go)
 */
#include "hex.h"

#include "core/base/err.h"
#include "core/crypto/blake2s.h"

static void abc_hashes_as_in_rfc7693(void **state)
{
	uint8_t out[TS_BLAKE2S_LEN];

	(void)state;
	ts_blake2s(out, sizeof(out), NULL, 0, "abc", 3);
	assert_hex(out, "508c5e8c327c14e2e1a72ba34eeb452f"
			"37458b209ed63a294d999b4c86675982");
}

/* The generator of RFC 7693 appendix E. */
static void selftest_seq(uint8_t *out, size_t len, uint32_t seed)
{
	uint32_t a = 0xdead4bad * seed, b = 1;

	for (size_t i = 0; i < len; i++) {
		uint32_t t = a + b;

		a = b;
		b = t;
		out[i] = (uint8_t)(t >> 24);
	}
}

static void selftest_of_rfc7693_passes(void **state)
{
	static const size_t out_lens[] = {16, 20, 28, 32};
	static const size_t in_lens[] = {0, 3, 64, 65, 255, 1024};
	uint8_t in[1024], md[32], key[32];
	struct ts_blake2s all;

	(void)state;
	ts_blake2s_init(&all, 32, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(out_lens); i++) {
		for (size_t j = 0; j < ARRAY_LEN(in_lens); j++) {
			size_t out_len = out_lens[i], in_len = in_lens[j];

			selftest_seq(in, in_len, (uint32_t)in_len);
			ts_blake2s(md, out_len, NULL, 0, in, in_len);
			ts_blake2s_update(&all, md, out_len);
			selftest_seq(key, out_len, (uint32_t)out_len);
			ts_blake2s(md, out_len, key, out_len, in, in_len);
			ts_blake2s_update(&all, md, out_len);
		}
	}
	ts_blake2s_final(&all, md);
	assert_hex(md, "6a411f08ce25adcdfb02aba641451cec"
		       "53c598b24f4fc787fbdc88797f4c1dfe");
}

static void pieces_hash_like_the_whole(void **state)
{
	uint8_t in[200], whole[32], pieces[32];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	ts_blake2s(whole, 32, "key", 3, in, sizeof(in));
	for (size_t cut = 0; cut <= sizeof(in); cut++) {
		struct ts_blake2s s;

		ts_blake2s_init(&s, 32, "key", 3);
		ts_blake2s_update(&s, in, cut);
		ts_blake2s_update(&s, in + cut, sizeof(in) - cut);
		ts_blake2s_final(&s, pieces);
		assert_memory_equal(whole, pieces, 32);
	}
}

static void final_wipes_its_state(void **state)
{
	struct ts_blake2s s, zero;
	uint8_t out[32];

	(void)state;
	memset(&zero, 0, sizeof(zero));
	ts_blake2s_init(&s, 32, "secret", 6);
	ts_blake2s_update(&s, "data", 4);
	ts_blake2s_final(&s, out);
	assert_memory_equal(&s, &zero, sizeof(s));
}

static void mix_is_the_hash_of_both_and_may_alias(void **state)
{
	uint8_t h[32], want[32];

	(void)state;
	memset(h, 'h', sizeof(h));
	ts_blake2s(want, 32, NULL, 0, "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhxyz",
		   35);
	ts_blake2s_mix(h, h, sizeof(h), "xyz", 3);
	assert_memory_equal(h, want, 32);
}

/* python3: hmac.new(key, msg, hashlib.blake2s).hexdigest() */
static void hmac_matches_python(void **state)
{
	uint8_t out[32], long_key[100];

	(void)state;
	ts_hmac_blake2s(out, "key", 3, "message", 7);
	assert_hex(out, "bba8fa28708ae80d249e317318c95c85"
			"9f3f77512be23910d5094d9110454d6f");
	memset(long_key, 'k', sizeof(long_key));
	ts_hmac_blake2s(out, long_key, sizeof(long_key), "message", 7);
	assert_hex(out, "a13ba17e4e17ff37d880c23fa2b68cee"
			"dd52ae33eeab90f65020ba2911b2be93");
	ts_hmac_blake2s(out, NULL, 0, NULL, 0);
	assert_hex(out, "eaf4bb25938f4d20e72656bbbc7a9bf6"
			"3c0c18537333c35bdb67db1402661acd");
}

struct kdf_vector {
	const char *key, *input, *t0, *t1, *t2;
};

static const struct kdf_vector kdf_vectors[] = {
	{"746573742d6b6579", "746573742d696e707574",
	 "6f0e5ad38daba1bea8a0d213688736f19763239305e0f58aba697f9ffc41c633",
	 "df1194df20802a4fe594cde27e92991c8cae66c366e8106aaa937a55fa371e8a",
	 "fac6e2745a325f5dc5d11a5b165aad08b0ada28e7b4e666b7c077934a4d76c24"},
	{"776972656775617264", "776972656775617264",
	 "491d43bbfdaa8750aaf535e334ecbfe5129967cd64635101c566d4caefda96e8",
	 "1e71a379baefd8a79aa4662212fcafe19a23e2b609a3db7d6bcba8f560e3d25f",
	 "31e1ae48bddfbe5de38f295e5452b1909a1b4e38e183926af3780b0c1e1f0160"},
	{"", "",
	 "8387b46bf43eccfcf349552a095d8315c4055beb90208fb1be23b894bc2ed5d0",
	 "58a0e5f6faefccf4807bff1f05fa8a9217945762040bcec2f4b4a62bdfe0e86e",
	 "0ce6ea98ec548f8e281e93e32db65621c45eb18dc6f0a7ad94178610a2f7338e"},
};

/* Their keys are shorter than 32 bytes; HMAC pads a key with zeros anyway. */
static void hkdf_matches_wireguard_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kdf_vectors); i++) {
		const struct kdf_vector *v = &kdf_vectors[i];
		uint8_t ck[32] = {0}, ikm[32], o1[32], o2[32], o3[32];
		size_t len = from_hex(v->input, ikm, sizeof(ikm));

		from_hex(v->key, ck, sizeof(ck));
		ts_noise_hkdf(ck, ikm, len, o1, o2, o3);
		assert_hex(o1, v->t0);
		assert_hex(o2, v->t1);
		assert_hex(o3, v->t2);
		memset(o1, 0, 32);
		memset(o2, 0, 32);
		ts_noise_hkdf(ck, ikm, len, o1, o2, NULL);
		assert_hex(o1, v->t0);
		assert_hex(o2, v->t1);
		ts_noise_hkdf(ck, ikm, len, ck, NULL, NULL);
		assert_hex(ck, v->t0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abc_hashes_as_in_rfc7693),
		cmocka_unit_test(selftest_of_rfc7693_passes),
		cmocka_unit_test(pieces_hash_like_the_whole),
		cmocka_unit_test(final_wipes_its_state),
		cmocka_unit_test(mix_is_the_hash_of_both_and_may_alias),
		cmocka_unit_test(hmac_matches_python),
		cmocka_unit_test(hkdf_matches_wireguard_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
