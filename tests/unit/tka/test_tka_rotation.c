/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_rotation.c - which node keys newer ones have replaced
 */
#include "samples.h"

#include "core/tka/tka_rotation.h"

enum { OWN = 9 };

struct signed_key {
	uint8_t data[TS_NKS_LEN_MAX];
	int len;
};

static struct signed_key direct(uint8_t node, uint8_t wrapping)
{
	struct ts_nl_private_key signer = nl_key(1);
	struct ts_public_key key = node_key(node), wrap = nl_id(wrapping);
	struct signed_key out;

	out.len = ts_nks_sign(&signer, &key, &wrap, out.data);
	return out;
}

static struct signed_key rotate(const struct signed_key *old, uint8_t node,
				uint8_t by)
{
	struct ts_nl_private_key own = nl_key(by);
	struct ts_public_key key = node_key(node);
	struct signed_key out;

	out.len = ts_nks_resign(&own, &key, old->data, (size_t)old->len,
				out.data);
	return out;
}

static void add(struct ts_rotations *r, const struct signed_key *key)
{
	struct ts_nks nks;

	assert_int_equal(ts_nks_read(key->data, (size_t)key->len, &nks), 0);
	assert_int_equal(ts_rotations_add(r, &nks), 0);
}

static bool is_replaced(const struct ts_rotations *r, uint8_t node)
{
	struct ts_public_key key = node_key(node);

	return ts_rotations_has_replaced(r, &key);
}

static void keys_before_a_rotation_are_obsolete(void **state)
{
	struct ts_rotations r;
	struct signed_key a = direct(0xa, OWN), b = rotate(&a, 0xb, OWN);
	struct signed_key c = rotate(&b, 0xc, OWN), other = direct(0xd, 8);

	(void)state;
	ts_rotations_init(&r, 1);
	add(&r, &a);
	add(&r, &c);
	add(&r, &other);
	assert_int_equal(ts_rotations_settle(&r), 0);
	assert_true(is_replaced(&r, 0xa));
	assert_true(is_replaced(&r, 0xb));
	assert_false(is_replaced(&r, 0xc));
	assert_false(is_replaced(&r, 0xd));
	ts_rotations_deinit(&r);
}

static void of_clones_the_longest_chain_is_kept(void **state)
{
	struct ts_rotations r;
	struct signed_key a = direct(0xa, OWN), b = rotate(&a, 0xb, OWN);
	struct signed_key clone = rotate(&a, 0xe, OWN);
	struct signed_key c = rotate(&b, 0xc, OWN);

	(void)state;
	ts_rotations_init(&r, 1);
	add(&r, &clone);
	add(&r, &c);
	assert_int_equal(ts_rotations_settle(&r), 0);
	assert_true(is_replaced(&r, 0xe));
	assert_false(is_replaced(&r, 0xc));
	ts_rotations_deinit(&r);
}

static void of_equals_none(void **state)
{
	struct ts_rotations r;
	struct signed_key a = direct(0xa, OWN), b = rotate(&a, 0xb, OWN);
	struct signed_key clone = rotate(&a, 0xe, OWN);
	struct signed_key elsewhere = direct(0x1, 8);
	struct signed_key rotated = rotate(&elsewhere, 0x2, 8);

	(void)state;
	ts_rotations_init(&r, 1);
	add(&r, &b);
	add(&r, &clone);
	add(&r, &rotated);
	assert_int_equal(ts_rotations_settle(&r), 0);
	assert_true(is_replaced(&r, 0xb));
	assert_true(is_replaced(&r, 0xe));
	assert_false(is_replaced(&r, 0x2));
	ts_rotations_deinit(&r);
}

static void a_credential_may_serve_many(void **state)
{
	struct ts_nl_private_key signer = nl_key(2), delegate = nl_key(0x77);
	struct ts_public_key wrap = nl_id(0x77);
	struct ts_rotations r;
	uint8_t credential[TS_NKS_LEN_MAX];
	int len = ts_nks_delegate(&signer, &wrap, credential);

	(void)state;
	ts_rotations_init(&r, 1);
	for (uint8_t node = 1; node <= 3; node++) {
		struct ts_public_key key = node_key(node);
		struct signed_key s;

		s.len = ts_nks_sign_by_credential(&delegate, credential,
						  (size_t)len, &key, s.data);
		add(&r, &s);
	}
	assert_int_equal(ts_rotations_settle(&r), 0);
	for (uint8_t node = 1; node <= 3; node++)
		assert_false(is_replaced(&r, node));
	ts_rotations_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_before_a_rotation_are_obsolete),
		cmocka_unit_test(of_clones_the_longest_chain_is_kept),
		cmocka_unit_test(of_equals_none),
		cmocka_unit_test(a_credential_may_serve_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
