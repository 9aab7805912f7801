/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_builder.c - updates that we make are taken by whoever has the chain
 */
#include "samples.h"

#include <errno.h>

#include "core/tka/tka_builder.h"

static struct ts_tka_key key_of(uint8_t seed)
{
	struct ts_tka_key key = {.public = nl_id(seed), .votes = 1};

	return key;
}

static int take_all(struct ts_tka *tka, struct ts_tka_builder *builder,
		    size_t *count)
{
	const struct ts_tka_aum *const *list;
	int err = ts_tka_builder_finish(builder, &list, count);
	const char *why;

	for (size_t i = 0; !err && i < *count; i++) {
		struct ts_tka_update update = {list[i]->raw, list[i]->len};

		err = ts_tka_inform(tka, &update, 1, 1000, &why);
	}
	return err;
}

static void keys_are_added_and_removed(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_nl_private_key signer = nl_key(1), stranger = nl_key(4);
	struct ts_tka_key third = key_of(3);
	struct ts_public_key id2 = nl_id(2), id3 = nl_id(3), id9 = nl_id(9);
	struct ts_tka_builder *builder;
	size_t count;

	(void)state;
	assert_int_equal(ts_tka_builder_new(tka, &stranger, &builder),
			 -EACCES);
	assert_int_equal(ts_tka_builder_new(tka, &signer, &builder), 0);
	assert_int_equal(ts_tka_builder_add_key(builder, &third), 0);
	assert_int_equal(ts_tka_builder_add_key(builder, &third), -EPROTO);
	assert_int_equal(ts_tka_builder_remove_key(builder, &id2), 0);
	assert_int_equal(ts_tka_builder_remove_key(builder, &id9), -EPROTO);
	assert_int_equal(take_all(tka, builder, &count), 0);
	assert_int_equal(count, 2);
	ts_tka_builder_free(builder);
	assert_non_null(ts_tka_state_key(ts_tka_state(tka), &id3));
	assert_null(ts_tka_state_key(ts_tka_state(tka), &id2));
	ts_tka_free(tka);
}

static void the_last_key_stays(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_nl_private_key signer = nl_key(1);
	struct ts_public_key id1 = nl_id(1), id2 = nl_id(2);
	struct ts_tka_builder *builder;

	(void)state;
	assert_int_equal(ts_tka_builder_new(tka, &signer, &builder), 0);
	assert_int_equal(ts_tka_builder_remove_key(builder, &id2), 0);
	assert_int_equal(ts_tka_builder_remove_key(builder, &id1), -EPROTO);
	ts_tka_builder_free(builder);
	ts_tka_free(tka);
}

/* So that others can forget what was before. */
static void every_fifty_comes_a_checkpoint(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_nl_private_key signer = nl_key(1);
	struct ts_tka_hash head;
	size_t checkpoints = 0;

	(void)state;
	for (uint8_t i = 0; i < 60; i++) {
		struct ts_tka_key key = key_of((uint8_t)(10 + i));
		struct ts_tka_builder *builder;
		size_t count;

		assert_int_equal(ts_tka_builder_new(tka, &signer, &builder),
				 0);
		assert_int_equal(ts_tka_builder_add_key(builder, &key), 0);
		assert_int_equal(take_all(tka, builder, &count), 0);
		ts_tka_builder_free(builder);
		ts_tka_head(tka, &head);
		if (ts_tka_aum(tka, &head)->kind == TS_AUM_CHECKPOINT)
			checkpoints++;
	}
	assert_int_equal(checkpoints, 1);
	assert_int_equal(ts_tka_state(tka)->key_count, 62);
	ts_tka_free(tka);
}

static void too_many_at_a_time(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_nl_private_key signer = nl_key(1);
	struct ts_tka_builder *builder;
	int err = 0;

	(void)state;
	assert_int_equal(ts_tka_builder_new(tka, &signer, &builder), 0);
	for (int i = 0; !err && i < 100; i++) {
		struct ts_tka_key key = key_of((uint8_t)(10 + i));

		err = ts_tka_builder_add_key(builder, &key);
	}
	assert_int_equal(err, -EMSGSIZE);
	ts_tka_builder_free(builder);
	ts_tka_free(tka);
}

static void a_genesis_has_its_signer(void **state)
{
	struct ts_tka_key key = key_of(1);
	struct ts_tka_disablement values[2] = {{{1}}, {{1}}};
	struct ts_tka_state contents = {.keys = &key, .key_count = 1,
					.disablements = values,
					.disablement_count = 1,
					.id1 = 1, .id2 = 2};
	struct ts_nl_private_key one = nl_key(1), two = nl_key(2);
	struct ts_tka_aum *genesis;

	(void)state;
	assert_int_equal(ts_tka_make_genesis(&contents, &two, &genesis),
			 -EACCES);
	assert_int_equal(ts_tka_make_genesis(&contents, &one, &genesis), 0);
	ts_tka_aum_free(genesis);
	contents.disablement_count = 2; /* twice the same */
	assert_int_equal(ts_tka_make_genesis(&contents, &one, &genesis),
			 -EBADMSG);
	contents.disablement_count = 0;
	assert_int_equal(ts_tka_make_genesis(&contents, &one, &genesis),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_added_and_removed),
		cmocka_unit_test(the_last_key_stays),
		cmocka_unit_test(every_fifty_comes_a_checkpoint),
		cmocka_unit_test(too_many_at_a_time),
		cmocka_unit_test(a_genesis_has_its_signer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
