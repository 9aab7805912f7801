/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka.c - the authority: its chain, forks, offers, what is stored
 */
#include "samples.h"

#include <errno.h>
#include <stdio.h>

static const char *const chain[] = {V_AUM_0, V_AUM_1, V_AUM_2, V_AUM_3,
				    V_AUM_4, V_AUM_5, V_AUM_6};
static const char *const hashes[] = {
	V_AUM_0_HASH, V_AUM_1_HASH, V_AUM_2_HASH, V_AUM_3_HASH,
	V_AUM_4_HASH, V_AUM_5_HASH, V_AUM_6_HASH};
enum { CHAIN_LEN = V_AUM_COUNT };

static void assert_head(const struct ts_tka *tka, const char *text)
{
	struct ts_tka_hash head;

	ts_tka_head(tka, &head);
	assert_hash(&head, text);
}

static struct ts_tka *whole_chain(const struct ts_tka_disk *disk)
{
	struct ts_tka *tka = authority(disk);

	for (size_t i = 1; i < CHAIN_LEN; i++)
		assert_int_equal(inform(tka, chain[i]), 0);
	return tka;
}

/* -- the chain ------------------------------------------------------------ */

static void updates_change_who_is_trusted(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_public_key id1 = nl_id(1), id2 = nl_id(2), id3 = nl_id(3);
	const struct ts_tka_key *key;

	(void)state;
	assert_head(tka, V_AUM_0_HASH);
	assert_non_null(ts_tka_state_key(ts_tka_state(tka), &id2));
	assert_null(ts_tka_state_key(ts_tka_state(tka), &id3));
	for (size_t i = 1; i < CHAIN_LEN; i++) {
		assert_int_equal(inform(tka, chain[i]), 0);
		assert_head(tka, hashes[i]);
	}
	assert_string_equal(hashes[CHAIN_LEN - 1], V_CHAIN_HEAD);
	assert_non_null(ts_tka_state_key(ts_tka_state(tka), &id1));
	assert_null(ts_tka_state_key(ts_tka_state(tka), &id2));
	key = ts_tka_state_key(ts_tka_state(tka), &id3);
	assert_int_equal(key->votes, 5);
	assert_string_equal(
		json_string_value(json_object_get(key->meta, "x")), "y");
	ts_tka_free(tka);
}

static void several_at_once_and_known_ones(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_tka_update updates[CHAIN_LEN];
	struct sample samples[CHAIN_LEN];
	const char *why;

	(void)state;
	for (size_t i = 0; i < CHAIN_LEN; i++) {
		samples[i] = sample(chain[i]);
		updates[i] = (struct ts_tka_update){samples[i].data,
						    samples[i].len};
	}
	assert_int_equal(ts_tka_inform(tka, updates, CHAIN_LEN, 1, &why), 0);
	assert_head(tka, V_CHAIN_HEAD);
	assert_int_equal(ts_tka_inform(tka, updates, CHAIN_LEN, 1, &why), 0);
	assert_head(tka, V_CHAIN_HEAD);
	for (size_t i = 0; i < CHAIN_LEN; i++)
		sample_free(&samples[i]);
	ts_tka_free(tka);
}

/* All or none. */
static void a_wrong_one_takes_all_back(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct sample good = sample(V_AUM_1), bad = sample(V_AUM_2);
	struct ts_tka_update updates[2] = {{good.data, good.len},
					   {bad.data, bad.len}};
	const char *why;

	(void)state;
	bad.data[bad.len - 1] ^= 1; /* of the signature */
	assert_int_equal(ts_tka_inform(tka, updates, 2, 1, &why), -EACCES);
	assert_non_null(why);
	assert_head(tka, V_AUM_0_HASH);
	assert_int_equal(ts_tka_chonk(tka)->by_hash.len, 1);
	assert_int_equal(inform(tka, V_AUM_1), 0);
	sample_free(&good);
	sample_free(&bad);
	ts_tka_free(tka);
}

