/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_aum.c - updates as upstream writes them, and broken ones
 */
#include "samples.h"

#include <errno.h>

/* PROTOCOL appendix B. */
#define NO_OP "a2010302f6"
#define NO_OP_HASH "WYIVHDR7JUIXBWAJT5UPSCAILEXB7OMINDFEFEPOPNTUCNXMY2KA"

static const struct {
	const char *raw, *hash, *sig_hash;
} vectors[] = {
	{V_AUM_0, V_AUM_0_HASH, V_AUM_0_SIGHASH},
	{V_AUM_1, V_AUM_1_HASH, V_AUM_1_SIGHASH},
	{V_AUM_2, V_AUM_2_HASH, V_AUM_2_SIGHASH},
	{V_AUM_3, V_AUM_3_HASH, V_AUM_3_SIGHASH},
	{V_AUM_4, V_AUM_4_HASH, V_AUM_4_SIGHASH},
	{V_AUM_5, V_AUM_5_HASH, V_AUM_5_SIGHASH},
	{V_AUM_6, V_AUM_6_HASH, V_AUM_6_SIGHASH},
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static void hashes_are_upstreams(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		struct ts_tka_aum *aum = aum_of(vectors[i].raw);
		char hex[2 * TS_TKA_HASH_LEN + 1];

		assert_hash(&aum->hash, vectors[i].hash);
		ts_hex_encode(aum->sig_hash.bytes, TS_TKA_HASH_LEN, hex);
		assert_string_equal(hex, vectors[i].sig_hash);
		ts_tka_aum_free(aum);
	}
}

static void published_no_op(void **state)
{
	struct ts_tka_aum *aum = aum_of(NO_OP);

	(void)state;
	assert_int_equal(aum->kind, TS_AUM_NO_OP);
	assert_false(aum->has_parent);
	assert_hash(&aum->hash, NO_OP_HASH);
	assert_true(ts_tka_hash_equal(&aum->hash, &aum->sig_hash));
	ts_tka_aum_free(aum);
}

static void fields_are_read(void **state)
{
	struct ts_tka_aum *genesis = aum_of(V_AUM_0), *add = aum_of(V_AUM_1);
	struct ts_tka_aum *update = aum_of(V_AUM_2), *remove = aum_of(V_AUM_3);
	struct ts_public_key id1 = nl_id(1), id2 = nl_id(2), id3 = nl_id(3);
	const struct ts_tka_key *key;

	(void)state;
	assert_int_equal(genesis->kind, TS_AUM_CHECKPOINT);
	assert_true(genesis->state.id1 == 0xfedcba9876543210);
	assert_int_equal(genesis->state.id2, 7);
	assert_int_equal(genesis->state.disablement_count, 2);
	key = ts_tka_state_key(&genesis->state, &id1);
	assert_int_equal(key->votes, 2);
	assert_string_equal(
		json_string_value(json_object_get(key->meta, "name")), "one");
	assert_null(ts_tka_state_key(&genesis->state, &id3));

	assert_int_equal(add->kind, TS_AUM_ADD_KEY);
	assert_true(ts_public_key_equal(&add->key.public, &id3));
	assert_true(ts_tka_hash_equal(&add->parent, &genesis->hash));
	assert_int_equal(add->signature_count, 2);

	assert_int_equal(update->votes, 5);
	assert_int_equal(json_object_size(update->meta), 1);
	assert_true(ts_public_key_equal(&remove->key_id, &id2));
	ts_tka_aum_free(genesis);
	ts_tka_aum_free(add);
	ts_tka_aum_free(update);
	ts_tka_aum_free(remove);
}

static void cut_anywhere_it_is_malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < VECTORS; i++) {
		struct sample s = sample(vectors[i].raw);

		for (size_t cut = 0; cut < s.len; cut++) {
			struct ts_tka_aum *aum;
			uint8_t *copy = malloc(cut ? cut : 1);

			memcpy(copy, s.data, cut);
			assert_int_equal(ts_tka_aum_read(copy, cut, &aum),
					 -EBADMSG);
			free(copy);
		}
		sample_free(&s);
	}
}

static void one_more_byte_is_malformed(void **state)
{
	struct sample s = sample(NO_OP "00");
	struct ts_tka_aum *aum;

	(void)state;
	assert_int_equal(ts_tka_aum_read(s.data, s.len, &aum), -EBADMSG);
	sample_free(&s);
}

#define KEY_OF_ZEROS                                                           \
	"5820"                                                                 \
	"0000000000000000000000000000000000000000000000000000000000000000"

