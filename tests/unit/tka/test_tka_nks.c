/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_nks.c - signatures of node keys: upstream's, ours and forged ones
 */
#include "samples.h"

#include <errno.h>

enum { NODE_A = 0xa1, NODE_B = 0xb2, NODE_C = 0xc3, OWN = 9 };

static struct ts_nks nks_of(const char *hex)
{
	struct sample s = sample(hex);
	struct ts_nks nks;

	assert_int_equal(ts_nks_read(s.data, s.len, &nks), 0);
	sample_free(&s);
	return nks;
}

/* By the genesis: keys 1 and 2 are trusted. */
static const char *fault(const struct ts_nks *nks, uint8_t node)
{
	struct ts_tka_aum *genesis = aum_of(V_AUM_0);
	struct ts_public_key key = node_key(node);
	const char *why = NULL;
	bool is_valid = ts_nks_is_valid(nks, &genesis->state, &key, &why);

	assert_int_equal(is_valid, why == NULL);
	ts_tka_aum_free(genesis);
	return why;
}

static const char *fault_of(const char *hex, uint8_t node)
{
	struct ts_nks nks = nks_of(hex);

	return fault(&nks, node);
}

static void upstreams_signatures_are_valid(void **state)
{
	(void)state;
	assert_null(fault_of(V_NKS_DIRECT, NODE_A));
	assert_null(fault_of(V_NKS_PLAIN, NODE_A));
	assert_null(fault_of(V_NKS_ROTATION, NODE_B));
	assert_null(fault_of(V_NKS_ROTATION_2, NODE_C));
	assert_null(fault_of(V_NKS_BY_CREDENTIAL, NODE_A));
	assert_null(fault_of(V_NKS_LONG_15, 0x10 + 14));
	assert_null(fault_of(V_NKS_LONG_16, 0x30));
	assert_int_equal(nks_of(V_NKS_LONG_15).count, 16);
	assert_int_equal(nks_of(V_NKS_LONG_16).count, 16);
}

static void nobody_elses_key(void **state)
{
	(void)state;
	assert_non_null(fault_of(V_NKS_DIRECT, NODE_B));
	assert_non_null(fault_of(V_NKS_ROTATION, NODE_A));
	assert_non_null(fault_of(V_NKS_ROTATION_2, NODE_B));
	assert_non_null(fault_of(V_NKS_BY_CREDENTIAL, NODE_B));
}

static void a_credential_alone_is_nothing(void **state)
{
	(void)state;
	assert_non_null(fault_of(V_NKS_CREDENTIAL, NODE_A));
}

/* Any bit: either it is no signature any more, or not a valid one. */
static void a_changed_byte_is_noticed(void **state)
{
	static const struct {
		const char *hex;
		uint8_t node;
	} samples[] = {{V_NKS_DIRECT, NODE_A}, {V_NKS_ROTATION, NODE_B},
		       {V_NKS_BY_CREDENTIAL, NODE_A}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sample s = sample(samples[i].hex);
		struct ts_nks nks;

		for (size_t at = 0; at < s.len; at++) {
			s.data[at] ^= 0x10;
			if (ts_nks_read(s.data, s.len, &nks) == 0)
				assert_non_null(fault(&nks, samples[i].node));
			s.data[at] ^= 0x10;
		}
		sample_free(&s);
	}
}

static void cut_anywhere_it_is_malformed(void **state)
{
	struct sample s = sample(V_NKS_ROTATION_2);
	struct ts_nks nks;

	(void)state;
	for (size_t cut = 0; cut < s.len; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, s.data, cut);
		assert_int_equal(ts_nks_read(copy, cut, &nks), -EBADMSG);
		free(copy);
	}
	sample_free(&s);
}

static void seventeen_levels_are_too_many(void **state)
{
	struct sample s = sample(V_NKS_LONG_15);
	uint8_t deeper[TS_NKS_LEN_MAX];
	struct ts_nks nks;

	(void)state;
	/* {1: 2, 5: <16 levels>} */
	memcpy(deeper, "\xa2\x01\x02\x05", 4);
	memcpy(deeper + 4, s.data, s.len);
	assert_int_equal(ts_nks_read(deeper, s.len + 4, &nks), -EBADMSG);
	sample_free(&s);
}

static void untrusted_signers_are_refused(void **state)
{
	struct ts_nl_private_key stranger = nl_key(4);
	struct ts_public_key node = node_key(NODE_A);
	uint8_t out[TS_NKS_LEN_MAX];
	struct ts_nks nks;
	int len = ts_nks_sign(&stranger, &node, NULL, out);

	(void)state;
	assert_int_equal(ts_nks_read(out, (size_t)len, &nks), 0);
	assert_string_equal(fault(&nks, NODE_A),
			    "signed by a key that is not trusted");
}