static void updates_need_their_parent(void **state)
{
	struct ts_tka *tka = authority(NULL);

	(void)state;
	assert_int_equal(inform(tka, V_AUM_2), -EPROTO);
	assert_head(tka, V_AUM_0_HASH);
	ts_tka_free(tka);
}

static int inform_own(struct ts_tka *tka, struct ts_tka_aum *contents,
		      uint8_t signer)
{
	struct ts_nl_private_key key = nl_key(signer);
	struct ts_tka_update update;
	struct ts_tka_aum *aum;
	const char *why;
	int err;

	ts_tka_head(tka, &contents->parent);
	contents->has_parent = true;
	assert_int_equal(ts_tka_aum_sign(contents, &key, signer ? 1 : 0, &aum),
			 0);
	update = (struct ts_tka_update){aum->raw, aum->len};
	err = ts_tka_inform(tka, &update, 1, 1000, &why);
	ts_tka_aum_free(aum);
	return err;
}

static void only_trusted_keys_may_change_it(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	struct ts_tka_aum no_op = {.kind = TS_AUM_NO_OP};

	(void)state;
	assert_int_equal(inform_own(tka, &no_op, 4), -EACCES); /* a stranger */
	assert_int_equal(inform_own(tka, &no_op, 2), -EACCES); /* removed */
	assert_int_equal(inform_own(tka, &no_op, 0), -EACCES); /* nobody */
	assert_head(tka, V_CHAIN_HEAD);
	assert_int_equal(inform_own(tka, &no_op, 3), 0);
	ts_tka_free(tka);
}

static void updates_have_to_make_sense(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	struct ts_tka_aum aum = {.kind = TS_AUM_ADD_KEY, .has_key = true,
				 .key = {nl_id(1), 1, NULL}};
	struct ts_tka_aum genesis_like = {.kind = TS_AUM_CHECKPOINT,
					  .has_state = true};

	(void)state;
	/* known already */
	assert_int_equal(inform_own(tka, &aum, 1), -EPROTO);
	/* not there */
	aum = (struct ts_tka_aum){.kind = TS_AUM_REMOVE_KEY,
				  .has_key_id = true, .key_id = nl_id(2)};
	assert_int_equal(inform_own(tka, &aum, 1), -EPROTO);
	aum = (struct ts_tka_aum){.kind = TS_AUM_UPDATE_KEY,
				  .has_key_id = true, .key_id = nl_id(2),
				  .has_votes = true, .votes = 2};
	assert_int_equal(inform_own(tka, &aum, 1), -EPROTO);
	/* votes out of range */
	aum.key_id = nl_id(3);
	aum.votes = 0;
	assert_int_equal(inform_own(tka, &aum, 1), -EPROTO);
	aum.votes = TS_TKA_VOTES_MAX + 1;
	assert_int_equal(inform_own(tka, &aum, 1), -EPROTO);
	/* another authority's checkpoint */
	assert_int_equal(ts_tka_state_copy(&genesis_like.state,
					   ts_tka_state(tka)), 0);
	genesis_like.state.id1++;
	assert_int_equal(inform_own(tka, &genesis_like, 1), -EPROTO);
	genesis_like.state.id1--;
	assert_int_equal(inform_own(tka, &genesis_like, 1), 0);
	ts_tka_state_deinit(&genesis_like.state);
	ts_tka_free(tka);
}

static void the_last_key_stays(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	struct ts_tka_aum remove = {.kind = TS_AUM_REMOVE_KEY,
				    .has_key_id = true, .key_id = nl_id(3)};

	(void)state;
	assert_int_equal(inform_own(tka, &remove, 1), 0);
	remove.key_id = nl_id(1);
	assert_int_equal(inform_own(tka, &remove, 1), -EPROTO);
	assert_int_equal(ts_tka_state(tka)->key_count, 1);
	ts_tka_free(tka);
}