static void fields_that_do_not_belong_are_refused(void **state)
{
	static const char *const wrong[] = {
		"a10103",			    /* no parent field */
		"a102f6",			    /* no kind */
		"a3010302f60380",		    /* a key that is none */
		"a2010102f6",			    /* AddKey without key */
		"a2010202f6",			    /* RemoveKey, whom? */
		"a3010402f604" KEY_OF_ZEROS,	    /* UpdateKey to what? */
		"a2010502f6",			    /* no state */
		"a3010102f604" KEY_OF_ZEROS,	    /* AddKey with a key ID */
		"a3010302f61780",		    /* no signatures, listed */
		"a3010302f607a0",		    /* metadata, but none */
		"a302f6010305",			    /* in another order */
		"a219010002f6",			    /* a kind above 255 */
		"a2010302" "4101",		    /* a short parent */
		"a2010302" "40",		    /* an empty one */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sample s = sample(wrong[i]);
		struct ts_tka_aum *aum;

		assert_int_equal(ts_tka_aum_read(s.data, s.len, &aum),
				 -EBADMSG);
		sample_free(&s);
	}
}

static void a_later_versions_field_is_kept(void **state)
{
	/* Field 24 after 23, and field 8 before: both are in the hash. */
	struct ts_tka_aum *a = aum_of("a3010302f60801");
	struct ts_tka_aum *b = aum_of("a4010302f60801181863616263");
	struct ts_tka_hash hash;
	struct sample s = sample("a3010302f60801");

	(void)state;
	ts_tka_hash_of(s.data, s.len, &hash);
	assert_true(ts_tka_hash_equal(&a->hash, &hash));
	assert_false(ts_tka_hash_equal(&a->hash, &b->hash));
	sample_free(&s);
	ts_tka_aum_free(a);
	ts_tka_aum_free(b);
}

static void what_we_sign_is_what_upstream_signed(void **state)
{
	struct ts_tka_aum *theirs = aum_of(V_AUM_1), *ours;
	const struct ts_nl_private_key keys[2] = {nl_key(1), nl_key(2)};

	(void)state;
	assert_int_equal(ts_tka_aum_sign(theirs, keys, 2, &ours), 0);
	assert_int_equal(ours->len, theirs->len);
	assert_memory_equal(ours->raw, theirs->raw, ours->len);
	ts_tka_aum_free(ours);
	ts_tka_aum_free(theirs);
	theirs = aum_of(V_AUM_0);
	assert_int_equal(ts_tka_aum_sign(theirs, keys, 1, &ours), 0);
	assert_int_equal(ours->len, theirs->len);
	assert_memory_equal(ours->raw, theirs->raw, ours->len);
	ts_tka_aum_free(ours);
	ts_tka_aum_free(theirs);
}

static void disablement_values_are_upstreams(void **state)
{
	static const struct {
		const char *secret, *value;
	} samples[] = {
		{"010203", "a628b2bf849a89dc7289fdc84d1d7efe61a86bcf8e429cf65fa"
			   "5450c5987b856"},
		{"736563726574206f6e65", V_DISABLEMENT_1},
		{"", V_DISABLEMENT_EMPTY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct sample s = sample(samples[i].secret);
		struct ts_tka_disablement value;
		char hex[2 * TS_TKA_DISABLEMENT_LEN + 1];

		assert_int_equal(ts_tka_disablement_of(s.data, s.len, &value),
				 0);
		ts_hex_encode(value.bytes, sizeof(value.bytes), hex);
		assert_string_equal(hex, samples[i].value);
		sample_free(&s);
	}
}

static void only_the_secret_ends_it(void **state)
{
	struct ts_tka_aum *genesis = aum_of(V_AUM_0);

	(void)state;
	assert_int_equal(ts_tka_state_check_secret(&genesis->state,
						   "secret one", 10), 0);
	assert_int_equal(ts_tka_state_check_secret(&genesis->state,
						   "secret one", 9), -EACCES);
	assert_int_equal(ts_tka_state_check_secret(&genesis->state, NULL, 0),
			 -EACCES);
	ts_tka_aum_free(genesis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_upstreams),
		cmocka_unit_test(published_no_op),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(cut_anywhere_it_is_malformed),
		cmocka_unit_test(one_more_byte_is_malformed),
		cmocka_unit_test(fields_that_do_not_belong_are_refused),
		cmocka_unit_test(a_later_versions_field_is_kept),
		cmocka_unit_test(what_we_sign_is_what_upstream_signed),
		cmocka_unit_test(disablement_values_are_upstreams),
		cmocka_unit_test(only_the_secret_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