/* A rotation by a key that the direct signature does not name. */
static void others_cannot_rotate(void **state)
{
	struct sample direct = sample(V_NKS_DIRECT);
	struct sample plain = sample(V_NKS_PLAIN);
	struct ts_nl_private_key other = nl_key(8);
	struct ts_public_key node = node_key(NODE_B);
	uint8_t out[TS_NKS_LEN_MAX];
	struct ts_nks nks;
	int len = ts_nks_resign(&other, &node, direct.data, direct.len, out);

	(void)state;
	assert_int_equal(ts_nks_read(out, (size_t)len, &nks), 0);
	assert_non_null(fault(&nks, NODE_B));
	/* And where none is named, nobody can. */
	len = ts_nks_resign(&other, &node, plain.data, plain.len, out);
	assert_int_equal(ts_nks_read(out, (size_t)len, &nks), 0);
	assert_non_null(fault(&nks, NODE_B));
	sample_free(&direct);
	sample_free(&plain);
}

static void assert_same(const uint8_t *got, int len, const char *hex)
{
	struct sample s = sample(hex);

	assert_int_equal(len, s.len);
	assert_memory_equal(got, s.data, s.len);
	sample_free(&s);
}

static void we_sign_as_upstream_does(void **state)
{
	struct ts_nl_private_key k1 = nl_key(1), own = nl_key(OWN);
	struct ts_public_key own_public = nl_id(OWN);
	struct ts_public_key a = node_key(NODE_A), b = node_key(NODE_B);
	struct ts_public_key c = node_key(NODE_C);
	uint8_t direct[TS_NKS_LEN_MAX], first[TS_NKS_LEN_MAX];
	uint8_t second[TS_NKS_LEN_MAX];
	int len;

	(void)state;
	len = ts_nks_sign(&k1, &a, &own_public, direct);
	assert_same(direct, len, V_NKS_DIRECT);
	len = ts_nks_sign(&k1, &a, NULL, first);
	assert_same(first, len, V_NKS_PLAIN);
	len = ts_nks_sign(&k1, &a, &own_public, direct);
	len = ts_nks_resign(&own, &b, direct, (size_t)len, first);
	assert_same(first, len, V_NKS_ROTATION);
	len = ts_nks_resign(&own, &c, first, (size_t)len, second);
	assert_same(second, len, V_NKS_ROTATION_2);
	/* For the same key the old one will do. */
	len = ts_nks_resign(&own, &c, second, (size_t)len, first);
	assert_same(first, len, V_NKS_ROTATION_2);
}

static void long_chains_are_shortened(void **state)
{
	struct ts_nl_private_key own = nl_key(OWN);
	struct sample s = sample(V_NKS_LONG_15);
	struct ts_public_key node = node_key(0x30);
	uint8_t out[TS_NKS_LEN_MAX];
	int len = ts_nks_resign(&own, &node, s.data, s.len, out);

	(void)state;
	assert_same(out, len, V_NKS_LONG_16);
	sample_free(&s);
}

static void a_credential_signs_one_node(void **state)
{
	struct ts_nl_private_key k2 = nl_key(2), delegate = nl_key(0x77);
	struct ts_public_key delegate_public = nl_id(0x77);
	struct ts_public_key a = node_key(NODE_A);
	struct sample direct = sample(V_NKS_DIRECT);
	uint8_t credential[TS_NKS_LEN_MAX], out[TS_NKS_LEN_MAX];
	int len = ts_nks_delegate(&k2, &delegate_public, credential);

	(void)state;
	assert_same(credential, len, V_NKS_CREDENTIAL);
	len = ts_nks_sign_by_credential(&delegate, credential, (size_t)len, &a,
					out);
	assert_same(out, len, V_NKS_BY_CREDENTIAL);
	assert_int_equal(ts_nks_sign_by_credential(&delegate, direct.data,
						   direct.len, &a, out),
			 -EBADMSG);
	sample_free(&direct);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstreams_signatures_are_valid),
		cmocka_unit_test(nobody_elses_key),
		cmocka_unit_test(a_credential_alone_is_nothing),
		cmocka_unit_test(a_changed_byte_is_noticed),
		cmocka_unit_test(cut_anywhere_it_is_malformed),
		cmocka_unit_test(seventeen_levels_are_too_many),
		cmocka_unit_test(untrusted_signers_are_refused),
		cmocka_unit_test(others_cannot_rotate),
		cmocka_unit_test(we_sign_as_upstream_does),
		cmocka_unit_test(long_chains_are_shortened),
		cmocka_unit_test(a_credential_signs_one_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