static void a_genesis_is_a_signed_checkpoint(void **state)
{
	static const char *const wrong[] = {"a2010302f6", V_AUM_1, "", "a0"};
	struct sample forged = sample(V_AUM_0);
	struct ts_tka *tka;
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct sample s = sample(wrong[i]);

		assert_int_not_equal(ts_tka_bootstrap(ts_tka_chonk_new(NULL),
						      s.data, s.len, 1, &tka,
						      &why),
				     0);
		sample_free(&s);
	}
	forged.data[forged.len - 1] ^= 1;
	assert_int_equal(ts_tka_bootstrap(ts_tka_chonk_new(NULL), forged.data,
					  forged.len, 1, &tka, &why),
			 -EACCES);
	sample_free(&forged);
}

/* -- forks ---------------------------------------------------------------- */

static void forks_are_resolved_as_upstream_does(void **state)
{
	static const struct {
		const char *a, *b, *head;
	} cases[] = {
		{V_AUM_1, V_FORK_LIGHT, V_HEAD_ONE_LIGHT},
		{V_AUM_1, V_FORK_REMOVE, V_HEAD_ONE_REMOVE},
		{V_AUM_1, V_FORK_SAME, V_HEAD_ONE_SAME},
		{V_FORK_LIGHT, V_FORK_DOUBLE, V_HEAD_LIGHT_DOUBLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int order = 0; order < 2; order++) {
			struct ts_tka *tka = authority(NULL);

			inform(tka, order ? cases[i].a : cases[i].b);
			inform(tka, order ? cases[i].b : cases[i].a);
			assert_head(tka, cases[i].head);
			ts_tka_free(tka);
		}
	}
	assert_string_equal(V_HEAD_ONE_LIGHT, V_AUM_1_HASH);
	assert_string_equal(V_HEAD_ONE_REMOVE, V_FORK_REMOVE_HASH);
}

/* The heavier branch takes over, whatever had been built on the other one. */
static void a_fork_may_take_over(void **state)
{
	struct ts_tka *tka = authority(NULL);
	struct ts_public_key id3 = nl_id(3);

	(void)state;
	for (size_t i = 1; i < CHAIN_LEN; i++)
		inform(tka, chain[i]);
	assert_non_null(ts_tka_state_key(ts_tka_state(tka), &id3));
	assert_int_equal(inform(tka, V_FORK_REMOVE), 0);
	assert_head(tka, V_FORK_REMOVE_HASH);
	assert_null(ts_tka_state_key(ts_tka_state(tka), &id3));
	ts_tka_free(tka);
}

/* -- offers --------------------------------------------------------------- */

static void offers_name_checkpoints(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	static const char *const wanted[] = {V_AUM_5_HASH, V_AUM_0_HASH};
	struct ts_tka_offer offer;

	(void)state;
	assert_int_equal(ts_tka_make_offer(tka, &offer), 0);
	assert_hash(&offer.head, V_CHAIN_HEAD);
	assert_int_equal(offer.ancestor_count, 2);
	for (size_t i = 0; i < 2; i++)
		assert_hash(&offer.ancestors[i], wanted[i]);
	ts_tka_offer_deinit(&offer);
	ts_tka_free(tka);
}

static size_t missing_count(const struct ts_tka *of, const struct ts_tka *to,
			    int *err)
{
	const struct ts_tka_aum **list;
	struct ts_tka_offer offer;
	size_t count;

	assert_int_equal(ts_tka_make_offer(to, &offer), 0);
	*err = ts_tka_missing(of, &offer, &list, &count);
	if (!*err)
		free(list);
	ts_tka_offer_deinit(&offer);
	return count;
}

static void who_lags_behind_is_told_the_rest(void **state)
{
	struct ts_tka *whole = whole_chain(NULL), *part = authority(NULL);
	int err;

	(void)state;
	assert_int_equal(missing_count(whole, part, &err), CHAIN_LEN - 1);
	inform(part, V_AUM_1);
	inform(part, V_AUM_2);
	assert_int_equal(missing_count(whole, part, &err), CHAIN_LEN - 3);
	/* The one behind does not know that head, but both have the genesis. */
	assert_int_equal(missing_count(part, whole, &err), 2);
	assert_int_equal(err, 0);
	assert_int_equal(missing_count(whole, whole, &err), 0);
	ts_tka_free(whole);
	ts_tka_free(part);
}

static void strangers_have_nothing_in_common(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	struct ts_tka_hash ancestor = {{1}};
	struct ts_tka_offer offer = {.head = {{2}}, .ancestors = &ancestor,
				     .ancestor_count = 1};
	const struct ts_tka_aum **list;
	size_t count;

	(void)state;
	assert_int_equal(ts_tka_missing(tka, &offer, &list, &count), -ENOENT);
	ts_tka_free(tka);
}

/* -- disk ----------------------------------------------------------------- */

enum { FILES_MAX = 128 };

struct disk {
	struct {
		char name[TS_TKA_FILE_NAME_CAP];
		uint8_t *data;
		size_t len;
	} files[FILES_MAX];
	size_t count;
	int fail_after; /* puts; negative: never */
};

static int disk_put(void *ctx, const char *name, const void *data, size_t len)
{
	struct disk *disk = ctx;
	size_t i = 0;

	if (disk->fail_after >= 0 && disk->fail_after-- == 0)
		return -ENOSPC;
	while (i < disk->count && strcmp(disk->files[i].name, name) != 0)
		i++;
	assert_true(i < FILES_MAX);
	if (i == disk->count)
		disk->count++;
	else
		free(disk->files[i].data);
	snprintf(disk->files[i].name, sizeof(disk->files[i].name), "%s", name);
	disk->files[i].data = malloc(len);
	memcpy(disk->files[i].data, data, len);
	disk->files[i].len = len;
	return 0;
}

static int disk_remove_all(void *ctx)
{
	struct disk *disk = ctx;

	while (disk->count > 0)
		free(disk->files[--disk->count].data);
	return 0;
}

static struct ts_tka_disk ops_of(struct disk *disk)
{
	disk->fail_after = -1;
	return (struct ts_tka_disk){disk_put, disk_remove_all, disk};
}

static struct ts_tka_chonk *load(const struct disk *disk,
				 const struct ts_tka_disk *ops)
{
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(ops);

	for (size_t i = 0; i < disk->count; i++)
		assert_int_equal(ts_tka_chonk_load(chonk, disk->files[i].name,
						   disk->files[i].data,
						   disk->files[i].len),
				 0);
	return chonk;
}

static void what_was_stored_is_opened(void **state)
{
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka = whole_chain(&ops), *again;

	(void)state;
	assert_int_equal(disk.count, CHAIN_LEN + 1);
	assert_int_equal(ts_tka_open(load(&disk, &ops), &again), 0);
	assert_head(again, V_CHAIN_HEAD);
	assert_int_equal(ts_tka_state(again)->key_count,
			 ts_tka_state(tka)->key_count);
	assert_int_equal(ts_tka_remove_all(again), 0);
	assert_int_equal(disk.count, 0);
	ts_tka_free(again);
	ts_tka_free(tka);
	assert_int_equal(ts_tka_open(load(&disk, &ops), &tka), -ENOENT);
}

static void files_are_upstreams(void **state)
{
	struct sample file = sample(V_FILE), ancestor = sample(V_FILE_ANCESTOR);
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(NULL);
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka;

	(void)state;
	assert_int_equal(ts_tka_chonk_load(chonk, V_FILE_NAME, file.data,
					   file.len), 0);
	assert_int_equal(ts_tka_chonk_load(chonk, TS_TKA_ANCESTOR_FILE,
					   ancestor.data, ancestor.len), 0);
	assert_int_equal(ts_tka_open(chonk, &tka), 0);
	assert_head(tka, V_AUM_0_HASH);
	ts_tka_free(tka);
	/* Ours differ from that by the time alone, which is at the end. */
	tka = authority(&ops);
	assert_string_equal(disk.files[0].name, V_FILE_NAME);
	assert_memory_equal(disk.files[0].data, file.data, file.len - 6);
	assert_string_equal(disk.files[1].name, TS_TKA_ANCESTOR_FILE);
	assert_memory_equal(disk.files[1].data, ancestor.data, ancestor.len);
	ts_tka_free(tka);
	disk_remove_all(&disk);
	sample_free(&file);
	sample_free(&ancestor);
}

static void damaged_files_are_not_taken(void **state)
{
	struct sample file = sample(V_FILE);
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(NULL);

	(void)state;
	for (size_t cut = 0; cut < file.len; cut++)
		assert_int_equal(ts_tka_chonk_load(chonk, V_FILE_NAME,
						   file.data, cut),
				 -EBADMSG);
	assert_int_equal(ts_tka_chonk_load(chonk, "AA/AAAA", file.data,
					   file.len),
			 -EBADMSG);
	assert_int_equal(ts_tka_chonk_load(chonk, TS_TKA_ANCESTOR_FILE,
					   file.data, 31),
			 -EBADMSG);
	assert_true(ts_tka_chonk_is_empty(chonk));
	ts_tka_chonk_free(chonk);
	sample_free(&file);
}

static void a_full_disk_takes_all_back(void **state)
{
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka = authority(&ops);

	(void)state;
	disk.fail_after = 0;
	assert_int_equal(inform(tka, V_AUM_1), -ENOSPC);
	assert_head(tka, V_AUM_0_HASH);
	disk.fail_after = -1;
	assert_int_equal(inform(tka, V_AUM_1), 0);
	ts_tka_free(tka);
	disk_remove_all(&disk);
}

/* More steps than anybody walks: refused as a whole, and nothing of it is there
 * when the authority is opened again. */
static void a_chain_without_end_is_not_stored(void **state)
{
	enum { COUNT = TS_TKA_SCAN_MAX + 1 };
	struct ts_tka_aum no_op = {.kind = TS_AUM_NO_OP, .has_parent = true};
	struct ts_nl_private_key key = nl_key(1);
	struct ts_tka_aum **list = calloc(COUNT, sizeof(*list));
	struct ts_tka_update *updates = calloc(COUNT, sizeof(*updates));
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka = authority(&ops), *again;
	size_t files = disk.count;
	const char *why;

	(void)state;
	ts_tka_head(tka, &no_op.parent);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(ts_tka_aum_sign(&no_op, &key, 1, &list[i]),
				 0);
		no_op.parent = list[i]->hash;
		updates[i] = (struct ts_tka_update){list[i]->raw,
						    list[i]->len};
	}
	assert_int_equal(ts_tka_inform(tka, updates, COUNT, 1000, &why),
			 -EPROTO);
	assert_head(tka, V_AUM_0_HASH);
	assert_int_equal(disk.count, files);
	assert_int_equal(ts_tka_open(load(&disk, &ops), &again), 0);
	assert_head(again, V_AUM_0_HASH);
	for (size_t i = 0; i < COUNT; i++)
		ts_tka_aum_free(list[i]);
	free(list);
	free(updates);
	ts_tka_free(again);
	ts_tka_free(tka);
	disk_remove_all(&disk);
}

/* Two trees on disk: the one in use is the one that was. */
static void the_ancestor_decides_between_trees(void **state)
{
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka = whole_chain(&ops);
	struct ts_tka_aum other = {.kind = TS_AUM_CHECKPOINT,
				   .has_state = true};
	struct ts_nl_private_key key = nl_key(1);
	struct ts_tka_chonk *chonk;
	struct ts_tka_aum *stranger;

	(void)state;
	other.state = *ts_tka_state(tka);
	other.state.id1 = 77;
	assert_int_equal(ts_tka_aum_sign(&other, &key, 1, &stranger), 0);
	ts_tka_free(tka);
	chonk = load(&disk, &ops);
	assert_int_equal(ts_tka_chonk_add(chonk, stranger), 0);
	assert_int_equal(ts_tka_open(chonk, &tka), 0);
	assert_head(tka, V_CHAIN_HEAD);
	ts_tka_free(tka);
	disk_remove_all(&disk);
}

/* -- compaction ----------------------------------------------------------- */

enum { DAY_S = 24 * 3600, NOW = 100 * DAY_S };

static void extend(struct ts_tka *tka, int64_t when)
{
	struct ts_tka_aum no_op = {.kind = TS_AUM_NO_OP};
	struct ts_nl_private_key key = nl_key(1);
	struct ts_tka_update update;
	struct ts_tka_aum *aum;
	const char *why;

	ts_tka_head(tka, &no_op.parent);
	no_op.has_parent = true;
	assert_int_equal(ts_tka_aum_sign(&no_op, &key, 1, &aum), 0);
	update = (struct ts_tka_update){aum->raw, aum->len};
	assert_int_equal(ts_tka_inform(tka, &update, 1, when, &why), 0);
	ts_tka_aum_free(aum);
}

static void old_updates_are_given_up(void **state)
{
	struct disk disk = {.count = 0};
	struct ts_tka_disk ops = ops_of(&disk);
	struct ts_tka *tka = whole_chain(&ops), *again;
	struct ts_tka_hash head;
	char text[TS_TKA_HASH_TEXT_CAP];
	size_t before = ts_tka_chonk(tka)->by_hash.len;

	(void)state;
	assert_int_equal(ts_tka_compact(tka, NOW), 0);
	assert_int_equal(ts_tka_chonk(tka)->by_hash.len, before);
	for (int i = 0; i < 30; i++)
		extend(tka, NOW);
	ts_tka_head(tka, &head);
	ts_tka_hash_format(&head, text);
	assert_int_equal(ts_tka_compact(tka, NOW), 0);
	/* From the checkpoint (the 6th) on. */
	assert_int_equal(ts_tka_chonk(tka)->by_hash.len, before - 5 + 30);
	assert_head(tka, text);
	extend(tka, NOW);
	ts_tka_head(tka, &head);
	ts_tka_hash_format(&head, text);
	assert_int_equal(ts_tka_open(load(&disk, &ops), &again), 0);
	assert_head(again, text);
	assert_int_equal(ts_tka_chonk(again)->by_hash.len, before - 5 + 31);
	ts_tka_free(again);
	ts_tka_free(tka);
	disk_remove_all(&disk);
}

static void young_ones_stay(void **state)
{
	struct ts_tka *tka = whole_chain(NULL);
	size_t count;

	(void)state;
	for (int i = 0; i < 30; i++)
		extend(tka, NOW);
	count = ts_tka_chonk(tka)->by_hash.len;
	assert_int_equal(ts_tka_compact(tka, 1000 + 13 * DAY_S), 0);
	assert_int_equal(ts_tka_chonk(tka)->by_hash.len, count);
	ts_tka_free(tka);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_change_who_is_trusted),
		cmocka_unit_test(several_at_once_and_known_ones),
		cmocka_unit_test(a_wrong_one_takes_all_back),
		cmocka_unit_test(updates_need_their_parent),
		cmocka_unit_test(only_trusted_keys_may_change_it),
		cmocka_unit_test(updates_have_to_make_sense),
		cmocka_unit_test(the_last_key_stays),
		cmocka_unit_test(a_genesis_is_a_signed_checkpoint),
		cmocka_unit_test(forks_are_resolved_as_upstream_does),
		cmocka_unit_test(a_fork_may_take_over),
		cmocka_unit_test(offers_name_checkpoints),
		cmocka_unit_test(who_lags_behind_is_told_the_rest),
		cmocka_unit_test(strangers_have_nothing_in_common),
		cmocka_unit_test(what_was_stored_is_opened),
		cmocka_unit_test(files_are_upstreams),
		cmocka_unit_test(damaged_files_are_not_taken),
		cmocka_unit_test(a_full_disk_takes_all_back),
		cmocka_unit_test(a_chain_without_end_is_not_stored),
		cmocka_unit_test(the_ancestor_decides_between_trees),
		cmocka_unit_test(old_updates_are_given_up),
		cmocka_unit_test(young_ones_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
